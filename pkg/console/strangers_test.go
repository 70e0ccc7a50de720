package console_test

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/console"
)

// fewGuesses lets each address show so many sessions that there are not, and then none.
type fewGuesses struct {
	mu     sync.Mutex
	most   int
	missed map[string]int
}

func (g *fewGuesses) Wait(address string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.missed[address] < g.most {
		return 0
	}
	return 1500 * time.Millisecond
}

func (g *fewGuesses) Missed(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missed[address]++
}

func guarded(t *testing.T, most int) (*world, *fewGuesses) {
	t.Helper()
	guesses := &fewGuesses{most: most, missed: map[string]int{}}
	return newWorld(t, func(d *console.Deps) { d.Guesses, d.Events = guesses, true }), guesses
}

// madeUp is a session that nobody has opened.
func madeUp() string {
	token := make([]byte, 32)
	_, _ = rand.Read(token)
	return base64.RawURLEncoding.EncodeToString(token)
}

// TestMadeUpSessionsAreCounted: after some of them the database is not asked, whatever is asked for, until the address may guess again.
func TestMadeUpSessionsAreCounted(t *testing.T) {
	t.Parallel()
	const most = 5
	w, guesses := guarded(t, most)
	friend, old := w.signIn(apiKeyOf(w)), w.signIn(adminKey)
	w.api.mu.Lock()
	calls := len(w.api.calls)
	w.api.mu.Unlock()
	before := w.sessions.reads.Load()
	for i := range 40 {
		path := []string{"/", "/tasks?status=failed", "/nothing", "/sign-in"}[i%4]
		got := (&visitor{w: w, cookie: madeUp()}).get(path)
		switch {
		case path == "/sign-in":
			if got.StatusCode != http.StatusOK {
				t.Errorf("the sign-in page: %d", got.StatusCode)
			}
		case i < most:
			if got.StatusCode != http.StatusSeeOther {
				t.Errorf("%s: %d", path, got.StatusCode)
			}
		default:
			if got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") != "2" || got.field("key") == "(none)" || got.field("next") != path {
				t.Errorf("%s: %d, Retry-After %q, next %q", path, got.StatusCode, got.Header.Get("Retry-After"), got.field("next"))
			}
			got.says(t, "Wait")
		}
	}
	stranger := &visitor{w: w, cookie: madeUp()}
	for _, headers := range [][]string{{"HX-Request", "true"}, nil} {
		path := "/tasks"
		if headers == nil {
			path = "/console/events"
		}
		if got := stranger.get(path, headers...); got.StatusCode != http.StatusTooManyRequests || got.body != "" || got.Header.Get("HX-Redirect") != "" {
			t.Errorf("%s by itself: %d %s", path, got.StatusCode, got.body)
		}
	}
	for _, path := range []string{"/sign-out", "/tasks/" + taskID + "/cancel"} {
		if got := stranger.post(path, url.Values{"reason": {"x"}}); got.StatusCode != http.StatusTooManyRequests || got.field("next") != "/" {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if n := w.sessions.reads.Load() - before; n != most || guesses.missed["192.0.2.7"] != most {
		t.Errorf("%d reads, %d misses", n, guesses.missed["192.0.2.7"])
	}
	w.api.mu.Lock()
	if n := len(w.api.calls) - calls; n != 0 {
		t.Errorf("the API was called %d times", n)
	}
	w.api.mu.Unlock()
	// Whose session was there before is not kept out, nor is who signs in now.
	friend.get("/tasks").says(t, "invoice.pay")
	w.signIn(adminKey).get("/tasks").says(t, "invoice.pay")
	// One that has ended is no guess, and its end is seen although the address has to wait.
	w.sessions.mu.Lock()
	clear(w.sessions.kept)
	w.sessions.mu.Unlock()
	if got := old.get("/tasks"); got.StatusCode != http.StatusSeeOther || guesses.missed["192.0.2.7"] != most {
		t.Errorf("an ended session: %d, %d misses", got.StatusCode, guesses.missed["192.0.2.7"])
	}
}

func apiKeyOf(w *world) string {
	w.api.key(nil, "tasks:read")
	return apiKey
}

// TestAnOldSessionIsOneGuess: a browser that comes back with many pages open is sent to sign in, and may; and it costs one read.
func TestAnOldSessionIsOneGuess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, guesses := guarded(t, 3)
		before := w.sessions.reads.Load()
		v := &visitor{w: w, cookie: madeUp()}
		for range 30 {
			if got := v.get("/tasks"); got.StatusCode != http.StatusSeeOther {
				t.Fatalf("a page: %d", got.StatusCode)
			}
			if got := v.get("/tasks", "HX-Request", "true"); got.StatusCode != http.StatusUnauthorized || got.Header.Get("HX-Redirect") != "/sign-in" {
				t.Fatalf("a part: %d", got.StatusCode)
			}
			if got := v.get("/console/events"); got.StatusCode != http.StatusUnauthorized {
				t.Fatalf("events: %d", got.StatusCode)
			}
			if got := v.get("/sign-in"); got.StatusCode != http.StatusOK {
				t.Fatalf("the sign-in page: %d", got.StatusCode)
			}
		}
		if reads, missed := w.sessions.reads.Load()-before, guesses.missed["192.0.2.7"]; reads != 1 || missed != 1 {
			t.Errorf("%d reads, %d misses", reads, missed)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // in the bubble it takes no time
		v.get("/tasks")
		if reads := w.sessions.reads.Load() - before; reads != 2 {
			t.Errorf("%d reads after a while", reads)
		}
		if got := v.post("/sign-in", url.Values{"key": {adminKey}}); got.StatusCode != http.StatusSeeOther {
			t.Errorf("signing in: %d", got.StatusCode)
		}
	})
}

