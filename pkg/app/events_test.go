package app_test

import (
	"context"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"billonce/internal/openapitest"
	"billonce/pkg/billing"
	api "billonce/pkg/client"
	"billonce/pkg/secret"
)

// audience is somebody who follows a stream of events.
type audience struct {
	mu     sync.Mutex
	last   map[string]billing.Status // of each task
	resets []billing.ResetReason
	id     string
	stop   func() // and waits for the end
}

// follow listens to an api until the test ends, and returns once the stream has begun.
func follow(t *testing.T, base, key string, query api.EventsQuery) *audience {
	t.Helper()
	c, err := api.New(base, secret.New(key), api.Through(openapitest.Transport{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	a := &audience{last: map[string]billing.Status{}}
	a.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(a.stop)
	go func() {
		defer close(ended)
		for event, err := range c.Events(ctx, query) {
			if err != nil {
				t.Errorf("the stream ends: %v", err)
				return
			}
			a.mu.Lock()
			if a.id = event.ID; event.Task != nil {
				a.last[event.Task.ID] = event.Task.Status
			} else {
				a.resets = append(a.resets, event.Reset)
			}
			a.mu.Unlock()
		}
	}()
	eventually(t, "the stream begins", func() bool { return a.begun() })
	return a
}

func (a *audience) begun() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.id != ""
}

func (a *audience) knows(ids []string, status billing.Status) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		if a.last[id] != status {
			return false
		}
	}
	return true
}

// wantOnly fails the test for a task that is not among ids, and for a reset but the first.
func (a *audience) wantOnly(t *testing.T, ids ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	for id := range a.last {
		if !known[id] {
			t.Errorf("told of task %s", id)
		}
	}
	if len(a.resets) != 1 || a.resets[0] != billing.ResetBegun {
		t.Errorf("resets: %v", a.resets)
	}
}

// TestEventsThroughAKilledWorker: two apis tell of everything that becomes of tasks whose worker is killed, to each who may know.
func TestEventsThroughAKilledWorker(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	first, c := s.api()
	_, other := s.api()
	merchant := c.merchant()
	stranger := idOf(c.Must(201, "POST", "/v1/merchants", map[string]any{"name": "Other", "stripe_connect_id": "acct_other"}))
	made := c.Must(201, "POST", "/v1/api_keys", map[string]any{"name": "one", "scopes": []string{"tasks:read"}, "merchant_id": merchant})
	key, _ := made["key"].(string)
	everything, beside := follow(t, c.Base, adminKey, api.EventsQuery{}), follow(t, other.Base, adminKey, api.EventsQuery{})
	restricted := follow(t, other.Base, key, api.EventsQuery{})

	s.slowStripe(2 * time.Second)
	var ids []string
	for _, invoice := range s.invoices(30) {
		ids = append(ids, idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice})))
	}
	foreign := idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{
		"merchant_id": stranger, "kind": "invoice.pay", "target": "in_1", "run_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}))
	worker := s.worker()
	for _, a := range []*audience{everything, beside, restricted} {
		eventually(t, "all are told to be running", func() bool { return a.knows(ids, billing.Running) })
	}
	worker.Kill()
	s.worker()
	for _, a := range []*audience{everything, beside, restricted} {
		eventually(t, "all are told to have succeeded", func() bool { return a.knows(ids, billing.Succeeded) })
	}
	c.Must(200, "POST", "/v1/tasks/"+foreign+"/cancel", nil)
	for _, a := range []*audience{everything, beside} {
		eventually(t, "the other merchant's is told to be canceled", func() bool { return a.knows([]string{foreign}, billing.Canceled) })
		a.wantOnly(t, append(ids, foreign)...)
	}
	restricted.wantOnly(t, ids...)

	// Whoever comes back goes on at any api, where they were.
	beside.stop()
	later := idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{
		"merchant_id": merchant, "kind": "invoice.pay", "target": "in_later", "run_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}))
	eventually(t, "it is told", func() bool { return everything.knows([]string{later}, billing.Pending) })
	returned := follow(t, c.Base, adminKey, api.EventsQuery{After: beside.id})
	if !returned.knows([]string{later}, billing.Pending) {
		t.Error("what happened meanwhile is not told")
	}
	returned.mu.Lock()
	if len(returned.resets) > 0 {
		t.Errorf("resets: %v", returned.resets)
	}
	returned.mu.Unlock()

	everything.stop()
	returned.stop()
	first.Signal(syscall.SIGTERM)
	if code := first.Exit(); code != 0 {
		t.Errorf("the api ends with %d", code)
	}
}

// TestEventsAcrossAnOutage: an api that loses its database tells nothing meanwhile, and everything afterwards.
func TestEventsAcrossAnOutage(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, address.Host)
	address.Host = proxy.addr
	_, blind := s.api("DATABASE_URL", address.String())
	_, c := s.api()
	merchant := c.merchant()
	a := follow(t, blind.Base, adminKey, api.EventsQuery{})
	proxy.close()
	s.worker()
	var ids []string
	for _, invoice := range s.invoices(20) {
		ids = append(ids, idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice})))
	}
	for _, id := range ids {
		c.Await(id, "succeeded")
	}
	a.mu.Lock()
	if len(a.last) > 0 {
		t.Errorf("told %v without a database", a.last)
	}
	a.mu.Unlock()
	proxy.open(t)
	eventually(t, "all is told", func() bool { return a.knows(ids, billing.Succeeded) })
	a.wantOnly(t, ids...)
}
