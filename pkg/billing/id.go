package billing

import (
	"fmt"
	"strings"
)

// TaskID identifies a task: a UUIDv7 in canonical lower-case form. It is never a number from a sequence, which would come
// again after a restore or in another environment and make Stripe answer the new task with the old one's result.
type TaskID string

// MerchantID identifies a merchant: a UUIDv7 in canonical lower-case form.
type MerchantID string

// MerchantVersion names a state of a merchant, which any change to it ends. "" is whichever is the present one.
type MerchantVersion string

// WorkerID identifies one life of one worker process: a UUIDv7 in canonical lower-case form, never used twice.
type WorkerID string

// ParseTaskID accepts the canonical form only, in either case of its letters. The error has code [CodeNotFound]: an
// identifier that cannot exist names nothing.
func ParseTaskID(text string) (TaskID, error) {
	id, ok := canonicalUUID(text)
	if !ok {
		return "", &Error{Code: CodeNotFound, Message: "no such task"}
	}
	return TaskID(id), nil
}

// ParseMerchantID accepts the canonical form only, in either case of its letters. The error has code [CodeNotFound].
func ParseMerchantID(text string) (MerchantID, error) {
	id, ok := canonicalUUID(text)
	if !ok {
		return "", &Error{Code: CodeNotFound, Message: "no such merchant"}
	}
	return MerchantID(id), nil
}

// IdempotencyKey is the key under which every send of the task reaches Stripe.
// Panics on an empty id: a call without a key must not be expressible.
func (id TaskID) IdempotencyKey() string {
	if _, ok := canonicalUUID(string(id)); !ok {
		panic(fmt.Sprintf("billing: idempotency key of an invalid task id of %d bytes", len(id)))
	}
	return "task_" + string(id)
}

// canonicalUUID reports whether text has the shape 8-4-4-4-12 of hexadecimal digits, and returns it in lower case.
func canonicalUUID(text string) (string, bool) {
	if len(text) != 36 {
		return "", false
	}
	upper := false
	for i := range len(text) {
		switch c := text[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return "", false
			}
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		case c >= 'A' && c <= 'F':
			upper = true
		default:
			return "", false
		}
	}
	if upper {
		return strings.ToLower(text), true
	}
	return text, true
}
