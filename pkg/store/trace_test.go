package store_test

import (
	"context"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

const traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 shop=checkout"

// TestWhichRequestScheduledATaskIsKept: in every way of scheduling tasks, beside tasks of which nobody knows it.
func TestWhichRequestScheduledATaskIsKept(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]func(*store.Store, context.Context, []billing.NewTask) ([]billing.CreatedTask, error){
		"Plainly": (*store.Store).CreatePlain, "Carefully": (*store.Store).CreateCarefully,
	} {
		for _, n := range []int{1, 3} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db := storetest.Open(t)
				db.Store.ReadTraces()
				merchant, worker := db.Merchant(t), register(t, db, time.Minute)
				want := map[billing.TaskID]string{}
				for range 2 {
					tasks := make([]billing.NewTask, n)
					for i := range tasks {
						tasks[i] = newTask(t, merchant.ID)
						if len(want)%2 == 0 {
							tasks[i].TraceContext = traced
						}
						want[tasks[i].ID] = tasks[i].TraceContext
					}
					if created, err := create(db.Store, t.Context(), tasks); err != nil || len(created) != n {
						t.Fatalf("%v, %v", created, err)
					}
				}
				claims := claim(t, db, worker, 10)
				if len(claims) != len(want) {
					t.Fatalf("%d claims", len(claims))
				}
				for _, one := range claims {
					if one.TraceContext != want[one.ID] {
						t.Errorf("a claim has %q, want %q", one.TraceContext, want[one.ID])
					}
				}
				var empty int
				if err := db.SQL.Get(&empty, `SELECT count(*) FROM scheduled_tasks WHERE trace_context = ''`); err != nil || empty != 0 {
					t.Errorf("%d are empty instead of NULL, %v", empty, err)
				}
			})
		}
	}
}

// TestWhichRequestScheduledATaskGoesWithIt: to what follows a decline, to a look, into the archive; and not into a claim of a store that
// was not told to read it.
func TestWhichRequestScheduledATaskGoesWithIt(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	task := newTask(t, merchant.ID)
	task.TraceContext, task.OnDecline = traced, &billing.Dunning{RetryAfter: []time.Duration{time.Hour}}
	schedule(t, db, task)
	one := claim(t, db, worker, 1)[0]
	if one.TraceContext != "" {
		t.Errorf("the claim has %q", one.TraceContext)
	}
	next := billing.TaskID(storetest.NewID(t))
	declined := settlement(one, billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined)
	declined.Next = &billing.Successor{ID: next, Request: one.Request.For(one.ID, next), After: time.Hour}
	settle(t, db, declined)
	stored := func(query string, args ...any) string {
		t.Helper()
		var text string
		if err := db.SQL.Get(&text, query, args...); err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := stored(`SELECT trace_context FROM scheduled_tasks WHERE id = $1`, next); got != traced {
		t.Errorf("what follows has %q", got)
	}

	doubted := newTask(t, merchant.ID)
	doubted.TraceContext = traced
	schedule(t, db, doubted)
	settle(t, db, settlement(claim(t, db, worker, 1)[0], billing.InDoubt, billing.OutcomeUnknown, billing.ReasonServerError))
	doubts, err := db.Store.ClaimLooks(ctx, worker, 1, 1, time.Minute)
	if err != nil || len(doubts) != 1 || doubts[0].TraceContext != traced {
		t.Errorf("%+v, %v", doubts, err)
	}

	db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() - interval '2 hours', finished_at = now() - interval '2 hours' WHERE status = 'failed'`)
	db.SQL.MustExec(`UPDATE scheduled_tasks SET retry_of = NULL WHERE id = $1`, next)
	if moved, err := db.Store.MoveFinished(ctx, billing.Failed, time.Time{}, time.Hour, 10); err != nil || moved.Tasks != 1 {
		t.Fatalf("%+v, %v", moved, err)
	}
	if got := stored(`SELECT document->'task'->>'trace_context' FROM archived_tasks WHERE id = $1`, task.ID); got != traced {
		t.Errorf("the archive has %q", got)
	}
}

// TestDepth counts what there is, and no further than it may.
func TestDepth(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at, first_sent_at, sent_auth, sent_account, worker_id, claimed_at)
		SELECT gen_random_uuid(), $1, 'invoice.pay', s.status, now() + s.after, CASE WHEN s.status <> 'pending' THEN now() END,
			CASE WHEN s.status <> 'pending' THEN 'token' END, CASE WHEN s.status <> 'pending' THEN 'a' END,
			CASE WHEN s.status = 'running' THEN gen_random_uuid() END, CASE WHEN s.status = 'running' THEN now() END
		FROM (VALUES ('pending', interval '-90 seconds', 3), ('pending', interval '1 hour', 10001), ('running', interval '0', 2), ('in_doubt', interval '0', 1))
			AS s (status, after, n), generate_series(1, s.n)`, merchant.ID)
	depth, err := db.Store.Depth(t.Context())
	if err != nil || depth.Pending != 10_000 || depth.Due != 3 || depth.Running != 2 || depth.InDoubt != 1 ||
		depth.OldestDue < 90*time.Second || depth.OldestDue > 5*time.Minute {
		t.Errorf("%+v, %v", depth, err)
	}
}

// TestTokensAreCountedByKey as whoever may not read them.
func TestTokensAreCountedByKey(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Merchant(t)
	db.Merchant(t)
	unnamed := db.Merchant(t)
	db.SQL.MustExec(`UPDATE merchants SET access_token_key_id = NULL, refresh_token = NULL, refresh_token_key_id = NULL, refresh_token_binding = NULL WHERE id = $1`, unnamed.ID)
	api := storetest.OpenURL(t, storetest.As(t, db.URL, store.RoleAPI), db.Key)
	tokens, err := api.DB.TokensByKey(t.Context())
	if err != nil || len(tokens) != 2 || tokens[db.Key.ID()] != 4 || tokens[""] != 1 {
		t.Errorf("%v, %v", tokens, err)
	}
}

// TestOnlyWhatIsCommittedCountsAsAudited, and only where somebody asked for it.
func TestOnlyWhatIsCommittedCountsAsAudited(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	var counted []billing.Action
	db.DB.CountAudit(func(action billing.Action) { counted = append(counted, action) })
	ctx := billing.WithActor(t.Context(), billing.Actor{ID: billing.ActorAdmin})
	if _, err := db.Store.PauseMerchant(ctx, merchant.ID, billing.PauseRequested, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Store.ResumeMerchant(t.Context(), merchant.ID); err != nil { // by nobody
		t.Fatal(err)
	}
	db.SQL.MustExec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`)
	db.SQL.MustExec(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON audit_log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`)
	if _, err := db.Store.PauseMerchant(ctx, merchant.ID, billing.PauseRequested, ""); err == nil {
		t.Fatal("the transaction is committed")
	}
	if len(counted) != 1 || counted[0] != billing.ActionMerchantPause {
		t.Errorf("%v", counted)
	}
}
