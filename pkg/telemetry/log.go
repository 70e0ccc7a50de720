package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"billonce/pkg/secret"
)

// NewLogger returns a logger that writes to w as "json" or "text". Every line names the service and its version.
func NewLogger(w io.Writer, level slog.Level, format, service, version string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redact}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if format == "text" {
		handler = slog.NewTextHandler(w, options)
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
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h inSpan) WithAttrs(attrs []slog.Attr) slog.Handler { return inSpan{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h inSpan) WithGroup(name string) slog.Handler { return inSpan{h.Handler.WithGroup(name)} }

// confidential are parts of attribute names whose values are never shown.
var confidential = []string{"authorization", "token", "secret", "password", "api_key", "apikey", "cookie", "signature"}

func redact(_ []string, attr slog.Attr) slog.Attr {
	name := strings.ToLower(attr.Key)
	for _, part := range confidential {
		if strings.Contains(name, part) {
			return slog.String(attr.Key, secret.Redacted)
		}
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
