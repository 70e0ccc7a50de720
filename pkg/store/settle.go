package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/lib/pq/oid"

	"billonce/pkg/billing"
)

// settleQuery writes what workers decided and appends the attempts, in one statement, for all settlements that finishQuery cannot
// write. "(status = 'running') IS TRUE" keeps
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
	RETURNING t.id, t.attempt, t.released, t.looks, t.merchant_id, t.kind, t.target, t.status, t.run_at,
		t.finished_at IS NOT NULL OR t.first_sent_at IS NULL AS free, d.reason
), noted AS (
	INSERT INTO task_attempts (task_id, attempt, worker_id, started_at, outcome, reason, replayed, request_id, error)
	SELECT d.id, d.attempt, d.worker_id, d.claimed_at, d.outcome, d.reason, d.replayed, d.request_id, nullif(d.error, '')::jsonb
	FROM decided AS d JOIN settled AS s ON s.id = d.id AND s.attempt = d.attempt
), next AS MATERIALIZED (
	SELECT waiting.id
	FROM settled AS s CROSS JOIN LATERAL (` + firstWaiting + `) AS waiting
	WHERE s.free AND s.target <> ''
), freed AS (
	UPDATE scheduled_tasks AS t SET run_at = now(), updated_at = now()
	FROM next
	WHERE t.id = next.id AND (t.waiting_since IS NOT NULL) IS TRUE
	RETURNING t.id
), tally AS MATERIALIZED (
	SELECT merchant_id, count(*) AS landing, count(*) FILTER (WHERE reason = 'rate_limited') AS refused FROM settled GROUP BY merchant_id
)` + landing + tell + `settled` + telling + `(
		SELECT id, merchant_id, kind, target, status, attempt - released - looks AS attempt, run_at FROM settled
	) AS settled` + toldAll + `
