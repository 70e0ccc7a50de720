package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// claimAll claims until nothing is ready, and returns the claims of each merchant.
func claimAll(t *testing.T, db *storetest.DB, worker billing.WorkerID, limit int) map[billing.MerchantID][]billing.Claim {
	t.Helper()
	found := map[billing.MerchantID][]billing.Claim{}
	for range 1000 {
		batch, err := db.Store.Claim(context.Background(), worker, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range batch.Claims {
			found[c.MerchantID] = append(found[c.MerchantID], c)
		}
		if !batch.More {
			return found
		}
	}
	t.Fatal("there is always more")
	return nil
}

type pace struct {
	InFlight int        `db:"in_flight"`
	Slowdown float64    `db:"slowdown"`
	ParkedAt *time.Time `db:"parked_at"`
}

func paceOf(t *testing.T, db *storetest.DB, merchant billing.MerchantID) pace {
	t.Helper()
	var found pace
	if err := db.SQL.Get(&found, `SELECT in_flight, slowdown, parked_at FROM merchant_pace WHERE merchant_id = $1`, merchant); err != nil {
		t.Fatal(err)
	}
	return found
}

func many(t *testing.T, merchant billing.MerchantID, n int) []billing.NewTask {
	t.Helper()
	tasks := make([]billing.NewTask, n)
	for i := range tasks {
		tasks[i] = newTask(t, merchant)
	}
	return tasks
}

func TestConcurrencyHolds(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Concurrency: 3})
	hog, small := db.Merchant(t), db.Merchant(t)
	worker := register(t, db, time.Minute)
	created := schedule(t, db, many(t, hog.ID, 10)...)
	schedule(t, db, newTask(t, small.ID))
	first := claimAll(t, db, worker, 4)
	if len(first[hog.ID]) != 3 || len(first[small.ID]) != 1 {
		t.Fatalf("%d and %d claims", len(first[hog.ID]), len(first[small.ID]))
	}
	if task := get(t, db, created[9].Task.ID); task.Status != billing.Pending || task.RunAt.After(task.UpdatedAt) {
		t.Errorf("a parked task shows %+v", task)
	}
	order, flying := ids(first[hog.ID]), first[hog.ID]
	for deadline := time.Now().Add(time.Minute); len(order) < len(created) && time.Now().Before(deadline); {
		if len(flying) > 0 {
			settle(t, db, settlement(flying[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
			flying = flying[1:]
		}
		more := claimAll(t, db, worker, 4)[hog.ID]
		order, flying = append(order, ids(more)...), append(flying, more...)
		if got := paceOf(t, db, hog.ID); got.InFlight != len(flying) || got.InFlight > 3 {
			t.Fatalf("%d in flight, %d are", got.InFlight, len(flying))
		}
	}
	for i, id := range order {
		if id != created[i].Task.ID {
			t.Errorf("turn %d went to %s, want %s", i, id, created[i].Task.ID)
		}
	}
	if len(order) != len(created) {
		t.Errorf("only %d tasks were claimed", len(order))
	}
	for _, one := range created { // and shows when it was due afterwards as well, not when the lane would have been swept
		if task := get(t, db, one.Task.ID); task.RunAt.After(task.UpdatedAt) {
			t.Errorf("task %s has run, and says that it runs at %s", task.ID, task.RunAt)
		}
	}
}

func TestRateHolds(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 20})
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	schedule(t, db, many(t, merchant.ID, 100)...)
	began := time.Now()
	claimed := len(claimAll(t, db, worker, 50)[merchant.ID])
	slow := time.Since(began) // what claims took themselves
	for claimed < 40 {
		asked := time.Now()
		batch, err := db.Store.Claim(context.Background(), worker, 50)
		if err != nil {
			t.Fatal(err)
		}
		claimed += len(batch.Claims)
		took := time.Since(began)
		slow += max(0, time.Since(asked)-20*time.Millisecond)
		if most := 1 + 20*(took+250*time.Millisecond).Seconds(); float64(claimed) > most+1 {
			t.Fatalf("%d claims after %s, at most %.0f are allowed", claimed, took, most)
		}
		if took > time.Minute {
			t.Fatalf("only %d claims after %s", claimed, took)
		}
	}
	if took := time.Since(began); took > 3*time.Second+slow {
		t.Errorf("40 calls at 20 a second took %s, of which a slow machine had %s", took, slow)
	}
	var begun []time.Time
	if err := db.SQL.Select(&begun, `SELECT first_sent_at FROM scheduled_tasks WHERE first_sent_at IS NOT NULL ORDER BY first_sent_at`); err != nil {
		t.Fatal(err)
	}
	const most = 21 // in any second: one in twenty too many, by the database's clock, however late claims come
	for i := most; i < len(begun); i++ {
		if span := begun[i].Sub(begun[i-most]); span < time.Second {
			t.Errorf("%d calls began within %s", most+1, span)
		}
	}
}

