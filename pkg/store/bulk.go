package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

const (
	// bulkBatch is how many tasks are changed by one transaction, so that nobody waits long for one of them.
	bulkBatch = 100
	// bulkTries is how often that is tried when it meets somebody who locks the same tasks in another order, as whoever ends a pause does.
	bulkTries = 3
	// bulkBudget is about how long one search for what is to be changed takes. A caller that wants more goes on from where it ended.
	bulkBudget = 2 * time.Second
)

// What a task must fulfil to be changed at all. Looks at other tasks are subqueries with a LIMIT: an EXISTS may be planned as a walk over
// a whole index.
const (
	unsent    = `first_sent_at IS NULL`
	unretried = `(SELECT 1 FROM scheduled_tasks AS r WHERE r.retry_of = scheduled_tasks.id LIMIT 1) IS NULL
		AND (SELECT 1 FROM archived_tasks AS r WHERE r.retry_of = scheduled_tasks.id LIMIT 1) IS NULL`
	ofConnected = `(SELECT m.disconnected_at IS NULL FROM merchants AS m WHERE m.id = scheduled_tasks.merchant_id) IS TRUE`
	freeIntent  = `(intent = '' OR (SELECT 1 FROM scheduled_tasks AS h WHERE h.merchant_id = scheduled_tasks.merchant_id
		AND h.intent = scheduled_tasks.intent AND h.intent <> '' AND h.status NOT IN ('failed', 'canceled') LIMIT 1) IS NULL)`
)

// FindUnsent returns the tasks that fit and can still be canceled or moved, newest first, beginning after the given one, up to limit,
// leaving out those that are scheduled for the given time already, if it is not zero. It may end early: see [billing.Matching].
func (s *Store) FindUnsent(ctx context.Context, filter billing.TaskFilter, but time.Time, limit int, after billing.TaskID) (billing.Matching, error) {
	return s.matching(ctx, questUnsent(filter, but), limit, after, bulkBudget)
}

// FindRetryable returns the tasks that fit, failed or were canceled, and can be retried: no task repeats them, or has their intent, and
// their merchant is connected. Newest first, beginning after the given one, up to limit. It may end early: see [billing.Matching].
func (s *Store) FindRetryable(ctx context.Context, filter billing.TaskFilter, limit int, after billing.TaskID) (billing.Matching, error) {
	return s.matching(ctx, questRetryable(filter), limit, after, bulkBudget)
}

func questUnsent(filter billing.TaskFilter, but time.Time) quest {
	return quest{filter: filter, terms: []string{unsent}, but: but, possible: []billing.Status{billing.Pending}}
}

func questRetryable(filter billing.TaskFilter) quest {
	return quest{filter: filter, terms: []string{unretried, ofConnected, freeIntent}, possible: []billing.Status{billing.Failed, billing.Canceled}}
}

// matching looks for tasks in those of the possible statuses that the filter names; in all of them, if it names none.
func (s *Store) matching(ctx context.Context, q quest, limit int, after billing.TaskID, budget time.Duration) (billing.Matching, error) {
	possible := q.possible
	if len(q.filter.Statuses) > 0 {
		possible = slices.DeleteFunc(possible, func(status billing.Status) bool { return !slices.Contains(q.filter.Statuses, status) })
	}
	matching := billing.Matching{AsOf: q.filter.CreatedBefore}
	if matching.AsOf.IsZero() {
		if err := s.db.sqlx.GetContext(ctx, &matching.AsOf, `SELECT now()`); err != nil {
			return billing.Matching{}, translate("find tasks", err)
		}
		matching.AsOf = matching.AsOf.UTC()
	}
	if len(possible) == 0 {
		return matching, nil
	}
	q.filter.Statuses, q.filter.CreatedBefore = possible, matching.AsOf
	if after == "" {
		after = newest
	}
	found, err := s.search(ctx, q, limit+1, after, budget)
	if err != nil {
		return billing.Matching{}, err
	}
	matching.IDs = found.ids
	switch {
	case len(found.ids) > limit:
		matching.IDs = found.ids[:limit]
		matching.Next = found.ids[limit-1]
	case !found.ended:
		matching.Next, matching.SearchedTo = found.last, timeOf(found.last)
	}
	return matching, nil
}

// CancelTasks calls off those of the tasks that can be, as [Store.CancelTask] does, and returns how many. When it fails, some may have
// been.
func (s *Store) CancelTasks(ctx context.Context, ids []billing.TaskID) (int, error) {
	changed, _, err := s.changeTasks(ctx, ids, "cancel tasks", entry{action: billing.ActionTaskCancel}, cancelTasks)
	return changed, err
}

// RescheduleTasks moves those of the tasks that can be, as [Store.RescheduleTask] does, and returns how many. When it fails, some may
// have been.
func (s *Store) RescheduleTasks(ctx context.Context, ids []billing.TaskID, runAt time.Time) (int, error) {
	if err := s.judgeRunAt(ctx, runAt); err != nil {
		return 0, err
	}
	of := entry{action: billing.ActionTaskReschedule, detail: map[string]any{"run_at": runAt.UTC()}}
	changed, due, err := s.changeTasks(ctx, ids, "reschedule tasks", of, rescheduleTasks, runAt.UTC())
	if due {
		s.Wake()
	}
	return changed, err
}

type changedRow struct {
	ID         string `db:"id"`
	MerchantID string `db:"merchant_id"`
	Due        bool   `db:"due"` // it can run now
}

// changeTasks runs a statement for a batch of tasks at a time, and records what it did to each in the same transaction. due reports
// whether one of them can run now.
func (s *Store) changeTasks(ctx context.Context, ids []billing.TaskID, operation string, of entry, query string, args ...any) (changed int, due bool, err error) {
	ids = slices.Sorted(slices.Values(ids)) // locked in one order by everybody
	for batch := range slices.Chunk(ids, bulkBatch) {
		var rows []changedRow
		change := func(tx *transaction) error {
			rows = nil // of an earlier try
			all := append([]any{pq.Array(batch)}, args...)
			if err := tx.SelectContext(ctx, &rows, query+` SELECT id, merchant_id, run_at <= now() AS due FROM changed`, all...); err != nil {
				return err
			}
			for _, row := range rows {
				of.object, of.merchant = row.ID, billing.MerchantID(row.MerchantID)
				if err := note(ctx, tx, of); err != nil {
					return fmt.Errorf("record the change of task %s: %w", row.ID, err)
				}
			}
			return nil
		}
		err := s.db.inTx(ctx, operation, change)
		for try := 1; try < bulkTries && hasState(err, stateDeadlock); try++ {
			err = s.db.inTx(ctx, operation, change)
		}
		if err != nil {
			return changed, due, err
		}
		changed += len(rows)
		due = due || slices.ContainsFunc(rows, func(row changedRow) bool { return row.Due })
	}
	return changed, due, nil
}
