package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// claimLooksQuery takes tasks in doubt that are to be looked at, of a few merchants. Those of merchants that are paused are put off,
// once each, without counting; those of disconnected ones are taken, for somebody must be told that nobody can look.
//
// A claim takes the task's next number and counts as given back until the look is settled. As the age of a key, that of the first
// send counts the hours that a clock stepped back has shown twice, those too that no heartbeat has noted yet.
const claimLooksQuery = `
WITH due AS MATERIALIZED (
	SELECT id, merchant_id, look_at
	FROM scheduled_tasks
	WHERE look_at <= now()
	ORDER BY look_at
	LIMIT $1
	FOR UPDATE SKIP LOCKED
), judged AS MATERIALIZED (
	SELECT due.id, due.look_at, due.merchant_id, m.paused_at IS NOT NULL AND m.disconnected_at IS NULL AS held
	FROM due JOIN merchants AS m ON m.id = due.merchant_id
), chosen AS MATERIALIZED (
	SELECT merchant_id FROM judged WHERE NOT held GROUP BY merchant_id ORDER BY min(look_at) LIMIT $2
), put_off AS (
	UPDATE scheduled_tasks AS t SET look_at = now() + interval '15 minutes'
	FROM judged AS j
	WHERE t.id = j.id AND j.held AND (t.status = 'in_doubt') IS TRUE
), behind AS MATERIALIZED (
	SELECT CASE WHEN high_water > now() THEN high_water - now() ELSE '0' END AS unnoted FROM clock
)
UPDATE scheduled_tasks AS t
SET attempt = t.attempt + 1, released = t.released + 1, look_at = now() + make_interval(secs => $3), updated_at = now()
FROM judged AS j
WHERE t.id = j.id AND j.merchant_id IN (SELECT merchant_id FROM chosen) AND (t.status = 'in_doubt') IS TRUE
RETURNING t.id, t.merchant_id, t.kind, t.target, t.request_method, t.request_path, t.request_body, t.request_version,
	t.sent_auth, t.sent_account, t.updated_at, t.attempt, t.looks + 1 AS looks, t.on_decline, t.declines,
	coalesce(t.trace_context, '') AS trace_context,
	t.first_sent_at - (SELECT unnoted FROM behind)
		- coalesce((SELECT sum(back) FROM clock_steps WHERE high_water >= t.first_sent_at), '0') AS first_sent_at,
	t.scheduled_for - (SELECT unnoted FROM behind)
		- coalesce((SELECT sum(back) FROM clock_steps WHERE high_water >= t.scheduled_for), '0') AS scheduled_for`

type doubtRow struct {
	ID            string         `db:"id"`
	MerchantID    string         `db:"merchant_id"`
	Kind          string         `db:"kind"`
	Target        string         `db:"target"`
	RequestMethod string         `db:"request_method"`
	RequestPath   string         `db:"request_path"`
	RequestBody   string         `db:"request_body"`
	Version       string         `db:"request_version"`
	Auth          string         `db:"sent_auth"`
	Account       string         `db:"sent_account"`
	ScheduledFor  time.Time      `db:"scheduled_for"`
	FirstSentAt   time.Time      `db:"first_sent_at"`
	ClaimedAt     time.Time      `db:"updated_at"`
	Attempt       int            `db:"attempt"`
	Looks         int            `db:"looks"`
	OnDecline     sql.NullString `db:"on_decline"`
	Declines      int            `db:"declines"`
	TraceContext  string         `db:"trace_context"`
}

// ClaimLooks takes up to limit tasks in doubt that are to be looked at now, of as many merchants at most, for worker. Nobody else
// looks at them until lease has passed or the look is settled.
func (s *Store) ClaimLooks(ctx context.Context, worker billing.WorkerID, limit, merchants int, lease time.Duration) ([]billing.Doubt, error) {
	rows := []doubtRow{}
	err := s.db.onConn(ctx, "claim looks", func(conn *sqlx.Conn) error {
		return conn.SelectContext(ctx, &rows, claimLooksQuery, limit, merchants, lease.Seconds())
	})
	if err != nil {
		return nil, err
	}
	doubts := make([]billing.Doubt, len(rows))
	for i, row := range rows {
		plan, err := readDunning(row.OnDecline)
		if err != nil {
			return nil, fmt.Errorf("claim looks: task %s: %w", row.ID, err)
		}
		doubts[i] = billing.Doubt{
			ID: billing.TaskID(row.ID), MerchantID: billing.MerchantID(row.MerchantID), Kind: billing.Kind(row.Kind), Target: row.Target,
			Request: billing.Request{Method: row.RequestMethod, Path: row.RequestPath, Body: row.RequestBody, APIVersion: row.Version},
			Auth:    billing.AuthMode(row.Auth), Account: row.Account, ScheduledFor: row.ScheduledFor.UTC(), FirstSentAt: row.FirstSentAt.UTC(),
			Worker: worker, StartedAt: row.ClaimedAt.UTC(), Attempt: row.Attempt, Looks: row.Looks, OnDecline: plan, Declines: row.Declines,
			TraceContext: row.TraceContext,
		}
	}
	return doubts, nil
}

