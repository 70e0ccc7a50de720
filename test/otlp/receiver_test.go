package otlp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// receiver is the collector's, as it runs in front of everything that spans are sent on to.
type receiver struct {
	url  string // for OTEL_EXPORTER_OTLP_ENDPOINT
	sink consumertest.TracesSink
}

// receive starts a receiver, which ends with the test.
func receive(t *testing.T) *receiver {
	t.Helper()
	factory, host := otlpreceiver.NewFactory(), componenttest.NewNopHost()
	r := &receiver{}
	for range 5 { // somebody else may take the port before the receiver does
		address := freeAddress(t)
		conf := factory.CreateDefaultConfig()
		wanted := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}})
		if err := wanted.Unmarshal(conf); err != nil {
			t.Fatal(err)
		}
		started, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(factory.Type()), conf, &r.sink)
		if err != nil {
			t.Fatal(err)
		}
		if err := started.Start(t.Context(), host); err != nil {
			t.Logf("once more: %v", err)
			continue
		}
		t.Cleanup(func() {
			if err := started.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		r.url = "http://" + address
		return r
	}
	t.Fatal("no receiver starts")
	return nil
}

// freeAddress is one on loopback that nobody listened on a moment ago: the receiver does not say which it has chosen.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// spans are what has come.
func (r *receiver) spans(t *testing.T) (list []span) {
	t.Helper()
	for _, traces := range r.sink.AllTraces() {
		for _, of := range traces.ResourceSpans().All() {
			for _, scope := range of.ScopeSpans().All() {
				for _, one := range scope.Spans().All() {
					list = append(list, span{one, of.Resource(), scope.Scope()})
				}
			}
		}
	}
	return list
}

// TestSpansThatTheCollectorRefusesAreCounted: it may answer that all is well and name spans that it did not take. Its answer is written
// by OpenTelemetry's own code.
func TestSpansThatTheCollectorRefusesAreCounted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ refused, wantFailed int64 }{"None": {0, 0}, "Some": {3, 3}, "MoreThanThereAre": {99, sorts}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				content, err := io.ReadAll(r.Body)
				if err == nil {
					err = ptraceotlp.NewExportRequest().UnmarshalProto(content)
				}
				if err != nil {
					t.Error(err)
				}
				answer := ptraceotlp.NewExportResponse()
				answer.PartialSuccess().SetErrorMessage("attributes are too long")
				answer.PartialSuccess().SetRejectedSpans(tc.refused)
				encoded, err := answer.MarshalProto()
				if err != nil {
					t.Error(err)
				}
				w.Header().Set("Content-Type", "application/x-protobuf")
				_, _ = w.Write(encoded)
			}))
			defer server.Close()
			f := follow(t, server.URL, false)
			f.everything()
			f.stop()
			if sent, failed := f.exported("sent"), f.exported("failed"); int64(failed) != tc.wantFailed || int64(sent) != sorts-tc.wantFailed {
				t.Errorf("%v spans are sent, %v failed", sent, failed)
			}
			if asked != 1 {
				t.Errorf("the collector was asked %d times", asked)
			}
		})
	}
}
