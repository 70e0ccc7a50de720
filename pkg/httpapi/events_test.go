package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"billonce/internal/openapitest"
	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

const epoch = "0123456789ab"

// fakeEvents keeps events in memory: the mark n lies behind the first n of them.
type fakeEvents struct {
	reads, watches atomic.Int64
	mu             sync.Mutex
	told           []billing.TaskEvent
	flood          bool // the next reading finds too much
	fail           error
	epoch          string
}

func (f *fakeEvents) markOf(n int) billing.EventMark {
	name := epoch
	if f.epoch != "" {
		name = f.epoch
	}
	return billing.EventMark{Epoch: name, Snapshot: fmt.Sprintf("%d:%d:", n+1, n+1)}
}

func (f *fakeEvents) add(events ...billing.TaskEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, events...)
}

func (f *fakeEvents) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeEvents) WatchTasks(context.Context) (billing.EventMark, error) {
	f.watches.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.markOf(len(f.told)), f.fail
}

func (f *fakeEvents) ReadEvents(_ context.Context, after, upTo billing.EventMark) (billing.EventPage, error) {
	f.reads.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	var from, to int
	if _, err := fmt.Sscanf(after.Snapshot, "%d:", &from); err != nil || f.fail != nil {
		return billing.EventPage{}, errors.Join(err, f.fail)
	}
	if to = len(f.told); !upTo.IsZero() {
		_, _ = fmt.Sscanf(upTo.Snapshot, "%d:", &to)
		to--
	}
	switch {
	case after.Epoch != f.markOf(0).Epoch || from-1 > to:
		return billing.EventPage{Next: upTo, Lost: billing.ResetForgotten}, nil
	case f.flood:
		f.flood = false
		return billing.EventPage{Next: f.markOf(to), Lost: billing.ResetTooMany}, nil
	}
	return billing.EventPage{Next: f.markOf(to), Events: f.told[from-1 : to]}, nil
}

func (f *fakeEvents) TidyEvents(context.Context) error { return nil }

// watched is an api that can be watched, running.
func watched(t *testing.T, change ...func(*httpapi.Deps, *httpapi.Config)) (*api, *fakeEvents, *running) {
	t.Helper()
	events := &fakeEvents{}
	a := newAPI(append([]func(*httpapi.Deps, *httpapi.Config){func(deps *httpapi.Deps, config *httpapi.Config) {
		deps.Events, config.KeyFresh = events, 400*time.Millisecond
	}}, change...)...)
	return a, events, start(t, a)
}

// eventOf is some event.
func eventOf(n int, status billing.Status) billing.TaskEvent {
	return billing.TaskEvent{
		ID: billing.TaskID(fmt.Sprintf("0192f5a0-7b1c-7def-8a2b-%012d", n)), MerchantID: merchantID, Kind: billing.InvoicePay, Target: "in_1",
		Status: status, Attempt: 1, RunAt: noon, At: noon,
	}
}

// listener reads a stream block by block.
type listener struct {
	t      *testing.T
	status int
	header http.Header
	blocks chan block
	stop   context.CancelFunc
}

type block struct{ id, event, data, comment string }

// listen opens a stream; headers are "Name: value".
func (r *running) listen(t *testing.T, query string, headers ...string) *listener {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+"/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminKey)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	transport := &http.Transport{}
	response, err := (&http.Client{Transport: openapitest.Transport{Base: transport}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, status: response.StatusCode, header: response.Header, blocks: make(chan block, 10_000), stop: stop}
	ended := make(chan struct{})
	t.Cleanup(func() {
		stop()
		<-ended
		transport.CloseIdleConnections()
	})
	go func() {
		defer close(ended)
		defer close(l.blocks)
		defer func() { _ = response.Body.Close() }()
		var b block
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				b.id = value
			case "event":
				b.event = value
			case "data":
				b.data = value
			case "", ":":
				if lines.Text() == "" {
					l.blocks <- b
					b = block{}
				}
				b.comment += value
			}
		}
		if errors.Is(lines.Err(), openapitest.ErrMismatch) {
			t.Error(lines.Err())
		}
	}()
	return l
}

// next returns the next event, and passes over comments.
func (l *listener) next() block {
	l.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case b, ok := <-l.blocks:
			if !ok {
				l.t.Fatal("the stream has ended")
			}
			if b.event != "" {
				return b
			}
		case <-deadline:
			l.t.Fatal("no event comes")
		}
	}
}

// tasks wants the next n events to be of tasks, and returns their numbers and the last id.
func (l *listener) tasks(n int) (numbers []int, id string) {
	l.t.Helper()
	for range n {
		b := l.next()
		var event struct{ ID, Status string }
		if err := json.Unmarshal([]byte(b.data), &event); err != nil || b.event != "task" {
			l.t.Fatalf("%+v, %v", b, err)
		}
		number := 0
		if _, err := fmt.Sscanf(event.ID[24:], "%d", &number); err != nil {
			l.t.Fatal(err)
		}
		numbers = append(numbers, number)
		if b.id != "" {
			id = b.id
		}
	}
	return numbers, id
}

func (l *listener) reset(reason billing.ResetReason) block {
	l.t.Helper()
	b := l.next()
	if b.event != "reset" || b.data != `{"reason":"`+string(reason)+`"}` || b.id == "" {
		l.t.Fatalf("%+v, want a reset, %s", b, reason)
	}
	return b
}

// over waits for the end of the stream.
func (l *listener) over() {
	l.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case _, ok := <-l.blocks:
			if !ok {
				return
			}
		case <-deadline:
			l.t.Fatal("the stream does not end")
		}
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func (f *fakeMetrics) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams
}

func (f *fakeMetrics) endedFor(why string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.ended {
		if one == why {
			n++
		}
	}
	return n
}

// silentPeer asks for the stream and reads nothing of it.
func silentPeer(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if tcp, ok := conn.(*net.TCPConn); !ok || tcp.SetReadBuffer(4096) != nil {
		t.Fatal("the buffer for what is not read cannot be made small")
	}
	if _, err := fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", adminKey); err != nil {
		t.Fatal(err)
	}
	return conn
}