// TestLimitsHoldAcrossTheFleet lets many claimers and settlers work on few merchants at once: there is no deadlock, no merchant has
// more in flight than it may, and everything is done in the end.
func TestLimitsHoldAcrossTheFleet(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	limits := billing.Limits{Rate: 10_000, Concurrency: 4}
	merchants := []billing.Merchant{db.Merchant(t), db.Merchant(t), db.Merchant(t)}
	const each = 100
	for _, merchant := range merchants {
		schedule(t, db, many(t, merchant.ID, each)...)
	}
	var (
		mu     sync.Mutex
		flying = map[billing.MerchantID]int{}
		done   int
		crew   sync.WaitGroup
	)
	for range 5 {
		other := storetest.OpenURL(t, db.URL, db.Key)
		other.Store.Limit(limits)
		worker := register(t, db, time.Minute)
		crew.Go(func() {
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
				batch, err := other.Store.Claim(context.Background(), worker, 7)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range batch.Claims {
					flying[c.MerchantID]++
					if flying[c.MerchantID] > limits.Concurrency {
						t.Errorf("%d tasks of a merchant are in flight", flying[c.MerchantID])
					}
				}
				mu.Unlock()
				var settlements []billing.Settlement
				mu.Lock()
				for _, c := range batch.Claims {
					settlements = append(settlements, settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
					flying[c.MerchantID]-- // before the database knows
				}
				mu.Unlock()
				settle(t, other, settlements...)
				mu.Lock()
				done += len(settlements)
				finished := done == each*len(merchants)
				mu.Unlock()
				if finished {
					return
				}
			}
		})
	}
	crew.Wait()
	if done != each*len(merchants) {
		t.Errorf("%d of %d tasks were done", done, each*len(merchants))
	}
	for _, merchant := range merchants {
		if got := paceOf(t, db, merchant.ID); got.InFlight != 0 {
			t.Errorf("%d in flight in the end", got.InFlight)
		}
	}
}

func TestEveryWayOutOfAWorkersHandsCounts(t *testing.T) {
	t.Parallel()
	for name, out := range map[string]func(t *testing.T, db *storetest.DB, c billing.Claim){
		"Settled": func(t *testing.T, db *storetest.DB, c billing.Claim) {
			t.Helper()
			settle(t, db, settlement(c, billing.Failed, billing.OutcomeRefused, billing.ReasonInvalid))
		},
		"ToBeSentAgain": func(t *testing.T, db *storetest.DB, c billing.Claim) {
			t.Helper()
			settle(t, db, settlement(c, billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		},
		"InDoubt": func(t *testing.T, db *storetest.DB, c billing.Claim) {
			t.Helper()
			settle(t, db, settlement(c, billing.InDoubt, billing.OutcomeUnknown, billing.ReasonServerError))
		},
		"Released": func(t *testing.T, db *storetest.DB, c billing.Claim) {
			t.Helper()
			if err := db.Store.Release(context.Background(), []billing.Claim{c}); err != nil {
				t.Fatal(err)
			}
		},
		"Recovered": func(t *testing.T, db *storetest.DB, c billing.Claim) {
			t.Helper()
			if n, err := db.Store.RecoverOwn(context.Background(), c.Worker, nil); err != nil || n != 1 {
				t.Fatal(n, err)
			}
		},
		"TakenOver": func(t *testing.T, db *storetest.DB, c billing.Claim) {
			t.Helper()
			db.SQL.MustExec(`DELETE FROM workers`)
			if n, err := db.Store.TakeOver(context.Background(), 10, time.Minute); err != nil || n.Tasks != 1 {
				t.Fatal(n, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t)
			db.Store.Limit(billing.Limits{Concurrency: 1})
			merchant := db.Merchant(t)
			schedule(t, db, newTask(t, merchant.ID))
			c := claim(t, db, register(t, db, time.Minute), 10)[0]
			if got := paceOf(t, db, merchant.ID); got.InFlight != 1 {
				t.Fatalf("%d in flight", got.InFlight)
			}
			out(t, db, c)
			if got := paceOf(t, db, merchant.ID); got.InFlight != 0 {
				t.Errorf("%d in flight", got.InFlight)
			}
		})
	}
}

func TestStripesLimiterSlowsAMerchantDown(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 10})
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	schedule(t, db, many(t, merchant.ID, 2)...)
	claims := claimAll(t, db, worker, 10)[merchant.ID]
	var refused []billing.Settlement
	for _, c := range claims {
		one := settlement(c, billing.Pending, billing.OutcomeNotSent, billing.ReasonRateLimited)
		one.Unsent = true
		refused = append(refused, one)
	}
	settle(t, db, refused...)
	if got := paceOf(t, db, merchant.ID); got.Slowdown != 2 {
		t.Errorf("slowdown %v after a second's 429s, want 2", got.Slowdown)
	}
	db.SQL.MustExec(`UPDATE merchant_pace SET slowed_at = now() - interval '1 hour'`)
	var spacing float64
	if err := db.SQL.Get(&spacing, `SELECT (1 + (slowdown - 1) * exp(date_part('epoch', slowed_at - now()) / 60)) / 10 FROM merchant_pace`); err != nil || spacing > 0.1001 {
		t.Errorf("after an hour calls are %v seconds apart, %v", spacing, err)
	}
}

