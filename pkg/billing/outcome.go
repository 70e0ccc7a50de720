package billing

import "slices"

// Outcome is what one attempt is known to have done at Stripe. The set is closed: uncertainty is a value of its own.
type Outcome string

// The outcomes of an attempt.
const (
	// OutcomeSucceeded: Stripe answered that the operation is done.
	OutcomeSucceeded Outcome = "succeeded"
	// OutcomeRefused: Stripe answered that the operation will not be done under this key.
	OutcomeRefused Outcome = "refused"
	// OutcomeNotSent: it is proven that Stripe did not begin the operation in this attempt.
	OutcomeNotSent Outcome = "not_sent"
	// OutcomeUnknown: the operation may or may not have been done.
	OutcomeUnknown Outcome = "unknown"
)

var outcomes = []Outcome{OutcomeSucceeded, OutcomeRefused, OutcomeNotSent, OutcomeUnknown}

// Outcomes returns every outcome. The caller owns the slice.
func Outcomes() []Outcome { return slices.Clone(outcomes) }

// Reason says why an attempt has its outcome. The set is closed; it is a label of metrics.
type Reason string

// The reasons of an outcome.
const (
	// ReasonDone: a readable 2xx.
	ReasonDone Reason = "done"
	// ReasonDeclined: 402, the payment method was refused.
	ReasonDeclined Reason = "declined"
	// ReasonInvalid: a 4xx that judged the request or the object's state.
	ReasonInvalid Reason = "invalid"
	// ReasonSatisfied: the object already is in the state that the task asks for, by another hand than the task's.
	ReasonSatisfied Reason = "satisfied_externally"
	// ReasonUnreachable: no connection was made (name not found, refused, TLS handshake).
	ReasonUnreachable Reason = "unreachable"
	// ReasonRateLimited: 429 from Stripe's limiter, before the operation began.
	ReasonRateLimited Reason = "rate_limited"
	// ReasonLocked: 429 lock_timeout, another request holds the object.
	ReasonLocked Reason = "locked"
	// ReasonUnauthorized: 401, or a 403 that speaks of the merchant's connection. The merchant needs attention, not the task.
	ReasonUnauthorized Reason = "unauthorized"
	// ReasonNoAnswer: the connection broke or the time ran out after the request may have been written.
	ReasonNoAnswer Reason = "no_answer"
	// ReasonServerError: 424 or 5xx.
	ReasonServerError Reason = "server_error"
	// ReasonUnreadable: a 2xx whose body cannot be read.
	ReasonUnreadable Reason = "unreadable"
	// ReasonInProgress: 409, Stripe is still working on an earlier send under the same key.
	ReasonInProgress Reason = "in_progress"
	// ReasonKeyMismatch: 400 idempotency_error, the key was first used with another request. A defect; never re-sent.
	ReasonKeyMismatch Reason = "key_mismatch"
	// ReasonUnexpected: an answer that no rule covers (a redirect, an unknown status).
	ReasonUnexpected Reason = "unexpected"
	// ReasonWorkerLost: the worker that owned the attempt fell silent.
	ReasonWorkerLost Reason = "worker_lost"
	// ReasonWindowClosed: the idempotency window ended; the key may no longer protect a send.
	ReasonWindowClosed Reason = "window_closed"
	// ReasonCredentialChanged: the merchant's account or way of authentication is not the one of the first send.
	ReasonCredentialChanged Reason = "credential_changed"
	// ReasonRequestChanged: the request is not the one that was frozen when the task was scheduled.
	ReasonRequestChanged Reason = "request_changed"
	// ReasonReconciled: a look at Stripe found the task's own effect.
	ReasonReconciled Reason = "reconciled"
	// ReasonAbsent: looks at Stripe have proven that the operation never took effect.
	ReasonAbsent Reason = "absent"
	// ReasonNoTrace: a look found no effect, which is no proof yet.
	ReasonNoTrace Reason = "no_trace"
	// ReasonUnattributed: the object is as the task asks for, and nothing tells by whose hand.
	ReasonUnattributed Reason = "unattributed"
	// ReasonLookFailed: Stripe could not be looked at.
	ReasonLookFailed Reason = "look_failed"
)

var reasons = []Reason{
	ReasonDone, ReasonDeclined, ReasonInvalid, ReasonSatisfied, ReasonUnreachable, ReasonRateLimited, ReasonLocked,
	ReasonUnauthorized, ReasonNoAnswer, ReasonServerError, ReasonUnreadable, ReasonInProgress, ReasonKeyMismatch,
	ReasonUnexpected, ReasonWorkerLost, ReasonWindowClosed, ReasonCredentialChanged, ReasonRequestChanged,
	ReasonReconciled, ReasonAbsent, ReasonNoTrace, ReasonUnattributed, ReasonLookFailed,
}

// Reasons returns every reason. The caller owns the slice.
func Reasons() []Reason { return slices.Clone(reasons) }

// Answer is what one attempt learned. Result is set when Outcome is OutcomeSucceeded; Error describes every other answer
// of Stripe, as far as it may be stored.
type Answer struct {
	Outcome Outcome
	Reason  Reason
	Result  *Result
	Error   *StripeError
	// Final is true when sending the same key again cannot change the answer, because Stripe has stored it: an unknown
	// outcome that is final needs a look at Stripe, not another send.
	Final bool
	// OwnRequestID is Stripe's Request-Id of the answer to this very attempt, where Result or Error tell of another request's.
	OwnRequestID string
}

// RequestID is Stripe's Request-Id of the answer to this attempt, "" when there was none.
func (a Answer) RequestID() string {
	switch {
	case a.OwnRequestID != "":
		return a.OwnRequestID
	case a.Result != nil:
		return a.Result.RequestID
	case a.Error != nil:
		return a.Error.RequestID
	}
	return ""
}

// Result is the object that Stripe answered with.
type Result struct {
	Object    string `json:"object"`
	ID        string `json:"id"`
	Status    string `json:"status"`     // the object's own status, "" where Stripe gives it none
	RequestID string `json:"request_id"` // Stripe's Request-Id of the answer
	Replayed  bool   `json:"replayed"`   // Stripe answered from the record of an earlier send
}

// StripeError is the part of an error that may be stored and shown: nothing in it comes from a customer's data.
type StripeError struct {
	HTTPStatus  int    `json:"http_status"` // 0 when there was no answer
	Type        string `json:"type"`
	Code        string `json:"code"`
	DeclineCode string `json:"decline_code"`
	Param       string `json:"param"`
	Message     string `json:"message"` // our own words, chosen by reason: Stripe's message may hold customers' data
	RequestID   string `json:"request_id"`
}
