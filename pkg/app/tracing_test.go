package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jmoiron/sqlx"

	"billonce/internal/otlptest"
	"billonce/internal/programtest"
)

const (
	theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirSpan  = "00f067aa0ba902b7"
	theirState = "shop=checkout"
	longDelay  = "3600000" // ms: spans are sent when the process ends, or not at all
)

// followedStack is a stack whose services send their spans to a collector, and reach Stripe through a proxy that notes the headers.
type followedStack struct {
	*stack
	collector *otlptest.Collector
	db        *sqlx.DB

	mu      sync.Mutex
	headers []http.Header // of requests to Stripe
}

func newFollowedStack(t *testing.T) *followedStack {
	t.Helper()
	f := &followedStack{stack: newStack(t), collector: otlptest.Start(t)}
	target, err := url.Parse(f.sim)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.headers = append(f.headers, r.Header.Clone())
		f.mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	f.env["STRIPE_API_URL"] = proxy.URL
	f.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = f.collector.URL
	f.env["OTEL_BSP_SCHEDULE_DELAY"] = longDelay
	f.env["RECONCILE_DELAYS"] = "100ms,200ms"
	f.db = sqlx.MustConnect("postgres", f.url)
	t.Cleanup(func() { _ = f.db.Close() })
	return f
}

// end stops a process, which sends what it has not sent yet.
func (f *followedStack) end(p *programtest.Process) {
	f.t.Helper()
	p.Signal(syscall.SIGTERM)
	if code := p.Exit(); code != 0 {
		f.t.Fatalf("%s ended with %d", p.Name, code)
	}
}

func (f *followedStack) context(query string, args ...any) string {
	f.t.Helper()
	var text string
	if err := f.db.Get(&text, query, args...); err != nil {
		f.t.Fatal(err)
	}
	return text
}

// spans are those that fit.
func (f *followedStack) spans(fits func(otlptest.Span) bool) []otlptest.Span {
	return slices.DeleteFunc(f.collector.Spans(), func(s otlptest.Span) bool { return !fits(s) })
}

func named(name string) func(otlptest.Span) bool {
	return func(s otlptest.Span) bool { return s.Name == name }
}

// attempts are the spans of a task's attempts, first to last.
func (f *followedStack) attempts(task string) []otlptest.Span {
	found := f.spans(func(s otlptest.Span) bool {
		return s.Name == "process task" && s.Attributes["messaging.message.id"] == task
	})
	slices.SortFunc(found, func(a, b otlptest.Span) int {
		return strings.Compare(a.Attributes["billonce.attempt"], b.Attributes["billonce.attempt"])
	})
	return found
}

// below are the spans within another one.
func (f *followedStack) below(parent otlptest.Span) []otlptest.Span {
	return f.spans(func(s otlptest.Span) bool { return s.TraceID == parent.TraceID && s.Parent == parent.ID })
}

// wantLinked checks that a span is the root of a trace of its own and links to a request's span.
func wantLinked(t *testing.T, span, request otlptest.Span) {
	t.Helper()
	if span.Parent != "" || span.Kind != "CONSUMER" || span.TraceID == request.TraceID {
		t.Errorf("not a trace of its own: %+v", span)
	}
	if len(span.Links) != 1 || span.Links[0] != (otlptest.Link{TraceID: request.TraceID, SpanID: request.ID}) {
		t.Errorf("links to %+v, want %s of %s", span.Links, request.ID, request.TraceID)
	}
}

