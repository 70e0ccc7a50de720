package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"billonce/bench/pace"
)

// latency inserts jobs one by one at a steady rate and prints, as a JSON array, how many milliseconds passed from just before
// each insert to the start of its work. The inserts do not wait for one another.
func latency(ctx context.Context, pool *pgxpool.Pool, settings *river.Config, rate, seconds int) error {
	n := rate * seconds
	var (
		mu       sync.Mutex
		inserted = make([]time.Time, n)
		took     = make([]float64, 0, n)
		all      = make(chan struct{})
	)
	c, err := start(ctx, pool, settings, func(args Payment) {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		if args.Currency != "lat" {
			return // left over
		}
		took = append(took, float64(now.Sub(inserted[args.Amount]))/float64(time.Millisecond))
		if len(took) == n {
			close(all)
		}
	})
	if err != nil {
		return err
	}
	err = pace.Run(ctx, n, rate, func(ctx context.Context, i int) error {
		args, err := payment(i)
		if err != nil {
			return err
		}
		args.Amount, args.Currency = i, "lat"
		mu.Lock()
		inserted[i] = time.Now()
		mu.Unlock()
		_, err = c.Insert(ctx, args, nil)
		return err
	})
	if err == nil {
		select {
		case <-all:
		case <-time.After(30 * time.Second):
			err = errors.New("not all jobs started")
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err = errors.Join(err, stop(ctx, c)); err != nil {
		return fmt.Errorf("measure the latency: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(took)
}
