package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"billonce/pkg/secret"
)

// NewLogger returns a logger that writes to w as "json" or "text". Every line names the service and its version.
func NewLogger(w io.Writer, level slog.Level, format, service, version string) *slog.Logger {
	names := newTable(isConfidential) // they are written in the code, so that there are not many
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr { return redact(names, attr) }}
	out := &locked{to: w}
	var handler slog.Handler = &quick{Handler: slog.NewJSONHandler(out, options), out: out, names: names, plain: true}
	if format == "text" {
		handler = slog.NewTextHandler(out, options)
	}
	return slog.New(handler).With(slog.String("service", service), slog.String("version", version))
}

// WithSpans returns a logger whose lines name the span that they were written in, where there is one.
func WithSpans(log *slog.Logger) *slog.Logger { return slog.New(inSpan{log.Handler()}) }

// inSpan is a handler that adds the ids of the context's span.
type inSpan struct{ slog.Handler }

// Handle implements slog.Handler.
func (h inSpan) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.Any("trace_id", span.TraceID()), slog.Any("span_id", span.SpanID())) // no texts: some would pass for cards
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h inSpan) WithAttrs(attrs []slog.Attr) slog.Handler { return inSpan{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h inSpan) WithGroup(name string) slog.Handler { return inSpan{h.Handler.WithGroup(name)} }

// confidential are parts of attribute names whose values are never shown.
var confidential = []string{"authorization", "token", "secret", "password", "api_key", "apikey", "cookie", "signature"}

func isConfidential(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(confidential, func(part string) bool { return strings.Contains(name, part) })
}

func redact(names *table[string, bool], attr slog.Attr) slog.Attr {
	if names.at(attr.Key) {
		return slog.String(attr.Key, secret.Redacted)
	}
	var text string
	switch attr.Value.Kind() {
	case slog.KindString:
		text = attr.Value.String()
	case slog.KindAny:
		err, ok := attr.Value.Any().(error)
		if !ok {
			return attr
		}
		text = err.Error()
	case slog.KindDuration: // as people write it: "1.5s"
		return slog.String(attr.Key, attr.Value.Duration().String())
	default:
		return attr
	}
	return slog.String(attr.Key, secret.Scrub(text))
}