// TestARequestIsFollowedToItsAttempts: through the real programs, from the caller's own span to what Stripe answered at the second try.
func TestARequestIsFollowedToItsAttempts(t *testing.T) {
	t.Parallel()
	f := newFollowedStack(t)
	api, c := f.api()
	merchant, invoice := c.merchant(), f.invoice("in_followed")
	f.simulator().Must(200, "POST", "/_sim/faults", map[string]any{"faults": []any{
		map[string]any{"kind": "edge_before", "op": "invoice.pay", "status": 502},
	}})
	body := map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice}
	task := idOf(c.Must(201, "POST", "/v1/tasks", body, "Idempotency-Key", "once",
		"traceparent", "00-"+theirTrace+"-"+theirSpan+"-01", "tracestate", theirState, "baggage", "a=b"))
	replay := c.Do("POST", "/v1/tasks", body, "Idempotency-Key", "once")
	if replay.Header.Get("Idempotent-Replayed") != "true" {
		t.Fatalf("%v", replay)
	}
	worker := f.worker()
	c.Await(task, "succeeded")
	f.end(worker)
	f.end(api)

	requests := f.spans(named("POST /v1/tasks"))
	if len(requests) != 2 {
		t.Fatalf("%d requests were followed: %+v", len(requests), f.collector.Spans())
	}
	slices.SortFunc(requests, func(a, b otlptest.Span) int { return -strings.Compare(a.Parent, b.Parent) })
	request := requests[0]
	if request.TraceID != theirTrace || request.Parent != theirSpan || request.Kind != "SERVER" || request.Service != "billonce-api" ||
		request.Attributes["http.route"] != "/v1/tasks" || request.Attributes["http.response.status_code"] != "201" || requests[1].TraceID == theirTrace {
		t.Errorf("%+v", requests)
	}
	if got, want := f.context(`SELECT trace_context FROM scheduled_tasks WHERE id = $1`, task), "00-"+theirTrace+"-"+request.ID+"-01 "+theirState; got != want {
		t.Errorf("stored with the task is %q, want %q", got, want)
	}

	attempts := f.attempts(task)
	if len(attempts) != 2 || attempts[0].TraceID == attempts[1].TraceID {
		t.Fatalf("want two attempts in traces of their own: %+v", attempts)
	}
	for i, want := range []struct{ status, outcome, code, calls string }{{"pending", "unknown", "502", "ERROR"}, {"succeeded", "succeeded", "200", "UNSET"}} {
		attempt := attempts[i]
		wantLinked(t, attempt, request)
		if attempt.Service != "billonce-worker" || attempt.Attributes["billonce.status"] != want.status || attempt.Attributes["billonce.outcome"] != want.outcome ||
			attempt.Attributes["billonce.kind"] != "invoice.pay" || attempt.Attributes["billonce.attempt"] != fmt.Sprint(i+1) {
			t.Errorf("%+v", attempt)
		}
		calls := f.below(attempt)
		if len(calls) != 1 || calls[0].Name != "POST invoice.pay" || calls[0].Kind != "CLIENT" || calls[0].Status != want.calls ||
			calls[0].Attributes["http.response.status_code"] != want.code {
			t.Errorf("the calls of attempt %d: %+v", i+1, calls)
		}
	}
	if call := f.below(attempts[1])[0]; !strings.HasPrefix(call.Attributes["stripe.request_id"], "req_") {
		t.Errorf("the call does not name Stripe's request: %+v", call)
	}
	f.wantTold(api, worker, task, attempts[1])
	for _, header := range f.headers {
		for name := range header {
			if strings.HasPrefix(name, "Trace") || name == "Baggage" {
				t.Errorf("Stripe is told: %s", name)
			}
		}
	}
}

// wantTold checks that lines of the log name the spans that they were written in.
func (f *followedStack) wantTold(api, worker *programtest.Process, task string, attempt otlptest.Span) {
	f.t.Helper()
	line := map[string]any{}
	if err := json.Unmarshal([]byte(worker.Line(`"msg":"task succeeded"`, task)), &line); err != nil {
		f.t.Fatal(err)
	}
	if line["trace_id"] != attempt.TraceID || line["span_id"] != attempt.ID || line["status"] != "succeeded" || line["kind"] != "invoice.pay" ||
		line["target"] != "in_followed" || line["attempt"] != 2.0 || line["request_id"] == "" || line["duration_ms"] == nil {
		f.t.Errorf("%v", line)
	}
	worker.Line(`"msg":"task retried"`, task, `"http_status":502`, `"trace_id"`)
	api.Line(`"msg":"task scheduled"`, task, `"trace_id":"`+theirTrace+`"`)
	api.Line(`"msg":"http request"`, `"trace_id":"`+theirTrace+`"`, `"status":201`)
}

