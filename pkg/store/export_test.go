package store

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"time"

	"billonce/pkg/billing"
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

// TakeOverQuery exposes the statement of [Store.TakeOver].
const TakeOverQuery = takeOverQuery

// ListQuery exposes the statement of [Store.ListTasks].
var ListQuery = listQuery //nolint:gochecknoglobals // a test's window

// CreationsQuery exposes the statement of [Store.ListAudit] for who scheduled what.
var CreationsQuery = creationsQuery //nolint:gochecknoglobals // a test's window

// MoveQuery exposes the statement of [Store.MoveFinished].
var MoveQuery = moveQuery //nolint:gochecknoglobals // a test's window

// SameArrays exposes arrays in our form and in lib/pq's, one beside the other.
var SameArrays = sameArrays //nolint:gochecknoglobals // a test's window

// DialWire returns a connection as the pool makes them.
func DialWire(ctx context.Context, address string, patience time.Duration) (net.Conn, error) {
	return newWire(patience).DialContext(ctx, "tcp", address)
}

// ScheduleQuery exposes the statement that schedules plain tasks.
const ScheduleQuery = scheduleQuery

// Gathered is how many single tasks wait for a statement that is under way.
func (s *Store) Gathered() int {
	s.single.mu.Lock()
	defer s.single.mu.Unlock()
	return len(s.single.waiting)
}

// CreatePlain is the fast way to schedule tasks alone.
func (s *Store) CreatePlain(ctx context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
	return s.createPlain(ctx, tasks)
}

// CreateCarefully is the other way alone.
func (s *Store) CreateCarefully(ctx context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
	return s.createCarefully(ctx, tasks)
}

// Refused reports whether err says that the store is closed.
func Refused(err error) bool { return errors.Is(err, sql.ErrConnDone) }
