package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// keyPatience is how long a request waits for another one that is using the same Idempotency-Key.
const keyPatience = "SET LOCAL lock_timeout = '1s'"

// takeKeys registers the tasks' Idempotency-Keys. For a key that is known with the same fingerprint it replaces the task in
// created by the first answer. Keys are taken in one order by everybody, so that two batches cannot deadlock.
func takeKeys(ctx context.Context, tx *transaction, tasks []billing.NewTask, created []billing.CreatedTask) error {
	var order []int
	for i, task := range tasks {
		if task.Key != "" {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return nil
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(tasks[a].Key, tasks[b].Key) })
	var keys, ids []string
	var prints [][]byte
	var scheduledFors, runAts []time.Time
	for _, i := range order {
		keys = append(keys, tasks[i].Key)
		ids = append(ids, string(tasks[i].ID))
		prints = append(prints, tasks[i].Fingerprint)
		scheduledFors = append(scheduledFors, created[i].Task.ScheduledFor)
		runAts = append(runAts, created[i].Task.RunAt)
	}
	if _, err := tx.ExecContext(ctx, keyPatience); err != nil {
		return err
	}
	taken := []string{}
	err := tx.SelectContext(ctx, &taken, `
		INSERT INTO task_keys (key, task_id, fingerprint, scheduled_for, run_at)
		SELECT key, task_id, fingerprint, scheduled_for, run_at
		FROM unnest($1::text[], $2::uuid[], $3::bytea[], $4::timestamptz[], $5::timestamptz[])
			AS new (key, task_id, fingerprint, scheduled_for, run_at)
		ORDER BY key COLLATE "C"
		ON CONFLICT (key) DO NOTHING RETURNING key`,
		pq.Array(keys), pq.Array(ids), pq.Array(prints), pq.Array(timestamps(scheduledFors)), pq.Array(timestamps(runAts)))
	if hasState(err, stateLockNotAvailable) {
		return &billing.Error{Code: billing.CodeKeyInProgress, Message: "a request with this Idempotency-Key is in progress"}
	}
	if err != nil {
		return err
	}
	if len(taken) == len(keys) {
		return nil
	}
	return replay(ctx, tx, tasks, created, order, taken)
}

// replay fills created with the first answers of the keys that were not taken anew.
func replay(ctx context.Context, tx *transaction, tasks []billing.NewTask, created []billing.CreatedTask, order []int, taken []string) error {
	fresh := make(map[string]bool, len(taken))
	for _, key := range taken {
		fresh[key] = true
	}
	var known []string
	for _, i := range order {
		if !fresh[tasks[i].Key] {
			known = append(known, tasks[i].Key)
		}
	}
	firsts, err := firstAnswers(ctx, tx, known)
	if err != nil {
		return err
	}
	var faults []billing.Fault
	for i, task := range tasks {
		if task.Key == "" || fresh[task.Key] {
			continue
		}
		first, ok := firsts[task.Key]
		if !ok { // deleted between the two statements: the caller may send the request again
			return &billing.Error{Code: billing.CodeKeyInProgress, Message: "a request with this Idempotency-Key is in progress"}
		}
		if !bytes.Equal(first.fingerprint, task.Fingerprint) {
			faults = append(faults, billing.Fault{
				Pointer: fmt.Sprintf("/%d/idempotency_key", i), Code: "key_reused",
				Detail: "was first used with another request",
			})
			continue
		}
		created[i] = billing.CreatedTask{Task: first.task, Replayed: true}
	}
	if len(faults) > 0 {
		return &billing.Error{Code: billing.CodeKeyReused, Message: "the Idempotency-Key was first used with another request", Faults: faults}
	}
	return nil
}

type firstAnswer struct {
	task        billing.Task
	fingerprint []byte
}

// firstAnswers returns what was answered when each key was first used: the task before anything changed it.
func firstAnswers(ctx context.Context, tx *transaction, keys []string) (map[string]firstAnswer, error) {
	rows := []struct {
		taskRow
		Key               string    `db:"key"`
		Fingerprint       []byte    `db:"fingerprint"`
		FirstScheduledFor time.Time `db:"first_scheduled_for"`
		FirstRunAt        time.Time `db:"first_run_at"`
	}{}
	err := tx.SelectContext(ctx, &rows, `
		SELECT k.key, k.fingerprint, k.scheduled_for AS first_scheduled_for, k.run_at AS first_run_at,
			t.id, t.merchant_id, t.kind, t.target, t.params, t.metadata, t.status, t.run_at, t.scheduled_for, t.attempt,
			t.max_attempts, t.retry_of, t.intent, t.on_decline, t.declines, t.created_at, t.updated_at
		FROM task_keys AS k JOIN scheduled_tasks AS t ON t.id = k.task_id
		WHERE k.key = ANY($1::text[])`, pq.Array(keys))
	if err != nil {
		return nil, err
	}
	firsts := make(map[string]firstAnswer, len(rows))
	for _, row := range rows {
		now, err := row.task()
		if err != nil {
			return nil, err
		}
		firsts[row.Key] = firstAnswer{fingerprint: row.Fingerprint, task: billing.Task{
			ID: now.ID, MerchantID: now.MerchantID, Kind: now.Kind, Target: now.Target, Params: now.Params,
			Metadata: now.Metadata, Status: billing.Pending, RunAt: row.FirstRunAt.UTC(), ScheduledFor: row.FirstScheduledFor.UTC(),
			MaxAttempts: now.MaxAttempts, RetryOf: now.RetryOf, Intent: now.Intent, OnDecline: now.OnDecline,
			Declines: now.Declines, CreatedAt: now.CreatedAt, UpdatedAt: now.CreatedAt,
		}}
	}
	return firsts, nil
}
