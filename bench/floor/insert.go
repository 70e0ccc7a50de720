package floor

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"billonce/bench/stage"
)

// Singles inserts single rows from so many clients, each on a connection of its own, for as long as d, and returns rows a
// second. The database must have [Schema].
func Singles(ctx context.Context, db *sql.DB, clients int, d time.Duration) (float64, error) {
	var next atomic.Int64
	return inserting(ctx, db, clients, d, func(ctx context.Context, conn *sql.Conn) (int, error) {
		i := int(next.Add(1))
		var id int64
		err := conn.QueryRowContext(ctx, insertOne, i%merchants, kind, string(stage.PaymentParams(i))).Scan(&id)
		return 1, err
	})
}

// Batches inserts batches of rows by unnest from so many clients for as long as d, and returns rows a second.
func Batches(ctx context.Context, db *sql.DB, clients, size int, d time.Duration) (float64, error) {
	var next atomic.Int64
	return inserting(ctx, db, clients, d, func(ctx context.Context, _ *sql.Conn) (int, error) {
		return size, insertBatch(ctx, db, int(next.Add(1))*size, size)
	})
}

// inserting repeats insert on so many connections until d is over. An insert that has begun by then is waited for and counts.
func inserting(ctx context.Context, db *sql.DB, clients int, d time.Duration,
	insert func(ctx context.Context, conn *sql.Conn) (int, error),
) (float64, error) {
	db.SetMaxOpenConns(2 * clients) // one that each client holds, and one for those who take it from the pool
	db.SetMaxIdleConns(2 * clients)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group sync.WaitGroup
		rows  atomic.Int64
	)
	began := time.Now()
	for range clients {
		group.Go(func() {
			conn, err := db.Conn(ctx)
			if err != nil {
				cancel(err)
				return
			}
			defer func() { _ = conn.Close() }()
			for ctx.Err() == nil && time.Since(began) < d {
				n, err := insert(ctx, conn)
				if err != nil {
					cancel(err)
					return
				}
				rows.Add(int64(n))
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return 0, fmt.Errorf("insert: %w", err)
	}
	return float64(rows.Load()) / time.Since(began).Seconds(), nil
}
