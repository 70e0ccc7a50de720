package store

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// The statements whose plans are tested.
const (
	FinishLimited = finishLimited
	SettleQuery   = settleQuery
	FinishQuery   = finishQuery
	BacklogQuery  = backlogQuery

	ReadEventsQuery = readEventsQuery
)

// ClaimQueries are the claims without and with what is stored of requests: due tasks, those within limits, passing by lanes, from lanes.
func ClaimQueries() [2][4]string { return [2][4]string{claimQueries(going), claimQueries(goingTraced)} }

// Sweep makes the next claim begin at the very beginning.
func (s *Store) Sweep() { s.marked.sweep() }

// SettleArgs exposes the arguments of SettleQuery.
var SettleArgs = settleArgs //nolint:gochecknoglobals // a test's window

// TakeOverQuery exposes the statement of [Store.TakeOver].
const TakeOverQuery = takeOverQuery

// ListQuery exposes the statement of [Store.FindTasks] for what an index serves.
var ListQuery = listQuery //nolint:gochecknoglobals // a test's window

// The statements that find, count and overview tasks.
var (
	CountQuery    = countQuery    //nolint:gochecknoglobals // a test's window
	FewQuery      = fewQuery      //nolint:gochecknoglobals // a test's window
	StandingQuery = standingQuery //nolint:gochecknoglobals // a test's window
)

// These need no arguments of a test's.
const (
	OutcomesQuery    = outcomesQuery
	ListWorkersQuery = listWorkers
	CancelQuery      = cancelTasks + ` SELECT id FROM changed`
	RescheduleQuery  = rescheduleTasks + ` SELECT id FROM changed`
)

// SearchQueries are the statements by which a filter's tasks are looked for, with their arguments: by windows, among few, by an id, and
// by other indexes. how says for what: "" to list them, "unsent" or "retryable" to change them.
func SearchQueries(filter billing.TaskFilter, how string) map[string][]any {
	q := quest{filter: filter, told: filter.Query}
	q.filter.Query = ""
	switch how {
	case "unsent":
		q.terms, q.but = questUnsent(filter, time.Now()).terms, time.Now()
	case "retryable":
		q.terms = questRetryable(filter).terms
	}
	queries := map[string][]any{}
	keep := func(query string, args []any) { queries[query] = args }
	keep(windowQuery(q, 51, mostWindow, newest))
	keep(candidatesQuery(q, 51, newest))
	if q.told != "" {
		keep(byIDQuery(quest{filter: q.filter}, newest))
		keep(byIndexQuery(quest{filter: q.filter}, q.told))
	}
	return queries
}

// Search looks for tasks within a budget of the test's own.
func (s *Store) Search(ctx context.Context, filter billing.TaskFilter, want int, after billing.TaskID, budget time.Duration) (ids []billing.TaskID, last billing.TaskID, ended bool, err error) {
	q, err := s.quest(ctx, filter, after == "")
	if err != nil {
		return nil, "", false, err
	}
	if after == "" {
		after = newest
	}
	found, err := s.search(ctx, q, want, after, budget)
	return found.ids, found.last, found.ended, err
}

// FindUnsentWithin is FindUnsent with a budget of the test's own.
func (s *Store) FindUnsentWithin(ctx context.Context, filter billing.TaskFilter, limit int, after billing.TaskID, budget time.Duration) (billing.Matching, error) {
	return s.matching(ctx, questUnsent(filter, time.Time{}), limit, after, budget)
}

// FindRetryableWithin is FindRetryable with a budget of the test's own.
func (s *Store) FindRetryableWithin(ctx context.Context, filter billing.TaskFilter, limit int, after billing.TaskID, budget time.Duration) (billing.Matching, error) {
	return s.matching(ctx, questRetryable(filter), limit, after, budget)
}

// ListMerchantsQuery exposes the statement of [Store.ListMerchants].
var ListMerchantsQuery = listMerchantsQuery //nolint:gochecknoglobals // a test's window

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

// ResealQuery and OutdatedQuery expose the statements of [Store.Reseal], and ResealArgs the arguments of the one that writes.
const (
	ResealQuery   = resealQuery
	OutdatedQuery = selectTokens + outdatedPage
)

// ResealArgs exposes the arguments of ResealQuery for merchants that have no token.
func ResealArgs(ids ...billing.MerchantID) ([]any, error) {
	changes := make([]change, len(ids))
	for i, id := range ids {
		changes[i] = change{before: tokenRow{id: id}, after: tokenRow{id: id}}
	}
	return resealArgs("a", changes)
}

// BeforeResealing makes a rotation call something between reading and writing a page.
func (s *Store) BeforeResealing(call func()) {
	s.cipher = &watched{Cipher: undecorated(s.cipher), before: call}
}

func undecorated(c Cipher) Cipher {
	if w, ok := c.(*watched); ok {
		return w.Cipher
	}
	return c
}

// watched is a cipher that calls something at its first sealing.
type watched struct {
	Cipher
	once   sync.Once
	before func()
}

// Seal implements [Cipher].
func (w *watched) Seal(at billing.Place, text secret.Text) (billing.Sealed, error) {
	w.once.Do(func() {
		if w.before != nil {
			w.before()
		}
	})
	return w.Cipher.Seal(at, text)
}
