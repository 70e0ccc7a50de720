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
// The arrays are unnested in the list of what is selected, where the rows come one by one: in FROM each array would first become a
// table of its own, and all of them together another. Where no request is followed, the last array is empty, which is NULL for all.
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
), keyed AS (
	INSERT INTO task_keys (key, task_id, fingerprint, scheduled_for, run_at)
	SELECT key, id, fingerprint, CASE WHEN at = '-infinity' THEN now() ELSE at END, greatest(at, now())
	FROM patience CROSS JOIN (
		SELECT unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS merchant_id, unnest($13::timestamptz[]) AS at, unnest($16::text[]) AS key,
			unnest($17::bytea[]) AS fingerprint
	) AS n
	WHERE key <> '' AND ` + isSchedulable + `
	ORDER BY key COLLATE "C"
	ON CONFLICT (key) DO NOTHING RETURNING task_id
), made AS (
	INSERT INTO scheduled_tasks (id, merchant_id, kind, target, params, metadata, on_decline,
		request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts, created_by,
		trace_context)
	SELECT id, merchant_id, kind, target, params::jsonb, metadata::jsonb, nullif(on_decline, '')::jsonb,
		request_method, request_path, request_body, request_version, request_hash,
		greatest(at, now()) + CASE WHEN $18 OR at > now() THEN spread * interval '1 microsecond' ELSE interval '0' END,
		CASE WHEN at = '-infinity' THEN now() ELSE at END, max_attempts, nullif(created_by, ''), nullif(trace_context, '')
	FROM (
		SELECT unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS merchant_id, unnest($3::text[]) AS kind, unnest($4::text[]) AS target,
			unnest($5::text[]) AS params, unnest($6::text[]) AS metadata, unnest($7::text[]) AS on_decline, unnest($8::text[]) AS request_method,
			unnest($9::text[]) AS request_path, unnest($10::text[]) AS request_body, unnest($11::text[]) AS request_version,
			unnest($12::bytea[]) AS request_hash, unnest($13::timestamptz[]) AS at, unnest($14::int[]) AS spread,
			unnest($15::int[]) AS max_attempts, unnest($16::text[]) AS key, unnest($20::text[]) AS created_by,
			unnest($21::text[]) AS trace_context
	) AS n
	WHERE ` + isSchedulable + `
		AND (key = '' OR id IN (SELECT task_id FROM keyed))
	RETURNING id, merchant_id, kind, target, scheduled_for
)` + tellCreated + `
SELECT now(), count(*), CASE WHEN count(*) < cardinality($1::uuid[]) THEN array_agg(id)::text[] END FROM made`

// isSchedulable says in [scheduleQuery] that nothing is the matter with a task, its key left aside.
const isSchedulable = `(merchant_id IN (SELECT id FROM connected)) IS TRUE -- looked up in a hash
		AND (at = '-infinity' OR at BETWEEN now() - interval '1 minute' AND now() + interval '87600 hours')`

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
