package app_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/store/storetest"
)

// TestARestoredBackupChargesNobodyTwice: the database goes back to a state in which nothing had been sent, after everything was.
func TestARestoredBackupChargesNobodyTwice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		age      string // of the backup, when it is restored
		requests int    // that Stripe sees for each task
	}{
		"WhileStripeKnowsTheKeys":    {"1h", 2},
		"AfterStripeForgotTheKeys":   {"26h", 1},
		"AfterAWholeWeek":            {"168h", 1},
		"AfterStripeForgotTheEvents": {"1000h", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			p, c := s.api()
			merchant := c.merchant()
			s.seed("in_restored")
			paid := idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": "in_restored"}))
			made := idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{
				"merchant_id": merchant, "kind": "subscription.create",
				"params": map[string]any{"customer": "cus_ok", "items": []any{map[string]any{"price": "price_basic"}}},
			}))
			p.Kill()
			backup := s.copyDatabase()

			first := s.worker()
			eventually(t, "both are done", func() bool { effects := s.effects(); return effects["task_"+paid] == 1 && effects["task_"+made] == 1 })
			first.Kill()

			s.simulator().Must(200, "POST", "/_sim/clock", map[string]any{"advance": tc.age})
			s.url, s.env["DATABASE_URL"] = backup, backup
			db := sqlx.MustConnect("postgres", backup)
			t.Cleanup(func() { _ = db.Close() })
			db.MustExec(`UPDATE scheduled_tasks SET scheduled_for = scheduled_for - $1::interval, run_at = run_at - $1::interval,
				created_at = created_at - $1::interval`, strings.Replace(tc.age, "h", " hours", 1))
			s.worker("RECONCILE_DELAYS", "100ms,200ms")
			_, c = s.api()
			for _, id := range []string{paid, made} {
				task := c.Await(id, "succeeded", "failed")
				if n := s.effects()["task_"+id]; n != 1 || task["status"] != "succeeded" {
					t.Errorf("%s: %v, %d effects", task["kind"], task["status"], n)
				}
				received, _ := s.simulator().Must(200, "GET", "/_sim/requests?key=task_"+id, nil)["data"].([]any)
				if len(received) != tc.requests {
					t.Errorf("%s: %d requests, want %d", task["kind"], len(received), tc.requests)
				}
			}
		})
	}
}

// copyDatabase makes a copy of the stack's database as it is now, and returns its URL.
func (s *stack) copyDatabase() string {
	s.t.Helper()
	address, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	name := strings.TrimPrefix(address.Path, "/")
	server := sqlx.MustConnect("postgres", storetest.ServerURL(s.t))
	defer func() { _ = server.Close() }()
	server.MustExec(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1`, name)
	return storetest.Create(s.t, name)
}
