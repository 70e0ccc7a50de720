package store_test

import (
	"context"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// inDoubt returns a task in doubt whose first look is due.
func inDoubt(t *testing.T, db *storetest.DB, merchant billing.MerchantID, worker billing.WorkerID) billing.TaskID {
	t.Helper()
	schedule(t, db, newTask(t, merchant))
	s := settlement(claim(t, db, worker, 1)[0], billing.InDoubt, billing.OutcomeUnknown, billing.ReasonServerError)
	s.Delay = time.Minute
	settle(t, db, s)
	return s.ID
}

// due makes every look due.
func due(db *storetest.DB) {
	db.SQL.MustExec(`UPDATE scheduled_tasks SET look_at = now() WHERE look_at IS NOT NULL`)
}

func looks(t *testing.T, db *storetest.DB, worker billing.WorkerID) []billing.Doubt {
	t.Helper()
	doubts, err := db.Store.ClaimLooks(context.Background(), worker, 10, 4, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return doubts
}

func settleLook(t *testing.T, db *storetest.DB, look billing.LookSettlement) bool {
	t.Helper()
	written, err := db.Store.SettleLook(context.Background(), look)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func found(doubt billing.Doubt) billing.LookSettlement {
	return billing.LookSettlement{Doubt: doubt, Status: billing.Succeeded, Finding: billing.Finding{
		Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled,
		Result:   &billing.Result{Object: "invoice", ID: "in_1", Status: "paid", RequestID: "req_first"},
		Evidence: []billing.Evidence{{Source: "events", HTTPStatus: 200, EventID: "evt_1", Object: "invoice.paid", ID: "in_1"}},
	}}
}

func unclear(doubt billing.Doubt, nextIn time.Duration, void bool) billing.LookSettlement {
	return billing.LookSettlement{Doubt: doubt, Status: billing.InDoubt, NextIn: nextIn, Void: void, Finding: billing.Finding{
		Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Error: &billing.StripeError{Message: "no trace"},
		Evidence: []billing.Evidence{{Source: "events", HTTPStatus: 200}},
	}}
}

func attempts(t *testing.T, db *storetest.DB, id billing.TaskID) []billing.Attempt {
	t.Helper()
	list, err := db.Store.ListAttempts(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestLooks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()

	t.Run("AreDueInTheirTimeAndOnlyOnce", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, worker := db.Merchant(t), register(t, db, time.Minute)
		id := inDoubt(t, db, merchant.ID, worker)
		if got := looks(t, db, worker); len(got) != 0 {
			t.Fatalf("looked a minute early: %+v", got)
		}
		due(db)
		got := looks(t, db, worker)
		if len(got) != 1 || got[0].ID != id || got[0].Looks != 1 || got[0].Attempt != 2 || got[0].Worker != worker ||
			got[0].Account != merchant.StripeConnectID || got[0].Auth != billing.AuthToken || got[0].Age() <= 0 {
			t.Fatalf("%+v", got)
		}
		if again := looks(t, db, worker); len(again) != 0 {
			t.Errorf("a second reconciler looks at the same time: %+v", again)
		}
	})

	t.Run("WriteWhatTheyLearned", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, worker := db.Merchant(t), register(t, db, time.Minute)
		id := inDoubt(t, db, merchant.ID, worker)
		due(db)
		if !settleLook(t, db, unclear(looks(t, db, worker)[0], time.Hour, false)) {
			t.Fatal("not written")
		}
		task := get(t, db, id)
		if task.Status != billing.InDoubt || task.LookAt == nil || time.Until(*task.LookAt) < 50*time.Minute || task.LastError.HTTPStatus != 500 || task.Attempt != 1 {
			t.Errorf("%+v", task)
		}
		due(db)
		if !settleLook(t, db, found(looks(t, db, worker)[0])) {
			t.Fatal("not written")
		}
		task = get(t, db, id)
		if task.Status != billing.Succeeded || task.LookAt != nil || task.FinishedAt == nil || task.Result.RequestID != "req_first" || task.LastError != nil {
			t.Errorf("%+v", task)
		}
		list := attempts(t, db, id)
		if len(list) != 3 || list[0].Kind != billing.AttemptSend || list[1].Kind != billing.AttemptLook || list[2].Kind != billing.AttemptLook ||
			list[1].Reason != billing.ReasonNoTrace || list[2].Reason != billing.ReasonReconciled || list[2].Evidence[0].EventID != "evt_1" {
			t.Errorf("%+v", list)
		}
	})

	t.Run("ThatLearnNothingMoreAreForAPerson", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, worker := db.Merchant(t), register(t, db, time.Minute)
		id := inDoubt(t, db, merchant.ID, worker)
		due(db)
		settleLook(t, db, unclear(looks(t, db, worker)[0], 0, false))
		if task := get(t, db, id); task.Status != billing.InDoubt || task.LookAt != nil {
			t.Errorf("%+v", task)
		}
		resolved, err := db.Store.ResolveTask(ctx, id, billing.Resolution{Outcome: billing.Succeeded, Note: "paid, req_x", RequestID: "r"})
		if err != nil || resolved.Resolution == nil || resolved.Resolution.Note != "paid, req_x" {
			t.Errorf("%+v, %v", resolved.Resolution, err)
		}
	})

	t.Run("ThatCouldNotBeMadeDoNotCount", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, worker := db.Merchant(t), register(t, db, time.Minute)
		id := inDoubt(t, db, merchant.ID, worker)
		for range 3 {
			due(db)
			doubt := looks(t, db, worker)[0]
			if doubt.Looks != 1 {
				t.Errorf("look %d, want the first again", doubt.Looks)
			}
			settleLook(t, db, unclear(doubt, time.Minute, true))
		}
		if list := attempts(t, db, id); len(list) != 4 {
			t.Errorf("%d attempts, want the send and three looks", len(list))
		}
		if task := get(t, db, id); task.Attempt != 1 {
			t.Errorf("%d attempts count, want 1", task.Attempt)
		}
	})

	t.Run("ThatNobodySettledDoNotCount", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, worker := db.Merchant(t), register(t, db, time.Minute)
		id := inDoubt(t, db, merchant.ID, worker)
		for i := range 3 { // each by a worker that died before it had looked
			due(db)
			if doubt := looks(t, db, worker)[0]; doubt.Looks != 1 || doubt.Attempt != 2+i {
				t.Errorf("look %d with number %d, want the first again", doubt.Looks, doubt.Attempt)
			}
		}
		if task := get(t, db, id); task.Attempt != 1 || len(attempts(t, db, id)) != 1 {
			t.Errorf("%d attempts count, %+v", task.Attempt, attempts(t, db, id))
		}
		due(db)
		settleLook(t, db, unclear(looks(t, db, worker)[0], time.Minute, false))
		due(db)
		if doubt := looks(t, db, worker)[0]; doubt.Looks != 2 {
			t.Errorf("look %d, want the second", doubt.Looks)
		}
		if task := get(t, db, id); task.Attempt != 1 {
			t.Errorf("%d attempts count, want 1", task.Attempt)
		}
	})

	t.Run("AreOfFewMerchantsAtATime", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		worker := register(t, db, time.Minute)
		for range 5 {
			merchant := db.Merchant(t)
			inDoubt(t, db, merchant.ID, worker)
			inDoubt(t, db, merchant.ID, worker)
		}
		due(db)
		for _, want := range []int{4, 1, 0} { // the rest is free for others at once
			of := map[billing.MerchantID]int{}
			for _, doubt := range looks(t, db, worker) {
				of[doubt.MerchantID]++
			}
			if len(of) != want {
				t.Errorf("%d merchants in one claim, want %d", len(of), want)
			}
			for id, n := range of {
				if n != 2 {
					t.Errorf("%d looks for %s, want both", n, id)
				}
			}
		}
	})

	t.Run("OfAMerchantThatHasLeftAreHandedOut", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, worker := db.Merchant(t), register(t, db, time.Minute)
		id := inDoubt(t, db, merchant.ID, worker)
		if _, err := db.Store.DisconnectMerchant(ctx, merchant.ID); err != nil {
			t.Fatal(err)
		}
		due(db)
		if got := looks(t, db, worker); len(got) != 1 || got[0].ID != id {
			t.Errorf("%+v: nobody is told that nobody can look", got)
		}
	})

	t.Run("OfAMerchantThatCannotBeServedArePutOff", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant, other, worker := db.Merchant(t), db.Merchant(t), register(t, db, time.Minute)
		held := inDoubt(t, db, merchant.ID, worker)
		free := inDoubt(t, db, other.ID, worker)
		if _, err := db.Store.PauseMerchant(ctx, merchant.ID, billing.PauseNeedsReauth, "no"); err != nil {
			t.Fatal(err)
		}
		due(db)
		if got := looks(t, db, worker); len(got) != 1 || got[0].ID != free {
			t.Fatalf("%+v", got)
		}
		if task := get(t, db, held); task.LookAt == nil || time.Until(*task.LookAt) < 10*time.Minute {
			t.Errorf("%+v", task)
		}
		if _, err := db.Store.ResumeMerchant(ctx, merchant.ID); err != nil {
			t.Fatal(err)
		}
		due(db)
		if got := looks(t, db, worker); len(got) != 2 {
			t.Errorf("%d looks after the merchant was resumed, want both", len(got))
		}
	})
}

