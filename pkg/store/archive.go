package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// moveTemplate moves finished tasks that are old enough, with all that belongs to them, into archived_tasks. $status is
// replaced by the literal of one status, so that the planner knows which part of idx_scheduled_tasks_status_run_at is meant.
//
//   - The range of run_at bounds what is read; finished_at decides. A task that was resolved late is young, and so is one that
//     was canceled before a time that has not come or has come lately: until then it can be retried.
//   - A task that another one in the table repeats stays: retry_of refers to it. The last of a chain goes first.
//   - Where a batch begins is the caller's to say, so that a batch does not wade through the dead entries of the ones before.
//
// What reads and what deletes see the same moment, and SKIP LOCKED lets any number of workers do it at once.
const moveTemplate = `
WITH old AS MATERIALIZED (
	SELECT t.id, t.run_at
	FROM scheduled_tasks AS t
	WHERE t.status = $status AND t.run_at >= $1 AND t.run_at < now() - make_interval(secs => $2)
		AND t.finished_at < now() - make_interval(secs => $2)
		AND (SELECT r.id FROM scheduled_tasks AS r WHERE r.retry_of = t.id) IS NULL
	ORDER BY t.run_at
	LIMIT $3
	FOR UPDATE OF t SKIP LOCKED
), moved AS (
	DELETE FROM scheduled_tasks AS t
	WHERE t.id = ANY (ARRAY(SELECT id FROM old)) AND (t.status = $status) IS TRUE
	RETURNING t.id, t.merchant_id, t.intent, t.status, t.retry_of, t.created_at, t.finished_at, to_jsonb(t) AS task
), resolutions AS (
	DELETE FROM task_resolutions AS d
	WHERE d.task_id = ANY (ARRAY(SELECT id FROM old))
	RETURNING d.task_id, to_jsonb(d) - 'task_id' AS resolution
), keys AS (
	DELETE FROM task_keys AS k
	WHERE k.task_id = ANY (ARRAY(SELECT id FROM old))
	RETURNING k.task_id, k.key
), attempted AS (
	DELETE FROM task_attempts AS a
	WHERE a.task_id = ANY (ARRAY(SELECT id FROM old))
), kept AS (
	INSERT INTO archived_tasks (id, merchant_id, intent, status, retry_of, created_at, finished_at, document)
	SELECT m.id, m.merchant_id, m.intent, m.status, m.retry_of, m.created_at, m.finished_at, jsonb_build_object(
		'task', m.task,
		'attempts', (SELECT coalesce(jsonb_agg(to_jsonb(a) - 'task_id' ORDER BY a.attempt), '[]') FROM attempts AS a WHERE a.task_id = m.id),
		'resolution', d.resolution,
		'key', k.key)
	FROM moved AS m LEFT JOIN resolutions AS d ON d.task_id = m.id LEFT JOIN keys AS k ON k.task_id = m.id
)
SELECT (SELECT count(*) FROM moved) AS tasks, (SELECT max(run_at) FROM old) AS last, (SELECT count(*) FROM workers) AS workers`

// moveQuery is the statement for one status; ok is false for one in which tasks are not finished, which never move.
func moveQuery(status billing.Status) (query string, ok bool) {
	switch status {
	case billing.Succeeded:
		return strings.ReplaceAll(moveTemplate, "$status", "'succeeded'"), true
	case billing.Failed:
		return strings.ReplaceAll(moveTemplate, "$status", "'failed'"), true
	case billing.Canceled:
		return strings.ReplaceAll(moveTemplate, "$status", "'canceled'"), true
	case billing.Pending, billing.Running, billing.InDoubt:
	}
	return "", false
}

// moveTries is how often a batch is begun anew after somebody has retried one of its tasks at the same moment.
const moveTries = 5

// MoveFinished moves up to limit tasks of one terminal status into the archive: those whose run_at and finished_at both lie
// longer ago than olderThan, in the order of run_at, beginning with from. Fewer than limit means that from there on no other
// can go at present. Their attempts, resolutions and callers' keys go with them, in one statement. It may be repeated after a
// lost answer, and done by any number of workers at once.
func (s *Store) MoveFinished(ctx context.Context, status billing.Status, from time.Time, olderThan time.Duration, limit int) (billing.Moved, error) {
	query, ok := moveQuery(status)
	if !ok {
		return billing.Moved{}, &billing.Error{Code: billing.CodeInvalid, Message: "only finished tasks can be archived"}
	}
	row := struct {
		Tasks   int          `db:"tasks"`
		Last    sql.NullTime `db:"last"`
		Workers int          `db:"workers"`
	}{}
	var err error
	for range moveTries {
		err = s.db.onConn(ctx, "archive finished tasks", func(conn *sqlx.Conn) error {
			return conn.GetContext(ctx, &row, query, from.UTC(), olderThan.Seconds(), limit)
		})
		if !hasState(err, stateForeignKey) {
			break
		}
	}
	if err != nil {
		return billing.Moved{}, err
	}
	return billing.Moved{Tasks: row.Tasks, Last: row.Last.Time.UTC(), Workers: row.Workers}, nil
}

// OldestFinished returns how long ago the oldest finished task outside the archive was due, 0 when there is none.
func (s *Store) OldestFinished(ctx context.Context) (time.Duration, error) {
	var oldest float64
	err := s.db.sqlx.GetContext(ctx, &oldest, `
		SELECT coalesce(extract(epoch FROM now() - least(
			(SELECT min(run_at) FROM scheduled_tasks WHERE status = 'succeeded'),
			(SELECT min(run_at) FROM scheduled_tasks WHERE status = 'failed'),
			(SELECT min(run_at) FROM scheduled_tasks WHERE status = 'canceled'))), 0)`)
	if err != nil {
		return 0, translate("find the oldest finished task", err)
	}
	return max(seconds(oldest), 0), nil
}
