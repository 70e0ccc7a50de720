package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// A task may be scheduled this far from the database's clock. The past is tolerated for as long as clocks may differ: a
// time further back is a mistake of the caller, and running it at once could be a surprise that bills somebody.
const (
	pastTolerance = time.Minute
	futureLimit   = 10 * 365 * 24 * time.Hour
)

// CreateTasks schedules tasks, all or none, and returns them in the order given. A task whose Key is known already with the
// same Fingerprint is not made again: the first one is returned as it was answered then, marked Replayed.
//
// Errors have code [billing.CodeInvalid] (with faults at "/<index>/<field>"), [billing.CodeKeyReused] (key known with
// another fingerprint), [billing.CodeKeyInProgress] (another transaction is using the key now) or [billing.CodeIntentTaken]
// (a task with the intent exists that neither failed nor was canceled, or an archived one succeeded; the faults name it).
func (s *Store) CreateTasks(ctx context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
	created, err := s.createPlain(ctx, tasks)
	if err == nil && created == nil {
		created, err = s.createCarefully(ctx, tasks)
	}
	if err != nil {
		return nil, err
	}
	s.wakeForDue(created)
	return created, nil
}

func (s *Store) createCarefully(ctx context.Context, tasks []billing.NewTask) (created []billing.CreatedTask, err error) {
	err = s.db.inTx(ctx, "create tasks", func(tx *transaction) error {
		created, err = createTasks(ctx, tx, tasks)
		return err
	})
	return created, err
}

// RetryTask schedules next as the repetition of a task that failed or was canceled, for now, or for the time of the first one
// where that still lies ahead: a task that was canceled in time is not done before it. Retrying a task that has been retried
// already returns the first repetition, marked Replayed. The error has code [billing.CodeNotFound], or
// [billing.CodeConflict] when the task's status does not allow it.
func (s *Store) RetryTask(ctx context.Context, of billing.TaskID, next billing.NewTask) (billing.CreatedTask, error) {
	var created []billing.CreatedTask
	err := s.db.inTx(ctx, "retry task", func(tx *transaction) error {
		first := struct {
			Status       string    `db:"status"`
			ScheduledFor time.Time `db:"scheduled_for"`
			Ahead        bool      `db:"ahead"`
		}{}
		if err := tx.GetContext(ctx, &first, `
			SELECT status, scheduled_for, scheduled_for > now() AS ahead FROM scheduled_tasks WHERE id = $1 FOR UPDATE`, of); err != nil {
			return taskError("lock the task", err)
		}
		if first.Status != string(billing.Failed) && first.Status != string(billing.Canceled) {
			return &billing.Error{Code: billing.CodeConflict, Message: "only a failed or canceled task can be retried; this one is " + first.Status}
		}
		repetition, err := repetitionOf(ctx, tx, of)
		if err == nil {
			created = []billing.CreatedTask{{Task: repetition, Replayed: true}}
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		next.RetryOf = of
		if first.Ahead {
			next.RunAt = first.ScheduledFor
		}
		if created, err = createTasks(ctx, tx, []billing.NewTask{next}); err != nil {
			return err
		}
		return note(ctx, tx, entry{
			action: billing.ActionTaskRetry, object: string(of), merchant: next.MerchantID, detail: map[string]any{"retried_by": next.ID},
		})
	})
	if billing.CodeOf(err) == billing.CodeNotFound {
		if _, getErr := s.GetTask(ctx, of); getErr == nil {
			return billing.CreatedTask{}, &billing.Error{Code: billing.CodeConflict, Message: "the task is archived and can no longer be retried; schedule a new one"}
		}
	}
	if err != nil {
		return billing.CreatedTask{}, err
	}
	s.wakeForDue(created)
	return created[0], nil
}

// repetitionOf returns the task that repeats the given one, which the caller has locked. The repetition may be archived while
// the repeated task is not; the archive is looked at last, so that one that is just being moved is not missed.
func repetitionOf(ctx context.Context, tx *transaction, of billing.TaskID) (billing.Task, error) {
	row := taskRow{}
	err := tx.GetContext(ctx, &row, `SELECT `+taskColumns+` FROM scheduled_tasks WHERE retry_of = $1`, of)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.GetContext(ctx, &row, archivedByRetryOf, of)
	}
	if err != nil {
		return billing.Task{}, err
	}
	return row.task()
}

func createTasks(ctx context.Context, tx *transaction, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
	now, connected, err := judgeBy(ctx, tx, tasks)
	if err != nil {
		return nil, err
	}
	created := make([]billing.CreatedTask, len(tasks))
	for i, task := range tasks {
		created[i].Task = asCreated(task, now)
	}
	if err := takeKeys(ctx, tx, tasks, created); err != nil {
		return nil, err
	}
	if err := checkNewTasks(tasks, created, now, connected); err != nil {
		return nil, err
	}
	if err := insertTasks(ctx, tx, tasks, created); err != nil {
		return nil, err
	}
	return created, nil
}

// asCreated is the task as its first answer shows it.
func asCreated(task billing.NewTask, now time.Time) billing.Task {
	scheduledFor := task.RunAt.UTC().Truncate(time.Microsecond) // what PostgreSQL keeps
	if task.RunAt.IsZero() {
		scheduledFor = now
	}
	runAt := scheduledFor
	if runAt.Before(now) {
		runAt = now
	}
	return billing.Task{
		ID: task.ID, MerchantID: task.MerchantID, Kind: task.Kind, Target: task.Target, Params: task.Params,
		Metadata: task.Metadata, Status: billing.Pending, RunAt: runAt, ScheduledFor: scheduledFor,
		MaxAttempts: task.MaxAttempts, RetryOf: task.RetryOf, Intent: task.Intent, OnDecline: task.OnDecline,
		Declines: task.Declines, CreatedAt: now, UpdatedAt: now,
	}
}

