package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"billonce/bench/stage"
)

// The contenders' names, in the tables and for -contenders.
const (
	billonceName = "billonce"
	riverName    = "river"
	graphileName = "graphile"
	pgbossName   = "pgboss"
	floorName    = "floor"
)

// contender is a system that works tasks off.
type contender struct {
	name string
	// about says in the header what it is and how it is set.
	about string
	// ready prepares what it needs; the error says why it cannot take part.
	ready func(ctx context.Context, b *Bench) error
	// load makes the schema, unless it is there, and adds due tasks.
	load func(ctx context.Context, b *Bench, database string, fill filling) error
	// start starts so many worker processes, set as the variant says.
	start func(ctx context.Context, b *Bench, database string, workers int, args variant) ([]*stage.Process, error)
	// variants are the settings to choose the fastest from; the first one is taken in a quick run.
	variants []variant
	// latency measures how soon tasks start; nil: in a way of its own, or not at all.
	latency func(b *Bench, database string, rate, seconds int) (stage.Command, error)
	watch   watch
	around  surroundings
}

// variant is a way to set a contender: arguments of its program, or for billonce names and values of its environment.
type variant []string

// String is how the tables name it.
func (v variant) String() string { return strings.Join(v, " ") }

// filling says what a database holds before a drain.
type filling struct {
	due              int
	future, finished int // tasks around them
	order            order
	targets          bool // each task at an object of its own; for billonce alone
}

// order says when the due tasks were to run.
type order string

const (
	asLoaded order = "as loaded"
	equal    order = "equal run_at"
	spread   order = "spread run_at"
)

// watch tells from outside how far a drain is.
type watch struct {
	// table is the one that every claim reads.
	table string
	// left each return a row as long as something is not settled. They read an index from its far end, where the last tasks
	// are, so that asking costs next to nothing.
	left []string
	// done counts what was settled since $1, the opening of the gate by the database's clock; "" where nothing stays. There,
	// rest counts what is still due or running.
	done, rest string
}

// surroundings say how to multiply tasks by SQL.
type surroundings struct {
	table string
	// postpone turns what is due into something for later.
	postpone string
	// finished and future are the conditions of the rows to multiply; an empty one means that there are none to keep.
	finished, future string
	// columns are expressions in place of copies, "" for the column's default. In them, k is the number of the copy.
	columns map[string]string
	// more are tables whose rows belong to the finished ones.
	more map[string]map[string]string
	// equal gives all that is due one run_at, spread gives them times 50 µs apart; "" where load did it.
	equal, spread string
}

func contenders() []contender {
	return []contender{billonceContender(), riverContender(), graphileContender(), pgbossContender(), floorContender()}
}

// seeds is from how many tasks the surroundings are multiplied.
const seeds = 10_000

// fillDatabase makes a contender's database with what is to be in it.
func (b *Bench) fillDatabase(ctx context.Context, c contender, database string, fill filling) error {
	b.Logf("%s: filling %s with %+v", c.name, database, fill)
	defer func(began time.Time) { b.spent.step(stepFilling, time.Since(began)) }(time.Now())
	if err := b.Stage.Create(ctx, database); err != nil {
		return err
	}
	if fill.finished > 0 && c.around.finished != "" {
		if err := b.addFinished(ctx, c, database, fill.finished); err != nil {
			return fmt.Errorf("add finished tasks of %s: %w", c.name, err)
		}
	}
	if fill.future > 0 {
		if err := c.load(ctx, b, database, filling{due: seeds, order: asLoaded}); err != nil {
			return fmt.Errorf("add future tasks of %s: %w", c.name, err)
		}
		if err := b.Stage.Exec(ctx, database, c.around.postpone); err != nil {
			return err
		}
		if err := b.multiply(ctx, database, c.around.table, c.around.future, fill.future/seeds-1, futureCopies, c.around.columns); err != nil {
			return err
		}
	}
	if err := c.load(ctx, b, database, fill); err != nil {
		return fmt.Errorf("load %s: %w", c.name, err)
	}
	statements := []string{`VACUUM (FULL, ANALYZE)`}
	if fill.future+fill.finished > 0 {
		statements = []string{`VACUUM (FREEZE, ANALYZE)`} // full would take minutes
	}
	switch {
	case fill.order == equal && c.around.equal != "":
		statements = slices.Insert(statements, 0, c.around.equal)
	case fill.order == spread && c.around.spread != "":
		statements = slices.Insert(statements, 0, `ANALYZE`, c.around.spread) // or the join is made row by row, for hours
	}
	return b.Stage.Exec(ctx, database, statements...)
}

// Where the copies' numbers begin, so that no two have the same id.
const (
	finishedCopies = 0
	futureCopies   = 5000
)

// addFinished has the contender itself finish some tasks, and multiplies what that leaves.
func (b *Bench) addFinished(ctx context.Context, c contender, database string, n int) error {
	if err := c.load(ctx, b, database, filling{due: seeds, order: asLoaded}); err != nil {
		return err
	}
	if _, err := b.drainHere(ctx, c, database, draining{workers: 1, tasks: seeds}); err != nil {
		return err
	}
	copies := n/seeds - 1
	for table, columns := range c.around.more {
		if err := b.multiply(ctx, database, table, "true", copies, finishedCopies, columns); err != nil {
			return err
		}
	}
	return b.multiply(ctx, database, c.around.table, c.around.finished, copies, finishedCopies, c.around.columns)
}

// each measures one contender after the other. skip says why one is not to be measured, or "". A contender that cannot
// be prepared is missing, which is no failure of the run; one that fails while it is measured is.
func (b *Bench) each(ctx context.Context, scenario, metric string, skip func(c contender) string,
	measure func(ctx context.Context, c contender) error,
) error {
	var failed []error
	for _, c := range contenders() {
		if ctx.Err() != nil {
			break
		}
		reason := skip(c)
		if !b.Wants(c.name) {
			reason = "left out by -contenders"
		}
		if reason == "" {
			if err := c.ready(ctx, b); err != nil {
				reason = "cannot be prepared: " + firstLine(err)
			}
		}
		if reason != "" {
			b.Report.Missing(scenario, c.name, metric, reason)
			continue
		}
		if err := measure(ctx, c); err != nil {
			b.Report.Missing(scenario, c.name, metric, firstLine(err))
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
