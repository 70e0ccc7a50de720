package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// claimQuery takes due tasks in the order of run_at. Two sorts of due tasks are put aside instead, so that they neither cost
// anything more nor stand in front of others:
//
//   - Those of a merchant that is paused or disconnected. Resuming the merchant brings them back, and a quarter of an hour
//     does at the latest.
//   - Those whose object is taken: a task with the same merchant and target may have reached Stripe and its outcome is not
//     known, or one that is to go first waits already. The settlement that frees the object brings the first one back; each
//     also looks again by itself, after as long as it has waited so far, because the two statements may cross.
//
// scheduled_tasks_one_per_object holds the same rule against claims that run at the same moment.
//
// first_sent_at, and as whom the task is sent, are durable before the caller learns of the claim. A claim that finds them
// set already is a re-send: the first values stay. Its age counts the hours that a clock stepped back has shown twice.
const claimQuery = `
WITH due AS MATERIALIZED (
	SELECT id, merchant_id, target, run_at, scheduled_for, first_sent_at
	FROM scheduled_tasks
	WHERE status = 'pending' AND run_at <= now()
	ORDER BY run_at
	LIMIT $2
	FOR UPDATE SKIP LOCKED
), judged AS MATERIALIZED (
	SELECT due.id, due.run_at, due.first_sent_at, m.stripe_connect_id,
		CASE WHEN m.access_token IS NULL THEN 'platform' ELSE 'token' END AS auth,
		m.paused_at IS NOT NULL OR m.disconnected_at IS NOT NULL AS held,
		due.target <> '' AND due.first_sent_at IS NULL AND (
			row_number() OVER (PARTITION BY due.target, due.merchant_id
				ORDER BY due.first_sent_at IS NULL, due.scheduled_for, due.id) > 1
			OR EXISTS (
				SELECT 1 FROM scheduled_tasks AS o
				WHERE o.target = due.target AND o.merchant_id = due.merchant_id
					AND o.target <> '' AND o.first_sent_at IS NOT NULL AND o.finished_at IS NULL)
			OR EXISTS (
				SELECT 1 FROM scheduled_tasks AS o
				WHERE o.target = due.target AND o.merchant_id = due.merchant_id
					AND o.waiting_since IS NOT NULL AND (o.scheduled_for, o.id) < (due.scheduled_for, due.id))
		) AS blocked
	FROM due JOIN merchants AS m ON m.id = due.merchant_id
), put_aside AS (
	UPDATE scheduled_tasks AS t
	SET held_at = CASE WHEN j.held THEN now() END,
		waiting_since = CASE WHEN j.held THEN t.waiting_since ELSE coalesce(t.waiting_since, now()) END,
		run_at = now() + CASE WHEN j.held THEN interval '15 minutes'
			ELSE least(greatest(now() - t.waiting_since, interval '2 seconds'), interval '15 minutes') END,
		updated_at = now()
	FROM judged AS j
	WHERE t.id = j.id AND (j.held OR j.blocked)
), claimed AS (
	UPDATE scheduled_tasks AS t
	SET status = 'running', attempt = t.attempt + 1, worker_id = $1, claimed_at = now(), held_at = NULL, waiting_since = NULL,
		first_sent_at = coalesce(t.first_sent_at, now()),
		sent_auth = coalesce(t.sent_auth, j.auth),
		sent_account = coalesce(t.sent_account, j.stripe_connect_id),
		updated_at = now()
	FROM judged AS j
	WHERE t.id = j.id AND NOT j.held AND NOT j.blocked
	RETURNING t.id, t.merchant_id, t.kind, t.target, t.request_method, t.request_path, t.request_body, t.request_version,
		t.request_hash, t.attempt, t.max_attempts, t.released, t.scheduled_for, t.claimed_at, t.sent_auth,
		t.sent_account, t.on_decline, t.declines,
		extract(epoch FROM t.claimed_at - j.run_at) AS lag,
		j.first_sent_at IS NOT NULL AS resend,
		extract(epoch FROM t.claimed_at - t.first_sent_at + coalesce(
			(SELECT sum(back) FROM clock_steps WHERE high_water >= t.first_sent_at), '0')) AS since_sent
)
SELECT (SELECT count(*) FROM due) AS due, c.id, c.merchant_id, c.kind, c.target, c.request_method, c.request_path,
	c.request_body, c.request_version, c.request_hash, c.attempt, c.max_attempts, c.released, c.scheduled_for,
	c.claimed_at, c.sent_auth, c.sent_account, c.on_decline, c.declines, c.lag, c.resend, c.since_sent
FROM (SELECT 1) AS always LEFT JOIN claimed AS c ON true
ORDER BY c.lag DESC`

