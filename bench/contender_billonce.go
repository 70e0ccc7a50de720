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
	// How fast tasks are loaded at least, to choose a run_at that lies ahead of all of it.
	loadRate = 4000
	// The distance of two tasks with spread run_at.
	spreadBy = 100 * time.Microsecond
)

func billonceContender() contender {
	return contender{
		name:  billonceName,
		about: "the real api and worker, everything on, Stripe answered in memory (BENCH_STRIPE=memory, only in binaries built with -tags bench)",
		ready: func(context.Context, *Bench) error { return nil },
		load:  loadBillonce,
		start: func(ctx context.Context, b *Bench, database string, workers int, slots variant) ([]*stage.Process, error) {
			return startBillonce(ctx, b, database, workers, stage.Env{"WORKER_CONCURRENCY": slots[1]})
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

// loadBillonce schedules tasks through the API, over many merchants. With an order, their run_at lies ahead until they are
// all there, as that of tasks for the first of the month does, and loadBillonce waits for it.
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
	ahead := 3*time.Second + time.Duration(fill.due)*time.Second/loadRate
	base := time.Now().Add(ahead)
	err = api.Schedule(ctx, fill.due, func(i int) stage.Task {
		task := stage.Task{MerchantID: merchants[i%len(merchants)], Kind: "payment_intent.create", Params: stage.PaymentParams(i)}
		if fill.targets {
			task.Kind, task.Target, task.Params = "customer.update", fmt.Sprintf("cus_%09d", i), customerParams(i)
		}
		switch at := base; fill.order {
		case spread:
			at = base.Add(time.Duration(i) * spreadBy)
			task.RunAt = &at
		case equal:
			task.RunAt = &at
		case asLoaded:
		}
		return task
	})
	if err != nil {
		return err
	}
	if err := api.Stop(ctx); err != nil {
		return err
	}
	if fill.order == asLoaded {
		return nil
	}
	if time.Now().After(base) {
		return fmt.Errorf("loading took longer than %s: their run_at would not be what it should", ahead)
	}
	timer := time.NewTimer(time.Until(base.Add(time.Duration(fill.due)*spreadBy + time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// customerParams are 200 bytes for a kind that has a target.
func customerParams(i int) json.RawMessage {
	const size = 200
	return json.RawMessage(fmt.Sprintf(`{"description":"%0*d"}`, size-len(`{"description":""}`), i))
}