// TestLimitsThatAreTakenAwayLeaveNothingParked: a worker without limits brings back what others have parked.
func TestLimitsThatAreTakenAwayLeaveNothingParked(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Concurrency: 1})
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	schedule(t, db, many(t, merchant.ID, 5)...)
	if n := len(claimAll(t, db, worker, 10)[merchant.ID]); n != 1 {
		t.Fatalf("%d claims", n)
	}
	db.SQL.MustExec(`UPDATE merchant_pace SET in_flight = 7`)
	if _, err := db.Store.MendPaces(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := paceOf(t, db, merchant.ID); got.InFlight != 1 {
		t.Errorf("%d in flight after mending, want 1", got.InFlight)
	}
	db.Store.Limit(billing.Limits{})
	if n, err := db.Store.MendPaces(context.Background()); err != nil || n != 4 {
		t.Fatalf("%d brought back, %v", n, err)
	}
	if n := len(claim(t, db, worker, 10)); n != 4 {
		t.Errorf("%d claims without limits", n)
	}
}

// TestAFrozenTransactionHoldsNobodyUpForLong: a process that stands still, or a machine that is gone, in the middle of a transaction
// that has locked a merchant's pace.
func TestAFrozenTransactionHoldsNobodyUpForLong(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 20, Concurrency: 10})
	frozen := storetest.OpenURL(t, db.URL, db.Key)
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	tx, err := frozen.DB.Pool().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(`UPDATE merchant_pace SET in_flight = in_flight`); err != nil {
		t.Fatal(err)
	}
	schedule(t, db, newTask(t, merchant.ID))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if batch, err := db.Store.Claim(ctx, worker, 10); err != nil || len(batch.Claims) != 1 {
		t.Errorf("%d claims, %v", len(batch.Claims), err)
	}
}

// TestAPausedMerchantsLaneEmptiesAtOnce: what cannot be sent anyway needs no pace.
func TestAPausedMerchantsLaneEmptiesAtOnce(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 1})
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	schedule(t, db, many(t, merchant.ID, 300)...)
	claimAll(t, db, worker, 500)
	if _, err := db.Store.PauseMerchant(context.Background(), merchant.ID, billing.PauseRequested, ""); err != nil {
		t.Fatal(err)
	}
	held := 0
	for deadline := time.Now().Add(time.Minute); held < 290 && time.Now().Before(deadline); {
		claimAll(t, db, worker, 500)
		if err := db.SQL.Get(&held, `SELECT count(*) FROM scheduled_tasks WHERE held_at IS NOT NULL AND parked_at IS NULL`); err != nil {
			t.Fatal(err)
		}
	}
	if held < 290 {
		t.Errorf("only %d of 300 tasks are held", held)
	}
}

// TestALaneGivesNothingBeforeItsTime: a task that was moved to a later time by a process that does not know of lanes.
func TestALaneGivesNothingBeforeItsTime(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Concurrency: 1})
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	schedule(t, db, many(t, merchant.ID, 2)...)
	first := claimAll(t, db, worker, 10)[merchant.ID]
	db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() + interval '30 days', scheduled_for = now() + interval '30 days' WHERE parked_at IS NOT NULL`)
	settle(t, db, settlement(first[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
	db.SQL.MustExec(`UPDATE merchant_pace SET ready_at = now() WHERE parked_at IS NOT NULL`)
	if early := claimAll(t, db, worker, 10)[merchant.ID]; len(early) != 0 {
		t.Errorf("%d tasks were claimed a month early", len(early))
	}
}

// TestAClockThatIsSetBackStopsNoLane: the pace's times are hours ahead then.
func TestAClockThatIsSetBackStopsNoLane(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 20})
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	schedule(t, db, many(t, merchant.ID, 10)...)
	done := len(claimAll(t, db, worker, 20)[merchant.ID])
	db.SQL.MustExec(`UPDATE merchant_pace SET next_at = next_at + interval '4 hours', ready_at = ready_at + interval '4 hours', parked_at = parked_at + interval '4 hours'`)
	if err := db.Store.MendLanes(context.Background()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); done < 10 && time.Now().Before(deadline); {
		done += len(claimAll(t, db, worker, 20)[merchant.ID])
	}
	if done != 10 {
		t.Errorf("%d of 10 tasks were claimed", done)
	}
}
