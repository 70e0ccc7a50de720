package store_test

import (
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// TestPlansOfRetention: moving tasks out never reads more of the queue than it moves, whatever the tables hold and however old
// their statistics.
func TestPlansOfRetention(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	fill := func(n int, status, runAt string) {
		t.Helper()
		db.SQL.MustExec(`
			WITH new AS (
				INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at, finished_at, first_sent_at, sent_auth, sent_account)
				SELECT gen_random_uuid(), $1, 'invoice.pay', $2::text, `+runAt+`,
					CASE WHEN $2::text = 'pending' THEN NULL ELSE `+runAt+` END,
					CASE WHEN $2::text IN ('pending', 'canceled') THEN NULL ELSE now() END,
					CASE WHEN $2::text IN ('pending', 'canceled') THEN NULL ELSE 'token' END,
					CASE WHEN $2::text IN ('pending', 'canceled') THEN NULL ELSE 'a' END
				FROM generate_series(1, $3::int) AS n
				RETURNING id
			), keys AS (
				INSERT INTO task_keys (key, task_id, fingerprint, scheduled_for, run_at) SELECT id::text, id, '', now(), now() FROM new
			)
			INSERT INTO task_attempts (task_id, attempt, worker_id, started_at, outcome, reason)
			SELECT id, 1, gen_random_uuid(), now(), 'refused', 'invalid' FROM new`, merchant.ID, status, n)
	}
	check := func(t *testing.T) {
		t.Helper()
		for _, status := range billing.Statuses() {
			if query, ok := store.MoveQuery(status); ok {
				checkMovePlan(t, explain(t, db, query, time.Time{}, retention.Seconds(), 500))
			}
		}
	}
	t.Run("Empty", check)
	fill(100_000, "pending", "now() + n * interval '1 second'")
	fill(50_000, "succeeded", "now() - interval '500 days' + n * interval '1 second'")
	fill(20_000, "failed", "now() - n * interval '1 second'")
	t.Run("StaleStatistics", check)
	db.SQL.MustExec(`ANALYZE`)
	t.Run("FreshStatistics", check)
}

func checkMovePlan(t *testing.T, root plan) {
	t.Helper()
	through := false
	root.walk(func(p plan) {
		switch {
		case p.Type == "ModifyTable", !strings.HasSuffix(p.Relation, "_tasks") && !strings.HasPrefix(p.Relation, "task_"):
		case p.Relation == "scheduled_tasks" && p.Index == "idx_scheduled_tasks_status_run_at" && strings.Contains(p.Cond, "status = ") && strings.Contains(p.Cond, "run_at <"):
			through = true
		case strings.HasPrefix(p.Type, "Index") && (strings.Contains(p.Cond, "id = ") || strings.Contains(p.Cond, "retry_of = ")):
		default:
			t.Errorf("retention reads %s by %s %s (%s)", p.Relation, p.Type, p.Index, p.Cond)
		}
	})
	if !through {
		t.Error("retention does not read through idx_scheduled_tasks_status_run_at")
	}
}
