package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

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
// failed. If somebody has retried that one already, their repetition stands; if there is none all the same, the plan that the task was
// created with does not allow it, and nothing must be settled as if it did. The database makes the new task out of the old one: a worker
// has no right to insert tasks.
func insertSuccessor(ctx context.Context, tx *transaction, of billing.TaskID, next billing.Successor) error {
	hash := next.Request.Hash()
	var scheduled bool
	err := tx.GetContext(ctx, &scheduled, `SELECT schedule_after_decline($1, $2, $3, $4)`, of, next.ID, hash[:], next.After.Seconds())
	if err == nil && scheduled {
		_, err = tx.ExecContext(ctx, tellTask, next.ID)
	} else if err == nil {
		err = tx.GetContext(ctx, &scheduled, `SELECT EXISTS (SELECT FROM scheduled_tasks WHERE retry_of = $1)`, of)
	}
	if err != nil {
		return fmt.Errorf("schedule what follows the decline of task %s: %w", of, err)
	}
	if !scheduled {
		return fmt.Errorf("%w: nothing may follow the decline of task %s after %s", billing.ErrContent, of, next.After)
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
