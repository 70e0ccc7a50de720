// Command scenario_river is River as a contender for two scenarios: with jobs that call a Stripe by HTTP, and at inserting. It
// has the settings and the pool of cmd/river, whose load makes the schema and the jobs.
//
// It promises to use River's public API only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"billonce/bench/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scenario_river:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	url           string
	slots         int
	clients, size int
	duration      time.Duration
}

func run(ctx context.Context) error {
	var opts options
	flag.StringVar(&opts.url, "url", "", "call: where Stripe is")
	flag.IntVar(&opts.slots, "slots", 1000, "call: jobs at once")
	flag.IntVar(&opts.clients, "clients", 1, "insert: goroutines that insert")
	flag.IntVar(&opts.size, "size", 1, "insert: jobs in one statement")
	flag.DurationVar(&opts.duration, "d", 4*time.Second, "insert: how long")
	flag.Parse()
	conf, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL")) //nolint:forbidigo // the only variable that it reads
	if err != nil {
		return fmt.Errorf("read DATABASE_URL: %w", err)
	}
	conf.MaxConns = int32(max(20, opts.clients))
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	switch flag.Arg(0) {
	case "call":
		return call(ctx, pool, opts)
	case "insert":
		return insert(ctx, pool, opts)
	default:
		return errors.New("say call or insert")
	}
}

// settings are those of River's own benchmark, but for the number of workers.
func settings(slots int, workers *river.Workers) *river.Config {
	return &river.Config{
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond, Workers: workers,
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: slots}},
	}
}

// call works jobs off, each with one call, until a signal.
func call(ctx context.Context, pool *pgxpool.Pool, opts options) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, newCaller(opts.url, opts.slots))
	client, err := river.NewClient(riverpgxv5.New(pool), settings(opts.slots, workers))
	if err != nil {
		return fmt.Errorf("make the client: %w", err)
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the client: %w", err)
	}
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := client.Stop(stopping); err != nil {
		return fmt.Errorf("stop the client: %w", err)
	}
	return nil
}

// payment reads the arguments of job i from what every contender's tasks carry.
func payment(i int) (Payment, error) {
	var p Payment
	if err := p.read(stage.PaymentParams(i)); err != nil {
		return p, fmt.Errorf("make the arguments: %w", err)
	}
	return p, nil
}

type inserter = river.Client[pgx.Tx]
