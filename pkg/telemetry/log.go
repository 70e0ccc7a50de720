package telemetry

import (
	"io"
	"log/slog"
	"regexp"
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

// secretShapes are texts that look like credentials: Stripe's keys, tokens and client secrets, bearer headers, and passwords
// in URLs.
var secretShapes = regexp.MustCompile(`\b(?:sk|rk|rt|ac|whsec|pi|seti)_(?:live|test)?_?[A-Za-z0-9_]{8,}_?(?:secret_[A-Za-z0-9]+)?|` +
	`(?i:bearer)\s+\S+|://[^/\s:@]*:[^/\s@]+@`)

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
	return slog.String(attr.Key, redactText(text))
}

func redactText(text string) string {
	return secretShapes.ReplaceAllStringFunc(text, func(found string) string {
		switch {
		case strings.HasPrefix(found, "://"):
			return "://" + secret.Redacted + "@"
		case strings.HasPrefix(found, "pi_") || strings.HasPrefix(found, "seti_"):
			if id, _, ok := strings.Cut(found, "_secret_"); ok {
				return id + "_secret_" + secret.Redacted
			}
			return found // the id of an object is no secret
		}
		return secret.Redacted
	})
}
