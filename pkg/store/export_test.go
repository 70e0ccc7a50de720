package store

import (
	"context"
	"net"
	"time"
)

// The statements whose plans are tested.
const (
	ClaimQuery    = claimQuery
	ClaimLimited  = claimLimited
	ClaimPassing  = claimPassing
	ClaimLanes    = claimLanes
	FinishLimited = finishLimited
	SettleQuery   = settleQuery
	FinishQuery   = finishQuery
)

// Sweep makes the next claim begin at the very beginning.
func (s *Store) Sweep() { s.marked.sweep() }

// SettleArgs exposes the arguments of SettleQuery.
var SettleArgs = settleArgs //nolint:gochecknoglobals // a test's window

// MoveQuery exposes the statement of [Store.MoveFinished].
var MoveQuery = moveQuery //nolint:gochecknoglobals // a test's window

// SameArrays exposes arrays in our form and in lib/pq's, one beside the other.
var SameArrays = sameArrays //nolint:gochecknoglobals // a test's window

// DialWire returns a connection as the pool makes them.
func DialWire(ctx context.Context, address string, patience time.Duration) (net.Conn, error) {
	return newWire(patience).DialContext(ctx, "tcp", address)
}
