package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// variant is a way to set a contender: arguments of its program, or for billonce a WORKER_CONCURRENCY.
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
	// done counts what was settled since $1, the opening of the gate by the database's clock; "" where nothing stays.
	done string
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
	// equal gives all that is due one run_at, spread gives them times 100 µs apart; "" where load did it.
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
		statements = slices.Insert(statements, 0, c.around.spread)
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
	if _, err := b.drainHere(ctx, c, database, 1, seeds); err != nil {
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

// multiply adds copies of the rows, whatever columns the table has.
func (b *Bench) multiply(ctx context.Context, database, table, where string, copies, first int, columns map[string]string) error {
	if copies < 1 {
		return nil
	}
	db, err := b.Stage.Open(database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, `
		SELECT attname FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`, table)
	if err != nil {
		return fmt.Errorf("read the columns of %s: %w", table, err)
	}
	defer func() { _ = rows.Close() }()
	var names, values []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return fmt.Errorf("read the columns of %s: %w", table, err)
		}
		value, replaced := columns[name]
		if replaced && value == "" {
			continue
		}
		if !replaced {
			value = `"` + name + `"`
		}
		names, values = append(names, `"`+name+`"`), append(values, value)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the columns of %s: %w", table, err)
	}
	if err := copyRows(ctx, db, table, where, names, values, first, copies); err != nil {
		return fmt.Errorf("multiply the rows of %s: %w", table, err)
	}
	return nil
}

// copyRows adds one copy after the other, of the rows that were there before. Foreign keys are not checked again: the copies
// keep them.
func copyRows(ctx context.Context, db *sql.DB, table, where string, names, values []string, first, copies int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after the commit
	prepare := fmt.Sprintf(`SET LOCAL session_replication_role = replica; CREATE TEMPORARY TABLE seed ON COMMIT DROP AS SELECT * FROM %s WHERE %s`,
		table, where)
	if _, err := tx.ExecContext(ctx, prepare); err != nil {
		return err
	}
	for k := first + 1; k <= first+copies; k++ {
		statement := fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM seed CROSS JOIN (SELECT %d AS k) AS copy`,
			table, strings.Join(names, ", "), strings.Join(values, ", "), k)
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
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
