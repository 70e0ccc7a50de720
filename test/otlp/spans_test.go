package otlp_test

import (
	"fmt"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// span is one as the collector has it, and where it came from.
type span struct {
	ptrace.Span
	resource pcommon.Resource
	scope    pcommon.InstrumentationScope
}

func (s span) String() string {
	return fmt.Sprintf("%s %s %s of %s in %s, %s %q, %v", s.Kind(), s.Name(), s.SpanID(), s.ParentSpanID(), s.TraceID(), s.Status().Code(), s.Status().Message(), s.Attributes().AsRaw())
}

// text is an attribute that is a text, "" if it is not there or something else.
func (s span) text(key string) string {
	if value, ok := s.Attributes().Get(key); ok && value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return ""
}

// number is an attribute that is a number.
func (s span) number(key string) int64 {
	if value, ok := s.Attributes().Get(key); ok && value.Type() == pcommon.ValueTypeInt {
		return value.Int()
	}
	return -1
}

// only returns the one span of a name; for attempts the status that was decided belongs to it.
func only(t *testing.T, spans []span, name string) span {
	t.Helper()
	found := slices.DeleteFunc(slices.Clone(spans), func(s span) bool {
		whole := s.Name()
		if whole == "process task" {
			whole += " " + s.text("billonce.status")
		}
		return whole != name
	})
	if len(found) != 1 {
		t.Fatalf("%d spans are %q, of %v", len(found), name, spans)
	}
	return found[0]
}

// wantWhole checks what every span must have: ids, a name, a kind, a time in which it was, attributes that are unique and not empty, and
// where it comes from. Nothing was dropped.
func (s span) wantWhole(t *testing.T) {
	t.Helper()
	if s.TraceID().IsEmpty() || s.SpanID().IsEmpty() || s.Name() == "" || s.Kind() == ptrace.SpanKindUnspecified {
		t.Errorf("not whole: %s", s)
	}
	if s.StartTimestamp() == 0 || s.EndTimestamp() < s.StartTimestamp() {
		t.Errorf("%s was from %s to %s", s, s.StartTimestamp(), s.EndTimestamp())
	}
	if s.Flags()&1 == 0 {
		t.Errorf("%s is sent and not marked as sampled: %b", s, s.Flags())
	}
	if s.DroppedAttributesCount()+s.DroppedEventsCount()+s.DroppedLinksCount() > 0 {
		t.Errorf("%s has lost something", s)
	}
	wantAttributes(t, s.Name(), s.Attributes())
	for _, event := range s.Events().All() {
		if event.Name() == "" || event.Timestamp() < s.StartTimestamp() || event.Timestamp() > s.EndTimestamp() || event.DroppedAttributesCount() > 0 {
			t.Errorf("%s has an event %q at %s", s, event.Name(), event.Timestamp())
		}
		wantAttributes(t, event.Name(), event.Attributes())
	}
	for _, link := range s.Links().All() {
		if link.TraceID().IsEmpty() || link.SpanID().IsEmpty() || link.DroppedAttributesCount() > 0 {
			t.Errorf("%s links to nothing", s)
		}
	}
	wantAttributes(t, "the resource", s.resource.Attributes())
	for key, want := range map[string]string{"service.name": "billonce-worker", "service.version": "v1", "telemetry.sdk.language": "go"} {
		if got, ok := s.resource.Attributes().Get(key); !ok || got.AsString() != want {
			t.Errorf("%s comes from %v", s, s.resource.Attributes().AsRaw())
		}
	}
	if s.scope.Name() != "billonce" || s.scope.Version() != "v1" {
		t.Errorf("%s comes from %s %s", s, s.scope.Name(), s.scope.Version())
	}
}

func wantAttributes(t *testing.T, of string, attributes pcommon.Map) {
	t.Helper()
	seen := map[string]bool{}
	for key, value := range attributes.All() {
		if key == "" || seen[key] || value.Type() == pcommon.ValueTypeEmpty || value.AsString() == "" {
			t.Errorf("%s has an attribute %q that is %q", of, key, value.AsString())
		}
		seen[key] = true
	}
	if len(seen) == 0 {
		t.Errorf("%s has no attribute", of)
	}
}
