package worker

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"billonce/pkg/billing"
)

// aside keeps the settlements that the database has denied one by one, until somebody grants what is lacking. Their claims stay held, so
// that nobody else carries the tasks out again. It belongs to the goroutine of [settler.run].
type aside struct {
	kept  []verdict
	pause time.Duration
	next  time.Time // when one of them is tried again
}

// due fires when one is to be tried again; never while there is none.
func (a *aside) due() <-chan time.Time {
	if len(a.kept) == 0 {
		return nil
	}
	return time.After(time.Until(a.next))
}

func (a *aside) put(v verdict) {
	if len(a.kept) == 0 {
		a.pause = errorPauseFirst
		a.next = time.Now().Add(jitter(a.pause))
	}
	a.kept = append(a.kept, v)
}

// putOff lets another one be the next to be tried, later.
func (a *aside) putOff() {
	a.kept = append(a.kept[1:], a.kept[0])
	a.pause = min(2*a.pause, errorPauseMax)
	a.next = time.Now().Add(jitter(a.pause))
}

// retry tries one of those put aside when its time has come, and once that is written, all: a worker that was denied thousands asks for
// one of them at a time.
func (s *settler) retry(ctx context.Context) {
	if len(s.aside.kept) == 0 || time.Now().Before(s.aside.next) {
		return
	}
	if err := s.try(ctx, s.aside.kept[:1], map[billing.TaskID]bool{}); err != nil {
		s.deps.Log.ErrorContext(ctx, "settlements put aside are still not written", slog.Int("tasks", len(s.aside.kept)), slog.Any("error", err))
		s.aside.putOff()
		return
	}
	rest := s.aside.kept[1:]
	s.aside.kept = nil
	for batch := range slices.Chunk(rest, settleBatch) {
		s.write(ctx, batch, map[billing.TaskID]bool{})
	}
}

// insist tries what was put aside until it is written or ctx ends.
func (s *settler) insist(ctx context.Context) {
	for len(s.aside.kept) > 0 && ctx.Err() == nil {
		wait(ctx, time.Until(s.aside.next))
		s.retry(ctx)
	}
}
