// Package floor is what the bare statements give: claim and complete in batches, single and batched inserts, in loops with
// nothing around them. No scheduler on the same PostgreSQL can be faster for long.
//
// It promises the statements of a good queue (one index, batches, fencing, a watermark) on a table with a bigint key and the
// same parameters that every contender's tasks carry, and one round trip a statement. It runs nothing, retries nothing, keeps
// no attempt, and is no product.
package floor

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"

	"billonce/bench/stage"
)

// Schema makes the table.
const Schema = `
CREATE TABLE tasks (
	id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	merchant_id      bigint      NOT NULL,
	kind             text        NOT NULL,
	status           text        NOT NULL DEFAULT 'pending',
	run_at           timestamptz NOT NULL DEFAULT now(),
	scheduled_for    timestamptz NOT NULL DEFAULT now(),
	attempt          int         NOT NULL DEFAULT 0,
	max_attempts     int         NOT NULL DEFAULT 100,
	lease_token      bigint,
	worker_id        text,
	first_attempt_at timestamptz,
	params           jsonb       NOT NULL,
	created_at       timestamptz NOT NULL DEFAULT now(),
	updated_at       timestamptz NOT NULL DEFAULT now(),
	finished_at      timestamptz
) WITH (fillfactor = 90,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1,
        autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000);
CREATE INDEX tasks_status_run_at ON tasks (status, run_at);`

const claim = `
WITH c AS MATERIALIZED (
	SELECT id FROM tasks
	WHERE status = 'pending' AND run_at >= $1 AND run_at <= now()
	ORDER BY run_at LIMIT $2 FOR UPDATE SKIP LOCKED)
UPDATE tasks AS t
SET status = 'running', attempt = t.attempt + 1, lease_token = $3, worker_id = 'floor',
	first_attempt_at = coalesce(t.first_attempt_at, now()), updated_at = now()
FROM c WHERE t.id = c.id
RETURNING t.id, t.merchant_id, t.kind, t.attempt, t.max_attempts, t.params, t.run_at`

const complete = `
UPDATE tasks AS t
SET status = 'succeeded', lease_token = NULL, worker_id = NULL, finished_at = now(), updated_at = now()
FROM unnest($1::bigint[]) AS d (id)
WHERE t.id = d.id AND t.lease_token = $2 AND (t.status = 'running') IS TRUE
RETURNING t.id`

const insertOne = `INSERT INTO tasks (merchant_id, kind, params) VALUES ($1, $2, $3) RETURNING id`

const insertMany = `
INSERT INTO tasks (merchant_id, kind, params)
SELECT m, k, p FROM unnest($1::bigint[], $2::text[], $3::jsonb[]) AS n (m, k, p) RETURNING id`

const (
	kind      = "payment_intent.create"
	merchants = 100
	// A full sweep of the index, for rows that came behind the watermark.
	sweepEvery = 5 * time.Second
	// How far behind the clock the watermark stays, for transactions that commit late.
	margin = 2 * time.Second
)

// Load inserts n due tasks.
func Load(ctx context.Context, db *sql.DB, n int) error {
	const batch = 10_000
	for from := 0; from < n; from += batch {
		if err := insertBatch(ctx, db, from, min(batch, n-from)); err != nil {
			return err
		}
	}
	return nil
}

func insertBatch(ctx context.Context, db *sql.DB, from, size int) error {
	ids, kinds, params := make([]int64, size), make([]string, size), make([]string, size)
	for i := range size {
		ids[i], kinds[i], params[i] = int64((from+i)%merchants), kind, string(stage.PaymentParams(from+i))
	}
	rows, err := db.QueryContext(ctx, insertMany, pq.Array(ids), pq.Array(kinds), pq.Array(params))
	if err != nil {
		return fmt.Errorf("insert a batch: %w", err)
	}
	return drainRows(rows, new(int64))
}

// drainRows reads one number from each row, as a caller would who wants the ids.
func drainRows(rows *sql.Rows, id *int64) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := rows.Scan(id); err != nil {
			return fmt.Errorf("read an id: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the ids: %w", err)
	}
	return nil
}