SELECT id, (SELECT count(*) FROM freed) + (SELECT count(*) FROM landed WHERE lane) AS freed FROM settled`

// finishQuery writes the ends of tasks that their rows can tell whole: one row each, nothing appended. It is what nearly every task
// needs, once. Where all have simply succeeded, the arrays that would say so are empty, and unnest makes NULLs of them.
const finishQuery = finishTasks + `
SELECT id, (SELECT count(*) FROM freed) AS freed FROM settled`

// finishLimited is the same where merchants have limits.
const finishLimited = finishTasks + `, tally AS MATERIALIZED (
	SELECT merchant_id, count(*) AS landing, 0 AS refused FROM settled GROUP BY merchant_id
)` + landing + `
SELECT id, (SELECT count(*) FROM freed) + (SELECT count(*) FROM landed WHERE lane) AS freed FROM settled`

const finishTasks = `
WITH settled AS (
	UPDATE scheduled_tasks AS t
	SET status = CASE WHEN cardinality($4::text[]) = 0 THEN 'succeeded' ELSE d.status END, result = nullif(d.result, '')::jsonb, last_error = nullif(d.error, '')::jsonb,
		final_outcome = CASE WHEN cardinality($4::text[]) = 0 THEN 'succeeded' ELSE d.outcome END,
		final_reason = CASE WHEN cardinality($4::text[]) = 0 THEN 'done' ELSE d.reason END, finished_at = now(), updated_at = now()
	FROM unnest($2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
		AS d (id, attempt, status, result, error, outcome, reason)
	WHERE t.id = d.id AND t.worker_id = $1 AND t.attempt = d.attempt AND (t.status = 'running') IS TRUE
	RETURNING ` + toldColumns + `
), next AS MATERIALIZED (
	SELECT waiting.id
	FROM settled AS s CROSS JOIN LATERAL (` + firstWaiting + `) AS waiting
	WHERE s.target <> '' AND ` + anyWaiting + `
), freed AS (
	UPDATE scheduled_tasks AS t SET run_at = now(), updated_at = now()
	FROM next
	WHERE t.id = next.id AND (t.waiting_since IS NOT NULL) IS TRUE
	RETURNING t.id
)` + tell + `settled` + telling + `settled` + toldAll

// Settle writes what workers decided about their claims, with the attempts. It returns the tasks that it changed;
// any other is no longer the worker's, and nothing was written for it. Settling again after an error is safe. A decline that
// is followed up gets its successor in the same transaction. With an error come the tasks that were changed before it.
func (s *Store) Settle(ctx context.Context, settlements []billing.Settlement) ([]billing.TaskID, error) {
	ends := map[billing.WorkerID][]*billing.Settlement{}
	var others []billing.Settlement
	for i := range settlements {
		if settlement := &settlements[i]; endsWhole(settlement) {
			ends[settlement.Worker] = append(ends[settlement.Worker], settlement)
		} else {
			others = append(others, *settlement)
		}
	}
	settled, freed := make([]billing.TaskID, 0, len(settlements)), 0
	defer func() {
		if freed > 0 {
			s.Wake()
		}
	}()
	note := func(rows []settledRow) {
		for _, row := range rows {
			settled = append(settled, row.ID)
			freed += row.Freed
		}
	}
	for worker, list := range ends { // one, unless the worker has registered anew meanwhile
		rows, err := s.finish(ctx, worker, list)
		if err != nil {
			return settled, err
		}
		note(rows)
	}
	if len(others) > 0 {
		rows, err := s.settle(ctx, others)
		if err != nil {
			return settled, err
		}
		note(rows)
	}
	return settled, nil
}

// endsWhole reports whether a settlement ends its task and the task's row tells everything about the attempt.
func endsWhole(settlement *billing.Settlement) bool {
	answer, requestID := &settlement.Answer, ""
	switch {
	case settlement.Unsent || settlement.SentEarlier || settlement.Next != nil:
		return false
	case settlement.Status == billing.Succeeded && answer.Outcome == billing.OutcomeSucceeded && answer.Error == nil:
	case settlement.Status == billing.Failed && answer.Outcome == billing.OutcomeRefused && answer.Result == nil:
	default:
		return false
	}
	switch {
	case answer.Result != nil:
		requestID = answer.Result.RequestID
	case answer.Error != nil:
		requestID = answer.Error.RequestID
	}
	return answer.RequestID() == requestID
}

func (s *Store) finish(ctx context.Context, worker billing.WorkerID, settlements []*billing.Settlement) ([]settledRow, error) {
	args, err := finishArgs(worker, settlements)
	if err != nil {
		return nil, fmt.Errorf("settle tasks: %w", err)
	}
	found := make([]settledRow, 0, len(settlements))
	err = s.ends.run(ctx, "settle tasks", func(stmt *sql.Stmt) error {
		rows, err := stmt.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		var row settledRow
		for rows.Next() {
			if err := rows.Scan((*string)(&row.ID), (*integer)(&row.Freed)); err != nil {
				return fmt.Errorf("read a settlement: %w", err)
			}
			found = append(found, row)
		}
		return rows.Err()
	})
	return found, err
}

// simplyDone reports whether a settlement says what finishQuery takes for granted.
func simplyDone(settlement *billing.Settlement) bool {
	answer := &settlement.Answer
	return settlement.Status == billing.Succeeded && answer.Outcome == billing.OutcomeSucceeded && answer.Reason == billing.ReasonDone &&
		answer.Error == nil
}

func finishArgs(worker billing.WorkerID, settlements []*billing.Settlement) ([]any, error) {
	n, told := len(settlements), 0 // so many are told in full
	if slices.ContainsFunc(settlements, func(s *billing.Settlement) bool { return !simplyDone(s) }) {
		told = n
	}
	ids, attempts, results := newArray(oid.T_uuid, n, 16), newArray(oid.T_int4, n, 4), newArray(oid.T_text, n, 128)
	statuses, errors := newArray(oid.T_text, told, 9), newArray(oid.T_text, told, 0)
	outcomes, reasons := newArray(oid.T_text, told, 9), newArray(oid.T_text, told, 8)
	for _, settlement := range settlements {
		answer := &settlement.Answer
		if err := ids.addUUID(string(settlement.ID)); err != nil {
			return nil, fmt.Errorf("%w: %w", billing.ErrContent, err)
		}
		if err := attempts.addInt(settlement.Attempt); err != nil {
			return nil, fmt.Errorf("%w: %w", billing.ErrContent, err)
		}
		if err := addResult(results, answer.Result); err != nil {
			return nil, fmt.Errorf("%w: task %s: %w", billing.ErrContent, settlement.ID, err)
		}
		if told == 0 {
			continue
		}
		if err := addError(errors, answer.Error); err != nil {
			return nil, fmt.Errorf("%w: task %s: %w", billing.ErrContent, settlement.ID, err)
		}
		statuses.addText(string(settlement.Status))
		outcomes.addText(string(answer.Outcome))
		reasons.addText(string(answer.Reason))
	}
	return []any{string(worker), ids.text, attempts.text, statuses.text, results.text, errors.text, outcomes.text, reasons.text}, nil
}

// encodeAnswer returns the answer's result and error as JSON, "" for what there is not.
func encodeAnswer(settlement billing.Settlement) (result, failure string, err error) {
	if settlement.Answer.Error != nil {
		encoded, err := json.Marshal(settlement.Answer.Error)
		if err != nil {
			return "", "", fmt.Errorf("encode the error of task %s: %w", settlement.ID, err)
		}
		failure = string(encoded)
	}
	if settlement.Answer.Result != nil {
		encoded, err := json.Marshal(settlement.Answer.Result)
		if err != nil {
			return "", "", fmt.Errorf("encode the result of task %s: %w", settlement.ID, err)
		}
		result = string(encoded)
	}
	return result, failure, nil
}

// settle writes what finishQuery cannot.
func (s *Store) settle(ctx context.Context, settlements []billing.Settlement) (rows []settledRow, err error) {
	args, err := settleArgs(settlements)
	if err != nil {
		return nil, fmt.Errorf("settle tasks: %w", err)
	}
	followed := successors(settlements)
	if len(followed) == 0 {
		err = s.db.onConn(ctx, "settle tasks", func(conn *sqlx.Conn) error {
			return conn.SelectContext(ctx, &rows, settleQuery, args...)
		})
		return rows, err
	}
	err = s.db.inTx(ctx, "settle tasks", func(tx *transaction) error {
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
	return rows, err
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
		var err error
		if results[i], errors[i], err = encodeAnswer(settlement); err != nil {
			return nil, err
		}
		replayed[i] = answer.Result != nil && answer.Result.Replayed
	}
	return []any{
		pq.Array(ids), pq.Array(workers), pq.Array(attempts), pq.Array(claimedAts), pq.Array(statuses), pq.Array(delays),
		pq.Array(unsent), pq.Array(results), pq.Array(errors), pq.Array(outcomes), pq.Array(reasons), pq.Array(replayed), pq.Array(req),
		pq.Array(earlier),
	}, nil
}
