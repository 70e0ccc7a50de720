package gateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	stripe "github.com/stripe/stripe-go/v76"
)

const (
	// laneCalls is how many calls share one HTTP/2 connection. Servers take 100 streams on each, if not more. Where they are
	// used up, net/http dials for each call that waits and throws all but one of the new connections away: a thousand calls
	// that begin together would be a thousand handshakes. So there is a second transport before that, and a third.
	laneCalls = 80
	// laneDoors is how many calls look for a connection at once in a lane: whoever comes later finds the one that was made.
	laneDoors = 1
	// plainDoors is the same where each call has a connection to itself. Dialing takes more stack than waiting does.
	plainDoors = 64
	// doorPatience bounds what a dial that hangs can cost the others. After it one of them looks in place of the one that dials, and after
	// as long the next: on a slow machine, where dialing takes that long, all at once would make it slower still.
	doorPatience = time.Second
	// doorLimit is how long any call waits for others. Where a server speaks no HTTP/2 each dials, and all would do so one after the other; and
	// a call is not to leave long after its worker has looked at its lease.
	doorLimit = dialTimeout + tlsTimeout
)

// wire takes requests to Stripe.
type wire struct {
	builder *stripe.BackendImplementation
	host    string // where they go
	calls   int    // in a lane, as long as another one is free

	patience time.Duration // of the eldest that waits, with the one that looks for a connection
	limit    time.Duration // to how long each waits

	mu    sync.Mutex
	lanes []*lane // never empty
}

// lane is a transport with a few connections.
type lane struct {
	http.RoundTripper
	doors   chan struct{}         // has an element for each call that looks for a connection; nil: any number may
	looking atomic.Pointer[probe] // the last call that was let in, while it looks
	eldest  chan struct{}         // has an element for the one call whose patience counts
	inside  int                   // guarded by wire.mu
}

func (w *wire) add(transport http.RoundTripper, doors int) {
	made := &lane{RoundTripper: transport}
	if doors > 0 {
		made.doors, made.eldest = make(chan struct{}, doors), make(chan struct{}, 1)
	}
	w.lanes = append(w.lanes, made)
}

// closeIdle gives up the connections that carry nothing.
func (w *wire) closeIdle() {
	for _, each := range w.lanes {
		if transport, ok := each.RoundTripper.(*http.Transport); ok {
			transport.CloseIdleConnections()
		}
	}
}

// enter gives a call its lane: the first that has room, so that few connections are kept busy, or else the emptiest. It may wait a
// little for others that look for a connection there; ctx may have ended when it returns. The call leaves the lane when done.
func (w *wire) enter(ctx context.Context, call *probe) *lane {
	w.mu.Lock()
	chosen := w.lanes[0]
	for _, each := range w.lanes {
		if each.inside < w.calls {
			chosen = each
			break
		}
		if each.inside < chosen.inside {
			chosen = each
		}
	}
	chosen.inside++
	w.mu.Unlock()
	if chosen.doors == nil {
		return chosen
	}
	select {
	case chosen.doors <- struct{}{}:
		chosen.letIn(call)
	default:
		chosen.queue(ctx, call, w.patience, w.limit)
	}
	return chosen
}

// queue waits until the call may look for a connection.
func (l *lane) queue(ctx context.Context, call *probe, patience, limit time.Duration) {
	waited := time.NewTimer(limit)
	defer waited.Stop()
	select {
	case l.doors <- struct{}{}:
		l.letIn(call)
		return
	case l.eldest <- struct{}{}:
		defer func() { <-l.eldest }()
	case <-waited.C:
		return
	case <-ctx.Done():
		return
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case l.doors <- struct{}{}:
		l.letIn(call)
	case <-enough.C:
		if slow := l.looking.Load(); slow != nil && slow.door.CompareAndSwap(l, nil) { // which goes on looking, and nobody waits for it
			l.letIn(call)
		}
	case <-waited.C:
	case <-ctx.Done():
	}
}

// letIn notes that a door is the call's.
func (l *lane) letIn(call *probe) {
	call.door.Store(l)
	l.looking.Store(call)
}

func (w *wire) leave(left *lane, call *probe) {
	call.through()
	w.mu.Lock()
	defer w.mu.Unlock()
	left.inside--
}

// through lets the next one look for a connection. It is called when the call has got one, and again at its end.
func (p *probe) through() {
	if passed := p.door.Swap(nil); passed != nil {
		passed.looking.CompareAndSwap(p, nil)
		<-passed.doors
	}
}
