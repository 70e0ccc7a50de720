package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// settleQuery writes what workers decided and appends the attempts, in one statement. "(status = 'running') IS TRUE" keeps
// the planner on the primary key: it believes that no row is running and would walk the dead entries of
// idx_scheduled_tasks_status_run_at otherwise.
const settleQuery = `
WITH decided AS MATERIALIZED (
	SELECT id, worker_id, attempt, claimed_at, status, delay, unsent, result, error, outcome, reason, replayed, request_id, earlier
	FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::timestamptz[], $5::text[], $6::float8[], $7::bool[], $8::text[],
		$9::text[], $10::text[], $11::text[], $12::bool[], $13::text[], $14::bool[])
		AS d (id, worker_id, attempt, claimed_at, status, delay, unsent, result, error, outcome, reason, replayed, request_id, earlier)
), settled AS (
	UPDATE scheduled_tasks AS t
	SET status = d.status,
		run_at = CASE WHEN d.status = 'pending' THEN now() + make_interval(secs => d.delay) ELSE t.run_at END,
		worker_id = NULL, claimed_at = NULL,
		first_sent_at = CASE WHEN d.unsent AND t.first_sent_at = t.claimed_at AND d.status <> 'in_doubt' THEN NULL
			WHEN d.earlier THEN least(t.first_sent_at, t.scheduled_for) ELSE t.first_sent_at END,
		sent_auth = CASE WHEN d.unsent AND t.first_sent_at = t.claimed_at AND d.status <> 'in_doubt' THEN NULL ELSE t.sent_auth END,
		sent_account = CASE WHEN d.unsent AND t.first_sent_at = t.claimed_at AND d.status <> 'in_doubt' THEN NULL ELSE t.sent_account END,
		result = nullif(d.result, '')::jsonb,
		last_error = nullif(d.error, '')::jsonb,
		finished_at = CASE WHEN d.status IN ('succeeded', 'failed') THEN now() END,
		look_at = CASE WHEN d.status = 'in_doubt' THEN now() + make_interval(secs => d.delay) END,
		updated_at = now()
	FROM decided AS d
	WHERE t.id = d.id AND t.worker_id = d.worker_id AND t.attempt = d.attempt AND (t.status = 'running') IS TRUE
	RETURNING t.id, t.merchant_id, t.target, t.finished_at IS NOT NULL OR t.first_sent_at IS NULL AS free
), noted AS (
	INSERT INTO task_attempts (task_id, attempt, worker_id, started_at, outcome, reason, replayed, request_id, error)
	SELECT d.id, d.attempt, d.worker_id, d.claimed_at, d.outcome, d.reason, d.replayed, d.request_id, nullif(d.error, '')::jsonb
	FROM decided AS d JOIN settled AS s ON s.id = d.id
), next AS MATERIALIZED (
	SELECT waiting.id
	FROM settled AS s CROSS JOIN LATERAL (` + firstWaiting + `) AS waiting
	WHERE s.free AND s.target <> ''
), freed AS (
	UPDATE scheduled_tasks AS t SET run_at = now(), updated_at = now()
	FROM next
	WHERE t.id = next.id AND (t.waiting_since IS NOT NULL) IS TRUE
	RETURNING t.id
)
SELECT id, (SELECT count(*) FROM freed) AS freed FROM settled`

// Settle writes what workers decided about their claims and appends the attempts. It returns the tasks that it changed;
// any other is no longer the worker's, and nothing was written for it. Settling again after an error is safe. A decline that
// is followed up gets its successor in the same transaction.
func (s *Store) Settle(ctx context.Context, settlements []billing.Settlement) ([]billing.TaskID, error) {
	args, err := settleArgs(settlements)
	if err != nil {
		return nil, fmt.Errorf("settle tasks: %w", err)
	}
	var rows []settledRow
	if followed := successors(settlements); len(followed) > 0 {
		err = s.db.inTx(ctx, "settle tasks", func(tx *sqlx.Tx) error {
			if err := tx.SelectContext(ctx, &rows, settleQuery, args...); err != nil {
				return err
			}
			for _, row := range rows {
				if next, ok := followed[row.ID]; ok {
					if err := insertSuccessor(ctx, tx, row.ID, next); err != nil {
						return err
					}
				}
			}
			return nil
		})
	} else {
		err = s.db.onConn(ctx, "settle tasks", func(conn *sqlx.Conn) error {
			return conn.SelectContext(ctx, &rows, settleQuery, args...)
		})
	}
	if err != nil {
		return nil, err
	}
	settled := make([]billing.TaskID, len(rows))
	for i, row := range rows {
		settled[i] = row.ID
	}
	if len(rows) > 0 && rows[0].Freed > 0 {
		s.Wake()
	}
	return settled, nil
}

type settledRow struct {
	ID    billing.TaskID `db:"id"`
	Freed int            `db:"freed"` // tasks of the whole statement that waited for an object
}

func settleArgs(settlements []billing.Settlement) ([]any, error) {
	n := len(settlements)
	var (
		ids, workers, claimedAts, statuses      = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		results, errors, outcomes, reasons, req = make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		attempts                                = make([]int64, n)
		delays                                  = make([]float64, n)
		unsent, replayed, earlier               = make([]bool, n), make([]bool, n), make([]bool, n)
	)
	for i, settlement := range settlements {
		answer := settlement.Answer
		ids[i], workers[i], attempts[i] = string(settlement.ID), string(settlement.Worker), int64(settlement.Attempt)
		claimedAts[i] = settlement.ClaimedAt.UTC().Format(timestampLayout)
		statuses[i], delays[i], unsent[i] = string(settlement.Status), settlement.Delay.Seconds(), settlement.Unsent
		earlier[i] = settlement.SentEarlier
		outcomes[i], reasons[i] = string(answer.Outcome), string(answer.Reason)
		req[i] = answer.RequestID()
		if answer.Error != nil {
			encoded, err := json.Marshal(answer.Error)
			if err != nil {
				return nil, fmt.Errorf("encode the error of task %s: %w", settlement.ID, err)
			}
			errors[i] = string(encoded)
		}
		if answer.Result != nil {
			encoded, err := json.Marshal(answer.Result)
			if err != nil {
				return nil, fmt.Errorf("encode the result of task %s: %w", settlement.ID, err)
			}
			results[i], replayed[i] = string(encoded), answer.Result.Replayed
		}
	}
	return []any{
		pq.Array(ids), pq.Array(workers), pq.Array(attempts), pq.Array(claimedAts), pq.Array(statuses), pq.Array(delays),
		pq.Array(unsent), pq.Array(results), pq.Array(errors), pq.Array(outcomes), pq.Array(reasons), pq.Array(replayed), pq.Array(req),
		pq.Array(earlier),
	}, nil
}
