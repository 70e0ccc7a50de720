package billing

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// TaskEvent tells whoever watches that a task was scheduled, moved to another time, or has another status now.
type TaskEvent struct {
	ID         TaskID
	MerchantID MerchantID
	Kind       Kind
	Target     string
	Status     Status
	Attempt    int
	RunAt      time.Time
	At         time.Time // when it changed
}

// ResetReason is why whoever watches has to read everything again.
type ResetReason string

// The reasons.
const (
	ResetBegun     ResetReason = "begun"     // this is where the watching begins
	ResetForgotten ResetReason = "forgotten" // what has changed since the given mark is not known any more
	ResetTooMany   ResetReason = "too_many"  // more has changed at once than is told one by one
)

// EventPage is what has changed between two marks.
type EventPage struct {
	Next   EventMark   // up to where; zero if that is not known
	Events []TaskEvent // in the order in which they happened, one for each task: as it stands at Next
	Lost   ResetReason // why Events are not all that has changed; "": they are
}

// EventMark is a place in the stream of changes. What was changed by transactions that Snapshot sees lies before it, everything else
// behind it. The zero mark is no place.
type EventMark struct {
	Epoch    string // of the recording; marks of another one mean nothing
	Snapshot string // as PostgreSQL writes a pg_snapshot
}

const (
	epochDigits  = 12
	maxEventMark = 16 << 10 // bytes
)

// IsZero reports whether m is no place.
func (m EventMark) IsZero() bool { return m == EventMark{} }

// String is how clients see a mark; "" for the zero mark.
func (m EventMark) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Epoch + "." + m.Snapshot
}

var errEventMark = errors.New("is not the id of an event")

// ParseEventMark reads what [EventMark.String] wrote.
func ParseEventMark(text string) (EventMark, error) {
	epoch, snapshot, _ := strings.Cut(text, ".")
	if len(epoch) != epochDigits || strings.Trim(epoch, "0123456789abcdef") != "" || len(text) > maxEventMark || !isSnapshot(snapshot) {
		return EventMark{}, errEventMark
	}
	return EventMark{Epoch: epoch, Snapshot: snapshot}, nil
}

// isSnapshot reports whether PostgreSQL would read the text as a pg_snapshot: xmin:xmax:xip_list, the list in ascending order and
// within the two.
func isSnapshot(text string) bool {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return false
	}
	first, ok := transaction(parts[0])
	next, alsoOK := transaction(parts[1])
	if !ok || !alsoOK || first > next {
		return false
	}
	if parts[2] == "" {
		return true
	}
	before := first - 1
	for part := range strings.SplitSeq(parts[2], ",") {
		one, ok := transaction(part)
		if !ok || one <= before || one >= next {
			return false
		}
		before = one
	}
	return true
}

// transaction reads the number of a transaction, which is never 0.
func transaction(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return n, err == nil && n > 0 && text[0] != '0' && text[0] != '+'
}
