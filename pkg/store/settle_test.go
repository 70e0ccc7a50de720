package store_test

import (
	"errors"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// TestEndsAreWrittenAlikeWhateverGoesWithThem: what has simply succeeded is written in fewer words when all of a batch has.
func TestEndsAreWrittenAlikeWhateverGoesWithThem(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	kinds := map[string]func(billing.Claim) billing.Settlement{
		"done": func(c billing.Claim) billing.Settlement {
			return settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
		},
		"reconciled": func(c billing.Claim) billing.Settlement {
			return settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonReconciled)
		},
		"refused": func(c billing.Claim) billing.Settlement {
			return settlement(c, billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined)
		},
	}
	for _, batch := range [][]string{{"done"}, {"done", "done"}, {"done", "refused"}, {"refused", "done", "reconciled"}, {"reconciled"}} {
		for range batch {
			schedule(t, db, newTask(t, merchant.ID))
		}
		claims, settlements := claim(t, db, worker, len(batch)), []billing.Settlement{}
		for i, kind := range batch {
			settlements = append(settlements, kinds[kind](claims[i]))
		}
		if settled := settle(t, db, settlements...); len(settled) != len(batch) {
			t.Fatalf("%v: %d settled", batch, len(settled))
		}
		for _, want := range settlements {
			task := get(t, db, want.ID)
			attempts, err := db.Store.ListAttempts(t.Context(), want.ID)
			if err != nil || len(attempts) != 1 {
				t.Fatalf("%v: attempts %v, %v", batch, attempts, err)
			}
			if task.Status != want.Status || attempts[0].Outcome != want.Answer.Outcome || attempts[0].Reason != want.Answer.Reason ||
				(task.Result == nil) != (want.Answer.Result == nil) || (task.LastError == nil) != (want.Answer.Error == nil) {
				t.Errorf("%v: settled as %+v, found %+v with %+v", batch, want, task, attempts[0])
			}
		}
	}
}

// TestADeclineWhosePlanAllowsNothingMoreIsNotSettledAsIfItDid: the settlement is refused whole, for its content.
func TestADeclineWhosePlanAllowsNothingMoreIsNotSettledAsIfItDid(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	task := newTask(t, merchant.ID)
	task.OnDecline = &billing.Dunning{RetryAfter: []time.Duration{time.Hour}}
	schedule(t, db, task)
	declined := settlement(claim(t, db, worker, 1)[0], billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined)
	declined.Next = &billing.Successor{ID: billing.TaskID(storetest.NewID(t)), Request: task.Request, After: 91 * 24 * time.Hour}
	if _, err := db.Store.Settle(t.Context(), []billing.Settlement{declined}); !errors.Is(err, billing.ErrContent) {
		t.Errorf("%v", err)
	}
	if after, err := db.Store.GetTask(t.Context(), task.ID); err != nil || after.Status != billing.Running {
		t.Errorf("the task is %s, %v", after.Status, err)
	}
	declined.Next.After = time.Hour
	if ids := settle(t, db, declined); len(ids) != 1 {
		t.Error("it is not settled as the plan allows")
	}
}
