package billing

import "slices"

// Status is where a task stands.
type Status string

// The statuses of a task.
const (
	// Pending waits for its run_at, for the first time or again.
	Pending Status = "pending"
	// Running is owned by one worker, which may be sending it now.
	Running Status = "running"
	// Succeeded had exactly one effect at Stripe.
	Succeeded Status = "succeeded"
	// Failed is known to have had no effect at Stripe.
	Failed Status = "failed"
	// InDoubt may have had an effect; it is never sent again. A person resolves it, or a later look at Stripe does.
	InDoubt Status = "in_doubt"
	// Canceled was called off before anything can have been sent.
	Canceled Status = "canceled"
)

var statuses = []Status{Pending, Running, Succeeded, Failed, InDoubt, Canceled}

// Statuses returns every status. The caller owns the slice.
func Statuses() []Status { return slices.Clone(statuses) }

// Known reports whether s is one of [Statuses].
func (s Status) Known() bool { return slices.Contains(statuses, s) }

// Terminal reports whether a task never leaves s.
func (s Status) Terminal() bool { return s == Succeeded || s == Failed || s == Canceled }

// CanBecome reports whether a task in status s may change to next.
func (s Status) CanBecome(next Status) bool {
	switch s {
	case Pending:
		return next == Running || next == Canceled
	case Running:
		return next == Pending || next == Succeeded || next == Failed || next == InDoubt
	case InDoubt:
		return next == Succeeded || next == Failed
	case Succeeded, Failed, Canceled:
		return false
	}
	return false
}