// SettleLook writes what a look learned, appends it to the attempts, and lets the next task at an object that has become free.
// It reports false, and writes nothing, when the task is no longer in doubt or another look has begun since.
func (s *Store) SettleLook(ctx context.Context, look billing.LookSettlement) (bool, error) {
	freed := 0
	err := s.db.inTx(ctx, "settle a look", func(tx *transaction) error {
		taken, err := writeLook(ctx, tx, look)
		if err != nil {
			return err
		}
		if look.Status == billing.InDoubt {
			return nil
		}
		if look.Next != nil {
			if err := insertSuccessor(ctx, tx, look.Doubt.ID, *look.Next); err != nil {
				return err
			}
		}
		freed, err = freeWaiting(ctx, tx, taken)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if freed > 0 {
		s.Wake()
	}
	return true, nil
}

func writeLook(ctx context.Context, tx *transaction, look billing.LookSettlement) (object, error) {
	finding := look.Finding
	result, errorText, requestID := "", "", ""
	for _, part := range []struct {
		set   bool
		value any
		into  *string
	}{{finding.Result != nil, finding.Result, &result}, {finding.Error != nil, finding.Error, &errorText}} {
		if !part.set {
			continue
		}
		text, err := json.Marshal(part.value)
		if err != nil {
			return object{}, fmt.Errorf("encode a finding: %w", err)
		}
		*part.into = string(text)
	}
	switch {
	case finding.Result != nil:
		requestID = finding.Result.RequestID
	case finding.Error != nil:
		requestID = finding.Error.RequestID
	}
	evidence, err := json.Marshal(finding.Evidence)
	if err != nil {
		return object{}, fmt.Errorf("encode the evidence: %w", err)
	}
	doubt := look.Doubt
	taken := object{}
	if err := tx.GetContext(ctx, &taken, `
		WITH looked_at AS (
		UPDATE scheduled_tasks AS t
		SET status = $3, updated_at = now(),
			look_at = CASE WHEN $4::float8 > 0 THEN now() + make_interval(secs => $4::float8) END,
			looks = t.looks + CASE WHEN $5::boolean THEN 0 ELSE 1 END,
			released = t.released - CASE WHEN $5::boolean THEN 0 ELSE 1 END,
			result = nullif($6, '')::jsonb,
			last_error = CASE WHEN $3 = 'succeeded' THEN NULL WHEN $3 = 'failed' THEN nullif($7, '')::jsonb ELSE t.last_error END,
			finished_at = CASE WHEN $3 IN ('succeeded', 'failed') THEN now() END
		WHERE t.id = $1 AND t.attempt = $2 AND (t.status = 'in_doubt') IS TRUE
		RETURNING `+toldColumns+`
		), changed AS (SELECT id, merchant_id, kind, target, status, attempt, run_at FROM looked_at WHERE status <> 'in_doubt')`+
		tell+`changed`+telling+`changed`+toldAll+`
		SELECT merchant_id, target FROM looked_at`,
		doubt.ID, doubt.Attempt, look.Status, look.NextIn.Seconds(), look.Void, result, errorText); err != nil {
		return object{}, err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO task_attempts (task_id, attempt, kind, worker_id, started_at, outcome, reason, request_id, error, evidence)
		VALUES ($1, $2, 'look', $3, $4, $5, $6, $7, nullif($8, '')::jsonb, $9::jsonb)`,
		doubt.ID, doubt.Attempt, doubt.Worker, doubt.StartedAt, finding.Outcome, finding.Reason, requestID, errorText, string(evidence))
	return taken, err
}
