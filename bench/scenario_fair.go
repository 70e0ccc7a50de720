package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"billonce/bench/report"
	"billonce/bench/stage"
)

const (
	fairName     = "fair"
	fairTemplate = "fair_template"
	fairDatabase = "fair"
	fairRate     = 20 // MERCHANT_RATE
	fairAtOnce   = 10 // MERCHANT_CONCURRENCY
	fairSmall    = 500
	fairHog      = "acct_hog0"
	fairLatency  = 200 * time.Millisecond // 20 a second are then 4 at once: the rate is what limits
)

func fairScenario() Scenario {
	return Scenario{
		Name:  fairName,
		Title: fmt.Sprintf("one merchant with a backlog at its limit of %d/s, beside %d with one task each; Stripe takes %s", fairRate, fairSmall, fairLatency),
		Run:   func(ctx context.Context, b *Bench) error { return (&fairRun{Bench: b}).run(ctx) },
	}
}

// fairRun is one run of the scenario.
type fairRun struct {
	*Bench
	small    []string      // merchants
	backlog  int           // the hog's due tasks
	warm     time.Duration // from the workers' start to the first small task
	spread   time.Duration // from the first small task to the last
	patience time.Duration // with small tasks that are late, beyond that
	window   time.Duration // in which the hog's calls are counted, from the first small task on
}

func (f *fairRun) run(ctx context.Context) error {
	f.backlog, f.warm, f.spread, f.patience, f.window = 200_000, 5*time.Second, 10*time.Second, 10*time.Second, 20*time.Second
	workers := []int{1, 4}
	if f.Quick {
		f.backlog, f.warm, f.spread, f.patience, f.window = 20_000, 2*time.Second, 4*time.Second, 3*time.Second, 6*time.Second
		workers = []int{4}
	}
	for _, n := range workers {
		f.bars(n)
	}
	if !f.Wants("billonce") {
		f.Report.Missing(fairName, "billonce", fairMetric("lag p99", workers[0]), "left out by -contenders")
		return nil
	}
	if err := f.load(ctx); err != nil {
		return err
	}
	for range f.Repeats {
		for _, n := range workers {
			if err := f.try(ctx, n); err != nil {
				return err
			}
		}
	}
	return f.dropAll(ctx, fairTemplate, fairDatabase)
}

func fairMetric(what string, workers int) string {
	if workers == 1 {
		return what + ", 1 worker"
	}
	return fmt.Sprintf("%s, %d workers", what, workers)
}

func (f *fairRun) bars(workers int) {
	bar := func(name, metric string, direction report.Direction, limit float64) {
		f.Report.AddBar(report.Bar{
			Name: "(f) " + fairMetric(name, workers), Direction: direction, Limit: limit,
			Of: report.Key{Scenario: fairName, Contender: "billonce", Metric: fairMetric(metric, workers)},
		})
	}
	bar("lag of small merchants, p99", "lag p99", report.AtMost, 1)
	bar("the busy one's use of its limit", "hog's share of its limit", report.AtLeast, 0.9)
	bar("the busy one's excess, all along", "hog's share of its limit", report.AtMost, 1.05)
	bar("the busy one's excess, worst second", "hog's worst second", report.AtMost, 1.05)
}

// load fills the template: the backlog is due, and the small merchants are connected.
func (f *fairRun) load(ctx context.Context) error {
	f.Logf("fair: scheduling %d tasks of one merchant", f.backlog)
	if err := f.Stage.Migrate(ctx, fairTemplate); err != nil {
		return err
	}
	api, err := f.Stage.StartAPI(ctx, fairTemplate, nil)
	if err != nil {
		return err
	}
	hogs, err := api.CreateMerchants(ctx, "hog", 1)
	if err != nil {
		return err
	}
	if f.small, err = api.CreateMerchants(ctx, "small", fairSmall); err != nil {
		return err
	}
	err = api.Schedule(ctx, f.backlog, func(i int) stage.Task {
		return stage.Task{MerchantID: hogs[0], Kind: "payment_intent.create", Params: stage.PaymentParams(i)}
	})
	if err != nil {
		return err
	}
	if err := api.Stop(ctx); err != nil {
		return err
	}
	return f.Stage.Exec(ctx, fairTemplate, `VACUUM (ANALYZE)`)
}

