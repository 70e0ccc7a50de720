package httpapi_test

import (
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

func TestAStreamTellsWhatHappens(t *testing.T) {
	t.Parallel()
	a, events, r := watched(t)
	events.add(eventOf(1, billing.Pending)) // before
	l := r.listen(t, "")
	l.reset(billing.ResetBegun)
	events.add(eventOf(2, billing.Pending), eventOf(3, billing.Running))
	if got, id := l.tasks(2); !slices.Equal(got, []int{2, 3}) || id != epoch+".4:4:" {
		t.Errorf("told %v, then %q", got, id)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Content-Encoding": "",
	} {
		if got := l.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	events.set(func() { events.flood = true })
	events.add(eventOf(4, billing.Pending))
	l.reset(billing.ResetTooMany)
	events.add(eventOf(5, billing.Pending))
	if got, _ := l.tasks(1); !slices.Equal(got, []int{5}) {
		t.Errorf("after the flood: %v", got)
	}
	events.set(func() { events.epoch = "ba9876543210" })
	l.reset(billing.ResetForgotten)
	l.stop()
	eventually(t, "the stream is closed", func() bool { return a.metrics.open() == 0 && a.metrics.endedFor("client") == 1 })
	reads := events.reads.Load()
	if later := r.listen(t, ""); later.reset(billing.ResetBegun).id == "" || events.reads.Load() == reads {
		t.Error("the next one is not read for")
	}
}

// TestAStreamGoesOnWhereItWas, by the header of browsers and by the query.
func TestAStreamGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	_, events, r := watched(t)
	events.add(eventOf(1, billing.Pending), eventOf(2, billing.Pending), eventOf(3, billing.Running))
	for _, l := range []*listener{
		r.listen(t, "", "Last-Event-ID: "+epoch+".2:2:"), r.listen(t, "?after="+epoch+".2:2:"),
		r.listen(t, "?after="+epoch+".1:1:", "Last-Event-ID: "+epoch+".2:2:"),
	} {
		if got, _ := l.tasks(2); !slices.Equal(got, []int{2, 3}) {
			t.Errorf("told %v", got)
		}
	}
	events.add(eventOf(4, billing.Pending))
	for _, id := range []string{"abcabcabcabc.2:2:", epoch + ".9:9:", "7", "x"} {
		r.listen(t, "", "Last-Event-ID: "+id).reset(billing.ResetForgotten)
	}
	if got := wantProblem(t, newAPI().call(t, "GET", "/v1/events?after=7", ""), http.StatusUnprocessableEntity).pointers(); got != "?after bad_format" {
		t.Errorf("faults: %s", got)
	}
}

func TestAStreamTellsWhatItIsFor(t *testing.T) {
	t.Parallel()
	a, events, r := watched(t)
	const other = "0192f5a0-7b1c-7def-8a2b-ffffffffffff"
	own := "Authorization: Bearer " + a.keyFor(func(key *billing.APIKey) { key.MerchantID = merchantID }, billing.ScopeTasksRead)
	streams := map[*listener][]int{
		r.listen(t, ""): {1, 2, 3, 9}, r.listen(t, "?status=running,failed"): {2, 9}, r.listen(t, "?kind=refund.create"): {3, 9},
		r.listen(t, "?merchant_id="+other): {3, 9}, r.listen(t, "", own): {1, 2}, r.listen(t, "?merchant_id="+other, own): {},
		r.listen(t, "?merchant_id="+merchantID+"&status=pending", own): {1},
	}
	for l := range streams {
		l.reset(billing.ResetBegun)
	}
	foreign, last := eventOf(3, billing.Pending), eventOf(9, billing.Failed)
	foreign.MerchantID, last.MerchantID, foreign.Kind, last.Kind = other, other, billing.RefundCreate, billing.RefundCreate
	events.add(eventOf(1, billing.Pending), eventOf(2, billing.Running), foreign, last)
	for l, want := range streams {
		if got, _ := l.tasks(len(want)); !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	}
	events.set(func() { events.flood = true })
	for l := range streams { // nothing else was told
		l.reset(billing.ResetTooMany)
	}
	for query, want := range map[string]string{
		"status=gone": "?status unknown_value", "status=pending,": "?status unknown_value", "kind=x": "?kind unknown_value", "merchant_id=1": "?merchant_id bad_format",
	} {
		if got := wantProblem(t, a.call(t, "GET", "/v1/events?"+query, ""), http.StatusUnprocessableEntity).pointers(); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
}

// TestASlowReaderIsCutOff while others go on, and nobody waits for it.
func TestASlowReaderIsCutOff(t *testing.T) {
	t.Parallel()
	a, events, r := watched(t)
	silentPeer(t, r.address)
	eventually(t, "the silent one has joined", func() bool { return a.metrics.open() == 1 })
	l := r.listen(t, "")
	l.reset(billing.ResetBegun)
	for n := 1; a.metrics.endedFor("slow") == 0; n += 500 {
		if n > 1_000_000 {
			t.Fatal("nobody is cut off")
		}
		page := make([]billing.TaskEvent, 500)
		for i := range page {
			page[i] = eventOf(n+i, billing.Pending)
		}
		events.add(page...)
		if got, _ := l.tasks(500); got[0] != n || got[499] != n+499 {
			t.Fatalf("told %v", got)
		}
	}
	eventually(t, "one is left", func() bool { return a.metrics.open() == 1 })
	events.add(eventOf(7, billing.Pending))
	if got, _ := l.tasks(1); got[0] != 7 {
		t.Errorf("told %v", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	a, _, r := watched(t, func(_ *httpapi.Deps, config *httpapi.Config) { config.Streams, config.StreamsPerKey = 3, 2 })
	key := "Authorization: Bearer " + a.keyFor(nil, billing.ScopeTasksRead)
	first := r.listen(t, "", key)
	r.listen(t, "", key)
	if l := r.listen(t, "", key); l.status != http.StatusTooManyRequests || l.header.Get("Retry-After") == "" {
		t.Errorf("the third of a key is answered %d", l.status)
	}
	r.listen(t, "")
	if l := r.listen(t, ""); l.status != http.StatusServiceUnavailable || l.header.Get("Retry-After") == "" {
		t.Errorf("the fourth is answered %d", l.status)
	}
	first.stop()
	eventually(t, "one has gone", func() bool { return a.metrics.open() == 2 })
	if l := r.listen(t, "", key); l.status != http.StatusOK {
		t.Errorf("after one has gone: %d", l.status)
	}
	if got := newAPI().call(t, "GET", "/v1/events", ""); got.Code != http.StatusServiceUnavailable { // an api that cannot be watched
		t.Errorf("answered %d", got.Code)
	}
	if got := a.call(t, "HEAD", "/v1/events", ""); got.Code != http.StatusOK || got.Header().Get("Content-Type") != "text/event-stream" || got.Body.Len() > 0 {
		t.Errorf("HEAD is answered %d %v %q", got.Code, got.Header(), got.Body)
	}
}

// TestARevokedKeyEndsItsStream within seconds, and no other; what the database does not say holds nothing but the sending.
func TestARevokedKeyEndsItsStream(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	a, events, r := watched(t, func(deps *httpapi.Deps, _ *httpapi.Config) {
		if keys, ok := deps.Keys.(*fakeKeys); ok {
			keys.FindFunc = func() error {
				if down.Load() {
					return &billing.Error{Code: billing.CodeUnavailable}
				}
				return nil
			}
		}
	})
	text := a.keyFor(nil, billing.ScopeTasksRead)
	l, admin := r.listen(t, "", "Authorization: Bearer "+text), r.listen(t, "")
	l.reset(billing.ResetBegun)
	admin.reset(billing.ResetBegun)
	down.Store(true)
	finds := a.keys.finds.Load()
	eventually(t, "the database is asked in vain, past the life of what is known", func() bool { return a.keys.finds.Load() > finds+3 })
	events.add(eventOf(1, billing.Pending))
	if got, _ := admin.tasks(1); got[0] != 1 {
		t.Fatal(got)
	}
	select {
	case b := <-l.blocks:
		if b.event != "" {
			t.Errorf("told %+v by a key of which nobody knows anything", b)
		}
	default:
	}
	down.Store(false)
	if got, _ := l.tasks(1); got[0] != 1 {
		t.Fatal(got)
	}
	if _, err := a.keys.RevokeAPIKey(t.Context(), taskID); err != nil {
		t.Fatal(err)
	}
	l.over()
	events.add(eventOf(2, billing.Pending))
	if got, _ := admin.tasks(1); got[0] != 2 {
		t.Error(got)
	}
	if a.metrics.endedFor("key") != 1 {
		t.Error("it is not counted why the stream has ended")
	}
}

// TestADeadDatabaseIsWaitedFor: nothing false is told, nothing spins, and what happened meanwhile is told afterwards.
func TestADeadDatabaseIsWaitedFor(t *testing.T) {
	t.Parallel()
	a, events, r := watched(t)
	l := r.listen(t, "")
	l.reset(billing.ResetBegun)
	events.set(func() { events.fail = &billing.Error{Code: billing.CodeUnavailable, Err: errors.New("down")} })
	before := events.reads.Load()
	const long = 3 * time.Second
	began := time.Now()
	eventually(t, "some time has passed", func() bool { return time.Since(began) > long })
	if n := events.reads.Load() - before; n == 0 || n > 5 { // 0.25, 0.5, 1, 2 s
		t.Errorf("asked %d times in %s", n, long)
	}
	for range 5 {
		r.listen(t, "").stop()
	}
	eventually(t, "who has gone is forgotten", func() bool { return a.metrics.open() == 1 && a.Joining() == 0 })
	events.add(eventOf(1, billing.Pending))
	events.set(func() { events.fail = nil })
	if got, _ := l.tasks(1); got[0] != 1 {
		t.Error(got)
	}
}

// TestAShutdownEndsStreams at once, and is no failure; nobody can begin one then.
func TestAShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	a, _, r := watched(t)
	l := r.listen(t, "")
	l.reset(billing.ResetBegun)
	r.stop()
	l.over()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	if a.metrics.endedFor("shutdown") != 1 {
		t.Error("it is not counted why the stream has ended")
	}
	if got := a.call(t, "GET", "/v1/events", ""); got.Code != http.StatusServiceUnavailable {
		t.Errorf("a drained server answers %d", got.Code)
	}
}

// TestAStreamOutlivesTheTimeLimits of every other answer.
func TestAStreamOutlivesTheTimeLimits(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	_, events, r := watched(t, func(_ *httpapi.Deps, config *httpapi.Config) {
		config.RequestTimeout, config.ReadTimeout, config.WriteTimeout = limit, limit, limit
	})
	l := r.listen(t, "")
	l.reset(billing.ResetBegun)
	began := time.Now()
	eventually(t, "some time has passed", func() bool { return time.Since(began) > 3*limit })
	events.add(eventOf(1, billing.Pending))
	if got, _ := l.tasks(1); got[0] != 1 {
		t.Error(got)
	}
}
