package store

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// noteClock are the parts of a statement that note the time and, where the clock was stepped back, the step. lease is the longest of a
// worker that may have sent before it. of is what is noted: where it is a step alone, nobody waits for the statement to be committed while
// there is none.
func noteClock(lease, of string) string {
	return `latest AS MATERIALIZED (
		SELECT high_water, ` + stepped + ` AS ahead FROM clock WHERE ` + of + ` FOR UPDATE
	), stepped AS (
		INSERT INTO clock_steps (high_water, back)
		SELECT high_water + coalesce(` + lease + `, '0'), high_water - now() FROM latest WHERE ahead
		ON CONFLICT (seen_at) DO NOTHING
	), noted AS (
		UPDATE clock SET high_water = CASE WHEN latest.ahead THEN now() ELSE greatest(latest.high_water, now()) END
		FROM latest
	)`
}

const (
	anyTime      = `true`
	stepped      = `high_water > now() + interval '5 seconds'`
	longestLease = `(SELECT max(lease) FROM workers)`
)

// RegisterWorker announces a worker, whose lease begins now, and notes the time as [Store.Heartbeat] does.
func (s *Store) RegisterWorker(ctx context.Context, worker billing.Worker) error {
	return s.db.onConn(ctx, "register worker", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `
			WITH `+noteClock(`greatest(`+longestLease+`, make_interval(secs => $6))`, anyTime)+`
			INSERT INTO workers (id, hostname, pid, version, concurrency, lease)
			VALUES ($1, $2, $3, $4, $5, make_interval(secs => $6))`,
			worker.ID, worker.Hostname, worker.PID, worker.Version, worker.Concurrency, worker.Lease.Seconds())
		return err
	})
}