// TestALateLookChangesNothing: each look has a number of its own, and what an earlier one learned is not written any more.
func TestALateLookChangesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, slow, quick := db.Merchant(t), register(t, db, time.Minute), register(t, db, time.Minute)
	id := inDoubt(t, db, merchant.ID, slow)
	due(db)
	late := looks(t, db, slow)[0]
	due(db) // its time is over
	if settleLook(t, db, found(looks(t, db, quick)[0])); get(t, db, id).Status != billing.Succeeded {
		t.Fatal("the second look was not written")
	}
	before := attempts(t, db, id)
	refused := unclear(late, 0, false)
	refused.Status, refused.Finding.Outcome = billing.Failed, billing.OutcomeRefused
	for _, settlement := range []billing.LookSettlement{refused, found(late), unclear(late, time.Minute, false)} {
		if settleLook(t, db, settlement) {
			t.Errorf("a look that was overtaken wrote %s", settlement.Status)
		}
	}
	if task := get(t, db, id); task.Status != billing.Succeeded || len(attempts(t, db, id)) != len(before) {
		t.Errorf("%+v", task)
	}

	person := inDoubt(t, db, merchant.ID, slow)
	due(db)
	late = looks(t, db, slow)[0]
	if _, err := db.Store.ResolveTask(ctx, person, billing.Resolution{Outcome: billing.Failed, Note: "seen", RequestID: "r"}); err != nil {
		t.Fatal(err)
	}
	if settleLook(t, db, found(late)) {
		t.Error("a look overruled a person")
	}
}

// TestALookFreesTheObject: what waits for a doubt goes on when a look has ended it.
func TestALookFreesTheObject(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	created := schedule(t, db, at(t, merchant.ID, "in_1", 2)...)
	first := claim(t, db, worker, 10)[0]
	settle(t, db, settlement(first, billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer))
	due(db)
	settleLook(t, db, found(looks(t, db, worker)[0]))
	if got := claim(t, db, worker, 10); len(got) != 1 || got[0].ID != created[1].Task.ID {
		t.Errorf("claimed %v, want %s", ids(got), created[1].Task.ID)
	}
}
