package stage

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Count returns what a query that yields one number says.
func Count(ctx context.Context, db *sql.DB, query string, args ...any) (int64, error) {
	var n int64
	if err := db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	return n, nil
}

// WaitUntil asks done every interval until it says yes. It gives up with an error when timeout has passed.
func WaitUntil(ctx context.Context, interval, timeout time.Duration, done func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done within %s", timeout))
	defer cancel()
	poll := time.NewTicker(interval)
	defer poll.Stop()
	for {
		yes, err := done(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || yes {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Idle reports whether a billonce database has no task that is due, except those put aside, and none that runs. It reads
// the index from its far end, where the last ones are, so that asking costs nothing while there is much to do.
func Idle(ctx context.Context, db *sql.DB) (bool, error) {
	for _, query := range []string{
		`SELECT count(*) FROM (SELECT 1 FROM scheduled_tasks WHERE status = 'pending' AND run_at <= now() ORDER BY run_at DESC LIMIT 1) AS one`,
		`SELECT count(*) FROM (SELECT 1 FROM scheduled_tasks WHERE status = 'running' LIMIT 1) AS one`,
	} {
		if n, err := Count(ctx, db, query); err != nil || n > 0 {
			return false, err
		}
	}
	return true, nil
}
