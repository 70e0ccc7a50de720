package app_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
)

// TestKilledWorkersLoseAndDoubleNothing schedules 2,000 mixed tasks, lets four worker processes carry them out while one of
// them, at random, is killed every 300 ms, and then holds every task against the simulator's ledger.
func TestKilledWorkersLoseAndDoubleNothing(t *testing.T) {
	const (
		tasks   = 2000
		workers = 4
		chaos   = 20 * time.Second
		every   = 300 * time.Millisecond
	)
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("BILLONCE_SEED"); text != "" {
		parsed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = parsed
	}
	t.Logf("BILLONCE_SEED=%d repeats this run", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	s := newStack(t)
	_, c := s.api()
	merchant := c.merchant()
	s.simulator().Must(200, "POST", "/_sim/latency", map[string]any{"fixed": "20ms", "jitter": "60ms"})
	ids := s.scheduleMix(c, merchant, tasks, chaos)

	env := []string{
		"WORKER_LEASE", "1s", "WORKER_CONCURRENCY", "16", "MERCHANT_RATE", "150", "MERCHANT_CONCURRENCY", "24",
	}
	fleet := make([]*programtest.Process, workers)
	for i := range fleet {
		fleet[i] = s.worker(env...)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	kills := 0
	for end := time.After(chaos); ; {
		select {
		case <-ticker.C:
			victim := random.IntN(workers)
			fleet[victim].Kill()
			fleet[victim] = spawn(t, "worker", s.with(env...))
			kills++
			continue
		case <-end:
		}
		break
	}
	t.Logf("%d workers were killed", kills)

	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	eventually(t, "every task is terminal", func() bool {
		var open int
		err := db.Get(&open, `SELECT count(*) FROM scheduled_tasks WHERE status IN ('pending', 'running')`)
		return err == nil && open == 0
	})
	s.audit(db, ids)
	var flying, parked int
	if err := db.QueryRow(`SELECT sum(in_flight), (SELECT count(*) FROM scheduled_tasks WHERE parked_at IS NOT NULL) FROM merchant_pace`).
		Scan(&flying, &parked); err != nil || flying != 0 || parked != 0 {
		t.Errorf("%d calls are counted as in flight in the end, %d tasks are parked, %v", flying, parked, err)
	}
	var taken int
	if err := db.Get(&taken, `SELECT count(*) FROM attempts WHERE reason = 'worker_lost'`); err != nil || taken == 0 {
		t.Errorf("no task was taken over from a killed worker (%v): the test has shown nothing", err)
	}
	t.Logf("%d attempts were taken over", taken)
}

// scheduleMix schedules n tasks, most due at random moments within spread, some of which Stripe will refuse.
func (s *stack) scheduleMix(c *client, merchant string, n int, spread time.Duration) []string {
	s.t.Helper()
	open := s.invoices(n / 2)
	var batch []map[string]any
	for i := range n {
		task := map[string]any{
			"merchant_id": merchant, "idempotency_key": fmt.Sprintf("mix-%d", i),
			"run_at": time.Now().Add(time.Duration(i) * spread / time.Duration(n)).UTC().Format(time.RFC3339Nano),
		}
		switch {
		case i%2 == 0:
			task["kind"], task["target"] = "invoice.pay", open[i/2]
		case i%8 == 1:
			task["kind"], task["params"] = "subscription.create", map[string]any{"customer": "cus_ok", "items": []any{map[string]any{"price": "price_basic"}}}
		case i%8 == 3:
			task["kind"], task["params"] = "invoice_item.create", map[string]any{"customer": "cus_ok", "amount": 100 + i, "currency": "usd"}
		case i%8 == 5:
			task["kind"], task["params"] = "payment_intent.create", map[string]any{"amount": 100 + i, "currency": "usd", "customer": "cus_ok", "payment_method": "pm_ok", "confirm": true}
		default:
			task["kind"], task["target"] = "invoice.pay", fmt.Sprintf("in_missing_%d", i)
		}
		batch = append(batch, task)
	}
	data, _ := c.Must(201, "POST", "/v1/tasks/batch", map[string]any{"tasks": batch})["data"].([]any)
	if len(data) != n {
		s.t.Fatalf("%d tasks were scheduled, want %d", len(data), n)
	}
	ids := make([]string, n)
	for i, task := range data {
		fields, _ := task.(map[string]any)
		ids[i], _ = fields["id"].(string)
	}
	return ids
}

// audit holds every task against the ledger: succeeded has exactly one effect, failed and canceled have none.
func (s *stack) audit(db *sqlx.DB, ids []string) {
	s.t.Helper()
	rows := []struct {
		ID     string `db:"id"`
		Status string `db:"status"`
	}{}
	if err := db.Select(&rows, `SELECT id, status FROM scheduled_tasks`); err != nil {
		s.t.Fatal(err)
	}
	if len(rows) != len(ids) {
		s.t.Errorf("%d tasks in the database, %d were scheduled", len(rows), len(ids))
	}
	effects := s.effects()
	counts := map[string]int{}
	for _, row := range rows {
		counts[row.Status]++
		want := 0
		if row.Status == "succeeded" {
			want = 1
		}
		if got := effects["task_"+row.ID]; got != want {
			s.t.Errorf("task %s is %s and has %d effects", row.ID, row.Status, got)
		}
		delete(effects, "task_"+row.ID)
	}
	for key, n := range effects {
		s.t.Errorf("%d effects under the key %q belong to no task", n, key)
	}
	s.t.Logf("statuses: %v", counts)
	if counts["succeeded"] == 0 || counts["failed"] == 0 || counts["in_doubt"] != 0 {
		s.t.Errorf("statuses: %v", counts)
	}
}
