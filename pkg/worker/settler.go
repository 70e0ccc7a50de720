package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	tally  *tally
	quiet  bool // about tasks that succeed
	done   chan struct{}

	mu     sync.Mutex
	room   *sync.Cond // told when there is room in queue
	queue  []verdict
	closed bool
	stir   chan struct{} // has an element after the queue began to fill, was full enough for a statement, or was closed

	batch       []verdict            // of run alone, kept from one to the next
	settlements []billing.Settlement // the same
	aside       aside
}

func newSettler(deps Deps, flight *flight, tally *tally, quiet bool) *settler {
	s := &settler{deps: deps, flight: flight, tally: tally, quiet: quiet, done: make(chan struct{}), stir: make(chan struct{}, 1)}
	s.room = sync.NewCond(&s.mu)
	return s
}

// settle hands over a decision; it waits when too many are unwritten.
func (s *settler) settle(v *verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) >= settleQueue {
		s.room.Wait()
	}
	s.queue = append(s.queue, *v)
	if n := len(s.queue); n == 1 || n == settleBatch { // one wake-up for many: each costs as much as the settlement
		s.wake()
	}
}

func (s *settler) wake() {
	select {
	case s.stir <- struct{}{}:
	default:
	}
}

// finish says that no more settlements come, and waits until those handed over are written. When the database does not
// answer for a while it calls giveUp, which ends the context of run.
func (s *settler) finish(giveUp context.CancelFunc) {
	s.mu.Lock()
	s.closed = true
	s.wake()
	s.mu.Unlock()
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
		batch, open := s.gather(s.aside.due())
		if len(batch) > 0 {
			s.write(ctx, batch, map[billing.TaskID]bool{})
			clear(batch) // what it points to need not wait for the next batch
		}
		s.retry(ctx)
		if !open {
			s.insist(ctx)
			return
		}
	}
}

// gather waits for a settlement and then a moment for others, or until enough time has passed. What it returns is valid until the next
// call. The last batch is the one that is returned with false.
func (s *settler) gather(until <-chan time.Time) (batch []verdict, open bool) {
	for !s.any() {
		select {
		case <-s.stir:
		case <-until:
			return nil, true
		}
	}
	timer := time.NewTimer(settlePause)
	defer timer.Stop()
	for !s.enough() {
		select {
		case <-s.stir:
		case <-timer.C:
			return s.take()
		}
	}
	return s.take()
}

// any reports whether gather has anything to wait with for others, or nothing to wait for.
func (s *settler) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0 || s.closed
}

// enough reports whether it would be of no use to wait for more.
func (s *settler) enough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) >= settleBatch || s.closed
}

// take removes a batch from the queue. It reports false when the settler was closed and nothing is left.
func (s *settler) take() (batch []verdict, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.queue), settleBatch)
	s.batch = append(s.batch[:0], s.queue[:n]...)
	rest := copy(s.queue, s.queue[n:])
	clear(s.queue[rest:])
	s.queue = s.queue[:rest]
	s.room.Broadcast()
	return s.batch, !s.closed || rest > 0
}

// write writes a batch, however often it takes. A batch that the database refuses for its content, or for a right that its user lacks,
// is split, so that one bad settlement holds back no other. What has content that cannot be written even alone is put in doubt with
// nothing but its reason; what is denied alone is put aside. written are the tasks of the batch that earlier tries have settled: they
// are no longer running, and yet not lost.
func (s *settler) write(ctx context.Context, batch []verdict, written map[billing.TaskID]bool) {
	pause := errorPauseFirst
	for ctx.Err() == nil {
		err := s.try(ctx, batch, written)
		if err == nil {
			return
		}
		content, denied := errors.Is(err, billing.ErrContent), errors.Is(err, billing.ErrDenied)
		if (content || denied) && len(batch) > 1 {
			s.write(ctx, batch[:len(batch)/2], written)
			s.write(ctx, batch[len(batch)/2:], written)
			return
		}
		s.deps.Log.ErrorContext(ctx, "settlements not written", slog.Int("tasks", len(batch)), slog.String("first", string(batch[0].ID)),
			slog.Any("error", err), slog.Duration("pause", pause))
		switch {
		case content:
			batch[0].Settlement = bare(batch[0].Settlement)
		case denied && len(s.aside.kept) < settleQueue:
			s.aside.put(batch[0])
			return
		}
		wait(ctx, jitter(pause))
		pause = min(2*pause, errorPauseMax)
	}
}

