package billing

import "time"

// CreatedTask is the answer to a request that schedules a task. Replayed is true when the task was scheduled by an earlier
// request under the same Idempotency-Key; Task then is as it was answered at that time.
type CreatedTask struct {
	Task     Task
	Replayed bool
}

// Resolution is a person's decision about a task in doubt.
type Resolution struct {
	Outcome   Status    `json:"outcome"`     // Succeeded or Failed
	Note      string    `json:"note"`        // why, 1 to 2000 characters
	RequestID string    `json:"request_id"`  // of the request that carried the decision
	At        time.Time `json:"resolved_at"` // by the database's clock
}

// UTC returns the decision with its time in UTC; nil for none.
func (r *Resolution) UTC() *Resolution {
	if r == nil {
		return nil
	}
	decided := *r
	decided.At = decided.At.UTC()
	return &decided
}
