package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"billonce/pkg/billing"
)

const (
	eventsPath    = "/console/events"
	eventPatience = 10 * time.Second // with a browser that does not read
	eventBuffer   = 4 << 10
	eventRecheck  = 5 * time.Second // of whether the visitor is still signed in
)

// events passes on what changes, as the API tells it, for as long as somebody listens who is signed in.
func (c *Console) events(v *visit) error {
	if !c.deps.Events {
		return &fault{status: http.StatusNotFound, title: "There are no events here", text: "Pages are kept fresh by asking."}
	}
	ctx, cancel := context.WithCancel(v.ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/events", nil)
	if err != nil {
		cancel()
		return err
	}
	if seen := v.r.Header.Get("Last-Event-ID"); seen != "" {
		request.Header.Set("Last-Event-ID", seen)
	}
	request.Header.Set("Accept", "text/event-stream")
	answer, err := c.deps.API.RoundTrip(request)
	if err != nil {
		cancel()
		return err
	}
	var guard sync.WaitGroup
	guard.Go(func() { c.guard(ctx, cancel, v) })
	defer func() {
		cancel()
		_ = answer.Body.Close()
		guard.Wait()
	}()
	v.w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	v.w.WriteHeader(answer.StatusCode)
	if v.r.Method == http.MethodHead {
		return nil
	}
	if err := pass(v.w, answer.Body); err != nil {
		c.log.DebugContext(ctx, "events ended", slog.Any("error", err))
	}
	return nil
}

// guard ends what goes on for a visitor once that one is not signed in any more, or nobody can tell.
func (c *Console) guard(ctx context.Context, end context.CancelFunc, v *visit) {
	tick := time.NewTicker(eventRecheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		again := &visit{w: v.w, r: v.r.WithContext(ctx)} // it ends with what it guards
		if c.enter(again) != nil || !again.may(billing.ScopeTasksRead) {
			end()
			return
		}
	}
}

// pass copies what comes as it comes. Who does not read in time is cut off.
func pass(w http.ResponseWriter, from io.Reader) error {
	control := http.NewResponseController(w)
	// net/http would take the end of its time for reading the request for the end of the browser.
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if err := control.Flush(); err != nil {
		return err
	}
	buffer := make([]byte, eventBuffer)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if err := control.SetWriteDeadline(time.Now().Add(eventPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return err
			}
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			if err := control.Flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
