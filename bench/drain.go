package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"billonce/bench/stage"
)

const (
	drainPoll    = 10 * time.Millisecond
	drainTimeout = 10 * time.Minute
	gatePoll     = 50 * time.Millisecond
	gateSteady   = 500 * time.Millisecond // nobody new has come to the gate for so long
	gateTimeout  = 8 * time.Second        // less than billonce's patience with one statement
)

// outcome is what one drain gave.
type outcome struct {
	rate       float64       // tasks a second, from the opening of the gate to the last settlement
	took       time.Duration // the same as a time
	workers    stage.Usage   // of all worker processes together, in that time
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

// drainHere starts workers on a database, lets them all begin at once, waits until all is settled, and stops them.
//
// How long programs take to start is not what is measured, and four that start one after the other would have it counted. So
// a lock keeps the table shut until all workers wait for it: that is the gate.
func (b *Bench) drainHere(ctx context.Context, c contender, database string, workers, tasks int) (result outcome, err error) {
	db, err := b.Stage.Open(database)
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = db.Close() }()
	if err := b.Stage.Checkpoint(ctx); err != nil {
		return outcome{}, err
	}
	gate, err := shut(ctx, db, c.watch.table)
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = gate.Rollback() }() // a no-op once it is open
	processes, err := c.start(ctx, b, database, workers, b.variantOf(c, workers))
	defer func() {
		for _, process := range processes {
			err = errors.Join(err, process.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err == nil {
		err = waitForGate(ctx, db, workers)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("start %s: %w", c.name, err)
	}
	before, err := b.readUsage(ctx, db, processes)
	if err != nil {
		return outcome{}, err
	}
	if err := gate.Rollback(); err != nil {
		return outcome{}, fmt.Errorf("open the gate: %w", err)
	}
	if err := waitDone(ctx, db, c.watch, processes); err != nil {
		return outcome{}, fmt.Errorf("drain %s: %w", c.name, err)
	}
	after, err := b.readUsage(ctx, db, processes)
	if err != nil {
		return outcome{}, err
	}
	if err := checkDone(ctx, db, c, before.at, tasks); err != nil {
		return outcome{}, err
	}
	result = outcome{
		took: after.at.Sub(before.at), workers: after.workers.Sub(before.workers), postgres: after.server.Sub(before.server),
		perProcess: after.largest,
	}
	result.rate = float64(tasks) / result.took.Seconds()
	b.Logf("%s: %d tasks in %.2fs: %.0f/s; workers %.1fs CPU, PostgreSQL %.1fs", c.name, tasks, result.took.Seconds(), result.rate,
		result.workers.CPU.Seconds(), result.postgres.CPU.Seconds())
	return result, nil
}

// shut keeps everybody from the table until the transaction ends.
func shut(ctx context.Context, db *sql.DB, table string) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		_, err = tx.ExecContext(ctx, `LOCK TABLE `+table+` IN ACCESS EXCLUSIVE MODE`)
	}
	if err != nil {
		return nil, fmt.Errorf("shut the gate: %w", err)
	}
	return tx, nil
}

// waitForGate returns when as many connections wait for the lock as there are workers, at least, and no more have come for
// a moment.
func waitForGate(ctx context.Context, db *sql.DB, workers int) error {
	began, last, since := time.Now(), int64(0), time.Now()
	return stage.WaitUntil(ctx, gatePoll, 2*gateTimeout, func(ctx context.Context) (bool, error) {
		waiting, err := stage.Count(ctx, db,
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		if err != nil {
			return false, err
		}
		if waiting != last {
			last, since = waiting, time.Now()
		}
		if time.Since(began) > gateTimeout && waiting == 0 {
			return false, errors.New("no worker has come to claim")
		}
		ready := waiting >= int64(workers) && time.Since(since) > gateSteady
		return ready || time.Since(began) > gateTimeout, nil
	})
}

// reading is what had been used at a time of the database's clock.
type reading struct {
	at              time.Time
	workers, server stage.Usage
	largest         int64
}

func (b *Bench) readUsage(ctx context.Context, db *sql.DB, processes []*stage.Process) (reading, error) {
	var r reading
	if err := db.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&r.at); err != nil {
		return r, fmt.Errorf("read the database's clock: %w", err)
	}
	for _, process := range processes {
		usage, err := process.Usage()
		if err != nil {
			return r, err
		}
		r.workers = r.workers.Add(usage)
		r.largest = max(r.largest, usage.PeakRSS)
	}
	var err error
	r.server, err = b.Stage.ServerUsage()
	return r, err
}

// checkDone makes sure that what was measured is what was asked for.
func checkDone(ctx context.Context, db *sql.DB, c contender, since time.Time, tasks int) error {
	if c.watch.done == "" {
		return nil
	}
	done, err := stage.Count(ctx, db, c.watch.done, since)
	if err != nil {
		return err
	}
	if done != int64(tasks) {
		return fmt.Errorf("drain %s: %d of %d tasks are settled as they should be", c.name, done, tasks)
	}
	return nil
}

// waitDone returns when nothing is left. A worker that fails meanwhile is an error.
func waitDone(ctx context.Context, db *sql.DB, w watch, processes []*stage.Process) error {
	return stage.WaitUntil(ctx, drainPoll, drainTimeout, func(ctx context.Context) (bool, error) {
		for _, process := range processes {
			select {
			case <-process.Done():
				return false, fmt.Errorf("%s ended with exit code %d:\n%s", process.Name(), process.ExitCode(), process.Tail())
			default:
			}
		}
		for _, query := range w.left {
			var one int
			err := db.QueryRowContext(ctx, query).Scan(&one)
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
