package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// claimQuery takes due tasks in the order of run_at, from the watermark $3 on. Two sorts of due tasks are put aside instead, so
// that they neither cost anything more nor stand in front of others:
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
// set already is a re-send: the first values stay. Ages count the hours that a clock stepped back has shown twice, those too that
// no heartbeat has noted yet.
//
// The first row is about the claim itself and has no id: attempt is the number of due tasks seen, lag the seconds until the next
// one, claimed_at the database's time, watermark the one for the next claim.
const claimQuery = `
WITH due AS MATERIALIZED (
	SELECT id, merchant_id, target, run_at, scheduled_for, first_sent_at
	FROM scheduled_tasks
	WHERE status = 'pending' AND run_at >= $3::timestamptz AND run_at <= now()
	ORDER BY run_at
	LIMIT $2
	FOR UPDATE SKIP LOCKED
), rivals AS MATERIALIZED (
	SELECT id, merchant_id, target, scheduled_for, first_sent_at,
		row_number() OVER (PARTITION BY target, merchant_id ORDER BY first_sent_at IS NULL, scheduled_for, id) AS place
	FROM due
	WHERE target <> ''
), blocked AS MATERIALIZED (
	SELECT r.id
	FROM rivals AS r
	WHERE r.first_sent_at IS NULL AND (
		r.place > 1
		OR (SELECT 1 FROM scheduled_tasks AS o
			WHERE o.target = r.target AND o.merchant_id = r.merchant_id
				AND o.target <> '' AND o.first_sent_at IS NOT NULL AND o.finished_at IS NULL
			LIMIT 1) IS NOT NULL -- an EXISTS may be planned as a walk over the whole index
		OR (SELECT 1 FROM scheduled_tasks AS o
			WHERE o.target = r.target AND o.merchant_id = r.merchant_id
				AND o.waiting_since IS NOT NULL AND (o.scheduled_for, o.id) < (r.scheduled_for, r.id)
			LIMIT 1) IS NOT NULL)
), judged AS MATERIALIZED (
	SELECT due.id, due.run_at, due.first_sent_at, m.stripe_connect_id,
		CASE WHEN m.access_token IS NULL THEN 'platform' ELSE 'token' END AS auth,
		m.paused_at IS NOT NULL OR m.disconnected_at IS NOT NULL AS held,
		due.target <> '' AND due.id IN (SELECT id FROM blocked) AS blocked
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
), behind AS MATERIALIZED (
	SELECT CASE WHEN high_water > now() THEN high_water - now() ELSE '0' END AS unnoted FROM clock
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
		t.request_hash, t.attempt, t.max_attempts, t.released, t.sent_auth, t.sent_account, t.on_decline, t.declines,
		date_part('epoch', now() - j.run_at) AS lag, j.first_sent_at, t.scheduled_for
)
SELECT NULL::uuid AS id, NULL::uuid AS merchant_id, '' AS kind, '' AS target, '' AS request_method, '' AS request_path,
	'' AS request_body, '' AS request_version, ''::bytea AS request_hash,
	(SELECT count(*) FROM due)::integer AS attempt, 0 AS max_attempts, 0 AS released, '' AS sent_auth, '' AS sent_account,
	NULL::jsonb AS on_decline, 0 AS declines,
	CASE WHEN (SELECT count(*) FROM due) < $2 THEN (
		SELECT date_part('epoch', min(run_at) - now()) FROM scheduled_tasks WHERE status = 'pending' AND run_at > now()) END AS lag,
	NULL::float8 AS since_sent, NULL::float8 AS late, now() AS claimed_at,
	least((SELECT min(run_at) FROM due), now() - interval '2 seconds') AS watermark
UNION ALL
SELECT id, merchant_id, kind, target, request_method, request_path, request_body, request_version, request_hash, attempt,
	max_attempts, released, sent_auth, sent_account, on_decline, declines, lag,
	CASE WHEN first_sent_at IS NOT NULL THEN date_part('epoch', now() - first_sent_at + (SELECT unnoted FROM behind)
		+ coalesce((SELECT sum(back) FROM clock_steps WHERE high_water >= first_sent_at), '0')) END,
	date_part('epoch', now() - scheduled_for + (SELECT unnoted FROM behind)
		+ coalesce((SELECT sum(back) FROM clock_steps WHERE high_water >= scheduled_for), '0')),
	NULL, NULL
FROM claimed`

const (
	onePerObject  = "scheduled_tasks_one_per_object"
	claimTries    = 5
	sweepInterval = 5 * time.Second
	noWatermark   = "-infinity"
)

// watermark is the run_at from which on a claim looks for due tasks. Behind it lie the index entries of tasks that are done; while
// some transaction holds an old snapshot, nobody may remove them, and each claim would walk over all of them again.
//
// Whatever makes a task due sets a run_at that is not in the past, so that only a transaction that takes long to commit can put one
// behind the mark; a sweep from the very beginning finds it a little later.
type watermark struct {
	mu    sync.Mutex
	since string
	swept time.Time
}

