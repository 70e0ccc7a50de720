package telemetry

import (
	"io"
	"log/slog"
	"strings"

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
