package worker

import (
	"context"
	"log/slog"
	"time"

	"billonce/pkg/billing"
)

const (
	archiveBatch    = 500 // tasks per statement: about 50 ms
	archiveShare    = 4   // the pause after a batch, in times that the batch took
	archiveMinShare = 300 // the least pause after a batch, as a part of RetentionPause
)

// retain moves finished tasks out of the queue's tables when they are old, until ctx ends. It is in nobody's way: small
// batches with long pauses between them, which grow with the number of workers, so that the fleet together moves as much as
// one worker alone.
func (w *Worker) retain(ctx context.Context) {
	wait(ctx, jitter(w.conf.RetentionPause/10))
	for ctx.Err() == nil {
		w.retainOnce(ctx)
		wait(ctx, jitter(w.conf.RetentionPause))
	}
}

// retainOnce moves everything that can go at present, status by status, and tells how much that was: at the end, and now and
// then on the way.
func (w *Worker) retainOnce(ctx context.Context) {
	began, total := time.Now(), 0
	told := began
	tell := func(done bool) {
		told = time.Now()
		w.deps.Log.InfoContext(ctx, "finished tasks archived", slog.Int("tasks", total), slog.Duration("took", told.Sub(began)),
			slog.Bool("done", done))
	}
	done := false
	defer func() {
		if total > 0 {
			tell(done)
		}
	}()
	for _, status := range billing.Statuses() {
		if !status.Terminal() {
			continue
		}
		for from, more := (time.Time{}), true; more; {
			batch := time.Now()
			moved, err := w.moveFinished(ctx, status, from)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				w.deps.Log.WarnContext(ctx, "no finished tasks archived", slog.String("status", string(status)), slog.Any("error", err))
				return
			}
			w.deps.Metrics.Archived(moved.Tasks)
			total += moved.Tasks
			from, more = moved.Last, moved.Tasks >= archiveBatch
			if more && time.Since(told) > w.conf.RetentionPause {
				tell(false)
			}
			if more {
				pause := max(archiveShare*time.Since(batch), w.conf.RetentionPause/archiveMinShare)
				wait(ctx, jitter(pause*time.Duration(max(moved.Workers, 1))))
			}
		}
	}
	done = true
}

func (w *Worker) moveFinished(ctx context.Context, status billing.Status, from time.Time) (billing.Moved, error) {
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return w.deps.Archive.MoveFinished(statement, status, from, w.conf.Retention, archiveBatch)
}
