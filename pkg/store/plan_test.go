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

// plan is a node of EXPLAIN (FORMAT JSON).
type plan struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Alias    string `json:"Alias"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Parent   string `json:"Parent Relationship"`
	Plans    []plan `json:"Plans"`
}

func (p plan) walk(visit func(plan)) {
	if p.asksOnce() {
		return
	}
	visit(p)
	for _, child := range p.Plans {
		child.walk(visit)
	}
}

// explainPrepared reads the plan that a prepared statement keeps for whatever arguments come.
func explainPrepared(t *testing.T, db *storetest.DB, query, arguments string) plan {
	t.Helper()
	ctx := context.Background()
	conn, err := db.DB.Pool().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "PREPARE kept AS "+query); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := conn.QueryRowContext(ctx, "EXPLAIN (FORMAT JSON) EXECUTE kept ("+arguments+")").Scan(&text); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(ctx, "DEALLOCATE kept"); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

// asksOnce reports whether a node asks, once per statement, whether there is any waiting task.
func (p plan) asksOnce() bool {
	return p.Type == "Limit" && p.Parent == "InitPlan" && len(p.Plans) == 1 && p.Plans[0].Index == "idx_scheduled_tasks_waiting"
}

func explain(t *testing.T, db *storetest.DB, query string, args ...any) plan {
	t.Helper()
	var text string
	if err := db.DB.Pool().QueryRow("EXPLAIN (FORMAT JSON) "+query, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

// TestPlans fails when a statement of the hot path stops reading through the index that it was made for, whatever the
// table's content and however old its statistics.
func TestPlans(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	fill := func(n int, status, runAt string) {
		t.Helper()
		db.SQL.MustExec(`
			INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at, finished_at, first_sent_at, sent_auth, sent_account)
			SELECT gen_random_uuid(), $1, 'invoice.pay', $2::text, `+runAt+`,
				CASE WHEN $2::text = 'pending' THEN NULL ELSE now() END, CASE WHEN $2::text = 'pending' THEN NULL ELSE now() END,
				CASE WHEN $2::text = 'pending' THEN NULL ELSE 'token' END, CASE WHEN $2::text = 'pending' THEN NULL ELSE 'acct_1' END
			FROM generate_series(1, $3::int) AS n`, merchant.ID, status, n)
	}
	check := func(t *testing.T) {
		t.Helper()
		worker := "'" + storetest.NewID(t) + "'"
		for _, claim := range store.ClaimQueries() {
			checkClaimPlan(t, explainPrepared(t, db, claim[0], worker+", 100, now()"))
			checkClaimPlan(t, explainPrepared(t, db, claim[1], worker+", 100, 20, 10, now()"))
			checkClaimPlan(t, explainPrepared(t, db, claim[2], worker+", 100, 20, 10, now()"))
			checkLanesPlan(t, explainPrepared(t, db, claim[3], worker+", 100, 20, 10"))
		}
		checkSettlePlan(t, db)
		checkTakeOverAndListPlans(t, db)
		checkFindPlans(t, db)
		explainPrepared(t, db, store.ScheduleQuery, strings.Repeat("'{}', ", 17)+"true, '{}', '{}', '{}'").walk(func(p plan) {
			if p.Relation == "merchants" && p.Index != "merchants_pkey" {
				t.Errorf("merchants are read by %s %s", p.Type, p.Index)
			}
		})
		explainPrepared(t, db, store.ReadEventsQuery, "'0123456789ab', '7:7:', NULL, 500").walk(func(p plan) {
			if p.Relation == "task_events" && p.Index != "task_events_xact" {
				t.Errorf("events are read by %s %s", p.Type, p.Index)
			}
		})
	}
	t.Run("Empty", check)
	fill(100_000, "pending", "now() - n * interval '1 millisecond'")
	fill(50_000, "pending", "now() + n * interval '1 second'")
	fill(50_000, "succeeded", "now() - n * interval '1 second'")
	t.Run("StaleStatisticsAt200000Rows", check)
	db.SQL.MustExec(`ANALYZE`)
	t.Run("FreshStatisticsAt200000Rows", check)
	db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'succeeded', finished_at = now(), first_sent_at = now(), sent_auth = 'token',
		sent_account = 'acct_1' WHERE status = 'pending' AND run_at <= now()`)
	db.SQL.MustExec(`ANALYZE`)
	t.Run("NothingDue", check)
}

