package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"billonce/internal/otlptest"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/telemetry"
)

// follow starts tracing that ends with the test, or with stop.
func follow(t *testing.T, conf telemetry.TracingConfig) (tracing *telemetry.Tracing, metrics *prometheus.Registry, stop func()) {
	t.Helper()
	registry := prometheus.NewRegistry()
	tracing, err := telemetry.StartTracing(t.Context(), conf, "test", "v1", telemetry.NewSpanMetrics(registry), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if err := tracing.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return tracing, registry, stop
}

// claimOf is a claim of a task that a request scheduled.
func claimOf(traceContext string) *billing.Claim {
	return &billing.Claim{ID: "task", MerchantID: "merchant", Kind: billing.InvoicePay, Target: "cus_customer", Attempt: 1, TraceContext: traceContext}
}

// attempt plays one, and returns the header of the span that it was in.
func attempt(tracing *telemetry.Tracing, traceContext string) string {
	within, end := tracing.StartAttempt(claimOf(traceContext))
	named := tracing.Context(within(context.Background()))
	end(&billing.Settlement{Status: billing.Succeeded, Answer: billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone}})
	return named
}

// TestSamplers: which of a request that a caller samples, one that it does not, and one of nobody's are seen, and whether the attempts of
// a task are that links to a sampled request, and of one that links to none.
func TestSamplers(t *testing.T) {
	t.Parallel()
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
	for sampler, want := range map[string]string{
		telemetry.SampleAlways: "yyyyy", telemetry.SampleNever: "nnnnn", telemetry.SampleParent: "ynyyy",
		telemetry.SampleParentOnly: "ynnyn", telemetry.SampleParentsRatio: "ynnyn", telemetry.SampleRatio: "nnnyn", "": "ynyyy",
	} {
		t.Run(sampler, func(t *testing.T) {
			t.Parallel()
			tracing, _, _ := follow(t, telemetry.TracingConfig{Endpoint: otlptest.Start(t).URL + "/v1/traces", Sampler: sampler, Ratio: 0})
			request := func(header http.Header) string {
				within, end := tracing.StartRequest(context.Background(), header, "POST", "id")
				defer end("/v1/tasks", 201)
				return tracing.Context(within)
			}
			got := ""
			for _, named := range []string{
				request(http.Header{"Traceparent": {parent + "1"}}), request(http.Header{"Traceparent": {parent + "0"}}), request(http.Header{}),
				attempt(tracing, parent+"1"), attempt(tracing, ""),
			} {
				if named == "" {
					got += "n"
				} else {
					got += "y"
				}
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestWhatCallersSayOfTheirTraces: what is not W3C's is as if it were not there, and what could be a secret or is long goes no further.
func TestWhatCallersSayOfTheirTraces(t *testing.T) {
	t.Parallel()
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	collector := otlptest.Start(t)
	tracing, _, stop := follow(t, telemetry.TracingConfig{Endpoint: collector.URL + "/v1/traces"})
	for name, tc := range map[string]struct {
		header        http.Header
		follows       bool
		state, absent string
	}{
		"Plain":      {http.Header{"Traceparent": {parent}}, true, "", ""},
		"State":      {http.Header{"Traceparent": {parent}, "Tracestate": {"a=1", "b=2"}}, true, "a=1,b=2", ""},
		"Secret":     {http.Header{"Traceparent": {parent}, "Tracestate": {"a=sk_live_canary0123456789"}}, true, "", "canary"},
		"Long":       {http.Header{"Traceparent": {parent}, "Tracestate": {"a=" + strings.Repeat("x", 250) + ",b=" + strings.Repeat("x", 250)}}, true, "", "xxx"},
		"Twice":      {http.Header{"Traceparent": {parent, parent}}, false, "", ""},
		"Garbage":    {http.Header{"Traceparent": {"sk_live_canary0123456789"}}, false, "", "canary"},
		"AllZero":    {http.Header{"Traceparent": {"00-00000000000000000000000000000000-00f067aa0ba902b7-01"}}, false, "", ""},
		"StateAlone": {http.Header{"Tracestate": {"a=1"}}, false, "", "a=1"},
		"Baggage":    {http.Header{"Traceparent": {parent}, "Baggage": {"customer=canary"}}, true, "", "canary"},
	} {
		within, end := tracing.StartRequest(context.Background(), tc.header, "POST", "id")
		named := tracing.Context(within)
		end("/v1/tasks", 500)
		got, state, _ := strings.Cut(named, " ")
		if strings.Contains(got, id) != tc.follows || state != tc.state || tc.absent != "" && strings.Contains(named, tc.absent) || len(named) > 400 {
			t.Errorf("%s: %q", name, named)
		}
	}
	stop()
	if text := strings.Join(collector.Raw(), ""); strings.Contains(text, "canary") {
		t.Error("a secret is sent to the collector")
	}
	for _, span := range collector.Spans() {
		if span.Status != "ERROR" || span.Attributes["http.response.status_code"] != "500" || span.Attributes["billonce.request_id"] != "id" {
			t.Errorf("%+v", span)
		}
	}
}

// TestAnAttemptAndItsCall: kinds, names, parents and links as OpenTelemetry's conventions want them, and nothing of the task's object.
func TestAnAttemptAndItsCall(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	tracing, _, stop := follow(t, telemetry.TracingConfig{
		Endpoint: collector.URL + "/v1/traces", Headers: secret.New("X-Collector-Key=a%20b, other=c"), Sampler: telemetry.SampleParent,
	})
	request, end := tracing.StartRequest(context.Background(), http.Header{}, "POST", "id")
	stored := tracing.Context(request)
	end("/v1/tasks", 201)

	within, endAttempt := tracing.StartAttempt(claimOf(stored))
	_, endCall := tracing.StartCall(within(context.Background()), "invoice.pay", "POST", "api.stripe.com")
	endCall(402, "req_1", "card_error", "card_declined")
	_, endCall = tracing.StartCall(within(context.Background()), "look", "GET", "api.stripe.com")
	endCall(0, "", "", "")
	endAttempt(&billing.Settlement{Status: billing.Failed, Answer: billing.Answer{Outcome: billing.OutcomeRefused, Reason: billing.ReasonDeclined}})
	_, endAttempt = tracing.StartAttempt(claimOf("nonsense"))
	endAttempt(nil)
	looking, endLook := tracing.StartLook(context.Background(), []billing.Doubt{{ID: "one", TraceContext: stored}, {ID: "two"}})
	if tracing.Context(looking) == "" {
		t.Error("a look is in no span")
	}
	endLook(map[billing.TaskID]billing.Finding{"one": {Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace}})
	stop()

	spans := map[string]otlptest.Span{}
	for _, span := range collector.Spans() {
		spans[span.Name+span.Attributes["billonce.given_back"]] = span
	}
	scheduled, one := spans["POST /v1/tasks"], spans["process task"]
	if len(spans) != 6 || one.Kind != "CONSUMER" || one.Parent != "" || len(one.Links) != 1 || one.Links[0].SpanID != scheduled.ID ||
		one.Status != "ERROR" || one.StatusMsg != "declined" || one.Attributes["messaging.message.id"] != "task" || one.Attributes["messaging.system"] != "billonce" {
		t.Errorf("%+v", spans)
	}
	if call := spans["POST invoice.pay"]; call.Kind != "CLIENT" || call.Parent != one.ID || call.Attributes["stripe.error.code"] != "card_declined" ||
		call.Attributes["stripe.request_id"] != "req_1" || call.Attributes["http.response.status_code"] != "402" {
		t.Errorf("%+v", call)
	}
	if call := spans["GET look"]; call.Attributes["error.type"] != "no_answer" || call.Attributes["http.response.status_code"] != "" {
		t.Errorf("%+v", call)
	}
	if back := spans["process tasktrue"]; len(back.Links) != 0 || back.Status != "UNSET" {
		t.Errorf("%+v", back)
	}
	if look := spans["look task"]; len(look.Links) != 1 || len(look.Events) != 2 || look.Parent != "" {
		t.Errorf("%+v", look)
	}
	if text := strings.Join(collector.Raw(), ""); strings.Contains(text, "cus_customer") {
		t.Error("a span has the task's object")
	}
	if header := collector.Headers()[0]; header.Get("X-Collector-Key") != "a b" || header.Get("Other") != "c" {
		t.Errorf("%v", header)
	}
}

// TestABusyCollectorIsAskedAgain, and spans come as they are, packed or not.
func TestABusyCollectorIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, packed := range []bool{false, true} {
		collector := otlptest.Start(t)
		tracing, _, stop := follow(t, telemetry.TracingConfig{Endpoint: collector.URL + "/v1/traces", Gzip: packed})
		collector.RefuseOnce(http.StatusServiceUnavailable)
		attempt(tracing, "")
		stop()
		if spans := collector.Spans(); len(spans) != 1 || spans[0].Name != "process task" {
			t.Errorf("packed %t: %+v", packed, spans)
		}
	}
}

// TestLostSpansAreCounted, and are nobody else's concern.
func TestLostSpansAreCounted(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	tracing, metrics, stop := follow(t, telemetry.TracingConfig{Endpoint: collector.URL + "/v1/traces"})
	collector.Refuse(http.StatusBadRequest)
	attempt(tracing, "")
	stop()
	families, err := metrics.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%v, %v", families, err)
	}
	for _, one := range families[0].GetMetric() {
		want := 0.0
		if one.GetLabel()[0].GetValue() == "failed" {
			want = 1
		}
		if got := one.GetCounter().GetValue(); got != want {
			t.Errorf("%v: %v", one.GetLabel(), got)
		}
	}
}

func TestHeadersThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"canary", "a=%zzcanary", "=canary"} {
		_, err := telemetry.StartTracing(t.Context(), telemetry.TracingConfig{Endpoint: "http://127.0.0.1:9", Headers: secret.New(text)}, "test", "v1",
			telemetry.NewSpanMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
	}
}

// TestLinesNameTheirSpan inside one, with groups and attributes as ever; outside there is nothing to name.
func TestLinesNameTheirSpan(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.WithSpans(telemetry.NewLogger(&out, slog.LevelInfo, "json", "api", "v1")).With(slog.String("with", "x"))
	tracing, _, _ := follow(t, telemetry.TracingConfig{Endpoint: otlptest.Start(t).URL + "/v1/traces"})
	within, end := tracing.StartRequest(t.Context(), http.Header{}, "GET", "id")
	defer end("/", 200)
	log.InfoContext(within, "inside", slog.Any("error", errors.New("no")))
	log.InfoContext(t.Context(), "outside")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []bool{true, false} {
		fields := map[string]any{}
		if err := json.Unmarshal([]byte(lines[i]), &fields); err != nil {
			t.Fatal(err)
		}
		if _, ok := fields["trace_id"]; ok != want || fields["with"] != "x" {
			t.Errorf("%v", fields)
		}
	}
	if trace := strings.Split(tracing.Context(within), "-"); !strings.Contains(lines[0], `"trace_id":"`+trace[1]+`"`) || !strings.Contains(lines[0], `"span_id":"`+trace[2]+`"`) {
		t.Errorf("%s is not in %v", lines[0], trace)
	}
}
