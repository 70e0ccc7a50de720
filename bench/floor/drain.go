package floor

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lib/pq"
)

// Drain claims and completes in batches on so many connections until nothing is due, and returns how many tasks it completed.
func Drain(ctx context.Context, db *sql.DB, connections, batch int) (int, error) {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		total int
	)
	for range connections {
		group.Go(func() {
			n, err := drainOne(ctx, db, batch)
			if err != nil {
				cancel(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return total, fmt.Errorf("drain: %w", err)
	}
	return total, nil
}

// drainOne is one connection's loop.
func drainOne(ctx context.Context, db *sql.DB, batch int) (int, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	// As billonce does: plans that do not depend on statistics.
	if _, err := conn.ExecContext(ctx, `SET enable_bitmapscan = off; SET enable_seqscan = off; SET jit = off`); err != nil {
		return 0, fmt.Errorf("prepare the connection: %w", err)
	}
	total := 0
	watermark, swept := "-infinity", time.Now()
	for {
		token := rand.Int64() //nolint:gosec // a token of a benchmark
		claimed, err := claimBatch(ctx, conn, watermark, batch, token)
		if err != nil {
			return total, err
		}
		if len(claimed.ids) == 0 {
			if watermark == "-infinity" {
				return total, nil
			}
			watermark, swept = "-infinity", time.Now()
			continue
		}
		watermark = claimed.earliest.UTC().Format(time.RFC3339Nano)
		if limit := time.Now().Add(-margin); claimed.earliest.After(limit) {
			watermark = limit.UTC().Format(time.RFC3339Nano)
		}
		if len(claimed.ids) < batch || time.Since(swept) > sweepEvery {
			watermark, swept = "-infinity", time.Now()
		}
		rows, err := conn.QueryContext(ctx, complete, pq.Array(claimed.ids), token)
		if err != nil {
			return total, fmt.Errorf("complete: %w", err)
		}
		if err := drainRows(rows, new(int64)); err != nil {
			return total, err
		}
		total += len(claimed.ids)
	}
}

type batchOf struct {
	ids      []int64
	earliest time.Time
}

func claimBatch(ctx context.Context, conn *sql.Conn, watermark string, size int, token int64) (batchOf, error) {
	rows, err := conn.QueryContext(ctx, claim, watermark, size, token)
	if err != nil {
		return batchOf{}, fmt.Errorf("claim: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var (
		claimed              batchOf
		id, merchant         int64
		name                 string
		attempt, maxAttempts int
		params               []byte
		runAt                time.Time
	)
	for rows.Next() {
		if err := rows.Scan(&id, &merchant, &name, &attempt, &maxAttempts, &params, &runAt); err != nil {
			return batchOf{}, fmt.Errorf("claim: read a task: %w", err)
		}
		if claimed.ids = append(claimed.ids, id); claimed.earliest.IsZero() || runAt.Before(claimed.earliest) {
			claimed.earliest = runAt
		}
	}
	if err := rows.Err(); err != nil {
		return batchOf{}, fmt.Errorf("claim: %w", err)
	}
	return claimed, nil
}