// judgeBy returns what new tasks are judged by and only the database can know: its clock, and which merchants are connected.
func judgeBy(ctx context.Context, tx *transaction, tasks []billing.NewTask) (now time.Time, connected map[billing.MerchantID]bool, err error) {
	named := map[billing.MerchantID]bool{}
	var list []string
	for _, task := range tasks {
		if !named[task.MerchantID] {
			named[task.MerchantID] = true
			list = append(list, string(task.MerchantID))
		}
	}
	var known pq.StringArray
	err = tx.QueryRowxContext(ctx, `
		SELECT now(), ARRAY(SELECT id::text FROM merchants WHERE id = ANY($1::uuid[]) AND disconnected_at IS NULL)`,
		pq.Array(list)).Scan(&now, &known)
	if err != nil {
		return time.Time{}, nil, err
	}
	connected = make(map[billing.MerchantID]bool, len(known))
	for _, id := range known {
		connected[billing.MerchantID(id)] = true
	}
	return now.UTC(), connected, nil
}

// checkNewTasks finds the faults of the tasks that are new. A replay was judged when it was first sent, and gets that answer
// however the world has changed since.
func checkNewTasks(tasks []billing.NewTask, created []billing.CreatedTask, now time.Time, connected map[billing.MerchantID]bool) error {
	var faults []billing.Fault
	intents := map[intent]bool{}
	for i, task := range tasks {
		if created[i].Replayed {
			continue
		}
		if wanted := (intent{task.MerchantID, task.Intent}); task.Intent != "" {
			if intents[wanted] {
				faults = append(faults, billing.Fault{
					Pointer: fmt.Sprintf("/%d/intent", i), Code: "repeated", Detail: "stands twice in this batch",
				})
			}
			intents[wanted] = true
		}
		if !connected[task.MerchantID] {
			faults = append(faults, billing.Fault{
				Pointer: fmt.Sprintf("/%d/merchant_id", i), Code: "unknown_merchant",
				Detail: "no connected merchant has this id",
			})
		}
		faults = append(faults, runAtFaults(i, task.RunAt, now)...)
	}
	if len(faults) > 0 {
		return &billing.Error{Code: billing.CodeInvalid, Message: "the task cannot be scheduled", Faults: faults}
	}
	return nil
}

func runAtFaults(index int, runAt, now time.Time) []billing.Fault {
	pointer := fmt.Sprintf("/%d/run_at", index)
	switch {
	case runAt.IsZero(): // now
		return nil
	case runAt.Before(now.Add(-pastTolerance)):
		return []billing.Fault{{Pointer: pointer, Code: "in_the_past", Detail: "must not lie in the past"}}
	case runAt.After(now.Add(futureLimit)):
		return []billing.Fault{{Pointer: pointer, Code: "too_far", Detail: "must lie within ten years"}}
	}
	return nil
}

// insertTasks inserts those tasks that are not replays.
func insertTasks(ctx context.Context, tx *transaction, tasks []billing.NewTask, created []billing.CreatedTask) error {
	columns := newRows{batch: len(tasks) > 1}
	for i, task := range tasks {
		if created[i].Replayed {
			continue
		}
		if err := columns.add(task, created[i].Task); err != nil {
			return err
		}
	}
	if len(columns.ids) == 0 {
		return nil
	}
	inserted := []billing.TaskID{}
	err := tx.SelectContext(ctx, &inserted, `
		WITH made AS (
		INSERT INTO scheduled_tasks (id, merchant_id, kind, target, params, metadata, retry_of, intent, on_decline, declines,
			request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts,
			created_by, trace_context)
		SELECT id, merchant_id, kind, target, params::jsonb, metadata::jsonb, nullif(retry_of, '')::uuid, intent,
			nullif(on_decline, '')::jsonb, declines,
			request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts,
			nullif(created_by, ''), nullif(trace_context, '')
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
			$8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[], $13::timestamptz[], $14::timestamptz[], $15::int[],
			$16::text[], $17::text[], $18::int[], $19::text[], $20::text[])
			AS new (id, merchant_id, kind, target, params, metadata, retry_of,
				request_method, request_path, request_body, request_version, request_hash, run_at, scheduled_for, max_attempts,
				intent, on_decline, declines, created_by, trace_context)
		ORDER BY intent, id -- intents in one order by everybody, so that two batches cannot deadlock
		ON CONFLICT (merchant_id, intent) WHERE intent <> '' AND status NOT IN ('failed', 'canceled') DO NOTHING
		RETURNING id, merchant_id, kind, target, scheduled_for
		)`+tellCreated+`
		SELECT id FROM made`, columns.args()...)
	if err != nil {
		return err
	}
	if len(inserted) < len(columns.ids) {
		return intentTaken(ctx, tx, tasks, inserted)
	}
	return intentArchived(ctx, tx, tasks, created)
}

// timestampLayout is how times are given to PostgreSQL inside arrays.
const timestampLayout = time.RFC3339Nano

// timestamps renders times for a timestamptz[] parameter, which lib/pq cannot encode by itself.
func timestamps(times []time.Time) []string {
	texts := make([]string, len(times))
	for i, t := range times {
		texts[i] = t.UTC().Format(timestampLayout)
	}
	return texts
}
