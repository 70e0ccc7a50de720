package store_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// hasTo fails unless every node that reads a table goes by an index that can only yield a piece of it: by a condition on its first column,
// or in the order of the key below a limit. allowed names the indexes.
func hasTo(t *testing.T, what string, allowed map[string]string) func(plan) {
	t.Helper()
	return func(p plan) {
		t.Helper()
		switch p.Relation {
		case "scheduled_tasks", "archived_tasks", "task_attempts", "task_keys", "merchants", "outcome_minutes":
		default:
			return
		}
		if p.Type == "ModifyTable" {
			return
		}
		condition, ok := allowed[p.Index]
		if !ok || !strings.HasPrefix(p.Type, "Index") || !strings.Contains(p.Cond, condition) {
			t.Errorf("%s reads %s by %s %s (%s)", what, p.Relation, p.Type, p.Index, p.Cond)
		}
	}
}

// asks are filters of every sort.
func asks(t *testing.T) map[string]billing.TaskFilter {
	t.Helper()
	merchant := billing.MerchantID(storetest.NewID(t))
	return map[string]billing.TaskFilter{
		"status":        {Statuses: []billing.Status{billing.InDoubt}},
		"time":          {From: time.Now().Add(-time.Hour), To: time.Now()},
		"attention":     {Attention: true},
		"merchant":      {MerchantID: merchant},
		"kind":          {Kind: billing.InvoicePay, Target: "in_1", CreatedBefore: time.Now()},
		"request":       {Query: "req_1"},
		"object":        {Query: "in_1"},
		"intent":        {Query: "renewal", MerchantID: merchant},
		"everything":    {Query: "req_1", MerchantID: merchant, Kind: billing.InvoicePay, Statuses: billing.Statuses(), From: time.Now(), Attention: true},
		"nothing at it": {},
	}
}

// checkFindPlans: what is for people to look at reads bounded pieces of indexes.
func checkFindPlans(t *testing.T, db *storetest.DB) {
	t.Helper()
	beside := map[string]string{ // looks at what belongs to one task
		"scheduled_tasks_pkey": "id", "idx_scheduled_tasks_retry_of": "retry_of = ", "scheduled_tasks_one_per_intent": "merchant_id = ",
		"scheduled_tasks_one_per_object": "target = ", "idx_scheduled_tasks_status_run_at": "status = ", "task_attempts_pkey": "task_id = ",
		"merchants_pkey": "id = ", "archived_tasks_retry_of": "retry_of = ", "task_keys_pkey": "key = ",
		"merchants_paused": "", "outcome_minutes_pkey": "minute >= ",
	}
	for name, filter := range asks(t) {
		for _, how := range []string{"", "unsent", "retryable"} {
			for query, args := range store.SearchQueries(filter, how) {
				explain(t, db, query, args...).walk(hasTo(t, "the search by "+name+" "+how, beside))
			}
		}
		query, args := store.FewQuery(filter)
		explain(t, db, query, args...).walk(hasTo(t, "the look for few by "+name, map[string]string{"idx_scheduled_tasks_status_run_at": "status = "}))
		query, args = store.CountQuery(filter)
		explain(t, db, query, args...).walk(hasTo(t, "the count by "+name, map[string]string{"idx_scheduled_tasks_status_run_at": "status = "}))
	}
	for _, merchant := range []billing.MerchantID{"", billing.MerchantID(storetest.NewID(t))} {
		query, args := store.StandingQuery(merchant)
		explain(t, db, query, args...).walk(hasTo(t, "the overview", map[string]string{
			"idx_scheduled_tasks_status_run_at": "status = 'pending'", "merchants_paused": "", "merchants_pkey": "id = ",
		}))
	}
	explain(t, db, store.OutcomesQuery, 300.0, 21300.0).walk(hasTo(t, "the outcomes", beside))
	explain(t, db, store.ListWorkersQuery, 10, 100).walk(hasTo(t, "the list of workers", map[string]string{"idx_scheduled_tasks_status_run_at": "status = 'running'"}))
	ids := pq.Array([]string{storetest.NewID(t), storetest.NewID(t)})
	explain(t, db, store.CancelQuery, ids).walk(hasTo(t, "the cancelation", beside))
	explain(t, db, store.RescheduleQuery, ids, time.Now()).walk(hasTo(t, "the rescheduling", beside))
}

// TestLooksAreBounded: with 100,000 tasks, each statement behind a page that people look at touches a bounded number of blocks.
func TestLooksAreBounded(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	many, few := db.Merchant(t), db.Merchant(t)
	fillTasks(t, db, many.ID, 100_000)
	db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = run_at - interval '3 days' WHERE target LIKE '%7'`)
	db.SQL.MustExec(`VACUUM (ANALYZE) scheduled_tasks`)
	touched := func(query string, args ...any) int {
		t.Helper()
		var text string
		if err := db.DB.Pool().QueryRowContext(context.Background(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+query, args...).Scan(&text); err != nil {
			t.Fatalf("%v: %s", err, query)
		}
		var plans []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			t.Fatal(err)
		}
		return plans[0].Plan.Hit + plans[0].Plan.Read
	}
	most := func(what string, blocks int, query string, args ...any) {
		t.Helper()
		n := touched(query, args...)
		t.Logf("%s: %d blocks", what, n)
		if n > blocks {
			t.Errorf("%s touches %d blocks, %d at most are expected", what, n, blocks)
		}
	}
	query, args := store.CountQuery(billing.TaskFilter{})
	most("the count of everything", 15_000, query, args...) // up to 10,000 of one status, from the index alone where it is clean
	query, args = store.CountQuery(billing.TaskFilter{MerchantID: few.ID})
	most("the count of a merchant", 25_000, query, args...) // 20,000 tasks, by the index
	query, args = store.StandingQuery("")
	most("the overview", 35_000, query, args...)
	query, args = store.StandingQuery(few.ID)
	most("the overview of a merchant", 45_000, query, args...)
	query, args = store.FewQuery(billing.TaskFilter{Statuses: billing.Statuses()})
	most("the look for few", 15_000, query, args...)
	query, args = store.ListQuery(billing.TaskFilter{}, 51, "ffffffff-ffff-ffff-ffff-ffffffffffff")
	most("the list", 2_000, query, args...)
	for name, filter := range map[string]billing.TaskFilter{"an object": {Query: "in_none"}, "a request": {Query: "req_none"}} {
		for query, args := range store.SearchQueries(filter, "") {
			if strings.Contains(query, "looked") { // one window of 16,000
				most("a window for "+name, 20_000, query, args...)
			}
		}
	}
}
