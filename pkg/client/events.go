package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/billing"
)

const (
	reconnectFirst = time.Second
	reconnectMost  = 30 * time.Second
	streamSilence  = 45 * time.Second // the server says something every fifteen seconds
)

// EventsQuery narrows [Client.Events]; what is zero is left out.
type EventsQuery struct {
	After      string // the ID of an event: what has happened since is told first
	MerchantID string
	Status     string // several are separated by commas
	Kind       string // several are separated by commas
}

func (q EventsQuery) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"after": q.After, "merchant_id": q.MerchantID, "status": q.Status, "kind": q.Kind} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

// Event is one thing that the stream tells: Task, or, when that is nil, that everything has to be read again, for the reason Reset.
type Event struct {
	ID    string // where to go on later, with [EventsQuery].After; "" when that is not known yet
	Task  *TaskEvent
	Reset billing.ResetReason
}

// Events follows what becomes of tasks, sending GET /v1/events: the first event is a reset, unless the query says where to go on. The
// key needs the scope tasks:read.
//
// A connection that is lost is made anew, and goes on where it was; what the server does not know any more comes as a reset. An event
// may come twice then, none is missing. The iteration ends with ctx, without an error, and with one if the first connection cannot be
// made or the server refuses.
func (c *Client) Events(ctx context.Context, query EventsQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &following{client: c, query: query, wait: reconnectFirst, id: query.After}
		for first := true; ctx.Err() == nil; first = false {
			err := f.once(ctx, yield)
			switch {
			case ctx.Err() != nil || errors.Is(err, errStopped):
				return
			case err != nil && (first && !f.connected || f.refused(err)):
				yield(Event{}, err)
				return
			}
			f.pause(ctx, err)
		}
	}
}

var (
	errStopped    = errors.New("the reader has stopped")
	errUnexpected = errors.New("the event is not what this program expects")
)

// following is one iteration, over several connections perhaps.
type following struct {
	client    *Client
	query     EventsQuery
	id        string        // of the last event
	wait      time.Duration // before the next connection
	retry     time.Duration // as the server asks
	connected bool          // ever
}

// refused reports whether another try would end in the same way.
func (f *following) refused(err error) bool {
	var p *Problem
	return errors.Is(err, errUnexpected) ||
		errors.As(err, &p) && p.Status < http.StatusInternalServerError && p.Status != http.StatusTooManyRequests
}

// pause waits longer from one failure to the next, and by chance, so that not all come back at once.
func (f *following) pause(ctx context.Context, err error) {
	wait := max(f.retry, reconnectFirst)
	if err != nil {
		wait = max(f.wait, f.retry)
		f.wait = min(2*f.wait, reconnectMost)
	}
	timer := time.NewTimer(wait/2 + rand.N(wait/2+1)) //nolint:gosec // no secret
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// once reads one connection to its end; nil when the server has ended it.
func (f *following) once(ctx context.Context, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := f.client.request(ctx, Call{Method: http.MethodGet, Path: "/v1/events", Query: f.query.values()})
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream, application/problem+json")
	if f.id != "" {
		request.Header.Set("Last-Event-ID", f.id)
	}
	silence := time.AfterFunc(streamSilence, cancel) // a peer that is gone says nothing
	defer silence.Stop()
	endless := *f.client.http
	endless.Timeout = 0
	answer, err := endless.Do(request)
	if err != nil {
		return fmt.Errorf("GET /v1/events: %w", unwrapURL(err))
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, maxEventBytes))
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
			f.retry = min(time.Duration(seconds)*time.Second, reconnectMost)
		}
		return problem(answer, body)
	}
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return problem(answer, nil)
	}
	f.connected = true
	return f.read(newEventReader(answer.Body), func() { silence.Reset(streamSilence) }, yield)
}

func (f *following) read(reader *eventReader, alive func(), yield func(Event, error) bool) error {
	for {
		message, err := reader.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("GET /v1/events: read the stream: %w", err)
		}
		alive()
		f.wait = reconnectFirst
		if message.id != "" {
			f.id = message.id
		}
		if message.retry > 0 {
			f.retry = min(message.retry, reconnectMost)
		}
		event, ok, err := message.event(f.id)
		if err != nil {
			return err
		}
		if ok && !yield(event, nil) {
			return errStopped
		}
	}
}

// event is what a message tells; ok is false for one that tells nothing, or nothing that this program knows.
func (m message) event(id string) (event Event, ok bool, err error) {
	event.ID = id
	switch m.name {
	case "task":
		err = json.Unmarshal(m.data, &event.Task)
		ok = event.Task != nil
	case "reset":
		var reset EventsReset
		err = json.Unmarshal(m.data, &reset)
		event.Reset, ok = reset.Reason, true
	}
	if err != nil {
		return Event{}, false, fmt.Errorf("GET /v1/events: %w: %w", errUnexpected, err)
	}
	return event, ok, nil
}
