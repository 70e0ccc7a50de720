package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// connection is what one connection to the fake brings.
type connection struct {
	status  int
	text    string
	headers []string
	holds   bool // it stays open until the client goes
}

// streaming answers one connection after the other, and notes what each asked for.
type streaming struct {
	mu    sync.Mutex
	next  []connection
	asked []string
}

func (s *streaming) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, strings.TrimSuffix(r.Header.Get("Last-Event-ID")+" "+r.URL.RawQuery, " "))
	one := connection{status: http.StatusUnauthorized}
	if len(s.next) > 0 {
		one, s.next = s.next[0], s.next[1:]
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 0; i < len(one.headers); i += 2 {
		w.Header().Set(one.headers[i], one.headers[i+1])
	}
	w.WriteHeader(one.status)
	_, _ = w.Write([]byte(one.text))
	_ = http.NewResponseController(w).Flush()
	if one.holds {
		<-r.Context().Done()
	}
}

const (
	began   = ": hello\nretry: 1\n\nid: 1\nevent: reset\ndata: {\"reason\":\"begun\"}\n\n"
	taskOne = "id: 2\nevent: task\ndata: {\"id\":\"a\",\"status\":\"running\"}\n\n"
	taskTwo = "event: task\r\ndata: {\"id\":\"b\",\r\ndata: \"status\":\"failed\"}\r\nid: 3\r\n\r\n"
)

// follow reads events until the fake refuses, and returns them in short with the error.
func follow(t *testing.T, query client.EventsQuery, connections ...connection) (events []string, asked []string, err error) {
	t.Helper()
	fake := &streaming{next: connections}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, secret.New("bo_live_x"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for event, failure := range c.Events(ctx, query) {
		if failure != nil {
			err = failure
			break
		}
		if event.Task == nil {
			events = append(events, fmt.Sprintf("%s reset %s", event.ID, event.Reset))
			continue
		}
		events = append(events, fmt.Sprintf("%s %s %s", event.ID, event.Task.ID, event.Task.Status))
	}
	if ctx.Err() != nil {
		t.Fatalf("the iteration does not end; so far %q", events)
	}
	fake.mu.Lock()
	defer fake.mu.Unlock()
	return events, fake.asked, err
}

// TestEventsGoOnWhereTheyWere over connections that end, break off in the middle of an event, or are refused for a while.
func TestEventsGoOnWhereTheyWere(t *testing.T) {
	t.Parallel()
	events, asked, err := follow(t, client.EventsQuery{After: "0", Status: "running"},
		connection{status: 200, text: began + taskOne}, connection{status: 503, headers: []string{"Retry-After", "1", "Content-Type", "application/problem+json"}},
		connection{status: 200, text: ":\nid: 2b\n\n" + "event: unknown\ndata: x\n\n" + taskTwo + taskOne[:30]}, connection{status: 200},
		connection{status: 403, headers: []string{"Content-Type", "application/problem+json"}, text: `{"title":"T","status":403,"code":"forbidden"}`})
	if diff := cmp.Diff([]string{"1 reset begun", "2 a running", "3 b failed"}, events); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0 after=0&status=running", "2 after=0&status=running", "2 after=0&status=running", "3 after=0&status=running", "3 after=0&status=running"}, asked); diff != "" {
		t.Error(diff)
	}
	var refusal *client.Problem
	if !errors.As(err, &refusal) || refusal.Status != http.StatusForbidden {
		t.Errorf("it ends with %v", err)
	}
}

func TestEventsEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first connection
		want  string // a part of the error
	}{
		"Refused":         {connection{status: 401}, "HTTP 401"},
		"UnavailableNow":  {connection{status: 503}, "HTTP 503"}, // nothing has been told yet: whoever asks shall know
		"NotTheAPI":       {connection{status: 200, headers: []string{"Content-Type", "text/html"}}, "not from the billonce API"},
		"Redirected":      {connection{status: 302, headers: []string{"Location", "/elsewhere"}}, "HTTP 302"},
		"NotWhatWeExpect": {connection{status: 200, text: "event: task\ndata: [\n\n"}, "not what this program expects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, _, err := follow(t, client.EventsQuery{}, tc.first)
			if len(events) > 0 || err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "bo_live_x") {
				t.Errorf("told %q, ends with %v", events, err)
			}
		})
	}
}

// TestEventsEndWithTheirReader, who stops or whose context ends, without an error and with no connection left.
func TestEventsEndWithTheirReader(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(&streaming{next: []connection{{status: 200, text: began, holds: true}}}).ServeHTTP(w, r)
		gone <- struct{}{}
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, secret.New("bo_live_x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Events(t.Context(), client.EventsQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range c.Events(ctx, client.EventsQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	for range 2 {
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			t.Fatal("a connection is left")
		}
	}
}

// FuzzEvents streams anything: what comes of it is events or an error, it ends, and the key is in none.
func FuzzEvents(f *testing.F) {
	const key = "bo_admin_0123456789abcdef"
	for _, text := range []string{
		began + taskOne + taskTwo, "", "\n\n\n", ":", "data", "data:", "data: x", "\xef\xbb\xbfid: 1\n\n", "id: \x00\n\n", "retry: 99999999999\n\n", "event: task\ndata: null\n\n",
		"event: reset\rdata: {\"reason\":\"x\"}\r\r", "\r\n\r\n", "event: task\ndata: {\ndata: }\n\n", strings.Repeat("data: xxxxxxxxx\n", 1000),
	} {
		f.Add(text)
	}
	var text string
	first := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !first {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		first = false
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(text))
	}))
	f.Cleanup(server.Close)
	api, err := client.New(server.URL, secret.New(key))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content string) {
		first, text = true, content
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		blocks := strings.Count(content, "\n") + strings.Count(content, "\r") + 1
		n := 0
		for event, err := range client.EventsOnce(ctx, api) {
			if err != nil {
				if strings.Contains(err.Error(), key) {
					t.Errorf("the error holds the key: %v", err)
				}
				break
			}
			if n++; n > blocks || strings.Contains(event.ID, "\n") {
				t.Fatalf("event %d of %d lines: %+v", n, blocks, event)
			}
		}
	})
}
