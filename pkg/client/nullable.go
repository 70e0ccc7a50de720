package client

import (
	"bytes"
	"encoding/json"
)

// Nullable is a field of a request of which `null` means something else than its absence. The zero value is left out.
type Nullable[T any] struct {
	given bool
	value *T
}

// Value is a field with a value.
func Value[T any](value T) Nullable[T] { return Nullable[T]{given: true, value: &value} }

// Null is a field that is `null`.
func Null[T any]() Nullable[T] { return Nullable[T]{given: true} }

// IsZero reports whether the field is left out.
func (n Nullable[T]) IsZero() bool { return !n.given }

// MarshalJSON writes the value, or null.
func (n Nullable[T]) MarshalJSON() ([]byte, error) { return json.Marshal(n.value) }

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Nullable[T]) UnmarshalJSON(text []byte) error {
	*n = Null[T]()
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	return json.Unmarshal(text, &n.value)
}
