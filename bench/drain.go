package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"billonce/bench/stage"
)

const (
	drainPoll    = 10 * time.Millisecond
	headPoll     = 2 * time.Millisecond
	drainTimeout = 10 * time.Minute
)

// outcome is what one drain gave.
type outcome struct {
	rate       float64       // tasks a second, from the first claim to the last settlement
	took       time.Duration // the same as a time
	workers    stage.Usage   // of all worker processes together
	postgres   stage.Usage
	perProcess int64 // peak RSS of the largest worker
}

// drain works a copy of a template off, and drops the copy.
func (b *Bench) drain(ctx context.Context, c contender, template string, workers, tasks int, hold bool) (outcome, error) {
	database := c.name + "_run"
	if err := b.Stage.Clone(ctx, template, database); err != nil {
		return outcome{}, err
	}
	release := func() error { return nil }
	if hold {
		var err error
		if release, err = b.Stage.Hold(ctx, database); err != nil {
			return outcome{}, err
		}
	}
	result, err := b.drainHere(ctx, c, database, workers, tasks)
	err = errors.Join(err, release())
	return result, errors.Join(err, b.Stage.Drop(context.WithoutCancel(ctx), database))
}

// drainHere starts workers on a database, waits until all is settled, and stops them.
func (b *Bench) drainHere(ctx context.Context, c contender, database string, workers, tasks int) (result outcome, err error) {
	db, err := b.Stage.Open(database)
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = db.Close() }()
	if err := b.Stage.Checkpoint(ctx); err != nil {
		return outcome{}, err
	}
	before, err := clock(ctx, db)
	if err != nil {
		return outcome{}, err
	}
	serverBefore, err := b.Stage.ServerUsage()
	if err != nil {
		return outcome{}, err
	}
	head, err := watchHead(ctx, db, c.watch)
	if err != nil {
		return outcome{}, err
	}
	processes, err := c.start(ctx, b, database, workers, b.variantOf(c, workers))
	defer func() {
		for _, process := range processes {
			err = errors.Join(err, process.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err == nil {
		err = waitDone(ctx, db, c.watch, head.id, processes)
	}
	first, headErr := head.finish(err != nil)
	if err = errors.Join(err, headErr); err != nil {
		return outcome{}, fmt.Errorf("drain %s: %w", c.name, err)
	}
	end, err := clock(ctx, db)
	if err != nil {
		return outcome{}, err
	}
	return b.account(ctx, c, db, span{before, first, end}, processes, serverBefore, tasks)
}

// span are the times of a drain, all by the database's clock.
type span struct{ before, first, end time.Time }

// account reads what was used and checks that everything was done.
func (b *Bench) account(ctx context.Context, c contender, db *sql.DB, times span, processes []*stage.Process,
	serverBefore stage.Usage, tasks int,
) (outcome, error) {
	var result outcome
	for _, process := range processes {
		usage, err := process.Usage()
		if err != nil {
			return outcome{}, err
		}
		result.workers = result.workers.Add(usage)
		result.perProcess = max(result.perProcess, usage.PeakRSS)
	}
	server, err := b.Stage.ServerUsage()
	if err != nil {
		return outcome{}, err
	}
	result.postgres = server.Sub(serverBefore)
	if c.watch.done != "" {
		done, err := stage.Count(ctx, db, c.watch.done, times.before)
		if err != nil {
			return outcome{}, err
		}
		if done != int64(tasks) {
			return outcome{}, fmt.Errorf("drain %s: %d of %d tasks are settled as they should be", c.name, done, tasks)
		}
	}
	if c.watch.first != "" {
		if err := db.QueryRowContext(ctx, c.watch.first, times.before).Scan(&times.first); err != nil {
			return outcome{}, fmt.Errorf("read the time of the first claim of %s: %w", c.name, err)
		}
	}
	result.took = times.end.Sub(times.first)
	result.rate = float64(tasks) / result.took.Seconds()
	b.Logf("%s: %d tasks in %.2fs: %.0f/s; workers %.1fs CPU, PostgreSQL %.1fs", c.name, tasks, result.took.Seconds(), result.rate,
		result.workers.CPU.Seconds(), result.postgres.CPU.Seconds())
	return result, nil
}

// waitDone returns when nothing is left. A worker that ends by itself is an error, unless that is its way to say that it
// is done.
func waitDone(ctx context.Context, db *sql.DB, w watch, id []any, processes []*stage.Process) error {
	return stage.WaitUntil(ctx, drainPoll, drainTimeout, func(ctx context.Context) (bool, error) {
		for _, process := range processes {
			select {
			case <-process.Done():
				if process.ExitCode() != 0 {
					return false, fmt.Errorf("%s ended with exit code %d:\n%s", process.Name(), process.ExitCode(), process.Tail())
				}
			default:
			}
		}
		for _, query := range w.left {
			var one int
			err := db.QueryRowContext(ctx, query, id...).Scan(&one)
			if err == nil {
				return false, nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return false, fmt.Errorf("look at what is left: %w", err)
			}
		}
		return true, nil
	})
}

// head watches the task that goes first, where nothing tells afterwards when it was claimed.
type head struct {
	id    []any // its id as an argument of queries; empty where there is nothing to watch
	group sync.WaitGroup
	end   context.CancelFunc
	first time.Time
	err   error
}

// watchHead begins to wait in the background for the claim of the first task. finish ends it.
func watchHead(ctx context.Context, db *sql.DB, w watch) (*head, error) {
	ctx, cancel := context.WithCancel(ctx)
	h := &head{end: cancel}
	if w.head == "" {
		return h, nil
	}
	var id int64
	if err := db.QueryRowContext(ctx, w.headID).Scan(&id); err != nil {
		cancel()
		return nil, fmt.Errorf("find the first task: %w", err)
	}
	h.id = []any{id}
	h.group.Go(func() {
		h.err = stage.WaitUntil(ctx, headPoll, drainTimeout, func(ctx context.Context) (bool, error) {
			var at sql.NullTime
			err := db.QueryRowContext(ctx, w.head, id).Scan(&at)
			if errors.Is(err, sql.ErrNoRows) {
				at.Time, err = clock(ctx, db)
				at.Valid = true
			}
			if err != nil {
				return false, fmt.Errorf("look at the first task: %w", err)
			}
			h.first = at.Time
			return at.Valid, nil
		})
	})
	return h, nil
}

// finish waits for the claim, or not if the drain failed, and returns its time.
func (h *head) finish(failed bool) (time.Time, error) {
	if failed {
		h.end()
	}
	h.group.Wait()
	h.end()
	if failed {
		return h.first, nil
	}
	return h.first, h.err
}

func clock(ctx context.Context, db *sql.DB) (time.Time, error) {
	var now time.Time
	if err := db.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return now, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}
