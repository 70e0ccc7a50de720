package store

import (
	"context"
	"time"
)

// QueueDepth says how the queue stands, for gauges. Every count stops at [depthMost].
type QueueDepth struct {
	OldestDue time.Duration `db:"-"` // how long the oldest due task has waited; 0 when none is due
	Pending   int           `db:"pending"`
	Due       int           `db:"due"` // of the pending ones
	Running   int           `db:"running"`
	InDoubt   int           `db:"in_doubt"`
}

// depthMost is where counts stop: a gauge must not cost a walk through the whole queue.
const depthMost = 10_000

// depthQuery counts from the far end, where the index has no entries of tasks that are done. Its parameter is where counts stop.
const depthQuery = `
SELECT coalesce(extract(epoch FROM now() - (SELECT min(run_at) FROM scheduled_tasks WHERE status = 'pending')), 0) AS oldest,
	(SELECT count(*) FROM (SELECT 1 FROM scheduled_tasks WHERE status = 'pending' ORDER BY run_at DESC LIMIT $1) AS t) AS pending,
	(SELECT count(*) FROM (SELECT 1 FROM scheduled_tasks WHERE status = 'pending' AND run_at <= now() ORDER BY run_at DESC LIMIT $1) AS t) AS due,
	(SELECT count(*) FROM (SELECT 1 FROM scheduled_tasks WHERE status = 'running' ORDER BY run_at DESC LIMIT $1) AS t) AS running,
	(SELECT count(*) FROM (SELECT 1 FROM scheduled_tasks WHERE status = 'in_doubt' ORDER BY run_at DESC LIMIT $1) AS t) AS in_doubt`

// Depth measures the queue.
func (s *Store) Depth(ctx context.Context) (QueueDepth, error) {
	row := struct {
		QueueDepth
		Oldest float64 `db:"oldest"`
	}{}
	if err := s.db.sqlx.GetContext(ctx, &row, depthQuery, depthMost); err != nil {
		return QueueDepth{}, translate("measure the queue", err)
	}
	row.OldestDue = max(seconds(row.Oldest), 0)
	return row.QueueDepth, nil
}
