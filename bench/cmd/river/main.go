// Command river is River as a contender: it loads jobs, works them off, or measures how soon a job starts, with the settings of
// River's own benchmark (riverbench) and the parameters that every contender's tasks carry.
//
// It promises to use River's public API only.
package main

import (
	"context"
	"encoding/json"
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
	"github.com/riverqueue/river/rivermigrate"

	"billonce/bench/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

// Payment is a job with the fields of [stage.PaymentParams], hence the same 200 bytes.
type Payment struct {
	Amount      int    `json:"amount"`
	Currency    string `json:"currency"`
	Customer    string `json:"customer"`
	Description string `json:"description"`
}

// Kind implements river.JobArgs.
func (Payment) Kind() string { return "payment_intent.create" }

func payment(i int) (Payment, error) {
	var p Payment
	if err := json.Unmarshal(stage.PaymentParams(i), &p); err != nil {
		return p, fmt.Errorf("make the arguments: %w", err)
	}
	return p, nil
}

// worker does nothing, or tells when a job starts.
type worker struct {
	river.WorkerDefaults[Payment]
	started func(args Payment)
}

// Work implements river.Worker.
func (w *worker) Work(_ context.Context, job *river.Job[Payment]) error {
	if w.started != nil {
		w.started(job.Args)
	}
	return nil
}

type client = river.Client[pgx.Tx]

func run(ctx context.Context) error {
	tasks := flag.Int("n", 0, "load: so many jobs")
	maxWorkers := flag.Int("max-workers", 2000, "work, latency: jobs at once")
	cooldown := flag.Duration("cooldown", 2*time.Millisecond, "work, latency: FetchCooldown")
	poll := flag.Duration("poll", 20*time.Millisecond, "work, latency: FetchPollInterval")
	rate := flag.Int("rate", 100, "latency: jobs a second")
	seconds := flag.Int("seconds", 10, "latency: how long")
	flag.Parse()
	conf, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return fmt.Errorf("read DATABASE_URL: %w", err)
	}
	conf.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer pool.Close()
	settings := &river.Config{
		FetchCooldown: *cooldown, FetchPollInterval: *poll,
		Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: *maxWorkers}},
	}
	switch flag.Arg(0) {
	case "load":
		return load(ctx, pool, *tasks)
	case "work":
		return work(ctx, pool, settings)
	case "latency":
		return latency(ctx, pool, settings, *rate, *seconds)
	default:
		return errors.New("say load, work or latency")
	}
}

// load makes the schema, unless it is there, and inserts jobs that are due.
func load(ctx context.Context, pool *pgxpool.Pool, n int) error {
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	inserter, err := river.NewClient(driver, &river.Config{})
	if err != nil {
		return fmt.Errorf("make the client: %w", err)
	}
	const batch = 5000
	for from := 0; from < n; from += batch {
		params := make([]river.InsertManyParams, 0, batch)
		for i := from; i < min(from+batch, n); i++ {
			args, err := payment(i)
			if err != nil {
				return err
			}
			params = append(params, river.InsertManyParams{Args: args})
		}
		if _, err := inserter.InsertManyFast(ctx, params); err != nil {
			return fmt.Errorf("insert jobs: %w", err)
		}
	}
	return nil
}

func start(ctx context.Context, pool *pgxpool.Pool, settings *river.Config, started func(Payment)) (*client, error) {
	settings.Workers = river.NewWorkers()
	river.AddWorker(settings.Workers, &worker{started: started})
	c, err := river.NewClient(riverpgxv5.New(pool), settings)
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	if err := c.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("start the client: %w", err)
	}
	return c, nil
}

// stop lets jobs finish and what is complete be written.
func stop(ctx context.Context, c *client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		return fmt.Errorf("stop the client: %w", err)
	}
	return nil
}

// work works jobs off until a signal.
func work(ctx context.Context, pool *pgxpool.Pool, settings *river.Config) error {
	c, err := start(ctx, pool, settings, nil)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return stop(ctx, c)
}
