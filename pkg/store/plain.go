package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// plainBatches is how many batches are scheduled at once, as a rule; more are, each on a connection that is prepared for it.
const plainBatches = 2

// scheduleQuery schedules those of the given tasks about which there is nothing to say: the merchant is connected, the time is
// within bounds, and the key is new. It says the time and how many there are of them, and if they are not all, which. It
// neither fails for the others nor writes anything for them; [createTasks] finds out what is the matter with each.
//
// Keys are taken in one order by everybody, so that two statements cannot deadlock; a key that somebody else is about to take is
// waited for only briefly, because others may be waiting for this statement.
const scheduleQuery = `
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '100ms', true)),
connected AS MATERIALIZED (
	SELECT m.id
	FROM unnest($19::uuid[]) AS named (id)
	CROSS JOIN LATERAL (SELECT id, disconnected_at FROM merchants WHERE id = named.id OFFSET 0) AS m -- by its key, not by another index
	WHERE m.disconnected_at IS NULL
), new AS MATERIALIZED (
	SELECT n.*, CASE WHEN n.at = '-infinity' THEN now() ELSE n.at END AS scheduled_for
	FROM patience CROSS JOIN unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::text[], $10::text[], $11::text[], $12::bytea[], $13::timestamptz[], $14::int[], $15::int[], $16::text[], $17::bytea[])
		AS n (id, merchant_id, kind, target, params, metadata, on_decline, request_method, request_path, request_body,
			request_version, request_hash, at, spread, max_attempts, key, fingerprint)
	WHERE (n.merchant_id IN (SELECT id FROM connected)) IS TRUE -- looked up in a hash
		AND (n.at = '-infinity' OR n.at BETWEEN now() - interval '1 minute' AND now() + interval '87600 hours')
), keyed AS (
	INSERT INTO task_keys (key, task_id, fingerprint, scheduled_for, run_at)
	SELECT key, id, fingerprint, scheduled_for, greatest(scheduled_for, now())
	FROM new WHERE key <> ''
	ORDER BY key COLLATE "C"
	ON CONFLICT (key) DO NOTHING RETURNING task_id
), made AS (
	INSERT INTO scheduled_tasks (id, merchant_id, kind, target, params, metadata, on_decline,
		request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts)
	SELECT id, merchant_id, kind, target, params::jsonb, metadata::jsonb, nullif(on_decline, '')::jsonb,
		request_method, request_path, request_body, request_version, request_hash,
		greatest(scheduled_for, now()) + CASE WHEN $18 OR scheduled_for > now() THEN spread * interval '1 microsecond' ELSE interval '0' END,
		scheduled_for, max_attempts
	FROM new WHERE key = '' OR id IN (SELECT task_id FROM keyed)
	RETURNING id
)
SELECT now(), count(*), CASE WHEN count(*) < cardinality($1::uuid[]) THEN array_agg(id)::text[] END FROM made`

// isPlain reports whether [scheduleQuery] may schedule a task: an intent has to be looked for in two tables, and repetitions
// are judged by what they repeat.
func isPlain(task *billing.NewTask) bool {
	return task.Intent == "" && task.RetryOf == "" && task.Declines == 0
}

// scheduled is what [scheduleQuery] answers.
type scheduled struct {
	now  time.Time
	n    int
	some pq.StringArray // the ids, unless all were scheduled
}

func schedulePlain(ctx context.Context, stmt *sql.Stmt, args []any) (scheduled, error) {
	var said scheduled
	err := stmt.QueryRowContext(ctx, args...).Scan(&said.now, &said.n, &said.some)
	said.now = said.now.UTC()
	return said, err
}

// createPlain schedules tasks in the way that is fast and knows nothing but success: nil without an error means that nothing has
// been written and [createTasks] has to be asked.
func (s *Store) createPlain(ctx context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
	for i := range tasks {
		if !isPlain(&tasks[i]) {
			return nil, nil
		}
	}
	if len(tasks) == 1 {
		return s.single.create(ctx, tasks[0])
	}
	args, err := newArgs(len(tasks), true, func(i int) *billing.NewTask { return &tasks[i] })
	if err != nil {
		return nil, nil //nolint:nilerr // the other way says what is wrong
	}
	var said scheduled
	all := false
	err = s.plain.runTx(ctx, "create tasks", func(stmt *sql.Stmt) (bool, error) {
		var err error
		said, err = schedulePlain(ctx, stmt, args)
		all = err == nil && said.n == len(tasks)
		return all, err
	})
	switch {
	case err != nil && (all || !undone(err)): // all: it is the commit that failed, and may have been done
		return nil, err
	case err != nil || !all:
		return nil, nil //nolint:nilerr // the other way says what is wrong
	}
	created := make([]billing.CreatedTask, len(tasks))
	for i, task := range tasks {
		created[i].Task = asCreated(task, said.now)
	}
	return created, nil
}

// undone reports whether err says that a statement has had no effect because of what it was to write or of a lock: it may then be
// tried in another way. Of any other error nobody knows, or the database has trouble enough.
func undone(err error) bool {
	var failure *pq.Error
	if !errors.As(err, &failure) || failure.Fatal() || failure.Code == stateCompletionUnknown {
		return false
	}
	switch failure.Code.Class() {
	case "22", "23", "40": // data, constraints, deadlocks
		return true
	}
	return failure.Code == stateLockNotAvailable
}