// bare is the settlement without anything that came from outside.
func bare(settlement billing.Settlement) billing.Settlement {
	settlement.Status, settlement.Unsent, settlement.Next = billing.InDoubt, false, nil
	settlement.Answer = billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnexpected}
	return settlement
}

func (s *settler) try(ctx context.Context, batch []verdict, written map[billing.TaskID]bool) error {
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s.settlements = s.settlements[:0]
	for i := range batch {
		s.settlements = append(s.settlements, batch[i].Settlement)
	}
	began := time.Now()
	ids, err := s.deps.Queue.Settle(statement, s.settlements)
	clear(s.settlements)
	if err != nil || len(written) > 0 || len(ids) < len(batch) {
		for _, id := range ids {
			written[id] = true
		}
	}
	if err != nil {
		s.deps.Metrics.SettleFailed()
		return err
	}
	lost := 0
	if len(ids) < len(batch) {
		lost = len(batch) - count(batch, written)
	}
	now := time.Now()
	s.deps.Metrics.Settled(len(batch)-lost, lost, now.Sub(began))
	s.flight.land(batch)
	all := len(ids) == len(batch) // each task is named once, so none is missing
	var outcomes billing.OutcomeCounts
	for i := range batch {
		settled := all || written[batch[i].ID]
		if settled {
			outcomes.Add(batch[i].Status)
		}
		s.report(ctx, &batch[i], settled, now)
	}
	s.tally.add(outcomes)
	return nil
}

// count returns how many of a batch are written.
func count(batch []verdict, written map[billing.TaskID]bool) (n int) {
	for i := range batch {
		if written[batch[i].ID] {
			n++
		}
	}
	return n
}

// report counts what became of a task, and writes the one log line of an attempt.
func (s *settler) report(ctx context.Context, v *verdict, written bool, now time.Time) {
	level := slog.LevelInfo
	switch {
	case !written:
		level = slog.LevelWarn
	case v.Status == billing.InDoubt:
		level = slog.LevelError
	}
	if written {
		s.deps.Metrics.TaskSettled(v.kind, v.Status, v.Answer.Reason, now.Sub(v.due))
	}
	if !s.deps.Log.Enabled(ctx, level) || s.quiet && written && v.Status == billing.Succeeded {
		return // a line that nobody reads is not put together
	}
	if v.within != nil {
		ctx = v.within
	}
	s.tell(ctx, level, v, written)
}

// tell writes the line. What its attributes are called, the API calls them too.
func (s *settler) tell(ctx context.Context, level slog.Level, v *verdict, written bool) {
	attrs := v.attrs()
	switch {
	case !written:
		s.deps.Log.LogAttrs(ctx, level, "attempt discarded, the task was lost or had been settled", attrs...)
	case v.Status == billing.InDoubt:
		s.deps.Log.LogAttrs(ctx, level, "task in doubt", attrs...)
	case v.Status == billing.Pending:
		s.deps.Log.LogAttrs(ctx, level, "task retried", append(attrs, slog.Float64("retry_in_ms", milliseconds(v.Delay)))...)
	case v.Status == billing.Failed:
		s.deps.Log.LogAttrs(ctx, level, "task failed", attrs...)
	default:
		s.deps.Log.LogAttrs(ctx, level, "task succeeded", attrs...)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (v *verdict) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("task_id", string(v.ID)), slog.String("merchant_id", string(v.merchant)),
		slog.String("kind", string(v.kind)), slog.String("target", v.target), slog.String("status", string(v.Status)),
		slog.Int("attempt", v.Attempt), slog.String("worker_id", string(v.Worker)),
		slog.String("outcome", string(v.Answer.Outcome)), slog.String("reason", string(v.Answer.Reason)),
		slog.String("request_id", v.Answer.RequestID()), slog.Float64("duration_ms", milliseconds(v.took)))
	if v.Answer.Result != nil {
		attrs = append(attrs, slog.Bool("replayed", v.Answer.Result.Replayed))
	}
	if v.Answer.Error != nil {
		attrs = append(attrs,
			slog.Int("http_status", v.Answer.Error.HTTPStatus), slog.String("code", v.Answer.Error.Code),
			slog.String("decline_code", v.Answer.Error.DeclineCode))
	}
	return attrs
}
