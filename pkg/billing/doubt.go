package billing

import "time"

// Doubt is a task in doubt that one worker looks at. (Attempt, status in_doubt) is the fencing token: a finding that names
// another attempt than the database holds changes nothing.
type Doubt struct {
	ID           TaskID
	MerchantID   MerchantID
	Kind         Kind
	Target       string
	Request      Request
	Auth         AuthMode  // as whom the task was sent
	Account      string    // to which account the task was sent
	ScheduledFor time.Time // before it, nobody can have sent the task
	FirstSentAt  time.Time // by the database's clock; an earlier life of the database may have sent it before
	Worker       WorkerID
	StartedAt    time.Time // of the look, by the database's clock
	Attempt      int
	Looks        int // looks made so far, this one included
	OnDecline    *Dunning
	Declines     int
	TraceContext string // as [NewTask] has it
}

// Since is the earliest moment at which the task may have been sent, whatever the database has forgotten of it.
func (d Doubt) Since() time.Time {
	if !d.ScheduledFor.IsZero() && d.ScheduledFor.Before(d.FirstSentAt) {
		return d.ScheduledFor
	}
	return d.FirstSentAt
}

// Age is the time from the first send to the beginning of the look, by the database's clock.
func (d Doubt) Age() time.Duration { return d.StartedAt.Sub(d.FirstSentAt) }

// Finding is what one look at Stripe learned about a task in doubt.
type Finding struct {
	// Outcome is OutcomeSucceeded when the task's own effect was found, OutcomeRefused when it is proven that there is none
	// and never will be, and OutcomeUnknown otherwise.
	Outcome Outcome
	Reason  Reason
	Result  *Result      // set when Outcome is OutcomeSucceeded
	Error   *StripeError // set otherwise
	// Absent is true when a consistent read, complete over the time since the first send, shows no effect. It becomes a proof
	// only once no send can still be under way and Stripe has had the time to roll a stored server error forward.
	Absent bool
	// Clean is true when everything that could tell of an effect up to now was read, and nothing did.
	Clean    bool
	Evidence []Evidence // what was read, in the order of reading
}

// Evidence is one thing that was read at Stripe, as far as it may be stored: nothing in it comes from a customer's data.
type Evidence struct {
	Source         string     `json:"source"`          // "events", "object", "list" or "clock"
	HTTPStatus     int        `json:"http_status"`     // of the read; 0: no answer
	Object         string     `json:"object"`          // an object's type, or an event's: invoice.paid
	ID             string     `json:"id"`              // of the object, "" when nothing was found
	EventID        string     `json:"event_id"`        // "evt_…", for events
	Status         string     `json:"status"`          // the object's own status
	RequestID      string     `json:"request_id"`      // of the request behind an event; of the read itself otherwise
	IdempotencyKey string     `json:"idempotency_key"` // of the request behind an event, if it is a task's; "" otherwise
	At             *time.Time `json:"at"`              // when it happened, by Stripe's clock
	Note           string     `json:"note"`            // what it means, in our words
}

// LookSettlement is what a worker decides after a look.
type LookSettlement struct {
	Doubt   Doubt
	Status  Status        // Succeeded, Failed or InDoubt
	NextIn  time.Duration // until the next look, when Status is InDoubt; 0: no further look, a person decides
	Finding Finding
	Void    bool       // Stripe could not be looked at: the look does not count
	Next    *Successor // set when the look found a decline that is followed up
}
