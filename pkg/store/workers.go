package store

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// RegisterWorker announces a worker, whose lease begins now.
func (s *Store) RegisterWorker(ctx context.Context, worker billing.Worker) error {
	return s.db.onConn(ctx, "register worker", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `
			INSERT INTO workers (id, hostname, pid, version, concurrency, lease)
			VALUES ($1, $2, $3, $4, $5, make_interval(secs => $6))`,
			worker.ID, worker.Hostname, worker.PID, worker.Version, worker.Concurrency, worker.Lease.Seconds())
		return err
	})
}

// Heartbeat renews a worker's lease and notes the time; a clock that was stepped back is recorded, so that claims count the age
// of a key right. The error has code [billing.CodeLeaseLost] when the worker was declared dead: its tasks belong to others and
// it must register anew under another id.
func (s *Store) Heartbeat(ctx context.Context, id billing.WorkerID) error {
	var renewed int64
	err := s.db.onConn(ctx, "renew the worker's lease", func(conn *sqlx.Conn) error {
		result, err := conn.ExecContext(ctx, `
			WITH latest AS MATERIALIZED (
				SELECT high_water, high_water > now() + interval '5 seconds' AS ahead FROM clock FOR UPDATE
			), stepped AS (
				INSERT INTO clock_steps (high_water, back)
				SELECT high_water, high_water - now() FROM latest WHERE ahead
				ON CONFLICT (seen_at) DO NOTHING
			), noted AS (
				UPDATE clock SET high_water = CASE WHEN latest.ahead THEN now() ELSE greatest(latest.high_water, now()) END
				FROM latest
			)
			UPDATE workers SET heartbeat_at = now() WHERE id = $1`, id)
		if err != nil {
			return err
		}
		renewed, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return err
	}
	if renewed == 0 {
		return &billing.Error{Code: billing.CodeLeaseLost, Message: "the worker was declared dead"}
	}
	return nil
}

// DeregisterWorker takes a worker off the list. What it still runs, if anything, goes to the others.
func (s *Store) DeregisterWorker(ctx context.Context, id billing.WorkerID) error {
	return s.db.onConn(ctx, "deregister worker", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `DELETE FROM workers WHERE id = $1`, id)
		return err
	})
}

// NextLapse returns how long it is until the first lease runs out unless it is renewed; negative when one has run out already,
// and an hour when there is no worker at all.
func (s *Store) NextLapse(ctx context.Context) (time.Duration, error) {
	var next float64
	err := s.db.sqlx.GetContext(ctx, &next, `
		SELECT coalesce(min(extract(epoch FROM heartbeat_at + lease - now())), '3600') FROM workers`)
	if err != nil {
		return 0, translate("find the next lapse of a lease", err)
	}
	return seconds(next), nil
}

// TakeOver declares workers dead that have been silent for longer than their lease, or whose last sign of life lies in the
// future because the clock was stepped back, and gives back up to limit tasks of dead workers. Nobody knows how far those were:
// each keeps its first_sent_at, an attempt of unknown outcome is appended, and a task without an attempt left is in doubt, to be
// looked at after firstLook.
//
// The worker's row is deleted in the transaction that gives back its tasks, so a heartbeat either comes before and saves
// it, or fails and tells the worker.
func (s *Store) TakeOver(ctx context.Context, limit int, firstLook time.Duration) (billing.Takeover, error) {
	rows := []struct {
		billing.Doubted
		InDoubt bool `db:"in_doubt"`
	}{}
	err := s.db.inTx(ctx, "take over tasks", func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM workers WHERE heartbeat_at NOT BETWEEN now() - lease AND now() + lease`); err != nil {
			return err
		}
		return tx.SelectContext(ctx, &rows, takeOverQuery, limit, workerLost, firstLook.Seconds())
	})
	if err != nil {
		return billing.Takeover{}, err
	}
	taken := billing.Takeover{Tasks: len(rows)}
	for _, row := range rows {
		if row.InDoubt {
			taken.Doubted = append(taken.Doubted, row.Doubted)
		}
	}
	return taken, nil
}

const takeOverQuery = `
WITH orphans AS MATERIALIZED (
	SELECT t.id, t.worker_id, t.attempt, t.claimed_at
	FROM scheduled_tasks AS t
	WHERE t.status = 'running' AND NOT EXISTS (SELECT 1 FROM workers AS w WHERE w.id = t.worker_id)
	ORDER BY t.run_at
	LIMIT $1
	FOR UPDATE OF t SKIP LOCKED
), given_back AS (
	UPDATE scheduled_tasks AS t
	SET status = CASE WHEN t.attempt - t.released >= t.max_attempts THEN 'in_doubt' ELSE 'pending' END,
		look_at = CASE WHEN t.attempt - t.released >= t.max_attempts THEN now() + make_interval(secs => $3) END,
		run_at = now(), worker_id = NULL, claimed_at = NULL, updated_at = now(),
		last_error = jsonb_build_object('http_status', 0, 'type', '', 'code', '', 'decline_code', '', 'param', '',
			'message', $2::text, 'request_id', '')
	FROM orphans AS o
	WHERE t.id = o.id AND t.worker_id = o.worker_id AND t.attempt = o.attempt AND (t.status = 'running') IS TRUE
	RETURNING t.id, t.merchant_id, t.kind, t.status, o.attempt, o.worker_id, o.claimed_at, t.last_error
), noted AS (
	INSERT INTO task_attempts (task_id, attempt, worker_id, started_at, outcome, reason, error)
	SELECT id, attempt, worker_id, claimed_at, 'unknown', 'worker_lost', last_error FROM given_back
), tally AS MATERIALIZED (
	SELECT merchant_id, count(*) AS landing, 0 AS refused FROM given_back GROUP BY merchant_id
)` + landing + `
SELECT id, merchant_id, kind, attempt, worker_id, status = 'in_doubt' AS in_doubt FROM given_back`

const workerLost = "the worker that was sending it fell silent"
