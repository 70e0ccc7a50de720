package billing

import (
	"slices"
	"time"
)

// OverdueAfter is how long a task may be due and not be carried out before a person should know.
const OverdueAfter = 5 * time.Minute

// TaskFilter narrows a list; empty fields match everything.
type TaskFilter struct {
	Statuses      []Status // any of them
	MerchantID    MerchantID
	Kind          Kind
	Target        string
	From, To      time.Time // of run_at; To is not included
	CreatedBefore time.Time
	RetryOf       TaskID
	// Attention leaves what a person should look at: tasks in doubt, and pending ones, neither held nor waiting for another, that have
	// been due for longer than [OverdueAfter].
	Attention bool
	// Query is what somebody was told of the task, in full: an id of ours or of Stripe's, a request id, an intent, a value in metadata.
	Query string
}

// Fits reports whether a task that has ended is among what the filter leaves, but for Query.
func (f TaskFilter) Fits(ended Task) bool {
	return (len(f.Statuses) == 0 || slices.Contains(f.Statuses, ended.Status)) &&
		(f.MerchantID == "" || f.MerchantID == ended.MerchantID) &&
		(f.Kind == "" || f.Kind == ended.Kind) &&
		(f.Target == "" || f.Target == ended.Target) &&
		(f.From.IsZero() || !ended.RunAt.Before(f.From)) &&
		(f.To.IsZero() || ended.RunAt.Before(f.To)) &&
		(f.CreatedBefore.IsZero() || ended.CreatedAt.Before(f.CreatedBefore)) &&
		(f.RetryOf == "" || f.RetryOf == ended.RetryOf) &&
		!f.Attention
}

// TaskPage is a part of a list of tasks.
type TaskPage struct {
	Tasks []Task
	Next  TaskID // the next page comes after it; "": there is none
	// SearchedTo is how far back was searched when the time for one page was over, zero when it was not.
	SearchedTo time.Time
}

// Count is how many there are, as far as was counted.
type Count struct {
	N      int
	Capped bool // there may be more
}

// StatusCount is how many tasks are in a status.
type StatusCount struct {
	Status Status
	Count
}

// Matching are tasks that a change of many is about.
type Matching struct {
	IDs  []TaskID
	AsOf time.Time // those scheduled later are not among them
	Next TaskID    // there may be more, and they come after it; "": all were looked at
	// SearchedTo is how far back was searched when the time for one search was over, zero when it was not.
	SearchedTo time.Time
}
