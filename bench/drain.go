package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"billonce/bench/stage"
)

const (
	drainPoll    = 10 * time.Millisecond
	drainTimeout = 10 * time.Minute
	gatePoll     = 50 * time.Millisecond
	gateSteady   = 500 * time.Millisecond // nobody new has come to the gate for so long
	gateTimeout  = 8 * time.Second        // less than billonce's patience with one statement
	// A worker of billonce begins to archive 4.8 to 7.2 seconds after its start. The gate opens shortly before: a batch that had to wait
	// at it would look slow, and be followed by a pause of four times as long.
	gateArchive = 4 * time.Second
)

// draining says what is drained, and under which conditions.
type draining struct {
	workers, tasks int
	hold           bool          // somebody holds a snapshot meanwhile
	archive        bool          // billonce moves finished tasks away meanwhile
	atMost         time.Duration // after that it is stopped, and what was done by then counts; 0: all must be done
}

// outcome is what one drain gave.
type outcome struct {
	rate       float64       // tasks a second, from the opening of the gate to the last settlement
	done       int           // fewer than were there if it was stopped
	archived   int           // moved away meanwhile, under draining.archive
	took       time.Duration // the same as a time
	workers    stage.Usage   // of all worker processes together, in that time
	postgres   stage.Usage
	perProcess int64 // peak RSS of the largest worker
}

// drain works a copy of a template off, and drops the copy.
func (b *Bench) drain(ctx context.Context, c contender, template string, how draining) (outcome, error) {
	database := c.name + "_run"
	if err := b.Stage.Clone(ctx, template, database); err != nil {
		return outcome{}, err
	}
	release := func() error { return nil }
	if how.hold {
		var err error
		if release, err = b.Stage.Hold(ctx, database); err != nil {
			return outcome{}, err
		}
	}
	result, err := b.drainHere(ctx, c, database, how)
	err = errors.Join(err, release())
	return result, errors.Join(err, b.Stage.Drop(context.WithoutCancel(ctx), database))
}

// drainHere starts workers on a database, lets them all begin at once, waits until all is settled, and stops them.
//
// How long programs take to start is not what is measured, and four that start one after the other would have it counted. So
// a lock keeps the table shut until all workers wait for it: that is the gate.
func (b *Bench) drainHere(ctx context.Context, c contender, database string, how draining) (result outcome, err error) {
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
	args := b.variantOf(c, how.workers)
	if how.archive {
		args = append(slices.Clone(args), "TASK_RETENTION", archiveAfter)
	}
	processes, err := c.start(ctx, b, database, how.workers, args)
	defer func() { err = errors.Join(err, stopAll(context.WithoutCancel(ctx), processes)) }()
	if err == nil {
		err = waitForGate(ctx, db, how)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("start %s: %w", c.name, err)
	}
	if result, err = b.measure(ctx, c, db, gate, processes, how); err != nil {
		return outcome{}, err
	}
	b.Logf("%s: %d tasks in %.2fs: %.0f/s; workers %.1fs CPU, PostgreSQL %.1fs", c.name, result.done, result.took.Seconds(), result.rate,
		result.workers.CPU.Seconds(), result.postgres.CPU.Seconds())
	return result, nil
}

// measure opens the gate and waits until all is settled, or the time is over.
func (b *Bench) measure(ctx context.Context, c contender, db *sql.DB, gate *sql.Tx, processes []*stage.Process, how draining) (outcome, error) {
	before, err := b.readUsage(ctx, db, processes)
	if err != nil {
		return outcome{}, err
	}
	if err := gate.Rollback(); err != nil {
		return outcome{}, fmt.Errorf("open the gate: %w", err)
	}
	all, err := waitDone(ctx, db, c.watch, processes, how.atMost)
	if err != nil {
		return outcome{}, fmt.Errorf("drain %s: %w", c.name, err)
	}
	after, err := b.readUsage(ctx, db, processes)
	if err != nil {
		return outcome{}, err
	}
	result := outcome{
		took: after.at.Sub(before.at), workers: after.workers.Sub(before.workers), postgres: after.server.Sub(before.server),
		perProcess: after.largest,
	}
	if result.done, err = settled(ctx, db, c.watch, before.at, how.tasks); err != nil {
		return outcome{}, err
	}
	if all && result.done != how.tasks {
		return outcome{}, fmt.Errorf("drain %s: %d of %d tasks are settled as they should be", c.name, result.done, how.tasks)
	}
	if how.archive {
		if result.archived, err = archived(ctx, db); err != nil {
			return outcome{}, err
		}
	}
	result.rate = float64(result.done) / result.took.Seconds()
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
// a moment. If they are to archive meanwhile, it keeps them until they are about to.
func waitForGate(ctx context.Context, db *sql.DB, how draining) error {
	least := time.Duration(0)
	if how.archive {
		least = gateArchive
	}
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
		ready := waiting >= int64(how.workers) && time.Since(since) > gateSteady && time.Since(began) > least
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

// settled counts what was done since the gate was opened.
func settled(ctx context.Context, db *sql.DB, w watch, since time.Time, tasks int) (int, error) {
	if w.done != "" {
		done, err := stage.Count(ctx, db, w.done, since)
		return int(done), err
	}
	left, err := stage.Count(ctx, db, w.rest)
	return tasks - int(left), err
}

// waitDone returns true when nothing is left, and false when the time is over before that. A worker that fails meanwhile is an
// error.
func waitDone(ctx context.Context, db *sql.DB, w watch, processes []*stage.Process, atMost time.Duration) (all bool, err error) {
	began := time.Now()
	err = stage.WaitUntil(ctx, drainPoll, drainTimeout, func(ctx context.Context) (bool, error) {
		for _, process := range processes {
			select {
			case <-process.Done():
				return false, fmt.Errorf("%s ended with exit code %d:\n%s", process.Name(), process.ExitCode(), process.Tail())
			default:
			}
		}
		left, err := anyLeft(ctx, db, w)
		all = !left
		return all || atMost > 0 && time.Since(began) > atMost, err
	})
	return all, err
}

func anyLeft(ctx context.Context, db *sql.DB, w watch) (bool, error) {
	for _, query := range w.left {
		var one int
		err := db.QueryRowContext(ctx, query).Scan(&one)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return false, fmt.Errorf("look at what is left: %w", err)
		}
	}
	return false, nil
}