func checkClaimPlan(t *testing.T, root plan) {
	t.Helper()
	through := false
	root.walk(func(p plan) {
		if p.Relation != "scheduled_tasks" {
			return
		}
		switch {
		case strings.HasPrefix(p.Type, "Index") && p.Index == "idx_scheduled_tasks_status_run_at":
			through = true
		case strings.HasPrefix(p.Type, "Index") && p.Index == "scheduled_tasks_pkey", p.Type == "ModifyTable", byObject(p):
		default:
			t.Errorf("the claim reads scheduled_tasks by %s %s (%s)", p.Type, p.Index, p.Cond)
		}
	})
	if !through {
		t.Error("the claim does not read through idx_scheduled_tasks_status_run_at")
	}
}

func checkLanesPlan(t *testing.T, root plan) {
	t.Helper()
	root.walk(func(p plan) {
		switch {
		case p.Relation != "scheduled_tasks", p.Type == "ModifyTable", byObject(p), p.Index == "scheduled_tasks_pkey":
		case p.Index == "idx_scheduled_tasks_parked" && strings.Contains(p.Cond, "merchant_id = "):
		case p.Index == "idx_scheduled_tasks_status_run_at": // the time of the next due task
		default:
			t.Errorf("the claim from lanes reads scheduled_tasks by %s %s (%s)", p.Type, p.Index, p.Cond)
		}
	})
}

// byObject reports whether a node finds the few tasks of one object, instead of reading a whole index.
func byObject(p plan) bool {
	return (p.Index == "scheduled_tasks_one_per_object" || p.Index == "idx_scheduled_tasks_waiting") && strings.Contains(p.Cond, "target = ")
}

func checkSettlePlan(t *testing.T, db *storetest.DB) {
	t.Helper()
	args, err := store.SettleArgs([]billing.Settlement{{
		ID: billing.TaskID(storetest.NewID(t)), Worker: billing.WorkerID(storetest.NewID(t)), Attempt: 1, ClaimedAt: time.Now(),
		Status: billing.Succeeded, Answer: billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone},
	}})
	if err != nil {
		t.Fatal(err)
	}
	end := "'" + storetest.NewID(t) + "', '{}', '{}', '{}', '{}', '{}', '{}', '{}'"
	explainPrepared(t, db, store.FinishQuery, end).walk(judgeSettle(t))
	explainPrepared(t, db, store.FinishLimited, end).walk(judgeSettle(t))
	explain(t, db, store.SettleQuery, args...).walk(judgeSettle(t))
}

// checkTakeOverAndListPlans: those that run are found by their status, a list goes through the newest first.
func checkTakeOverAndListPlans(t *testing.T, db *storetest.DB) {
	t.Helper()
	explain(t, db, store.TakeOverQuery, 500, "lost", 60.0).walk(func(p plan) {
		if p.Relation == "scheduled_tasks" && p.Type != "ModifyTable" && p.Index != "scheduled_tasks_pkey" &&
			(p.Index != "idx_scheduled_tasks_status_run_at" || !strings.Contains(p.Cond, "status = 'running'")) {
			t.Errorf("the take-over reads scheduled_tasks by %s %s (%s)", p.Type, p.Index, p.Cond)
		}
	})
	after := billing.TaskID(storetest.NewID(t))
	for index, filter := range map[string]billing.TaskFilter{"scheduled_tasks_pkey": {}, "idx_scheduled_tasks_retry_of": {RetryOf: after}} {
		query, args := store.ListQuery(filter, 50, after)
		explain(t, db, query, args...).walk(func(p plan) {
			if p.Relation == "scheduled_tasks" && p.Alias != "r" && p.Index != index {
				t.Errorf("a list by %+v reads scheduled_tasks by %s %s", filter, p.Type, p.Index)
			}
		})
	}
}

