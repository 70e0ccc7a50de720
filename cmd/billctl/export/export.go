// Package export writes the history of tasks as lines of JSON.
//
// It promises that every task that exists when it begins is written once, oldest first, also when workers move it into the
// archive meanwhile; that only whole lines are written; that it holds one page in memory and no transaction longer than a page
// takes; and that it can go on after any task that it has named. It reads no merchant, hence no token.
package export

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"billonce/cmd/billctl/progress"
	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/store"
)

// pageSize is how many tasks are looked at in one step: a few milliseconds, and some megabytes where params are large.
const pageSize = 250

// Source is the database that is read.
type Source interface {
	HistoryUpTo(ctx context.Context, after billing.TaskID) (of store.HistoryRange, estimate int, err error)
	HistoryPage(ctx context.Context, filter store.HistoryFilter, of store.HistoryRange, limit int) (store.HistoryPage, error)
}

// State is how far an export is.
type State struct {
	Seen    int            // tasks looked at
	Written int            // tasks that matched
	Last    billing.TaskID // the last one looked at: the export can go on after it
}

// Run writes what matches and comes after the given task. The state says how far it came, also beside an error, and everything
// up to there is written.
func Run(ctx context.Context, source Source, filter store.HistoryFilter, after billing.TaskID, out io.Writer, meter progress.Meter) (State, error) {
	state := State{Last: after}
	defer meter.End()
	of, estimate, err := source.HistoryUpTo(ctx, after)
	if err != nil {
		return state, err
	}
	meter.Begin(estimate)
	if of.UpTo == of.After { // there is nothing
		return state, nil
	}
	for lines := new(bytes.Buffer); ; lines.Reset() {
		page, err := source.HistoryPage(ctx, filter, of, pageSize)
		if err != nil {
			return state, err
		}
		for _, found := range page.Tasks {
			if err := appendLine(lines, found); err != nil {
				return state, err
			}
		}
		if _, err := out.Write(lines.Bytes()); err != nil {
			return state, fmt.Errorf("write: %w", err)
		}
		state.Seen, state.Written, state.Last = state.Seen+page.Seen, state.Written+len(page.Tasks), page.Last
		meter.Reached(progress.Step{Seen: state.Seen, Done: state.Written, At: string(state.Last)})
		if page.Seen < pageSize {
			return state, nil
		}
		if ctx.Err() != nil {
			return state, ctx.Err()
		}
		of.After = page.Last
	}
}

// line is one task as the API shows it, with its attempts.
type line struct {
	client.Task
	Attempts []client.Attempt `json:"attempts"`
}

func appendLine(out io.Writer, found store.HistoryTask) error {
	task, err := show(found.Task)
	if err != nil {
		return fmt.Errorf("show task %s: %w", found.Task.ID, err)
	}
	attempts := make([]client.Attempt, len(found.Attempts))
	for i, one := range found.Attempts {
		attempts[i] = showAttempt(one)
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line{Task: task, Attempts: attempts}); err != nil {
		return fmt.Errorf("show task %s: %w", found.Task.ID, err)
	}
	return nil
}

func show(task billing.Task) (client.Task, error) {
	params, err := canonical(task.Params)
	if err != nil {
		return client.Task{}, err
	}
	shown := client.Task{
		ID: string(task.ID), MerchantID: string(task.MerchantID), Kind: task.Kind, Target: orNull(task.Target), Params: params,
		Metadata: task.Metadata, Status: task.Status, RunAt: task.RunAt, ScheduledFor: task.ScheduledFor, Attempt: task.Attempt,
		MaxAttempts: task.MaxAttempts, IdempotencyKey: task.ID.IdempotencyKey(), RetryOf: orNull(string(task.RetryOf)),
		FirstSentAt: task.FirstSentAt, Result: task.Result, LastError: task.LastError, CreatedAt: task.CreatedAt,
		UpdatedAt: task.UpdatedAt, FinishedAt: task.FinishedAt, RetriedBy: orNull(string(task.RetriedBy)), Intent: orNull(task.Intent),
		OnDecline: task.OnDecline, Declines: task.Declines, WaitingSince: task.WaitingSince, LookAt: task.LookAt,
	}
	if shown.Metadata == nil {
		shown.Metadata = map[string]string{}
	}
	if decided := task.Resolution; decided != nil {
		shown.Resolution = &client.Resolution{
			Outcome: decided.Outcome, Note: decided.Note, RequestID: decided.RequestID, ResolvedAt: decided.At.UTC(),
		}
	}
	return shown, nil
}

func showAttempt(one billing.Attempt) client.Attempt {
	shown := client.Attempt{
		Attempt: one.Number, Kind: one.Kind, WorkerID: string(one.WorkerID), StartedAt: one.StartedAt, FinishedAt: one.FinishedAt,
		Outcome: one.Outcome, Reason: one.Reason, Replayed: one.Replayed, RequestID: orNull(one.RequestID),
		Error: one.Error, Evidence: one.Evidence,
	}
	if shown.Evidence == nil {
		shown.Evidence = []billing.Evidence{}
	}
	return shown
}

// canonical sorts the members of a JSON document, as the API does.
func canonical(document json.RawMessage) (json.RawMessage, error) {
	if len(document) == 0 {
		return json.RawMessage(`{}`), nil
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("read params: %w", err)
	}
	var sorted bytes.Buffer
	encoder := json.NewEncoder(&sorted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("write params: %w", err)
	}
	return bytes.TrimSpace(sorted.Bytes()), nil
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
