package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// CancelTask calls off a task before anything can have been sent. The error has code [billing.CodeNotFound], or
// [billing.CodeConflict] once something may have reached Stripe or the task is settled. Canceling twice is no error.
func (s *Store) CancelTask(ctx context.Context, id billing.TaskID) (billing.Task, error) {
	task, err := s.changeTask(ctx, id, "cancel task", "it can be canceled only before anything may have been sent", entry{action: billing.ActionTaskCancel},
		cancelTasks+` SELECT `+changedColumns+` FROM changed`, pq.Array([]billing.TaskID{id}))
	if billing.CodeOf(err) == billing.CodeConflict {
		if now, getErr := s.GetTask(ctx, id); getErr == nil && now.Status == billing.Canceled {
			return now, nil
		}
	}
	return task, err
}

// RescheduleTask moves a task to another time before anything can have been sent. Errors are those of [Store.CancelTask],
// and [billing.CodeInvalid] with a fault at "/0/run_at" for a time in the past or too far ahead.
func (s *Store) RescheduleTask(ctx context.Context, id billing.TaskID, runAt time.Time) (billing.Task, error) {
	if err := s.judgeRunAt(ctx, runAt); err != nil {
		return billing.Task{}, err
	}
	task, err := s.changeTask(ctx, id, "reschedule task", "it can be rescheduled only before anything may have been sent",
		entry{action: billing.ActionTaskReschedule, detail: map[string]any{"run_at": runAt.UTC()}},
		rescheduleTasks+` SELECT `+changedColumns+` FROM changed`, pq.Array([]billing.TaskID{id}), runAt.UTC())
	if err == nil && !task.RunAt.After(task.UpdatedAt) {
		s.Wake()
	}
	return task, err
}

// What changes tasks before anything can have been sent, and only then; what follows selects from changed. "(status = 'pending') IS
// TRUE" keeps the planner on the key.
const (
	cancelTasks = `
		WITH changed AS (
			UPDATE scheduled_tasks SET status = 'canceled', finished_at = now(), held_at = NULL, waiting_since = NULL, parked_at = NULL,
				updated_at = now()
			WHERE id = ANY ($1::uuid[]) AND (status = 'pending') IS TRUE AND first_sent_at IS NULL RETURNING ` + taskColumns + `
		)` + tellChanged
	rescheduleTasks = `
		WITH changed AS (
			UPDATE scheduled_tasks SET run_at = greatest($2::timestamptz, now()), scheduled_for = $2::timestamptz, held_at = NULL,
				waiting_since = NULL, parked_at = NULL, updated_at = now()
			WHERE id = ANY ($1::uuid[]) AND (status = 'pending') IS TRUE AND first_sent_at IS NULL RETURNING ` + taskColumns + `
		)` + tellChanged
)

// judgeRunAt refuses a new time in the past or too far ahead, by the database's clock.
func (s *Store) judgeRunAt(ctx context.Context, runAt time.Time) error {
	var now time.Time
	if err := s.db.sqlx.GetContext(ctx, &now, `SELECT now()`); err != nil {
		return translate("reschedule task", err)
	}
	if faults := runAtFaults(0, runAt, now); len(faults) > 0 {
		return &billing.Error{Code: billing.CodeInvalid, Message: "the task cannot be rescheduled", Faults: faults}
	}
	return nil
}

// ResolveTask records a person's decision about a task in doubt, with its note, and lets the next task at the same object. The
// error has code [billing.CodeNotFound], or [billing.CodeConflict] when the task is not in doubt.
func (s *Store) ResolveTask(ctx context.Context, id billing.TaskID, resolution billing.Resolution) (billing.Task, error) {
	row, freed := taskRow{}, 0
	err := s.db.inTx(ctx, "resolve task", func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO task_resolutions (task_id, outcome, note, request_id)
			SELECT id, $2, $3, $4 FROM scheduled_tasks WHERE id = $1 AND status = 'in_doubt' FOR UPDATE`,
			id, resolution.Outcome, resolution.Note, resolution.RequestID)
		if err != nil {
			return err
		}
		err = tx.GetContext(ctx, &row, `
			WITH changed AS (
				UPDATE scheduled_tasks SET status = $2, look_at = NULL, finished_at = now(), updated_at = now()
				WHERE id = $1 AND status = 'in_doubt' RETURNING `+taskColumns+`
			)`+tellChanged+` SELECT `+changedColumns+` FROM changed`, id, resolution.Outcome)
		if err != nil {
			return err
		}
		if freed, err = freeWaiting(ctx, tx, object{MerchantID: row.MerchantID, Target: row.Target}); err != nil {
			return err
		}
		return note(ctx, tx, entry{
			action: billing.ActionTaskResolve, object: row.ID, merchant: billing.MerchantID(row.MerchantID),
			detail: map[string]any{"outcome": resolution.Outcome},
		})
	})
	if errors.Is(err, sql.ErrNoRows) {
		return billing.Task{}, s.whyNot(ctx, id, "only a task in doubt can be resolved")
	}
	if err != nil {
		return billing.Task{}, err
	}
	if freed > 0 {
		s.Wake()
	}
	return row.task()
}

// changeTask runs one statement and records what it did in the same transaction.
func (s *Store) changeTask(ctx context.Context, id billing.TaskID, operation, condition string, of entry, query string, args ...any) (billing.Task, error) {
	row := taskRow{}
	err := s.db.inTx(ctx, operation, func(tx *transaction) error {
		if err := tx.GetContext(ctx, &row, query, args...); err != nil {
			return err
		}
		of.object, of.merchant = row.ID, billing.MerchantID(row.MerchantID)
		return note(ctx, tx, of)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return billing.Task{}, s.whyNot(ctx, id, condition)
	}
	if err != nil {
		return billing.Task{}, err
	}
	return row.task()
}

// whyNot tells a task that does not exist from one whose status does not allow the change.
func (s *Store) whyNot(ctx context.Context, id billing.TaskID, condition string) error {
	task, err := s.GetTask(ctx, id)
	if err != nil {
		return err
	}
	state := string(task.Status)
	if task.Status == billing.Pending && task.FirstSentAt != nil {
		state = "pending, and something may have been sent"
	}
	return &billing.Error{Code: billing.CodeConflict, Message: "the task is " + state + "; " + condition}
}
