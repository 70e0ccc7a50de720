package httpapi

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"billonce/pkg/billing"
)

const (
	pollPause    = 250 * time.Millisecond // between two readings of what has changed
	pollPatience = 10 * time.Second       // one reading
	pollBackoff  = 5 * time.Second        // between two readings at most, while the database does not answer
	watchRenew   = 30 * time.Second       // well within what one call of WatchTasks lasts
	resetPause   = 2 * time.Second        // between two resets while there is too much to be told
)

// hub reads what has changed, once for all streams of the process, and hands it on. While there is no stream it does nothing at all. It
// never waits for a stream.
type hub struct {
	events  Events
	log     *slog.Logger
	metrics Metrics
	most    int // streams
	perKey  int // streams of one key

	mu      sync.Mutex
	streams map[*stream]bool
	keys    map[string]int
	joining []*stream
	poller  *poller // nil: there is no stream
	closed  bool
}

// join begins a stream. The error has code [billing.CodeUnavailable] when there are as many as there may be, or the server shuts down,
// and [billing.CodeRateLimited] when the key has too many. Who joins must leave.
func (h *hub) join(s *stream) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.events == nil || h.closed || len(h.streams) >= h.most:
		return &billing.Error{Code: billing.CodeUnavailable}
	case h.keys[s.who.actor] >= h.perKey:
		return &billing.Error{Code: billing.CodeRateLimited, Message: "this API key has too many streams open; end one first"}
	}
	if h.streams == nil {
		h.streams, h.keys = map[*stream]bool{}, map[string]int{}
	}
	h.streams[s] = true
	h.keys[s.who.actor]++
	h.joining = append(h.joining, s)
	h.metrics.EventStreams(len(h.streams))
	if h.poller == nil {
		h.poller = newPoller(h)
		go h.poller.run()
	}
	select {
	case h.poller.kick <- struct{}{}:
	default:
	}
	return nil
}

// leave ends a stream. The last one waits for the end of the reading.
func (h *hub) leave(s *stream) {
	h.mu.Lock()
	delete(h.streams, s)
	h.joining = slices.DeleteFunc(h.joining, func(one *stream) bool { return one == s }) // while nothing can be read nobody else takes it out
	if h.keys[s.who.actor]--; h.keys[s.who.actor] == 0 {
		delete(h.keys, s.who.actor)
	}
	h.metrics.EventStreams(len(h.streams))
	var last *poller
	if len(h.streams) == 0 {
		last, h.poller, h.joining = h.poller, nil, nil
	}
	h.mu.Unlock()
	if last != nil {
		last.stop()
		<-last.ended
	}
}

// close ends all streams and lets none begin.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.streams {
		s.end(endedShutdown)
	}
}

// each calls tell with every stream that has begun, if p is still the one that reads.
func (h *hub) each(p *poller, tell func(*stream)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poller != p {
		return
	}
	for s := range h.streams {
		if s.begun {
			tell(s)
		}
	}
}

// joined returns who has joined since the last call, and lets them begin.
func (h *hub) joined(p *poller) []*stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poller != p {
		return nil
	}
	fresh := h.joining
	h.joining = nil
	return fresh
}

// begin tells a stream its beginning; from then on it is told what happens behind p's mark.
func (h *hub) begin(p *poller, s *stream, tell func(*stream)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poller == p && h.streams[s] {
		s.begun = true
		tell(s)
	}
}

// poller is the one goroutine that reads, from the first stream's beginning to the last one's end. Its fields are its own.
type poller struct {
	hub   *hub
	ctx   context.Context //nolint:containedctx // ends with the last stream, whichever that is
	stop  context.CancelFunc
	kick  chan struct{} // somebody has joined
	ended chan struct{}

	mark    billing.EventMark   // up to where streams have been told
	renew   time.Time           // when the recording is to be renewed
	owed    billing.ResetReason // what has not been told, nor that it was not
	reset   time.Time           // when that was said last
	failing bool
}

