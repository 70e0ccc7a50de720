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

// Claim takes up to limit due tasks for worker, about in the order of run_at. Batch.More reports that another claim is
// worth making at once, even if this one returned nothing. After an error the claim may have
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
			s.merchants.forget()
			return billing.Batch{}, err
		default:
			return batch, nil
		}
	}
}

func (s *Store) claimOnce(ctx context.Context, worker billing.WorkerID, limit int) (batch billing.Batch, err error) {
	way, limit := s.pacer.choose(limit)
	args := []any{string(worker), limit}
	if way != claimDue {
		args = append(args, s.pacer.limits.Rate, s.pacer.limits.Concurrency)
	}
	if way != claimFromLanes {
		args = append(args, s.marked.next())
	}
	var head claimRow
	err = s.claims[way].run(ctx, "claim tasks", func(stmt *sql.Stmt) error {
		rows, err := stmt.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		batch.Claims = make([]billing.Claim, 0, limit)
		var row claimRow
		for into := row.columns(s.traced); rows.Next(); {
			if err := rows.Scan(into...); err != nil {
				return fmt.Errorf("read a claim: %w", err)
			}
			if !row.id.Valid {
				head = row
				continue
			}
			claim, err := row.claim(worker, head.claimedAt.Time.UTC())
			if err != nil {
				return err
			}
			batch.Claims = append(batch.Claims, claim)
		}
		return rows.Err()
	})
	if err != nil {
		return billing.Batch{}, err
	}
	if way == claimDue || way == claimWithLimits { // the others leave due tasks behind that they did not look at
		s.marked.advance(head.watermark.String)
	}
	s.pacer.learn(way, head, limit, &batch)
	slices.SortFunc(batch.Claims, func(a, b billing.Claim) int { return cmp.Compare(b.Lag, a.Lag) })
	return batch, nil
}

// claimRow is one row of [claimQueries].
type claimRow struct {
	id, merchantID, onDecline, watermark     sql.NullString
	merchantVersion                          sql.NullString
	kind, target, auth, account              string
	method, path, body, version              string
	hash                                     []byte
	attempt, maxAttempts, released, declines int
	lag, sinceSent, late                     nullFloat
	claimedAt                                sql.NullTime
	traceContext                             sql.NullString
}

// columns are where the columns of a row go, one after the other.
func (row *claimRow) columns(traced bool) []any {
	columns := []any{
		&row.id, &row.merchantID, &row.kind, &row.target, &row.method, &row.path, &row.body, &row.version, &row.hash,
		(*integer)(&row.attempt), (*integer)(&row.maxAttempts), (*integer)(&row.released), &row.auth, &row.account,
		&row.onDecline, (*integer)(&row.declines), &row.merchantVersion, &row.lag, &row.sinceSent, &row.late, &row.claimedAt, &row.watermark,
	}
	if traced {
		columns = append(columns, &row.traceContext)
	}
	return columns
}

func (row *claimRow) claim(worker billing.WorkerID, at time.Time) (billing.Claim, error) {
	plan, err := readDunning(row.onDecline)
	if err != nil {
		return billing.Claim{}, fmt.Errorf("task %s: %w", row.id.String, err)
	}
	return billing.Claim{
		ID: billing.TaskID(row.id.String), MerchantID: billing.MerchantID(row.merchantID.String), Merchant: billing.MerchantVersion(row.merchantVersion.String),
		Kind: billing.Kind(row.kind), Target: row.target,
		Request:     billing.Request{Method: row.method, Path: row.path, Body: row.body, APIVersion: row.version},
		RequestHash: row.hash, Worker: worker, Attempt: row.attempt, MaxAttempts: row.maxAttempts, Released: row.released,
		ScheduledFor: at.Add(-seconds(row.late.Float64)), ClaimedAt: at,
		Auth: billing.AuthMode(row.auth), Account: row.account,
		Lag: seconds(row.lag.Float64), Resend: row.sinceSent.Valid, SinceSent: seconds(row.sinceSent.Float64),
		OnDecline: plan, Declines: row.declines, TraceContext: row.traceContext.String,
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
		return conn.GetContext(ctx, &released, `
			WITH released AS (
				UPDATE scheduled_tasks AS t
				SET `+releaseAssignments+`
				FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS r (id, worker_id, attempt)
				WHERE t.id = r.id AND t.worker_id = r.worker_id AND t.attempt = r.attempt AND (t.status = 'running') IS TRUE
				RETURNING `+toldColumns+`
			), tally AS MATERIALIZED (
				SELECT merchant_id, count(*) AS landing, 0 AS refused FROM released GROUP BY merchant_id
			)`+landing+tell+`released`+telling+`released`+toldAll+`
			SELECT count(*) FROM released`,
			pq.Array(ids), pq.Array(workers), pq.Array(attempts))
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
		return conn.GetContext(ctx, &recovered, `
			WITH recovered AS (
				UPDATE scheduled_tasks AS t
				SET `+releaseAssignments+`
				WHERE t.status = 'running' AND t.worker_id = $1 AND t.id <> ALL ($2::uuid[])
				RETURNING `+toldColumns+`
			), tally AS MATERIALIZED (
				SELECT merchant_id, count(*) AS landing, 0 AS refused FROM recovered GROUP BY merchant_id
			)`+landing+tell+`recovered`+telling+`recovered`+toldAll+`
			SELECT count(*) FROM recovered`, worker, pq.Array(ids))
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
