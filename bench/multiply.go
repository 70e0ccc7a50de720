package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
)

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
	names, values, err := copied(ctx, db, table, columns)
	if err != nil {
		return fmt.Errorf("read the columns of %s: %w", table, err)
	}
	kept, err := execRows(ctx, db, `CREATE UNLOGGED TABLE bench_seed AS SELECT * FROM `+table+` WHERE `+where)
	if err != nil {
		return fmt.Errorf("keep the rows of %s to multiply: %w", table, err)
	}
	insert := fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM bench_seed`, table, strings.Join(names, ", "), strings.Join(values, ", "))
	added, err := copyRows(ctx, db, insert, first, copies)
	if err == nil && added != kept*int64(copies) {
		err = fmt.Errorf("%d rows instead of %d copies of %d", added, copies, kept)
	}
	if err != nil {
		return fmt.Errorf("multiply the rows of %s: %w", table, err)
	}
	if _, err := db.ExecContext(ctx, `DROP TABLE bench_seed`); err != nil {
		return fmt.Errorf("drop the rows of %s that were multiplied: %w", table, err)
	}
	return nil
}

// copied returns a table's columns and what is to be in them.
func copied(ctx context.Context, db *sql.DB, table string, columns map[string]string) (names, values []string, err error) {
	rows, err := db.QueryContext(ctx, `
		SELECT attname FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`, table)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, nil, err
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
	return names, values, rows.Err()
}

// copyRows adds one copy after the other, with a connection for each core.
func copyRows(ctx context.Context, db *sql.DB, insert string, first, copies int) (rows int64, err error) {
	lanes := runtime.NumCPU()
	added, errs := make([]int64, lanes), make([]error, lanes)
	var group sync.WaitGroup
	for lane := range lanes {
		group.Go(func() { added[lane], errs[lane] = copyLane(ctx, db, insert, first+1+lane, first+copies, lanes) })
	}
	group.Wait()
	for _, n := range added {
		rows += n
	}
	return rows, errors.Join(errs...)
}

// copyLane adds every so-manieth copy. Foreign keys are not checked again: the copies keep them.
func copyLane(ctx context.Context, db *sql.DB, insert string, from, to, every int) (rows int64, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after the commit
	if _, err := tx.ExecContext(ctx, `SET LOCAL session_replication_role = replica`); err != nil {
		return 0, err
	}
	for k := from; k <= to; k += every {
		added, err := execRows(ctx, tx, fmt.Sprintf(`%s CROSS JOIN (SELECT %d AS k) AS copy`, insert, k))
		if err != nil {
			return 0, err
		}
		rows += added
	}
	return rows, tx.Commit()
}

// execRows runs a statement and returns how many rows it made.
func execRows(ctx context.Context, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, statement string,
) (int64, error) {
	result, err := db.ExecContext(ctx, statement)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
