package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lib/pq"

	"billonce/bench/pace"
	"billonce/bench/stage"
)

const (
	firstDueIn    = 2 * time.Second // from scheduling to the first run_at
	latencySettle = 30 * time.Second
)

// latencyOfBillonce measures from the moment a task is due, and from the POST of one that is due at once, to the arrival of
// its request at a Stripe on loopback.
func (b *Bench) latencyOfBillonce(ctx context.Context, database, round string) (err error) {
	stripe, err := startSink(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stripe.close()) }()
	api, err := b.Stage.StartAPI(ctx, database, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.Stop(context.WithoutCancel(ctx))) }()
	worker, err := b.Stage.StartWorker(ctx, database, stage.Env{"BENCH_STRIPE": "", "STRIPE_API_URL": stripe.url})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.Stop(context.WithoutCancel(ctx))) }()
	merchants, err := api.CreateMerchants(ctx, fmt.Sprintf("c%d", time.Now().UnixMilli()), billonceMerchants)
	if err != nil {
		return err
	}
	if err := b.dueLatency(ctx, database, api, stripe, merchants, round); err != nil {
		return fmt.Errorf("from due to sent: %w", err)
	}
	if err := b.postLatency(ctx, api, stripe, merchants, round); err != nil {
		return fmt.Errorf("from POST to sent: %w", err)
	}
	return nil
}

// dueLatency schedules tasks that become due one after the other.
func (b *Bench) dueLatency(ctx context.Context, database string, api *stage.API, stripe *sink, merchants []string, round string) error {
	seconds, _ := latencySize(b)
	n := seconds * latencyRate
	base := time.Now().Add(firstDueIn)
	due := make([]time.Time, n)
	tasks := make([]stage.Task, n)
	for i := range tasks {
		due[i] = base.Add(time.Duration(i) * time.Second / latencyRate).Truncate(time.Microsecond)
		tasks[i] = stage.Task{
			MerchantID: merchants[i%len(merchants)], Kind: "payment_intent.create", Params: stage.PaymentParams(i), RunAt: &due[i],
		}
	}
	var answer struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := api.Post(ctx, "/v1/tasks/batch", map[string]any{"tasks": tasks}, &answer); err != nil {
		return err
	}
	ids := make([]string, n)
	for i, task := range answer.Data {
		ids[i] = task.ID
	}
	if err := waitSent(ctx, stripe, ids, time.Duration(seconds)*time.Second+latencySettle); err != nil {
		return err
	}
	took := make([]float64, n)
	for i, id := range ids {
		took[i] = milliseconds(stripe.at(id).Sub(due[i]))
	}
	b.addLatency(billonceName, dueToSent+round, took)
	return b.claimLatency(ctx, database, ids, round)
}

// claimLatency reads the same by the database's clock, up to the claim.
func (b *Bench) claimLatency(ctx context.Context, database string, ids []string, round string) error {
	db, err := b.Stage.Open(database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(ctx, `
		SELECT extract(epoch FROM first_sent_at - scheduled_for)::float8 * 1000 FROM scheduled_tasks WHERE id = ANY ($1::uuid[])`, pq.Array(ids))
	if err != nil {
		return fmt.Errorf("read when tasks were claimed: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var took []float64
	for rows.Next() {
		var one float64
		if err := rows.Scan(&one); err != nil {
			return fmt.Errorf("read when tasks were claimed: %w", err)
		}
		took = append(took, one)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read when tasks were claimed: %w", err)
	}
	b.addLatency(billonceName, dueToClaimed+round, took)
	return nil
}

// postLatency posts single tasks that are due at once, at a steady rate.
func (b *Bench) postLatency(ctx context.Context, api *stage.API, stripe *sink, merchants []string, round string) error {
	seconds, _ := latencySize(b)
	n := seconds * latencyRate
	posted, ids := make([]time.Time, n), make([]string, n)
	var mu sync.Mutex
	err := pace.Run(ctx, n, latencyRate, func(ctx context.Context, i int) error {
		task := stage.Task{MerchantID: merchants[i%len(merchants)], Kind: "payment_intent.create", Params: stage.PaymentParams(i)}
		var answer struct {
			ID string `json:"id"`
		}
		began := time.Now()
		err := api.Post(ctx, "/v1/tasks", task, &answer)
		mu.Lock()
		defer mu.Unlock()
		posted[i], ids[i] = began, answer.ID
		return err
	})
	if err != nil {
		return err
	}
	if err := waitSent(ctx, stripe, ids, latencySettle); err != nil {
		return err
	}
	took := make([]float64, n)
	for i, id := range ids {
		took[i] = milliseconds(stripe.at(id).Sub(posted[i]))
	}
	b.addLatency(billonceName, postToSent+round, took)
	return nil
}

func waitSent(ctx context.Context, stripe *sink, ids []string, timeout time.Duration) error {
	return stage.WaitUntil(ctx, 100*time.Millisecond, timeout, func(context.Context) (bool, error) {
		return stripe.sent(ids) == len(ids), nil
	})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
