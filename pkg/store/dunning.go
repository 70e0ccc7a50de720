package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// successors returns what follows the settlements that have something to follow.
func successors(settlements []billing.Settlement) map[billing.TaskID]billing.Successor {
	var found map[billing.TaskID]billing.Successor
	for _, settlement := range settlements {
		if settlement.Next == nil {
			continue
		}
		if found == nil {
			found = map[billing.TaskID]billing.Successor{}
		}
		found[settlement.ID] = *settlement.Next
	}
	return found
}

// insertSuccessor schedules the task that follows up the decline of another one, which the same transaction has declared
// failed. If somebody has retried that one already, their repetition stands.
func insertSuccessor(ctx context.Context, tx *sqlx.Tx, of billing.TaskID, next billing.Successor) error {
	hash := next.Request.Hash()
	_, err := tx.ExecContext(ctx, `
		INSERT INTO scheduled_tasks (id, merchant_id, kind, target, params, metadata, retry_of, intent, on_decline, declines,
			request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts)
		SELECT $2, t.merchant_id, t.kind, t.target, t.params, t.metadata, t.id, t.intent, t.on_decline, t.declines + 1,
			$3, $4, $5, $6, $7, now() + make_interval(secs => $8), now() + make_interval(secs => $8), t.max_attempts
		FROM scheduled_tasks AS t
		WHERE t.id = $1 AND t.status = 'failed'
		ON CONFLICT (retry_of) WHERE retry_of IS NOT NULL DO NOTHING`,
		of, next.ID, next.Request.Method, next.Request.Path, next.Request.Body, next.Request.APIVersion, hash[:], next.After.Seconds())
	if err != nil {
		return fmt.Errorf("schedule what follows the decline of task %s: %w", of, err)
	}
	return nil
}

// readDunning reads the plan of a row; nil when it has none.
func readDunning(column sql.NullString) (*billing.Dunning, error) {
	if !column.Valid {
		return nil, nil //nolint:nilnil // no plan is an ordinary value
	}
	var plan billing.Dunning
	if err := json.Unmarshal([]byte(column.String), &plan); err != nil {
		return nil, fmt.Errorf("read on_decline: %w", err)
	}
	return &plan, nil
}

// writeDunning returns "" for no plan.
func writeDunning(plan *billing.Dunning) (string, error) {
	if plan == nil {
		return "", nil
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return "", fmt.Errorf("write on_decline: %w", err)
	}
	return string(text), nil
}