// next returns from where to claim, which every sweepInterval is the very beginning.
func (w *watermark) next() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); w.since == "" || now.Sub(w.swept) > sweepInterval { //nolint:forbidigo // the pace of sweeps
		w.swept = now
		return noWatermark
	}
	return w.since
}

func (w *watermark) advance(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = to
}

// sweep makes the next claim begin at the very beginning.
func (w *watermark) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since = ""
}

// Claim takes up to limit due tasks for worker, about in the order of run_at. Batch.More reports that limit due tasks were seen, so
// that another claim is worth making at once, even if this one returned nothing. After an error the claim may have
// happened all the same: the worker calls [Store.RecoverOwn] before it claims again.
func (s *Store) Claim(ctx context.Context, worker billing.WorkerID, limit int) (billing.Batch, error) {
	for try := 1; ; try++ {
		batch, err := s.claimOnce(ctx, worker, limit)
		switch {
		// Another claim took an object between this one's look and its write. The other one is visible now.
		case violates(err, onePerObject) && try == claimTries:
			return billing.Batch{}, &billing.Error{Code: billing.CodeUnavailable, Err: err}
		case try < claimTries && (violates(err, onePerObject) || hasState(err, stateDeadlock)):
		case err != nil:
			s.marked.sweep()
			return billing.Batch{}, err
		default:
			return batch, nil
		}
	}
}

func (s *Store) claimOnce(ctx context.Context, worker billing.WorkerID, limit int) (batch billing.Batch, err error) {
	err = s.claims.run(ctx, "claim tasks", func(stmt *sql.Stmt) error {
		rows, err := stmt.QueryContext(ctx, string(worker), limit, s.marked.next())
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		batch.Claims = make([]billing.Claim, 0, limit)
		var mark string
		var row claimRow
		for into := row.columns(); rows.Next(); {
			if err := rows.Scan(into...); err != nil {
				return fmt.Errorf("read a claim: %w", err)
			}
			if !row.id.Valid {
				batch.Seen, batch.More = row.attempt, row.attempt >= limit
				batch.At, mark = row.claimedAt.Time.UTC(), row.watermark.String
				if row.lag.Valid {
					batch.NextDue, batch.Foreseen = seconds(row.lag.Float64), true
				}
				continue
			}
			claim, err := row.claim(worker, batch.At)
			if err != nil {
				return err
			}
			batch.Claims = append(batch.Claims, claim)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		s.marked.advance(mark)
		return nil
	})
	if err != nil {
		return billing.Batch{}, err
	}
	slices.SortFunc(batch.Claims, func(a, b billing.Claim) int { return cmp.Compare(b.Lag, a.Lag) })
	return batch, nil
}

// claimRow is one row of claimQuery.
type claimRow struct {
	id, merchantID, onDecline, watermark     sql.NullString
	kind, target, auth, account              string
	method, path, body, version              string
	hash                                     []byte
	attempt, maxAttempts, released, declines int
	lag, sinceSent, late                     nullFloat
	claimedAt                                sql.NullTime
}

// columns are where the columns of a row go, one after the other.
func (row *claimRow) columns() []any {
	return []any{
		&row.id, &row.merchantID, &row.kind, &row.target, &row.method, &row.path, &row.body, &row.version, &row.hash,
		(*integer)(&row.attempt), (*integer)(&row.maxAttempts), (*integer)(&row.released), &row.auth, &row.account,
		&row.onDecline, (*integer)(&row.declines), &row.lag, &row.sinceSent, &row.late, &row.claimedAt, &row.watermark,
	}
}

func (row *claimRow) claim(worker billing.WorkerID, at time.Time) (billing.Claim, error) {
	plan, err := readDunning(row.onDecline)
	if err != nil {
		return billing.Claim{}, fmt.Errorf("task %s: %w", row.id.String, err)
	}
	return billing.Claim{
		ID: billing.TaskID(row.id.String), MerchantID: billing.MerchantID(row.merchantID.String),
		Kind: billing.Kind(row.kind), Target: row.target,
		Request:     billing.Request{Method: row.method, Path: row.path, Body: row.body, APIVersion: row.version},
		RequestHash: row.hash, Worker: worker, Attempt: row.attempt, MaxAttempts: row.maxAttempts, Released: row.released,
		ScheduledFor: at.Add(-seconds(row.late.Float64)), ClaimedAt: at,
		Auth: billing.AuthMode(row.auth), Account: row.account,
		Lag: seconds(row.lag.Float64), Resend: row.sinceSent.Valid, SinceSent: seconds(row.sinceSent.Float64),
		OnDecline: plan, Declines: row.declines,
	}, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

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