func newPoller(h *hub) *poller {
	ctx, stop := context.WithCancel(context.Background())
	return &poller{hub: h, ctx: ctx, stop: stop, kick: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (p *poller) run() {
	defer close(p.ended)
	pause := pollPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		kick := p.kick
		if p.failing {
			kick = nil // whoever joins waits as all do
		}
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		case <-kick:
		}
		switch err := p.step(); {
		case p.ctx.Err() != nil:
			return
		case err != nil:
			if !p.failing {
				p.hub.log.WarnContext(p.ctx, "events cannot be read", slog.Any("error", err))
			}
			p.failing, pause = true, min(2*pause, pollBackoff)
		default:
			if p.failing {
				p.hub.log.InfoContext(p.ctx, "events can be read again")
			}
			p.failing, pause = false, pollPause
		}
		timer.Reset(pause)
	}
}

// step reads once and tells everybody. After an error nothing is lost: the next one reads from the same mark.
func (p *poller) step() error {
	ctx, cancel := context.WithTimeout(p.ctx, pollPatience)
	defer cancel()
	if err := p.watch(ctx); err != nil || p.mark.IsZero() {
		return err
	}
	page, err := p.hub.events.ReadEvents(ctx, p.mark, billing.EventMark{})
	if err != nil {
		return err
	}
	switch page.Lost {
	case billing.ResetForgotten: // the recording has ended without us: it begins anew
		p.mark, p.owed = billing.EventMark{}, page.Lost
		return nil
	case billing.ResetTooMany:
		p.owed = page.Lost
	case "", billing.ResetBegun:
	}
	p.mark = page.Next
	p.tell(page.Events)
	return p.welcome(ctx)
}

// watch keeps the recording going, and finds where it begins if that is not known.
func (p *poller) watch(ctx context.Context) error {
	now := time.Now()
	if !p.mark.IsZero() && now.Before(p.renew) {
		return nil
	}
	mark, err := p.hub.events.WatchTasks(ctx)
	if err != nil {
		return err
	}
	p.renew = now.Add(watchRenew)
	if p.mark.IsZero() {
		p.mark = mark
	}
	return p.hub.events.TidyEvents(ctx)
}

// tell hands events to all streams. While a reset is owed, that stands for them.
func (p *poller) tell(events []billing.TaskEvent) {
	id, now := p.mark.String(), time.Now()
	if p.owed != "" {
		if now.Sub(p.reset) < resetPause {
			return
		}
		frames := [][]byte{resetFrame(p.owed, id)}
		p.owed, p.reset = "", now
		p.hub.each(p, func(s *stream) { s.offer(frames, id) })
		return
	}
	told := newTelling(events, id)
	p.hub.each(p, func(s *stream) { s.offer(told.to(s.filter), id) })
}

// welcome lets those begin who have joined: where they say that they were, or here. Those who come back from the same place, as all do
// whose api was started anew, cost one reading.
func (p *poller) welcome(ctx context.Context) error {
	id, missed := p.mark.String(), map[billing.EventMark]billing.EventPage{}
	fresh := p.hub.joined(p)
	for i, s := range fresh {
		reason := billing.ResetBegun
		if !s.after.IsZero() {
			page, ok := missed[s.after]
			if !ok {
				var err error
				if page, err = p.hub.events.ReadEvents(ctx, s.after, p.mark); err != nil {
					p.hub.rejoin(p, fresh[i:])
					return err
				}
				missed[s.after] = page
			}
			if reason = page.Lost; reason == "" {
				told := newTelling(page.Events, id)
				p.hub.begin(p, s, func(s *stream) { s.offer(told.to(s.filter), id) })
				continue
			}
		}
		p.hub.begin(p, s, func(s *stream) { s.offer([][]byte{resetFrame(reason, id)}, id) })
	}
	return nil
}

// rejoin puts back those who could not begin, and have not left meanwhile.
func (h *hub) rejoin(p *poller, left []*stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poller == p {
		left = slices.DeleteFunc(left, func(one *stream) bool { return !h.streams[one] })
		h.joining = append(left, h.joining...)
	}
}
