package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"billonce/pkg/billing"
)

// ownColumns are the columns of a task's own row that the API shows; the frozen request stays behind. A parked task was due when it
// was parked.
const ownColumns = `id, merchant_id, kind, target, params, metadata, status, coalesce(parked_at, run_at) AS run_at, scheduled_for, attempt, released, looks,
	max_attempts, retry_of, intent, on_decline, declines, first_sent_at, result, last_error, waiting_since, look_at, created_at,
	updated_at, finished_at`

// taskColumns are the columns of a task as the API shows it.
const taskColumns = ownColumns + `,
	coalesce((SELECT r.id FROM scheduled_tasks AS r WHERE r.retry_of = scheduled_tasks.id),
		(SELECT r.id FROM archived_tasks AS r WHERE r.retry_of = scheduled_tasks.id LIMIT 1)) AS retried_by,
	(SELECT json_build_object('outcome', d.outcome, 'note', d.note, 'request_id', d.request_id, 'resolved_at', d.resolved_at)
		FROM task_resolutions AS d WHERE d.task_id = scheduled_tasks.id) AS resolution`

// changedColumns are the columns of a part of a statement that has returned taskColumns.
const changedColumns = `id, merchant_id, kind, target, params, metadata, status, run_at, scheduled_for, attempt, released, looks, max_attempts,
	retry_of, intent, on_decline, declines, first_sent_at, result, last_error, waiting_since, look_at, created_at, updated_at, finished_at,
	retried_by, resolution`

type taskRow struct {
	ID           string         `db:"id"`
	MerchantID   string         `db:"merchant_id"`
	Kind         string         `db:"kind"`
	Target       string         `db:"target"`
	Params       string         `db:"params"`
	Metadata     string         `db:"metadata"`
	Status       string         `db:"status"`
	RunAt        time.Time      `db:"run_at"`
	ScheduledFor time.Time      `db:"scheduled_for"`
	Attempt      int            `db:"attempt"`
	Released     int            `db:"released"`
	Looks        int            `db:"looks"`
	MaxAttempts  int            `db:"max_attempts"`
	RetryOf      sql.NullString `db:"retry_of"`
	RetriedBy    sql.NullString `db:"retried_by"`
	Intent       string         `db:"intent"`
	OnDecline    sql.NullString `db:"on_decline"`
	Declines     int            `db:"declines"`
	FirstSentAt  *time.Time     `db:"first_sent_at"`
	Result       sql.NullString `db:"result"`
	LastError    sql.NullString `db:"last_error"`
	WaitingSince *time.Time     `db:"waiting_since"`
	LookAt       *time.Time     `db:"look_at"`
	Resolution   sql.NullString `db:"resolution"`
	CreatedAt    time.Time      `db:"created_at"`
	UpdatedAt    time.Time      `db:"updated_at"`
	FinishedAt   *time.Time     `db:"finished_at"`
}

func (row taskRow) task() (billing.Task, error) {
	task := billing.Task{
		ID: billing.TaskID(row.ID), MerchantID: billing.MerchantID(row.MerchantID), Kind: billing.Kind(row.Kind),
		Target: row.Target, Params: json.RawMessage(row.Params), Status: billing.Status(row.Status),
		RunAt: row.RunAt.UTC(), ScheduledFor: row.ScheduledFor.UTC(),
		Attempt: row.Attempt - row.Released - row.Looks, MaxAttempts: row.MaxAttempts, RetryOf: billing.TaskID(row.RetryOf.String),
		RetriedBy: billing.TaskID(row.RetriedBy.String), Intent: row.Intent, Declines: row.Declines,
		WaitingSince: utc(row.WaitingSince), LookAt: utc(row.LookAt),
		FirstSentAt: utc(row.FirstSentAt), CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
		FinishedAt: utc(row.FinishedAt),
	}
	if moved := row.RunAt.Sub(row.ScheduledFor); row.Attempt == 0 && 0 < moved && moved < spreadWithin {
		task.RunAt = task.ScheduledFor
	}
	if err := json.Unmarshal([]byte(row.Metadata), &task.Metadata); err != nil {
		return billing.Task{}, fmt.Errorf("read metadata of task %s: %w", row.ID, err)
	}
	if row.Result.Valid {
		if err := json.Unmarshal([]byte(row.Result.String), &task.Result); err != nil {
			return billing.Task{}, fmt.Errorf("read result of task %s: %w", row.ID, err)
		}
	}
	if row.LastError.Valid {
		if err := json.Unmarshal([]byte(row.LastError.String), &task.LastError); err != nil {
			return billing.Task{}, fmt.Errorf("read last error of task %s: %w", row.ID, err)
		}
	}
	if row.Resolution.Valid {
		if err := json.Unmarshal([]byte(row.Resolution.String), &task.Resolution); err != nil {
			return billing.Task{}, fmt.Errorf("read the resolution of task %s: %w", row.ID, err)
		}
		task.Resolution = task.Resolution.UTC()
	}
	var err error
	if task.OnDecline, err = readDunning(row.OnDecline); err != nil {
		return billing.Task{}, fmt.Errorf("task %s: %w", row.ID, err)
	}
	return task, nil
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC()
	return &at
}

// GetTask returns one task, also from the archive. The error has code [billing.CodeNotFound] when there is none.
func (s *Store) GetTask(ctx context.Context, id billing.TaskID) (billing.Task, error) {
	row := taskRow{}
	err := s.db.sqlx.GetContext(ctx, &row, `SELECT `+taskColumns+` FROM scheduled_tasks WHERE id = $1`, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.db.sqlx.GetContext(ctx, &row, archivedByID, id)
	}
	if err != nil {
		return billing.Task{}, taskError("get task", err)
	}
	return row.task()
}

// ListAttempts returns every attempt of a task, first to last. The error has code [billing.CodeNotFound] when there is no
// such task.
func (s *Store) ListAttempts(ctx context.Context, id billing.TaskID) ([]billing.Attempt, error) {
	if _, err := s.GetTask(ctx, id); err != nil {
		return nil, err
	}
	var listed sql.NullString
	err := s.db.sqlx.GetContext(ctx, &listed, `
		SELECT coalesce((`+attemptsOf+` WHERE a.task_id = $1), (SELECT document->'attempts' FROM archived_tasks WHERE id = $1))`, id)
	if err != nil {
		return nil, translate("list attempts", err)
	}
	attempts, err := readAttempts(listed)
	if err != nil {
		return nil, fmt.Errorf("list the attempts of task %s: %w", id, err)
	}
	return attempts, nil
}

func taskError(operation string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return &billing.Error{Code: billing.CodeNotFound, Message: "no such task"}
	}
	return translate(operation, err)
}
