package console

import (
	"context"
	"crypto/sha256"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"billonce/pkg/billing"
)

const (
	goneLasts  = time.Minute           // that a session is not asked for again once it was not there
	knownLasts = billing.SessionLength // that one is known which was there
	mostRecent = 4096                  // sessions that are remembered, of each sort
	mostLooked = 16                    // at, to make room for one
)

// Guesses slow down who makes up sessions, address by address.
type Guesses interface {
	// Wait returns how long an address has to wait until it may show another session that may be made up, 0 if it may now.
	Wait(address string) time.Duration
	// Missed records that an address has shown a session that there is not.
	Missed(address string)
}

// trusting is for who slows nobody down.
type trusting struct{}

func (trusting) Wait(string) time.Duration { return 0 }

func (trusting) Missed(string) {}

type sessionHash = [billing.SessionHashBytes]byte

// recent is a set of sessions that forgets: each after a while, and some while there are too many.
type recent struct {
	lasts time.Duration
	mu    sync.Mutex
	since map[sessionHash]time.Time
}

func (r *recent) has(hash sessionHash, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	since, ok := r.since[hash]
	return ok && now.Sub(since) < r.lasts
}

func (r *recent) add(hash sessionHash, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since == nil {
		r.since = map[sessionHash]time.Time{}
	}
	if _, there := r.since[hash]; !there && len(r.since) >= mostRecent {
		r.makeRoom(now)
	}
	r.since[hash] = now
}

// makeRoom forgets some session, and any that it meets on the way whose time is over.
func (r *recent) makeRoom(now time.Time) {
	met := 0
	for hash, since := range r.since {
		if met++; met == mostLooked || now.Sub(since) >= r.lasts {
			delete(r.since, hash)
		}
		if met == mostLooked {
			return
		}
	}
}

func (r *recent) forget(hash sessionHash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.since, hash)
}

// waitError is what an address is told that has shown too many sessions that there are not.
type waitError struct{ wait time.Duration }

// Error implements error.
func (*waitError) Error() string { return "too many sessions that there are not" }

// findSession returns the session of what a browser shows. The error is errNoSession when there is none.
//
// Whoever makes sessions up is to wait after some, as who tries keys is, and the database is not asked meanwhile. A browser with an old
// session shows the same again and again, with each part of its pages: that is one guess, and one question in a while. A session that
// was there lately need not wait with its address: it is not found by trying, and nobody is to be locked out by a neighbour. One that
// was there and has ended is no guess.
func (c *Console) findSession(ctx context.Context, r *http.Request, token []byte, find sessionFinder) (billing.Session, error) {
	hash, now := sha256.Sum256(token), time.Now()
	if c.gone.has(hash, now) {
		return billing.Session{}, errNoSession
	}
	from, _ := billing.ActorOf(r.Context())
	known := c.known.has(hash, now)
	if !known {
		if wait := c.deps.Guesses.Wait(from.Address); wait > 0 {
			return billing.Session{}, &waitError{wait}
		}
	}
	session, err := find(ctx, hash)
	switch {
	case err == nil:
		c.known.add(hash, now)
	case billing.CodeOf(err) == billing.CodeNotFound:
		c.known.forget(hash)
		c.gone.add(hash, now)
		if !known {
			c.deps.Guesses.Missed(from.Address)
		}
		err = errNoSession
	}
	return session, err
}

type sessionFinder = func(context.Context, sessionHash) (billing.Session, error)

// haveWait answers whoever has to wait. A person may sign in meanwhile: keys are counted by themselves.
func (c *Console) haveWait(v *visit, wait time.Duration) {
	v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	if v.byItself() {
		v.w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	c.show(v, http.StatusTooManyRequests, "sign-in", "Sign in", signInView{
		Next: nextOf(v.r), Trouble: "Too many unknown sessions were shown from your address. Wait a minute, or sign in.",
	})
}

// nextOf is where to go on after signing in: to what was asked for, if that was a page.
func nextOf(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return localPath(r.URL.RequestURI())
	}
	return "/"
}
