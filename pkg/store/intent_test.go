package store_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

const renewal = "renewal:sub_123:2026-12"

func wanting(t *testing.T, merchant billing.MerchantID, intent string) billing.NewTask {
	t.Helper()
	task := newTask(t, merchant)
	task.Intent = intent
	return task
}

func TestIntents(t *testing.T) {
	t.Parallel()
	ctx := context.Background()

	t.Run("BelongToOneTaskWhichTheRefusalNames", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, other := db.Merchant(t), db.Merchant(t)
		first := schedule(t, db, wanting(t, merchant.ID, renewal))[0].Task.ID
		_, err := db.Store.CreateTasks(ctx, []billing.NewTask{newTask(t, merchant.ID), wanting(t, merchant.ID, renewal)})
		wantCode(t, err, billing.CodeIntentTaken)
		if !strings.Contains(err.Error(), string(first)) {
			t.Errorf("%v does not name %s", err, first)
		}
		schedule(t, db, wanting(t, other.ID, renewal), newTask(t, merchant.ID), newTask(t, merchant.ID)) // none of these clash
		var n int
		if err := db.SQL.Get(&n, `SELECT count(*) FROM scheduled_tasks`); err != nil || n != 4 {
			t.Errorf("%d tasks, %v: the refused batch left something", n, err)
		}
	})

	t.Run("AreFreeOnceTheTaskFailedOrWasCanceled", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, worker := db.Merchant(t), register(t, db, time.Minute)
		first := schedule(t, db, wanting(t, merchant.ID, renewal))[0].Task.ID
		if _, err := db.Store.CancelTask(ctx, first); err != nil {
			t.Fatal(err)
		}
		schedule(t, db, wanting(t, merchant.ID, renewal))
		running := claim(t, db, worker, 10)[0]
		taken := func(status billing.Status) {
			t.Helper()
			_, err := db.Store.CreateTasks(ctx, []billing.NewTask{wanting(t, merchant.ID, renewal)})
			if billing.CodeOf(err) != billing.CodeIntentTaken {
				t.Errorf("%s: %v, want intent_taken", status, err)
			}
		}
		taken(billing.Running)
		settle(t, db, settlement(running, billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		taken(billing.InDoubt)
		if _, err := db.Store.ResolveTask(ctx, running.ID, billing.Resolution{Outcome: billing.Failed, Note: "no", RequestID: "r"}); err != nil {
			t.Fatal(err)
		}
		schedule(t, db, wanting(t, merchant.ID, renewal))
		settle(t, db, settlement(claim(t, db, worker, 10)[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
		taken(billing.Succeeded)
		_, err := db.Store.RetryTask(ctx, first, wanting(t, merchant.ID, renewal))
		wantCode(t, err, billing.CodeIntentTaken)
	})

	t.Run("OfConcurrentRequestsMakeOneTask", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant := db.Merchant(t)
		var posts sync.WaitGroup
		made := make([]bool, 16)
		for i := range made {
			task := wanting(t, merchant.ID, renewal)
			posts.Go(func() {
				_, err := db.Store.CreateTasks(ctx, []billing.NewTask{task})
				made[i] = err == nil
				if code := billing.CodeOf(err); err != nil && code != billing.CodeIntentTaken {
					t.Error(err)
				}
			})
		}
		posts.Wait()
		n := 0
		for _, ok := range made {
			if ok {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d tasks were made", n)
		}
	})

	t.Run("TwiceInABatchAreAFault", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant := db.Merchant(t)
		_, err := db.Store.CreateTasks(ctx, []billing.NewTask{wanting(t, merchant.ID, renewal), wanting(t, merchant.ID, renewal)})
		wantCode(t, err, billing.CodeInvalid)
	})
}

// TestADeclineIsFollowedUp: the successor is written with the settlement that makes it needed, or not at all.
func TestADeclineIsFollowedUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	plan := &billing.Dunning{RetryAfter: []time.Duration{24 * time.Hour, 72 * time.Hour}, StopCodes: []string{"do_not_honor"}}
	task := wanting(t, merchant.ID, renewal)
	task.OnDecline, task.Metadata = plan, map[string]string{"order": "7"}
	first := schedule(t, db, task)[0].Task.ID

	decline := func(next billing.TaskID, after time.Duration) billing.Settlement {
		t.Helper()
		db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() WHERE status = 'pending'`)
		c := claim(t, db, worker, 10)[0]
		s := settlement(c, billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined)
		s.Next = &billing.Successor{ID: next, Request: c.Request.For(c.ID, next), After: after}
		return s
	}
	second := billing.TaskID(storetest.NewID(t))
	lost := decline(second, 24*time.Hour)
	lost.Attempt++ // no longer the worker's
	if ids := settle(t, db, lost); len(ids) != 0 {
		t.Fatal("a lost claim was settled")
	}
	if _, err := db.Store.GetTask(ctx, second); billing.CodeOf(err) != billing.CodeNotFound {
		t.Fatalf("a successor without its decline: %v", err)
	}
	lost.Attempt--
	for range 2 { // the answer to the first may have been lost
		settle(t, db, lost)
	}
	next := get(t, db, second)
	want := get(t, db, first)
	if next.RetryOf != first || next.Declines != 1 || next.Intent != renewal || next.Target != want.Target || next.Kind != want.Kind ||
		next.MaxAttempts != want.MaxAttempts || next.Status != billing.Pending || next.FirstSentAt != nil || next.Attempt != 0 {
		t.Errorf("%+v", next)
	}
	if diff := cmp.Diff(plan, next.OnDecline) + cmp.Diff(task.Metadata, next.Metadata); diff != "" {
		t.Error(diff)
	}
	if in := time.Until(next.RunAt); in < 23*time.Hour || in > 25*time.Hour || !next.RunAt.Equal(next.ScheduledFor) {
		t.Errorf("runs in %s, want a day", in)
	}
	third := billing.TaskID(storetest.NewID(t))
	settle(t, db, decline(third, 72*time.Hour))
	for _, id := range []billing.TaskID{first, second, third} {
		chain, err := db.Store.ListChain(ctx, id)
		if err != nil || len(chain) != 3 || chain[0].ID != first || chain[1].ID != second || chain[2].ID != third {
			t.Fatalf("chain of %s: %d tasks, %v", id, len(chain), err)
		}
		if chain[0].RetriedBy != second || chain[1].RetriedBy != third || chain[2].Declines != 2 {
			t.Errorf("%+v", chain)
		}
	}
	again, err := db.Store.RetryTask(ctx, first, newTask(t, merchant.ID))
	if err != nil || !again.Replayed || again.Task.ID != second {
		t.Errorf("a click on the first made %+v, %v; want the task that dunning made", again, err)
	}
}

// planned gives a task a plan for its first decline.
func planned(db *storetest.DB, id billing.TaskID) {
	db.SQL.MustExec(`UPDATE scheduled_tasks SET on_decline = '{"retry_after": ["1h"], "stop_codes": []}' WHERE id = $1`, id)
}

// TestALookThatFindsADeclineIsFollowedUp does the same for a decline that only a look at Stripe told.
func TestALookThatFindsADeclineIsFollowedUp(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	id := inDoubt(t, db, merchant.ID, worker)
	planned(db, id)
	due(db)
	doubt := looks(t, db, worker)[0]
	next := billing.TaskID(storetest.NewID(t))
	look := billing.LookSettlement{
		Doubt: doubt, Status: billing.Failed,
		Finding: billing.Finding{Outcome: billing.OutcomeRefused, Reason: billing.ReasonDeclined, Error: &billing.StripeError{Message: "declined"}},
		Next:    &billing.Successor{ID: next, Request: doubt.Request.For(id, next), After: time.Hour},
	}
	if !settleLook(t, db, look) || settleLook(t, db, look) {
		t.Fatal("the look was not written exactly once")
	}
	if task := get(t, db, next); task.RetryOf != id || get(t, db, id).RetriedBy != next {
		t.Errorf("%+v", task)
	}
}

func TestRetryKeepsATimeThatLiesAhead(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	ahead := newTask(t, merchant.ID)
	ahead.RunAt = time.Now().Add(48 * time.Hour).UTC().Truncate(time.Microsecond)
	id := schedule(t, db, ahead)[0].Task.ID
	if _, err := db.Store.CancelTask(ctx, id); err != nil {
		t.Fatal(err)
	}
	again, err := db.Store.RetryTask(ctx, id, newTask(t, merchant.ID))
	if err != nil || !again.Task.RunAt.Equal(ahead.RunAt) {
		t.Errorf("runs at %s, want %s: %v", again.Task.RunAt, ahead.RunAt, err)
	}
	if get(t, db, id).RetriedBy != again.Task.ID || get(t, db, again.Task.ID).RetryOf != id {
		t.Error("not linked both ways")
	}

	t.Run("AndIsImpossibleBeforeTheEnd", func(t *testing.T) {
		id := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
		refused := func(status billing.Status) {
			t.Helper()
			if _, err := db.Store.RetryTask(ctx, id, newTask(t, merchant.ID)); billing.CodeOf(err) != billing.CodeConflict {
				t.Errorf("%s: %v", status, err)
			}
		}
		refused(billing.Pending)
		c := claim(t, db, worker, 10)[0]
		refused(billing.Running)
		settle(t, db, settlement(c, billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		refused(billing.InDoubt)
		if _, err := db.Store.ResolveTask(ctx, id, billing.Resolution{Outcome: billing.Succeeded, Note: "paid", RequestID: "r"}); err != nil {
			t.Fatal(err)
		}
		refused(billing.Succeeded)
	})
	t.Run("AndTwoClicksAtOnceMakeOne", func(t *testing.T) {
		id := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
		if _, err := db.Store.CancelTask(ctx, id); err != nil {
			t.Fatal(err)
		}
		var clicks sync.WaitGroup
		made := make([]billing.TaskID, 8)
		for i := range made {
			next := newTask(t, merchant.ID)
			clicks.Go(func() {
				created, err := db.Store.RetryTask(ctx, id, next)
				if err != nil {
					t.Error(err)
				}
				made[i] = created.Task.ID
			})
		}
		clicks.Wait()
		for _, one := range made {
			if one != made[0] {
				t.Fatalf("several tasks were made: %v", made)
			}
		}
	})
}
