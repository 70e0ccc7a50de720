package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"billonce/pkg/billing"
)

// lease is the worker's standing: its id, and until when it may trust that nobody has declared it dead. Trust is measured
// from before a heartbeat was sent, by whichever of the process's clocks has gone further, so it ends before the lease does at
// the database.
type lease struct {
	deps  Deps
	conf  Config
	tally *tally

	mu    sync.Mutex
	id    billing.WorkerID
	since time.Time // when the last heartbeat that was answered was sent
}

// margin is the part of a lease that is not trusted: time for a request to leave the process after the check.
func (l *lease) margin() time.Duration { return l.conf.Lease / 10 }

// current returns the worker's id and whether the worker may still begin to send.
func (l *lease) current() (billing.WorkerID, bool) { return l.at(time.Now()) }

// trusts reports whether a claim made under the given id may still be sent. now was read just before.
func (l *lease) trusts(id billing.WorkerID, now time.Time) bool {
	current, trusted := l.at(now)
	return trusted && current == id
}

func (l *lease) at(now time.Time) (billing.WorkerID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id, elapsed(l.since, now) < l.conf.Lease-l.margin()
}

func (l *lease) renewed(id billing.WorkerID, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id, l.since = id, since
}

// register announces the worker under a new id, waiting for the database as long as it takes. The error is ctx's.
func (l *lease) register(ctx context.Context) error {
	pause := errorPauseFirst
	for {
		began := time.Now()
		id, err := l.deps.NewID()
		if err == nil {
			err = l.announce(ctx, id)
		}
		if err == nil {
			l.renewed(id, began)
			l.deps.Log.InfoContext(ctx, "worker registered", slog.String("worker_id", string(id)))
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.deps.Log.WarnContext(ctx, "worker not registered", slog.Any("error", err), slog.Duration("pause", pause))
		wait(ctx, jitter(pause))
		pause = min(2*pause, errorPauseMax)
	}
}

func (l *lease) announce(ctx context.Context, id billing.WorkerID) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return l.deps.Registry.RegisterWorker(ctx, billing.Worker{
		ID: id, Hostname: l.conf.Hostname, PID: l.conf.PID, Version: l.conf.Version,
		Concurrency: l.conf.Concurrency, Lease: l.conf.Lease,
	})
}

// keep renews the lease until ctx ends. A worker that was declared dead registers anew; what it held is lost to others.
func (l *lease) keep(ctx context.Context) {
	pause := l.conf.Lease / 3
	for {
		wait(ctx, jitter(pause))
		if ctx.Err() != nil {
			return
		}
		id, _ := l.current()
		began := time.Now()
		statement, cancel := context.WithTimeout(ctx, l.conf.Lease/3)
		err := l.deps.Registry.Heartbeat(statement, id)
		cancel()
		switch {
		case err == nil:
			l.renewed(id, began)
			pause = l.conf.Lease / 3
			l.record(ctx, id, l.conf.Lease/10) // the next heartbeat must not wait for it
		case ctx.Err() != nil:
			return
		case billing.CodeOf(err) == billing.CodeLeaseLost:
			l.deps.Metrics.LeaseLost()
			l.deps.Log.ErrorContext(ctx, "declared dead, registering anew", slog.String("worker_id", string(id)))
			if l.register(ctx) != nil {
				return
			}
		default:
			l.deps.Metrics.HeartbeatFailed()
			l.deps.Log.WarnContext(ctx, "heartbeat missed", slog.String("worker_id", string(id)), slog.Any("error", err))
			pause = l.conf.Lease / 10
		}
	}
}

// record writes what attempts came to since it was written last. What cannot be written comes with the next heartbeat.
func (l *lease) record(ctx context.Context, id billing.WorkerID, patience time.Duration) {
	outcomes := l.tally.take()
	if outcomes == (billing.OutcomeCounts{}) {
		return
	}
	statement, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := l.deps.Registry.RecordOutcomes(statement, id, outcomes); err != nil {
		l.tally.add(outcomes)
		if ctx.Err() == nil {
			l.deps.Log.WarnContext(ctx, "outcomes not recorded", slog.String("worker_id", string(id)), slog.Any("error", err))
		}
	}
}

// draining lets people see that the worker claims no more. Nothing depends on it.
func (l *lease) draining(ctx context.Context) {
	id, _ := l.current()
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := l.deps.Registry.DrainWorker(statement, id); err != nil && ctx.Err() == nil {
		l.deps.Log.WarnContext(ctx, "draining not noted", slog.String("worker_id", string(id)), slog.Any("error", err))
	}
}

// end takes the worker off the list, so that nobody waits for its lease to run out.
func (l *lease) end(ctx context.Context) {
	id, _ := l.current()
	defer l.record(ctx, id, l.conf.Lease/10) // nobody waits for that
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := l.deps.Registry.DeregisterWorker(ctx, id); err != nil {
		l.deps.Log.WarnContext(ctx, "worker not deregistered", slog.String("worker_id", string(id)), slog.Any("error", err))
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
