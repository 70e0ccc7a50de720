package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

const (
	streamBeat     = 15 * time.Second // between signs of life when there is nothing to tell
	streamPatience = 10 * time.Second // with one write: who reads nothing for so long is cut off
	keyPatience    = 5 * time.Second  // with the question whether the key is still good
	mostKeyChecks  = time.Second      // between two such questions at most
	eventStream    = "text/event-stream"
	streamOpening  = ": billonce\nretry: 2000\n\n"
)

// streamEvents tells what becomes of tasks for as long as the client reads. Nothing of net/http or of this package that bounds other
// answers bounds this one: each write has a deadline of its own.
func (s *Server) streamEvents(c echo.Context) error {
	filter, after, err := readEventQuery(c)
	if err != nil {
		return err
	}
	header := c.Response().Header()
	if c.Request().Method == http.MethodHead {
		header.Set(echo.HeaderContentType, eventStream)
		return c.NoContent(http.StatusOK)
	}
	stream := newStream(callerOf(c), filter, after)
	if err := s.hub.join(stream); err != nil {
		return err
	}
	defer s.hub.leave(stream)
	header.Set(echo.HeaderContentType, eventStream)
	header.Set("Cache-Control", "no-store, no-transform")
	header.Set("X-Accel-Buffering", "no") // nginx would collect
	c.Response().WriteHeader(http.StatusOK)
	c.Set(answeredAt, time.Now())
	why := s.pump(c, stream)
	s.deps.Metrics.EventStreamEnded(why)
	return nil
}

// readEventQuery reads what a stream is to tell. A browser that comes back says where it was in Last-Event-ID; what cannot be read
// there is a place that nobody knows.
func readEventQuery(c echo.Context) (eventFilter, billing.EventMark, error) {
	q := readQuery(c, "events")
	var filter eventFilter
	for status := range each(q.values.Get("status")) {
		if filter.statuses = append(filter.statuses, billing.Status(status)); !billing.Status(status).Known() {
			q.fault("status", faultUnknownValue, "must be statuses of tasks, separated by commas")
			break
		}
	}
	for kind := range each(q.values.Get("kind")) {
		if filter.kinds = append(filter.kinds, billing.Kind(kind)); !billing.Kind(kind).Known() {
			q.fault("kind", faultUnknownValue, "must be kinds of tasks, separated by commas")
			break
		}
	}
	filter.merchant = q.merchant("merchant_id")
	var after billing.EventMark
	if text := q.values.Get("after"); text != "" {
		var err error
		if after, err = billing.ParseEventMark(text); err != nil {
			q.fault("after", faultFormat, "must be the id of an event")
		}
	}
	if err := q.faults.err(); err != nil {
		return eventFilter{}, billing.EventMark{}, err
	}
	if given := c.Request().Header.Get("Last-Event-ID"); given != "" {
		var err error
		if after, err = billing.ParseEventMark(given); err != nil {
			after = nowhere
		}
	}
	if own := callerOf(c).merchant; own != "" {
		filter.nobody = filter.merchant != "" && filter.merchant != own
		filter.merchant = own
	}
	return filter, after, nil
}

// nowhere is a mark that no recording has made.
var nowhere = billing.EventMark{Epoch: "none", Snapshot: "1:1:"} //nolint:gochecknoglobals // a constant

// each yields the parts of a list separated by commas; none of an empty text.
func each(list string) func(func(string) bool) {
	if list == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(list, ",")
}

// pump sends what the stream is offered until it ends, and returns why it did.
func (s *Server) pump(c echo.Context, stream *stream) string {
	ctx := c.Request().Context()
	out := &eventWriter{writer: c.Response(), control: http.NewResponseController(c.Response().Writer)}
	_ = out.control.SetReadDeadline(time.Time{}) // net/http would take the end of ReadTimeout for the client's
	beat, check := time.NewTicker(streamBeat), time.NewTicker(min(s.config.KeyFresh/4, mostKeyChecks))
	defer beat.Stop()
	defer check.Stop()
	sure := true // that the key is still good
	err := out.send([]byte(streamOpening))
	for err == nil {
		ready := stream.ready
		if !sure {
			ready = nil // what waits is sent once the database says that it may be
		}
		select {
		case <-ctx.Done():
			return stream.reason(endedClient)
		case <-stream.ended:
			return stream.reason(endedClient)
		case <-ready:
			err = out.send(stream.take()...)
		case <-beat.C:
			err = out.send(stream.rest())
		case <-check.C:
			var still bool
			if still, sure = s.remains(ctx, stream.who, billing.ScopeTasksRead); sure && !still {
				return endedKey
			}
		}
	}
	if isSlow(err) {
		return stream.reason(endedSlow)
	}
	return stream.reason(endedClient)
}

// remains reports whether a caller that was let in would be let in now. sure is false when the database cannot be asked.
func (s *Server) remains(ctx context.Context, who caller, scope billing.Scope) (still, sure bool) {
	if who.actor == billing.ActorAdmin {
		return true, true
	}
	now := time.Now()
	key, fresh, _ := s.keys.known(who.hash, now)
	if !fresh {
		ctx, cancel := context.WithTimeout(ctx, keyPatience)
		defer cancel()
		var err error
		key, err = s.keys.look(ctx, who.hash)
		if billing.CodeOf(err) == billing.CodeNotFound {
			return false, true
		}
		if err != nil {
			return false, false
		}
	}
	s.uses.note(key.ID, now)
	return key.Status == billing.APIKeyActive && key.UsableFor > 0 && key.Allows(scope) && key.MerchantID == who.merchant, true
}
