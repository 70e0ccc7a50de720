package billing

import (
	"errors"
	"slices"
)

// Code classifies an error for whoever must act on it. Each has one HTTP status.
type Code string

// The codes.
const (
	CodeInvalid         Code = "invalid"          // the input is wrong; Faults say where
	CodeMalformed       Code = "malformed"        // the input cannot be read at all
	CodeTooLarge        Code = "too_large"        // the input is longer than allowed
	CodeUnsupportedType Code = "unsupported_type" // the input's media type is not accepted
	CodeUnauthenticated Code = "unauthenticated"
	CodeForbidden       Code = "forbidden"
	CodeNotFound        Code = "not_found"
	CodeMethod          Code = "method_not_allowed"
	CodeConflict        Code = "conflict"         // the object's status does not allow it
	CodeKeyReused       Code = "key_reused"       // same Idempotency-Key, other request
	CodeKeyInProgress   Code = "key_in_progress"  // same Idempotency-Key, still being handled
	CodeKeyRequired     Code = "key_required"     // no Idempotency-Key where one is demanded
	CodeIntentTaken     Code = "intent_taken"     // another task has this intent
	CodeLeaseLost       Code = "lease_lost"       // the worker no longer owns the task
	CodeTokenUnreadable Code = "token_unreadable" // a stored token does not open
	CodeRateLimited     Code = "rate_limited"     // too many tries; again later
	CodeUnavailable     Code = "unavailable"      // a dependency does not answer; try again
	CodeInternal        Code = "internal"
)

var codes = []Code{
	CodeInvalid, CodeMalformed, CodeTooLarge, CodeUnsupportedType, CodeUnauthenticated, CodeForbidden, CodeNotFound,
	CodeMethod, CodeConflict, CodeKeyReused, CodeKeyInProgress, CodeKeyRequired, CodeIntentTaken, CodeLeaseLost, CodeTokenUnreadable,
	CodeRateLimited, CodeUnavailable, CodeInternal,
}

// Codes returns every code. The caller owns the slice.
func Codes() []Code { return slices.Clone(codes) }

// Fault is one thing wrong with an input.
type Fault struct {
	Pointer string `json:"pointer"` // RFC 6901, "" for the whole document
	Code    string `json:"code"`
	Detail  string `json:"detail"` // never repeats the submitted value
}

// Error is the one error type that crosses rooms. Message is safe to show to a client; Err is not.
type Error struct {
	Code    Code
	Message string
	Faults  []Fault
	Err     error
}

// Error implements error. The text includes the cause: it is for logs, not for clients.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrContent is in the chain of an error that is about what was to be written: written once more, it is refused once more. Whatever
// else goes wrong may go right the next time.
var ErrContent = errors.New("the content is refused")

// ErrDenied is in the chain of an error that says that the database's user lacks a right. What needs none of it can be written all
// the same, and what was refused can be once somebody has granted it.
var ErrDenied = errors.New("the database's user lacks a right")

// CodeOf returns the code of the first [Error] in err's chain, CodeInternal for any other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var known *Error
	if errors.As(err, &known) {
		return known.Code
	}
	return CodeInternal
}

// FaultsOf returns the faults of the first [Error] in err's chain.
func FaultsOf(err error) []Fault {
	var known *Error
	if errors.As(err, &known) {
		return known.Faults
	}
	return nil
}