// TestWhatFollowsIsFollowed: what is scheduled after a decline links to the request of the first task, and so does a look at a doubt.
func TestWhatFollowsIsFollowed(t *testing.T) {
	t.Parallel()
	f := newFollowedStack(t)
	api, c := f.api()
	merchant := c.merchant()
	f.simulator().Must(200, "POST", "/_sim/fixtures", map[string]any{"account": account, "livemode": false, "objects": []any{
		map[string]any{"object": "invoice", "id": "in_declined", "status": "open", "customer": "cus_declined", "amount": 2000},
		map[string]any{"object": "invoice", "id": "in_doubt", "status": "open", "customer": "cus_ok", "amount": 2000},
	}})
	f.simulator().Must(200, "POST", "/_sim/faults", map[string]any{"faults": []any{
		map[string]any{"kind": "error_kept", "op": "invoice.pay", "nth": 1},
	}})
	schedule := func(target string, more map[string]any) string {
		body := map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": target}
		for name, value := range more {
			body[name] = value
		}
		return idOf(c.Must(201, "POST", "/v1/tasks", body, "traceparent", "00-"+theirTrace+"-"+theirSpan+"-01", "tracestate", theirState))
	}
	doubted := schedule("in_doubt", nil)
	worker := f.worker()
	c.Await(doubted, "succeeded")
	declined := schedule("in_declined", map[string]any{"on_decline": map[string]any{"retry_after": []string{"24h"}}})
	c.Await(declined, "failed")
	f.end(worker)
	f.end(api)

	first := f.context(`SELECT trace_context FROM scheduled_tasks WHERE id = $1`, declined)
	if next := f.context(`SELECT trace_context FROM scheduled_tasks WHERE retry_of = $1`, declined); next != first || first == "" {
		t.Errorf("the task after the decline has %q, want %q", next, first)
	}
	attempt := f.attempts(declined)[0]
	if calls := f.below(attempt); len(calls) != 1 || calls[0].Attributes["stripe.error.type"] != "card_error" || calls[0].Attributes["stripe.error.code"] != "card_declined" {
		t.Errorf("the declined call: %+v", calls)
	}

	stored := f.context(`SELECT trace_context FROM scheduled_tasks WHERE id = $1`, doubted)
	request := f.spans(func(s otlptest.Span) bool { return s.Name == "POST /v1/tasks" && strings.Contains(stored, s.ID) })[0]
	looks := f.spans(named("look task"))
	if len(looks) == 0 {
		t.Fatalf("no look was followed: %+v", f.collector.Spans())
	}
	wantLinked(t, looks[0], request)
	if reads := f.below(looks[0]); len(reads) == 0 || reads[0].Name != "GET look" {
		t.Errorf("what the look read: %+v", reads)
	}
	if events := looks[len(looks)-1].Events; len(events) != 1 || events[0]["messaging.message.id"] != doubted || events[0]["billonce.outcome"] != "succeeded" {
		t.Errorf("what the look found: %+v", events)
	}
}

// TestBatchesAndSamplers: a batch's tasks all link to its request, unless nobody will ever see that.
func TestBatchesAndSamplers(t *testing.T) {
	t.Parallel()
	f := newFollowedStack(t)
	_, c := f.api()
	merchant := c.merchant()
	batch := func(name, flags string) {
		tasks := []any{}
		for i := range 3 {
			tasks = append(tasks, map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": fmt.Sprint("in_", name, i), "run_at": "2035-01-01T00:00:00Z"})
		}
		c.Must(201, "POST", "/v1/tasks/batch", map[string]any{"tasks": tasks}, "traceparent", "00-"+theirTrace+"-"+theirSpan+"-"+flags)
	}
	batch("seen", "01")
	batch("unseen", "00")
	for name, want := range map[string]int{"seen": 3, "unseen": 0} {
		var n int
		if err := f.db.Get(&n, `SELECT count(trace_context) FROM scheduled_tasks WHERE target LIKE $1`, "in_"+name+"%"); err != nil || n != want {
			t.Errorf("%d tasks of the batch %s are followed, want %d (%v)", n, name, want, err)
		}
	}
}

// TestTracingIsOffByDefault: nothing is stored, whatever a caller sends, and no line has the id of a trace.
func TestTracingIsOffByDefault(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, c := s.api()
	worker := s.worker()
	merchant, invoice := c.merchant(), s.invoice("in_alone")
	task := idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice},
		"traceparent", "00-"+theirTrace+"-"+theirSpan+"-01"))
	c.Await(task, "succeeded")
	worker.Line(`"msg":"task succeeded"`, task)
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	var stored int
	if err := db.Get(&stored, `SELECT count(trace_context) FROM scheduled_tasks`); err != nil || stored != 0 {
		t.Errorf("%d tasks are followed, %v", stored, err)
	}
	if text := api.Output() + worker.Output(); strings.Contains(text, "trace_id") {
		t.Error("a line has the id of a trace")
	}
}

// TestACollectorThatIsAwayCostsNothingButSpans: work goes on, the loss is told, and the process ends in time and cleanly.
func TestACollectorThatIsAwayCostsNothingButSpans(t *testing.T) {
	t.Parallel()
	f := newFollowedStack(t)
	f.collector.Refuse(http.StatusBadRequest)
	api, c := f.api("OTEL_BSP_SCHEDULE_DELAY", "50")
	worker := f.worker("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
	f.pay(c, c.merchant())
	api.Line("spans are lost")
	f.end(worker)
	f.end(api)
}
