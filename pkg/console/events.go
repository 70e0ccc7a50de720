package console

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"
)

const (
	eventPatience = 10 * time.Second // with a browser that does not read
	eventBuffer   = 4 << 10
)

// events passes on what changes, as the API tells it, for as long as somebody listens.
func (c *Console) events(v *visit) error {
	if !c.deps.Events {
		return &fault{status: http.StatusNotFound, title: "There are no events here", text: "Pages are kept fresh by asking."}
	}
	request, err := http.NewRequestWithContext(v.ctx, http.MethodGet, base+"/v1/events", nil)
	if err != nil {
		return err
	}
	if seen := v.r.Header.Get("Last-Event-ID"); seen != "" {
		request.Header.Set("Last-Event-ID", seen)
	}
	request.Header.Set("Accept", "text/event-stream")
	answer, err := c.deps.API.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	v.w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	v.w.WriteHeader(answer.StatusCode)
	if v.r.Method == http.MethodHead {
		return nil
	}
	if err := pass(v.w, answer.Body); err != nil {
		c.log.DebugContext(v.r.Context(), "events ended", slog.Any("error", err))
	}
	return nil
}

// pass copies what comes as it comes. Who does not read in time is cut off.
func pass(w http.ResponseWriter, from io.Reader) error {
	control := http.NewResponseController(w)
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
