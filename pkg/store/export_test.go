package store

// The statements whose plans are tested.
const (
	ClaimQuery  = claimQuery
	SettleQuery = settleQuery
	FinishQuery = finishQuery
)

// Sweep makes the next claim begin at the very beginning.
func (s *Store) Sweep() { s.marked.sweep() }

// SettleArgs exposes the arguments of SettleQuery.
var SettleArgs = settleArgs //nolint:gochecknoglobals // a test's window

// MoveQuery exposes the statement of [Store.MoveFinished].
var MoveQuery = moveQuery //nolint:gochecknoglobals // a test's window