// claimRow is one claimed task. Without a claim there is one row that holds only the number of due tasks seen.
type claimRow struct {
	Due           int             `db:"due"`
	ID            sql.NullString  `db:"id"`
	MerchantID    sql.NullString  `db:"merchant_id"`
	Kind          sql.NullString  `db:"kind"`
	Target        sql.NullString  `db:"target"`
	RequestMethod sql.NullString  `db:"request_method"`
	RequestPath   sql.NullString  `db:"request_path"`
	RequestBody   sql.NullString  `db:"request_body"`
	Version       sql.NullString  `db:"request_version"`
	RequestHash   []byte          `db:"request_hash"`
	Attempt       sql.NullInt64   `db:"attempt"`
	MaxAttempts   sql.NullInt64   `db:"max_attempts"`
	Released      sql.NullInt64   `db:"released"`
	ScheduledFor  sql.NullTime    `db:"scheduled_for"`
	ClaimedAt     sql.NullTime    `db:"claimed_at"`
	Auth          sql.NullString  `db:"sent_auth"`
	Account       sql.NullString  `db:"sent_account"`
	OnDecline     sql.NullString  `db:"on_decline"`
	Declines      sql.NullInt64   `db:"declines"`
	Lag           sql.NullFloat64 `db:"lag"`
	Resend        sql.NullBool    `db:"resend"`
	SinceSent     sql.NullFloat64 `db:"since_sent"`
}

