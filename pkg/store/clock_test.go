package store_test

import (
	"context"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// TestAClockThatIsSteppedBackMakesNoKeyYounger: what was sent three hours ago by a clock that then went back two hours is three
// hours old, not one.
func TestAClockThatIsSteppedBackMakesNoKeyYounger(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	beat := func() {
		t.Helper()
		if err := db.Store.Heartbeat(ctx, worker); err != nil {
			t.Fatal(err)
		}
	}
	again := func() time.Duration {
		t.Helper()
		db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() - interval '1 second' WHERE status = 'pending'`)
		claims := claim(t, db, worker, 10)
		if len(claims) != 1 || !claims[0].Resend {
			t.Fatalf("%+v", claims)
		}
		settle(t, db, settlement(claims[0], billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		return claims[0].SinceSent.Round(time.Minute)
	}
	id := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
	settle(t, db, settlement(claim(t, db, worker, 1)[0], billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
	beat()
	if age := again(); age != 0 {
		t.Fatalf("%s old at once", age)
	}
	db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = now() - interval '1 hour' WHERE id = $1`, id)
	db.SQL.MustExec(`UPDATE clock SET high_water = now() + interval '2 hours'`) // as if the clock had shown that
	beat()
	beat() // one step is counted once
	if age := again(); age != 3*time.Hour {
		t.Errorf("%s old, want 3h", age)
	}
	fresh := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
	db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() + interval '1 hour' WHERE id = $1`, id)
	settle(t, db, settlement(claim(t, db, worker, 1)[0], billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
	db.SQL.MustExec(`UPDATE clock_steps SET high_water = now() - interval '1 second'`) // the step lies before the send now
	db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() + interval '1 hour', first_sent_at = now() WHERE id = $1`, fresh)
	db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'in_doubt' WHERE id = $1`, id)
	if age := again(); age != 0 {
		t.Errorf("what was sent after the step is %s old", age)
	}
}

// TestAStepCountsForWhatWasSentSinceTheLastHeartbeat: that has noted an earlier time than the send's. Whoever is the first to see the step
// notes it: by a heartbeat, by declaring everybody dead, or by coming when nobody is left.
func TestAStepCountsForWhatWasSentSinceTheLastHeartbeat(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, notes := range map[string]func(*storetest.DB, billing.WorkerID) error{
		"Heartbeat": func(db *storetest.DB, worker billing.WorkerID) error { return db.Store.Heartbeat(ctx, worker) },
		"TakeOver": func(db *storetest.DB, worker billing.WorkerID) error {
			_, err := db.Store.TakeOver(ctx, 10, time.Minute)
			wantCode(t, db.Store.Heartbeat(ctx, worker), billing.CodeLeaseLost)
			return err
		},
		"RegisterWorker": func(db *storetest.DB, worker billing.WorkerID) error {
			if err := db.Store.DeregisterWorker(ctx, worker); err != nil {
				return err
			}
			register(t, db, time.Minute)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t)
			merchant, worker := db.Merchant(t), register(t, db, time.Minute) // which notes the time
			schedule(t, db, newTask(t, merchant.ID))
			settle(t, db, settlement(claim(t, db, worker, 1)[0], billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
			// The clock goes back by two hours: all that was written is from the future.
			db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = first_sent_at + interval '2 hours', run_at = now() - interval '1 second'`)
			db.SQL.MustExec(`UPDATE clock SET high_water = high_water + interval '2 hours'`)
			db.SQL.MustExec(`UPDATE workers SET heartbeat_at = heartbeat_at + interval '2 hours'`)
			if err := notes(db, worker); err != nil {
				t.Fatal(err)
			}
			claims := claim(t, db, register(t, db, time.Minute), 1)
			if len(claims) != 1 || !claims[0].Resend || claims[0].SinceSent < -time.Minute || claims[0].SinceSent > time.Minute {
				t.Errorf("what was sent a moment ago, before the step: %+v", claims)
			}
		})
	}
}

// TestALookGoesBackAsFarAsTheSend: what was sent 26 hours ago is looked for from then on, whatever the clock has shown since.
func TestALookGoesBackAsFarAsTheSend(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	id := inDoubt(t, db, merchant.ID, worker)
	db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = now() - interval '23 hours', scheduled_for = now() - interval '23 hours'
		WHERE id = $1`, id)
	age := func() time.Duration {
		t.Helper()
		due(db)
		doubt := looks(t, db, worker)[0]
		if !doubt.Since().Equal(doubt.FirstSentAt) {
			t.Errorf("it may have been sent since %s, and was at %s", doubt.Since(), doubt.FirstSentAt)
		}
		return doubt.Age().Round(time.Minute)
	}
	if got := age(); got != 23*time.Hour {
		t.Errorf("%s old without a step", got)
	}
	db.SQL.MustExec(`INSERT INTO clock_steps (seen_at, high_water, back) VALUES
		(now() - interval '22 hours', now() - interval '20 hours', '2 hours'), (now() - interval '30 hours', now() - interval '25 hours', '5 hours')`)
	if got := age(); got != 25*time.Hour {
		t.Errorf("%s old after a step of two hours, want 25h", got)
	}
	db.SQL.MustExec(`UPDATE clock SET high_water = now() + interval '1 hour'`) // a step that no heartbeat has noted
	if got := age(); got != 26*time.Hour {
		t.Errorf("%s old after another of an hour, want 26h", got)
	}
}

// TestALeaseRunsByTheDatabasesClock covers what workers ask about one another.
func TestALeaseRunsByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	lapse := func() time.Duration {
		t.Helper()
		next, err := db.Store.NextLapse(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	if next := lapse(); next != time.Hour {
		t.Errorf("without workers the next lapse is in %s", next)
	}
	long, short := register(t, db, time.Hour), register(t, db, time.Minute)
	if next := lapse(); next <= 50*time.Second || next > time.Minute {
		t.Errorf("the next lapse is in %s, want a minute", next)
	}
	db.SQL.MustExec(`UPDATE workers SET heartbeat_at = now() - interval '2 minutes' WHERE id = $1`, short)
	if next := lapse(); next > -time.Minute {
		t.Errorf("the next lapse is in %s, want a minute ago", next)
	}
	db.SQL.MustExec(`UPDATE workers SET heartbeat_at = now() + interval '2 hours' WHERE id = $1`, long)
	if _, err := db.Store.TakeOver(ctx, 10, time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, worker := range []billing.WorkerID{long, short} {
		wantCode(t, db.Store.Heartbeat(ctx, worker), billing.CodeLeaseLost) // one silent, one with a sign of life from the future
	}
}

// TestAPauseSaysWhy: the first reason stays until the merchant is resumed.
func TestAPauseSaysWhy(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	for _, detail := range []string{"the token does not open", "another"} {
		if _, err := db.Store.PauseMerchant(ctx, merchant.ID, billing.PauseNeedsReauth, detail); err != nil {
			t.Fatal(err)
		}
	}
	view, err := db.Store.ViewMerchant(ctx, merchant.ID)
	if err != nil || view.Status != billing.MerchantPaused || view.PauseReason != billing.PauseNeedsReauth || view.PauseDetail != "the token does not open" {
		t.Fatalf("%+v, %v", view, err)
	}
	resumed, err := db.Store.ResumeMerchant(ctx, merchant.ID)
	if err != nil || resumed.Status != billing.MerchantActive || resumed.PauseDetail != "" || resumed.PauseReason != "" {
		t.Errorf("%+v, %v", resumed, err)
	}
}
