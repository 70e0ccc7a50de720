package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// insert inserts jobs for tomorrow from so many goroutines and prints how many a second.
func insert(ctx context.Context, pool *pgxpool.Pool, opts options) error {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		return fmt.Errorf("make the client: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group      sync.WaitGroup
		next, done atomic.Int64
	)
	began := time.Now()
	for range opts.clients {
		group.Go(func() {
			for ctx.Err() == nil && time.Since(began) < opts.duration {
				first := int(next.Add(int64(opts.size))) - opts.size
				if err := insertSome(ctx, client, first, opts.size); err != nil {
					cancel(err)
					return
				}
				done.Add(int64(opts.size))
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, err = fmt.Fprintln(os.Stdout, float64(done.Load())/took.Seconds())
	return err
}

// insertSome inserts one job as an application would, or several by InsertMany, which returns the rows as billonce's API does.
func insertSome(ctx context.Context, client *inserter, first, size int) error {
	at := &river.InsertOpts{ScheduledAt: time.Now().Add(24 * time.Hour)}
	if size == 1 {
		args, err := payment(first)
		if err != nil {
			return err
		}
		if _, err := client.Insert(ctx, args, at); err != nil {
			return fmt.Errorf("insert: %w", err)
		}
		return nil
	}
	params := make([]river.InsertManyParams, size)
	for i := range params {
		args, err := payment(first + i)
		if err != nil {
			return err
		}
		params[i] = river.InsertManyParams{Args: args, InsertOpts: at}
	}
	if _, err := client.InsertMany(ctx, params); err != nil {
		return fmt.Errorf("insert many: %w", err)
	}
	return nil
}
