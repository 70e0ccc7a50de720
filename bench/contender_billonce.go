package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"billonce/bench/stage"
)

const (
	billonceMerchants = 100
	// How fast tasks are loaded at least, as long as nothing was loaded in the run.
	loadRate = 4000
	// The distance of two tasks with spread run_at.
	spreadBy = 50 * time.Microsecond
)

func billonceContender() contender {
	return contender{
		name:  billonceName,
		about: "the real api and worker, everything on, Stripe answered in memory (BENCH_STRIPE=memory, only in binaries built with -tags bench)",
		ready: func(context.Context, *Bench) error { return nil },
		load:  loadBillonce,
		start: func(ctx context.Context, b *Bench, database string, workers int, settings variant) ([]*stage.Process, error) {
			env := stage.Env{}
			for i := 0; i < len(settings); i += 2 {
				env[settings[i]] = settings[i+1]
			}
			return startBillonce(ctx, b, database, workers, env)
		},
		variants: []variant{{"WORKER_CONCURRENCY", "2000"}, {"WORKER_CONCURRENCY", "500"}},
		watch: watch{
			table: `scheduled_tasks`,
			left: []string{
				`SELECT 1 FROM scheduled_tasks WHERE status = 'pending' AND run_at <= now() ORDER BY run_at DESC LIMIT 1`,
				`SELECT 1 FROM scheduled_tasks WHERE status = 'running' ORDER BY run_at DESC LIMIT 1`,
			},
			done: `SELECT count(*) FROM scheduled_tasks WHERE status = 'succeeded' AND finished_at >= $1`,
		},
		around: surroundings{
			table:    `scheduled_tasks`,
			postpone: `UPDATE scheduled_tasks SET run_at = run_at + interval '1 day', scheduled_for = scheduled_for + interval '1 day' WHERE status = 'pending'`,
			finished: `status = 'succeeded'`, future: `status = 'pending'`,
			columns: map[string]string{
				"id": copiedID("id"), "run_at": `run_at + k * interval '1 minute' * (CASE status WHEN 'pending' THEN 1 ELSE -1 END)`,
				"finished_at": `finished_at - k * interval '1 minute'`,
			},
			more: map[string]map[string]string{`task_attempts`: {"task_id": copiedID("task_id")}},
		},
	}
}

// copiedID makes the id of the k-th copy: its first bytes are a time long ago, as those of old tasks are.
func copiedID(column string) string {
	return `(lpad(to_hex(k), 4, '0') || substr(` + column + `::text, 5))::uuid`
}

// startBillonce starts workers side by side and waits until all are ready.
func startBillonce(ctx context.Context, b *Bench, database string, workers int, env stage.Env) ([]*stage.Process, error) {
	if _, err := b.Stage.Binary(ctx, "worker"); err != nil {
		return nil, err
	}
	started, errs := make([]*stage.Process, workers), make([]error, workers)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() { started[i], errs[i] = b.Stage.StartWorker(ctx, database, env) })
	}
	group.Wait()
	return slices.DeleteFunc(started, func(p *stage.Process) bool { return p == nil }), errors.Join(errs...)
}

// loadBillonce schedules tasks through the API, over many merchants. With an order, their run_at lies ahead when they are
// scheduled, as that of tasks for the first of the month does, and loadBillonce waits for it.
func loadBillonce(ctx context.Context, b *Bench, database string, fill filling) error {
	if err := b.Stage.MigrateUp(ctx, database); err != nil {
		return err
	}
	api, err := b.Stage.StartAPI(ctx, database, nil)
	if err != nil {
		return err
	}
	prefix := fmt.Sprintf("l%d", time.Now().UnixMilli())
	merchants, err := api.CreateMerchants(ctx, prefix, billonceMerchants)
	if err != nil {
		return err
	}
	began := time.Now()
	first, apart := b.firstDue(fill, began)
	err = api.Schedule(ctx, fill.due, func(i int) stage.Task {
		task := stage.Task{MerchantID: merchants[i%len(merchants)], Kind: "payment_intent.create", Params: stage.PaymentParams(i)}
		if fill.targets {
			task.Kind, task.Target, task.Params = "customer.update", fmt.Sprintf("cus_%09d", i), customerParams(i)
		}
		if fill.order != asLoaded {
			at := first.Add(time.Duration(i) * apart)
			task.RunAt = &at
		}
		return task
	})
	if err != nil {
		return err
	}
	b.loaded(fill.due, time.Since(began))
	if err := api.Stop(ctx); err != nil || fill.order == asLoaded {
		return err
	}
	if err := b.checkAhead(ctx, database); err != nil {
		return err
	}
	return pause(ctx, time.Until(first.Add(time.Duration(fill.due)*apart+time.Second)))
}

// firstDue chooses a run_at for the first task, and its distance to the next ones, so that each lies ahead when it is scheduled even
// if that goes three times as slowly as before.
func (b *Bench) firstDue(fill filling, now time.Time) (first time.Time, apart time.Duration) {
	rate := float64(loadRate)
	if b.loadRate > 0 {
		rate = b.loadRate / 3
	}
	if fill.order == spread {
		apart = spreadBy
	}
	ahead := time.Duration(float64(fill.due)/rate*float64(time.Second)) - time.Duration(fill.due)*apart
	return now.Add(max(ahead, 0) + 3*time.Second), apart
}

// loaded keeps how fast tasks are loaded, at the least.
func (b *Bench) loaded(tasks int, took time.Duration) {
	if rate := float64(tasks) / took.Seconds(); tasks > 0 && (b.loadRate == 0 || rate < b.loadRate) {
		b.loadRate = rate
	}
	b.Logf("billonce: scheduled %d tasks in %.1fs", tasks, took.Seconds())
}

// checkAhead makes sure that no task was due when it was scheduled: it would have been given another run_at.
func (b *Bench) checkAhead(ctx context.Context, database string) error {
	db, err := b.Stage.Open(database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	late, err := stage.Count(ctx, db, `SELECT count(*) FROM scheduled_tasks WHERE status = 'pending' AND run_at <= created_at`)
	if err == nil && late > 0 {
		err = fmt.Errorf("%d tasks were scheduled too late for their run_at", late)
	}
	return err
}

// customerParams are 200 bytes for a kind that has a target.
func customerParams(i int) json.RawMessage {
	const size = 200
	return json.RawMessage(fmt.Sprintf(`{"description":"%0*d"}`, size-len(`{"description":""}`), i))
}