func (row claimRow) claim(worker billing.WorkerID) (billing.Claim, error) {
	plan, err := readDunning(row.OnDecline)
	if err != nil {
		return billing.Claim{}, fmt.Errorf("task %s: %w", row.ID.String, err)
	}
	return billing.Claim{
		ID: billing.TaskID(row.ID.String), MerchantID: billing.MerchantID(row.MerchantID.String),
		Kind: billing.Kind(row.Kind.String), Target: row.Target.String,
		Request: billing.Request{
			Method: row.RequestMethod.String, Path: row.RequestPath.String, Body: row.RequestBody.String, APIVersion: row.Version.String,
		},
		RequestHash: row.RequestHash, Worker: worker,
		Attempt: int(row.Attempt.Int64), MaxAttempts: int(row.MaxAttempts.Int64), Released: int(row.Released.Int64),
		ScheduledFor: row.ScheduledFor.Time.UTC(), ClaimedAt: row.ClaimedAt.Time.UTC(),
		Auth: billing.AuthMode(row.Auth.String), Account: row.Account.String,
		Lag: seconds(row.Lag.Float64), Resend: row.Resend.Bool, SinceSent: seconds(row.SinceSent.Float64),
		OnDecline: plan, Declines: int(row.Declines.Int64),
	}, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

const (
	onePerObject = "scheduled_tasks_one_per_object"
	claimTries   = 5
)

// Claim takes up to limit due tasks for worker, in the order of run_at. more reports that limit due tasks were seen, so
// that another claim is worth making at once, even if this one returned nothing. After an error the claim may have
// happened all the same: the worker calls [Store.RecoverOwn] before it claims again.
func (s *Store) Claim(ctx context.Context, worker billing.WorkerID, limit int) (claims []billing.Claim, more bool, err error) {
	rows := []claimRow{}
	for try := 1; ; try++ {
		rows = rows[:0]
		err = s.db.onConn(ctx, "claim tasks", func(conn *sqlx.Conn) error {
			return conn.SelectContext(ctx, &rows, claimQuery, worker, limit)
		})
		// Another claim took an object between this one's look and its write. The other one is visible now.
		if try == claimTries || !violates(err, onePerObject) && !hasState(err, stateDeadlock) {
			break
		}
	}
	if violates(err, onePerObject) {
		return nil, false, &billing.Error{Code: billing.CodeUnavailable, Err: err}
	}
	if err != nil {
		return nil, false, err
	}
	for _, row := range rows {
		more = row.Due >= limit
		if !row.ID.Valid {
			continue
		}
		claim, err := row.claim(worker)
		if err != nil {
			return nil, false, fmt.Errorf("claim tasks: %w", err)
		}
		claims = append(claims, claim)
	}
	return claims, more, nil
}

// Release gives claims back unsent: the tasks are pending again at once, their attempts do not count, and where nothing
// was sent before they may be canceled again. Claims that are no longer held are left alone. Other workers are woken.
func (s *Store) Release(ctx context.Context, claims []billing.Claim) error {
	var ids, workers []string
	var attempts []int64
	for _, claim := range claims {
		ids = append(ids, string(claim.ID))
		workers = append(workers, string(claim.Worker))
		attempts = append(attempts, int64(claim.Attempt))
	}
	released := int64(0)
	err := s.db.onConn(ctx, "release tasks", func(conn *sqlx.Conn) error {
		result, err := conn.ExecContext(ctx, `
			UPDATE scheduled_tasks AS t
			SET `+releaseAssignments+`
			FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS r (id, worker_id, attempt)
			WHERE t.id = r.id AND t.worker_id = r.worker_id AND t.attempt = r.attempt AND (t.status = 'running') IS TRUE`,
			pq.Array(ids), pq.Array(workers), pq.Array(attempts))
		if err != nil {
			return err
		}
		released, err = result.RowsAffected()
		return err
	})
	if released > 0 {
		s.Wake()
	}
	return err
}

// releaseAssignments undo a claim whose request was never sent. The claim set first_sent_at exactly when it equals
// claimed_at: both are the clock of the claiming transaction.
const releaseAssignments = `status = 'pending', run_at = now(), released = t.released + 1, worker_id = NULL, claimed_at = NULL,
	first_sent_at = CASE WHEN t.first_sent_at = t.claimed_at THEN NULL ELSE t.first_sent_at END,
	sent_auth = CASE WHEN t.first_sent_at = t.claimed_at THEN NULL ELSE t.sent_auth END,
	sent_account = CASE WHEN t.first_sent_at = t.claimed_at THEN NULL ELSE t.sent_account END,
	updated_at = now()`

// RecoverOwn gives back tasks that the database says worker is running and that are not among held: claims whose answer
// was lost on the way. Nothing of them was sent, because the worker never learned of them. It must not run beside a Claim
// of the same worker.
func (s *Store) RecoverOwn(ctx context.Context, worker billing.WorkerID, held []billing.TaskID) (int, error) {
	var recovered int64
	ids := make([]string, len(held))
	for i, id := range held {
		ids[i] = string(id)
	}
	err := s.db.onConn(ctx, "recover own tasks", func(conn *sqlx.Conn) error {
		result, err := conn.ExecContext(ctx, `
			UPDATE scheduled_tasks AS t
			SET `+releaseAssignments+`
			WHERE t.status = 'running' AND t.worker_id = $1 AND t.id <> ALL ($2::uuid[])`, worker, pq.Array(ids))
		if err != nil {
			return err
		}
		recovered, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(recovered), nil
}

// FreeHeld brings back the tasks that were put aside for a pause of their merchant that has ended within the last few
// minutes, and returns how many. ResumeMerchant calls it; workers repeat it, because a claim that began before the pause
// ended may put tasks aside just after.
func (s *Store) FreeHeld(ctx context.Context) (int, error) {
	var freed int64
	err := s.db.onConn(ctx, "free held tasks", func(conn *sqlx.Conn) error {
		result, err := conn.ExecContext(ctx, `
			WITH back AS MATERIALIZED (
				SELECT t.id, row_number() OVER (ORDER BY t.scheduled_for, t.id) AS place
				FROM merchants AS m JOIN scheduled_tasks AS t ON t.merchant_id = m.id AND t.held_at IS NOT NULL
				WHERE m.resumed_at > now() - interval '5 minutes' AND m.paused_at IS NULL AND m.disconnected_at IS NULL
			)
			UPDATE scheduled_tasks AS t
			SET held_at = NULL, run_at = now() + back.place * interval '1 microsecond', updated_at = now()
			FROM back
			WHERE t.id = back.id AND t.held_at IS NOT NULL AND (t.status = 'pending') IS TRUE`)
		if err != nil {
			return err
		}
		freed, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("free held tasks: %w", err)
	}
	return int(freed), nil
}
