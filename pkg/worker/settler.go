package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"billonce/pkg/billing"
)

const (
	settleBatch = 500
	settlePause = 10 * time.Millisecond // how long a settlement waits for others to share its statement
	settleQueue = 2000                  // settlements waiting at most; beyond it, tasks keep their slots
)

// settler writes settlements in batches and keeps at it until the database has them. A claim stays held until then.
type settler struct {
	deps   Deps
	flight *flight
	queue  chan verdict
	done   chan struct{}
}

func newSettler(deps Deps, flight *flight) *settler {
	return &settler{deps: deps, flight: flight, queue: make(chan verdict, settleQueue), done: make(chan struct{})}
}

// settle hands over a decision; it waits when too many are unwritten.
func (s *settler) settle(v verdict) { s.queue <- v }

// finish says that no more settlements come, and waits until those handed over are written. When the database does not
// answer for a while it calls giveUp, which ends the context of run.
func (s *settler) finish(giveUp context.CancelFunc) {
	close(s.queue)
	grace := time.NewTimer(recordGrace)
	defer grace.Stop()
	select {
	case <-s.done:
	case <-grace.C:
		giveUp()
		<-s.done
	}
}

// run writes settlements until finish is called; once ctx ends it drops them, and the tasks go to other workers.
func (s *settler) run(ctx context.Context) {
	defer close(s.done)
	for {
		batch, open := s.gather()
		if len(batch) > 0 {
			s.write(ctx, batch)
		}
		if !open {
			return
		}
	}
}

// gather waits for a settlement and then a moment for others.
func (s *settler) gather() (batch []verdict, open bool) {
	first, open := <-s.queue
	if !open {
		return nil, false
	}
	batch = append(batch, first)
	timer := time.NewTimer(settlePause)
	defer timer.Stop()
	for len(batch) < settleBatch {
		select {
		case next, open := <-s.queue:
			if !open {
				return batch, false
			}
			batch = append(batch, next)
		case <-timer.C:
			return batch, true
		}
	}
	return batch, true
}

// write writes a batch, however often it takes. A batch that the database refuses for its content is split, so that one
// bad settlement holds back no other; what cannot be written even alone is put in doubt with nothing but its reason.
func (s *settler) write(ctx context.Context, batch []verdict) {
	pause := errorPauseFirst
	for ctx.Err() == nil {
		err := s.try(ctx, batch)
		if err == nil {
			return
		}
		s.deps.Log.ErrorContext(ctx, "settlements not written", slog.Int("tasks", len(batch)), slog.Any("error", err),
			slog.Duration("pause", pause))
		if errors.Is(err, billing.ErrContent) {
			if len(batch) > 1 {
				s.write(ctx, batch[:len(batch)/2])
				s.write(ctx, batch[len(batch)/2:])
				return
			}
			batch[0].Settlement = bare(batch[0].Settlement)
		}
		wait(ctx, jitter(pause))
		pause = min(2*pause, errorPauseMax)
	}
}

// bare is the settlement without anything that came from outside.
func bare(settlement billing.Settlement) billing.Settlement {
	settlement.Status, settlement.Unsent = billing.InDoubt, false
	settlement.Answer = billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnexpected}
	return settlement
}

func (s *settler) try(ctx context.Context, batch []verdict) error {
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	settlements := make([]billing.Settlement, len(batch))
	for i, v := range batch {
		settlements[i] = v.Settlement
	}
	began := time.Now()
	ids, err := s.deps.Queue.Settle(statement, settlements)
	if err != nil {
		return err
	}
	s.deps.Metrics.Settled(len(ids), len(batch)-len(ids), time.Since(began))
	changed := make(map[billing.TaskID]bool, len(ids))
	for _, id := range ids {
		changed[id] = true
	}
	for _, v := range batch {
		s.flight.remove(v.ID, v.Attempt)
		s.report(ctx, v, changed[v.ID])
	}
	return nil
}

// report writes the one log line of an attempt.
func (s *settler) report(ctx context.Context, v verdict, written bool) {
	attrs := []slog.Attr{
		slog.String("task_id", string(v.ID)), slog.String("merchant_id", string(v.claim.MerchantID)),
		slog.String("kind", string(v.claim.Kind)), slog.Int("attempt", v.Attempt), slog.String("worker_id", string(v.Worker)),
		slog.String("outcome", string(v.Answer.Outcome)), slog.String("reason", string(v.Answer.Reason)),
		slog.String("status", string(v.Status)), slog.Duration("took", v.took), slog.String("stripe_request_id", v.Answer.RequestID()),
	}
	if v.Answer.Result != nil {
		attrs = append(attrs, slog.Bool("replayed", v.Answer.Result.Replayed))
	}
	if v.Answer.Error != nil {
		attrs = append(attrs,
			slog.Int("http_status", v.Answer.Error.HTTPStatus), slog.String("code", v.Answer.Error.Code),
			slog.String("decline_code", v.Answer.Error.DeclineCode))
	}
	switch {
	case !written:
		s.deps.Log.LogAttrs(ctx, slog.LevelWarn, "attempt discarded, the task was lost or had been settled", attrs...)
	case v.Status == billing.InDoubt:
		s.deps.Log.LogAttrs(ctx, slog.LevelError, "task in doubt", attrs...)
	default:
		s.deps.Log.LogAttrs(ctx, slog.LevelInfo, "attempt settled", attrs...)
	}
}
