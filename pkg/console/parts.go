package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// partEvery is how often the part of a page that changes is made at most, for all who see the same of it: as often as one page asks for
// it while tasks change all the time (console.js).
const partEvery = 2 * time.Second

// parts makes the part of a page that changes once for all who wait for it. A hundred people who look at one page while tasks change
// all the time then cost what one does. Whoever comes while a part is being made waits for the next one: nobody is shown what was read
// before asking, but for merchants' names ([names]).
type parts struct {
	mu    sync.Mutex
	known map[string]*partTurns
}

// partTurns are the times that one part is made.
type partTurns struct {
	began time.Time // the last time
	next  *partTurn // nil while nobody waits
}

// partTurn is one time that a part is made, by the first who waits for it.
type partTurn struct {
	due  time.Time
	done chan struct{} // closed when the rest is there
	made []byte        // nil: it could not be made for whoever made it
	left bool          // whoever was to make it has gone
}

// sameFor tells apart what a page may show: the visitor's key allows the same on the same address.
func sameFor(v *visit) string {
	whose := ""
	if v.me.MerchantID != nil {
		whose = *v.me.MerchantID
	}
	scopes := make([]string, len(v.me.Scopes))
	for i, scope := range v.me.Scopes {
		scopes[i] = string(scope)
	}
	slices.Sort(scopes)
	return whose + " " + strings.Join(scopes, ",") + " " + selfOf(v.r)
}

// showPart answers with the part of a page that changes.
func (c *Console) showPart(v *visit, to page) error {
	key := sameFor(v)
	for {
		turn, mine := c.parts.join(key, time.Now())
		if mine {
			return c.makePart(v, to, key, turn)
		}
		select {
		case <-turn.done:
		case <-v.ctx.Done():
			return v.ctx.Err()
		}
		switch {
		case turn.left: // somebody else has to
		case turn.made == nil:
			return to.handle(c, v) // with an error of its own, maybe
		default:
			answer(v, http.StatusOK, turn.made)
			return nil
		}
	}
}

// makePart waits until it is time, and makes the part for all who have come by then. They have it before it is sent to whoever made it,
// who may read slowly.
func (c *Console) makePart(v *visit, to page, key string, turn *partTurn) error {
	end := sync.OnceFunc(func() { close(turn.done) })
	defer end()
	turn.left = !sleepUntil(v.ctx, turn.due)
	c.parts.begin(key, turn, time.Now())
	if turn.left {
		return v.ctx.Err()
	}
	v.share = func(part []byte) {
		if v.ctx.Err() == nil { // otherwise it may lack what its maker did not wait for
			turn.made = part
			end()
		}
	}
	err := to.handle(c, v)
	turn.leave(v.ctx)
	return err
}

// leave notes that the maker has gone on the way, if it has: one of the others makes the part then, and not each.
func (t *partTurn) leave(ctx context.Context) {
	if t.made == nil && ctx.Err() != nil {
		t.left = true
	}
}

func sleepUntil(ctx context.Context, due time.Time) bool {
	wait := time.NewTimer(time.Until(due))
	defer wait.Stop()
	select {
	case <-wait.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// join returns the next time that a part is made, and whether the caller is to make it.
func (p *parts) join(key string, now time.Time) (turn *partTurn, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, turns := range p.known {
		if turns.next == nil && now.Sub(turns.began) >= partEvery {
			delete(p.known, other)
		}
	}
	turns := p.known[key]
	if turns == nil {
		turns = &partTurns{}
		p.known[key] = turns
	}
	if turns.next != nil {
		return turns.next, false
	}
	turns.next = &partTurn{due: turns.began.Add(partEvery), done: make(chan struct{})}
	return turns.next, true
}

// begin lets those who come from now on wait for the time after this one.
func (p *parts) begin(key string, turn *partTurn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	turns := p.known[key] // it stays while somebody waits
	turns.next = nil
	if !turn.left {
		turns.began = now
	}
}