// TestAnOpenPageUsesNoSession: what a page asks by itself finds the session and does not prolong it; what a person asks does.
func TestAnOpenPageUsesNoSession(t *testing.T) {
	t.Parallel()
	w, _ := guarded(t, 3)
	w.api.stream = io.NopCloser(strings.NewReader(""))
	v := w.signIn(adminKey)
	for _, one := range []struct {
		path    string
		headers []string
		uses    int64
	}{
		{"/tasks", nil, 1},
		{"/", []string{"HX-Request", "false"}, 1},
		{"/sign-in", nil, 1},
		{"/nothing", nil, 1},
		{"/tasks", []string{"HX-Request", "true"}, 0},
		{"/", []string{"HX-Request", "true"}, 0},
		{"/console/events", nil, 0},
	} {
		reads, uses := w.sessions.reads.Load(), w.sessions.uses.Load()
		v.get(one.path, one.headers...)
		if read, used := w.sessions.reads.Load()-reads, w.sessions.uses.Load()-uses; read != 1 || used != one.uses {
			t.Errorf("%s %v: %d reads, %d uses", one.path, one.headers, read, used)
		}
	}
	uses := w.sessions.uses.Load()
	if v.post("/tasks/"+taskID+"/cancel", url.Values{"reason": {"x"}, "updated_at": {updatedAt}}); w.sessions.uses.Load() != uses+1 {
		t.Error("an action uses no session")
	}
}

// TestAStreamEndsWithItsSession, and does not keep it from its end.
func TestAStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := guarded(t, 3)
		source, _ := io.Pipe()
		w.api.stream = source
		v := w.signIn(adminKey)
		uses := w.sessions.uses.Load()
		ended := make(chan struct{})
		ctx := billing.WithActor(t.Context(), billing.Actor{Address: "192.0.2.7"})
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/console/events", nil)
		request.AddCookie(&http.Cookie{Name: "__Host-billonce", Value: v.cookie})
		go func() {
			defer close(ended)
			w.ServeHTTP(httptest.NewRecorder(), request)
		}()
		time.Sleep(time.Minute) //nolint:forbidigo // in the bubble it takes no time
		synctest.Wait()
		reads := w.sessions.reads.Load()
		if reads < 10 || w.sessions.uses.Load() != uses {
			t.Errorf("a minute of a stream: %d reads, %d uses", reads, w.sessions.uses.Load()-uses)
		}
		w.sessions.mu.Lock()
		clear(w.sessions.kept) // it was not used for an hour
		w.sessions.mu.Unlock()
		time.Sleep(10 * time.Second) //nolint:forbidigo // as above
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the stream goes on")
			_ = source.Close()
			<-ended
		}
	})
}