// Heartbeat renews a worker's lease and notes the time; a clock that was stepped back is recorded, so that claims count the age
// of a key right. The step counts for what was sent between the last heartbeat and the step as well: nobody sends for longer than a lease after
// his last heartbeat. The error has code [billing.CodeLeaseLost] when the worker was declared dead: its tasks belong to others and
// it must register anew under another id.
func (s *Store) Heartbeat(ctx context.Context, id billing.WorkerID) error {
	var renewed int64
	err := s.db.onConn(ctx, "renew the worker's lease", func(conn *sqlx.Conn) error {
		result, err := conn.ExecContext(ctx, `
			WITH `+noteClock(longestLease, anyTime)+`
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

// DrainWorker notes that a worker only ends what it has begun.
func (s *Store) DrainWorker(ctx context.Context, id billing.WorkerID) error {
	return s.db.onConn(ctx, "note that the worker drains", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `UPDATE workers SET draining_at = now() WHERE id = $1 AND draining_at IS NULL`, id)
		return err
	})
}

// recordOutcomes also deletes what nobody asks for any more, a bounded piece of it: whoever else is at the same piece has it.
const recordOutcomes = `
	WITH old AS MATERIALIZED (
		SELECT minute, worker_id FROM outcome_minutes WHERE minute < now() - interval '48 hours'
		ORDER BY minute, worker_id LIMIT 500 FOR UPDATE SKIP LOCKED
	), forgotten AS (
		DELETE FROM outcome_minutes AS m USING old WHERE m.minute = old.minute AND m.worker_id = old.worker_id
	)
	INSERT INTO outcome_minutes AS m (minute, worker_id, succeeded, failed, in_doubt, retried)
	VALUES (date_trunc('minute', now()), $1, $2, $3, $4, $5)
	ON CONFLICT (minute, worker_id) DO UPDATE SET succeeded = m.succeeded + excluded.succeeded, failed = m.failed + excluded.failed,
		in_doubt = m.in_doubt + excluded.in_doubt, retried = m.retried + excluded.retried`

// RecordOutcomes adds to what attempts of a worker came to in the present minute.
func (s *Store) RecordOutcomes(ctx context.Context, worker billing.WorkerID, outcomes billing.OutcomeCounts) error {
	return s.db.onConn(ctx, "record outcomes", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, recordOutcomes, worker, outcomes.Succeeded, outcomes.Failed, outcomes.InDoubt, outcomes.Retried)
		return err
	})
}

// isAlive is whether a worker has kept its lease.
const isAlive = `heartbeat_at BETWEEN now() - lease AND now() + lease`

// listWorkers counts what each worker carries out from the index on status. Parameters: how many workers, and how many tasks.
const listWorkers = `
	WITH running AS MATERIALIZED (
		SELECT worker_id, count(*) AS n
		FROM (SELECT worker_id FROM scheduled_tasks WHERE status = 'running' LIMIT $2) AS looked
		GROUP BY worker_id
	)
	SELECT w.id, w.hostname, w.version, w.concurrency, w.started_at, w.heartbeat_at, w.alive, w.draining_at IS NOT NULL AS draining,
		coalesce((SELECT r.n FROM running AS r WHERE r.worker_id = w.id), 0) AS busy
	FROM (
		SELECT id, hostname, version, concurrency, started_at, heartbeat_at, draining_at, ` + isAlive + ` AS alive FROM workers
	) AS w
	ORDER BY w.alive DESC, w.started_at DESC, w.id
	LIMIT $1`

// ListWorkers returns up to limit workers, those alive first, then the newest first.
func (s *Store) ListWorkers(ctx context.Context, limit int) ([]billing.WorkerStanding, error) {
	rows := []struct {
		ID          string    `db:"id"`
		Hostname    string    `db:"hostname"`
		Version     string    `db:"version"`
		Concurrency int       `db:"concurrency"`
		StartedAt   time.Time `db:"started_at"`
		HeartbeatAt time.Time `db:"heartbeat_at"`
		Alive       bool      `db:"alive"`
		Draining    bool      `db:"draining"`
		Busy        int       `db:"busy"`
	}{}
	const mostRunning = 100_000
	if err := s.db.sqlx.SelectContext(ctx, &rows, listWorkers, limit, mostRunning); err != nil {
		return nil, translate("list workers", err)
	}
	workers := make([]billing.WorkerStanding, len(rows))
	for i, row := range rows {
		workers[i] = billing.WorkerStanding{
			Worker: billing.Worker{ID: billing.WorkerID(row.ID), Hostname: row.Hostname, Version: row.Version, Concurrency: row.Concurrency},
			Busy:   row.Busy, StartedAt: row.StartedAt.UTC(), HeartbeatAt: row.HeartbeatAt.UTC(), Alive: row.Alive, Draining: row.Draining,
		}
	}
	return workers, nil
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
	err := s.db.inTx(ctx, "take over tasks", func(tx *transaction) error {
		// A step back ends the leases of all: it is noted while it can be seen how long they were.
		_, err := tx.ExecContext(ctx, `
			WITH `+noteClock(longestLease, stepped)+`
			DELETE FROM workers WHERE heartbeat_at NOT BETWEEN now() - lease AND now() + lease`)
		if err != nil {
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
	RETURNING t.id, t.merchant_id, t.kind, t.target, t.status, t.run_at, t.released, t.looks, o.attempt, o.worker_id, o.claimed_at, t.last_error
), noted AS (
	INSERT INTO task_attempts (task_id, attempt, worker_id, started_at, outcome, reason, error)
	SELECT id, attempt, worker_id, claimed_at, 'unknown', 'worker_lost', last_error FROM given_back
), tally AS MATERIALIZED (
	SELECT merchant_id, count(*) AS landing, 0 AS refused FROM given_back GROUP BY merchant_id
)` + landing + tell + `given_back` + telling + `(
		SELECT id, merchant_id, kind, target, status, attempt - released - looks AS attempt, run_at FROM given_back
	) AS given_back` + toldAll + `
SELECT id, merchant_id, kind, attempt, worker_id, status = 'in_doubt' AS in_doubt FROM given_back`

const workerLost = "the worker that was sending it fell silent"
