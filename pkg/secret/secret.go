// Package secret gives confidential strings a type of their own.
//
// It promises that no printer, encoder or logger of the standard library shows the content of a [Text]: fmt with any
// verb, encoding/json, encoding/xml, log/slog and text encoders all write "[redacted]". The content leaves through
// [Text.Reveal] alone, so a review of the callers of Reveal is a review of every place that sees a secret.
//
// It never implements driver.Valuer: a secret cannot be bound to an SQL statement by accident.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what every printer shows in place of a secret, whether or not it is empty.
const Redacted = "[redacted]"

// Text is a confidential string. The zero value is an empty secret.
//
// The content lies behind a pointer because fmt calls no method on an unexported field of another struct: there it prints
// the fields themselves, which then are an address.
type Text struct{ content *string }

// New wraps content. The caller should not keep its own copy.
func New(content string) Text { return Text{content: &content} }

// Reveal returns the content. Every call is a place where the secret may leak; keep them few.
func (t Text) Reveal() string {
	if t.content == nil {
		return ""
	}
	return *t.content
}

// Empty reports whether there is no content.
func (t Text) Empty() bool { return t.Reveal() == "" }

// Equal compares the contents in a time that depends on neither of them.
func (t Text) Equal(other Text) bool {
	a, b := sha256.Sum256([]byte(t.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String implements fmt.Stringer.
func (Text) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (Text) GoString() string { return Redacted }

// Format implements fmt.Formatter, so that no verb and no flag reaches the content.
func (Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue implements slog.LogValuer.
func (Text) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements encoding.TextMarshaler, which also covers XML, YAML and map keys.
func (Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }
