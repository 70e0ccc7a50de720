package billing

import "time"

// OutcomeCounts counts what attempts came to.
type OutcomeCounts struct {
	Succeeded int
	Failed    int
	InDoubt   int
	Retried   int // the task waits for another attempt
}

// Add counts an attempt that left its task in a status.
func (o *OutcomeCounts) Add(status Status) {
	switch status {
	case Succeeded:
		o.Succeeded++
	case Failed:
		o.Failed++
	case InDoubt:
		o.InDoubt++
	case Pending:
		o.Retried++
	case Running, Canceled: // which no attempt leaves
	}
}

// Plus returns the sum of both.
func (o OutcomeCounts) Plus(more OutcomeCounts) OutcomeCounts {
	return OutcomeCounts{
		Succeeded: o.Succeeded + more.Succeeded, Failed: o.Failed + more.Failed,
		InDoubt: o.InDoubt + more.InDoubt, Retried: o.Retried + more.Retried,
	}
}

// The outcomes of an [Overview] reach back for OutcomeSpan, in steps of OutcomeStep.
const (
	OutcomeStep = 5 * time.Minute
	OutcomeSpan = 6 * time.Hour
)

// OutcomesAt are the outcomes of one step.
type OutcomesAt struct {
	At time.Time // when it began
	OutcomeCounts
}

// WorkerTotals sums up the workers.
type WorkerTotals struct {
	Alive  int
	Silent int // have lost their lease and still stand in the list
	Slots  int // of those alive
	Busy   int
}

// KeyState says how the encryption of tokens stands.
type KeyState struct {
	WriteKey string // id of the key that seals, "" before there is one
	Rotating bool   // another one has sealed before, and no rotation has ended since
}

// Overview says whether money moves.
type Overview struct {
	Now       time.Time // by the database's clock
	Due       Count
	OldestDue *time.Time // run_at of the task that has been due for longest; nil: none is
	Tasks     []StatusCount
	Overdue   Count // those of [TaskFilter.Attention] beside the ones in doubt
	Paused    Count // merchants
	Outcomes  []OutcomesAt
	Workers   *WorkerTotals // nil for one merchant, like Keys
	Keys      *KeyState
}

// EncryptionKey is a key that has sealed stored tokens, or that a process seals with.
type EncryptionKey struct {
	ID        string // "": that of tokens which name none, as older releases left them
	Active    bool   // it is the one that seals
	Known     bool   // a process has said that it seals with it
	Tokens    int    // that it has sealed, of those stored now
	Unbound   int    // of these, those that are bound to no place
	Sealings  int64  // at most
	CreatedAt time.Time
	RetiredAt *time.Time // when a rotation to another key ended
}