// try runs the backlog and the small merchants' tasks on so many workers.
func (f *fairRun) try(ctx context.Context, workers int) (err error) {
	if err := f.Stage.Clone(ctx, fairTemplate, fairDatabase); err != nil {
		return err
	}
	if err := f.Stage.Checkpoint(ctx); err != nil {
		return err
	}
	var running []*stage.Process
	defer func() {
		for i := range running {
			err = errors.Join(err, running[len(running)-1-i].Stop(ctx))
		}
	}()
	stripe, err := f.Stage.StartSimulator(ctx, fairLatency)
	if err != nil {
		return err
	}
	running = append(running, stripe)
	first, err := f.scheduleSmall(ctx)
	if err != nil {
		return err
	}
	for range workers {
		worker, err := f.Stage.StartWorker(ctx, fairDatabase, stage.Env{
			"BENCH_STRIPE": "", "STRIPE_API_URL": stripe.URL,
			"MERCHANT_RATE": fmt.Sprint(fairRate), "MERCHANT_CONCURRENCY": fmt.Sprint(fairAtOnce),
		})
		if err != nil {
			return err
		}
		running = append(running, worker)
	}
	if err := f.watch(ctx, workers, stripe, first); err != nil {
		return fmt.Errorf("%d workers: %w", workers, err)
	}
	return nil
}

// scheduleSmall schedules one task for each small merchant, and returns when the first is due. The time to do so and to start the
// workers is part of warm.
func (f *fairRun) scheduleSmall(ctx context.Context) (time.Time, error) {
	api, err := f.Stage.StartAPI(ctx, fairDatabase, nil)
	if err != nil {
		return time.Time{}, err
	}
	first := time.Now().Add(f.warm)
	err = api.Schedule(ctx, len(f.small), func(i int) stage.Task {
		at := first.Add(f.spread * time.Duration(i) / time.Duration(len(f.small))).Truncate(time.Microsecond)
		return stage.Task{MerchantID: f.small[i], Kind: "payment_intent.create", Params: stage.PaymentParams(i), RunAt: &at}
	})
	if err != nil {
		return time.Time{}, err
	}
	return first, api.Stop(ctx)
}

func (f *fairRun) watch(ctx context.Context, workers int, stripe *stage.Process, first time.Time) error {
	last := first.Add(f.spread)
	if until := first.Add(f.window); until.After(last) {
		last = until
	}
	if err := pause(ctx, time.Until(last)); err != nil {
		return err
	}
	db, err := f.Stage.Open(fairDatabase)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	err = stage.WaitUntil(ctx, 200*time.Millisecond, f.patience, func(ctx context.Context) (bool, error) {
		n, err := stage.Count(ctx, db, `SELECT count(*) FROM scheduled_tasks WHERE scheduled_for >= $1 AND first_sent_at IS NULL`, first)
		return n == 0, err
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		f.Logf("fair: small merchants' tasks are late: %v", err)
	}
	lags, unsent, err := f.lags(ctx, db)
	if err != nil {
		return err
	}
	calls, err := callsOf(ctx, stripe.URL, fairHog, first, first.Add(f.window))
	if err != nil {
		return err
	}
	f.note(workers, lags, unsent, calls)
	return nil
}

// lags are the small merchants' seconds from the due moment to the recorded send; of those not sent yet, until now.
func (f *fairRun) lags(ctx context.Context, db *sql.DB) (lags []float64, unsent int, err error) {
	rows, err := db.QueryContext(ctx, `
		SELECT extract(epoch FROM coalesce(t.first_sent_at, now()) - t.scheduled_for)::float8, t.first_sent_at IS NULL
		FROM merchants AS m JOIN scheduled_tasks AS t ON t.merchant_id = m.id
		WHERE m.stripe_connect_id LIKE 'acct_small%'`)
	if err != nil {
		return nil, 0, fmt.Errorf("read the lags: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var lag float64
		var waits bool
		if err := rows.Scan(&lag, &waits); err != nil {
			return nil, 0, fmt.Errorf("read the lags: %w", err)
		}
		if lags = append(lags, lag); waits {
			unsent++
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read the lags: %w", err)
	}
	if len(lags) != fairSmall {
		return nil, 0, fmt.Errorf("read the lags: %d instead of %d", len(lags), fairSmall)
	}
	return lags, unsent, nil
}

func (f *fairRun) note(workers int, lags []float64, unsent int, calls []time.Time) {
	add := func(what, unit string, value float64) {
		f.Logf("fair: %s: %.3f %s", fairMetric(what, workers), value, unit)
		f.Report.Add(fairName, "billonce", fairMetric(what, workers), unit, value)
	}
	add("lag p50", "s", report.Quantile(lags, 0.5))
	add("lag p99", "s", report.Quantile(lags, 0.99))
	add("lag max", "s", report.Quantile(lags, 1))
	add("small tasks not sent", "tasks", float64(unsent))
	add("hog's share of its limit", "", float64(len(calls))/f.window.Seconds()/fairRate)
	add("hog's worst 5 seconds", "× limit", float64(most(calls, 5*time.Second))/5/fairRate)
	add("hog's worst second", "× limit", float64(most(calls, time.Second))/fairRate)
	f.Report.Note(fairName, "billonce", fairMetric("hog's worst second", workers), "any second that begins with a call; calls as the simulator received them")
}