func judgeSettle(t *testing.T) func(plan) {
	t.Helper()
	return func(p plan) {
		t.Helper()
		if p.Relation == "scheduled_tasks" && p.Type != "ModifyTable" && p.Index != "scheduled_tasks_pkey" && !byObject(p) {
			t.Errorf("the settlement reads scheduled_tasks by %s %s (%s)", p.Type, p.Index, p.Cond)
		}
	}
}

// TestConstraints shows that the database itself refuses rows that would lie.
func TestConstraints(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	for name, tc := range map[string]struct{ set, constraint string }{
		"UnknownStatus":          {`status = 'retrying'`, "scheduled_tasks_state"},
		"RunningWithoutWorker":   {`status = 'running', first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"RunningUnmarked":        {`status = 'running', worker_id = gen_random_uuid(), claimed_at = now()`, "scheduled_tasks_state"},
		"PendingWithWorker":      {`worker_id = gen_random_uuid()`, "scheduled_tasks_state"},
		"SucceededUnfinished":    {`status = 'succeeded', first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"SucceededNeverSent":     {`status = 'succeeded', finished_at = now()`, "scheduled_tasks_state"},
		"PendingFinished":        {`finished_at = now()`, "scheduled_tasks_state"},
		"InDoubtNeverSent":       {`status = 'in_doubt'`, "scheduled_tasks_state"},
		"CanceledAfterSend":      {`status = 'canceled', finished_at = now(), first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"SentAsNobody":           {`first_sent_at = now()`, "scheduled_tasks_sent_as_somebody"},
		"HeldThoughFailed":       {`status = 'failed', finished_at = now(), held_at = now()`, "scheduled_tasks_state"},
		"MoreReleasesThanClaims": {`released = 1`, "scheduled_tasks_attempts"},
		"NoAttempts":             {`max_attempts = 0`, "scheduled_tasks_attempts"},
		"RunningThoughParked":    {`status = 'running', worker_id = gen_random_uuid(), claimed_at = now(), parked_at = now(), first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"LookedAtThoughPending":  {`look_at = now()`, "scheduled_tasks_state"},
		"InDoubtThoughWaiting":   {`status = 'in_doubt', waiting_since = now(), first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"EndedByNobody":          {`status = 'succeeded', finished_at = now(), final_outcome = 'succeeded', final_reason = 'done', first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"EndedOtherwise":         {`status = 'succeeded', finished_at = now(), final_outcome = 'refused', final_reason = 'x', worker_id = gen_random_uuid(), claimed_at = now(), first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"EndedWithoutOutcome":    {`status = 'failed', finished_at = now(), final_reason = 'x', worker_id = gen_random_uuid(), claimed_at = now(), first_sent_at = now(), sent_auth = 'token', sent_account = 'a'`, "scheduled_tasks_state"},
		"IntentWithoutEnd":       {`intent = repeat('x', 256)`, "scheduled_tasks_intent_length"},
	} {
		t.Run(name, func(t *testing.T) {
			task := schedule(t, db, newTask(t, merchant.ID))[0].Task
			_, err := db.SQL.ExecContext(context.Background(), `UPDATE scheduled_tasks SET `+tc.set+` WHERE id = $1`, task.ID)
			failure := pq.As(err)
			if failure == nil || failure.Constraint != tc.constraint {
				t.Errorf("got %v, want a violation of %s", err, tc.constraint)
			}
		})
	}
}

// TestNothingIsCompiled: the planner takes a sequential scan over the few rows of workers or clock for enormously expensive, and
// would compile the statement each time for longer than a heartbeat may take.
func TestNothingIsCompiled(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	var plans string
	query := `EXPLAIN (ANALYZE, FORMAT JSON) SELECT min(extract(epoch FROM heartbeat_at + lease - now())) FROM workers`
	if err := db.DB.Pool().QueryRow(query).Scan(&plans); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plans, `"JIT"`) {
		t.Errorf("compiled: %s", plans)
	}
}
