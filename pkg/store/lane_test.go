package store_test

import (
	"slices"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// TestALaneKeepsNobodyBelowTheLimitWaiting: after a burst a merchant has a lane, and what comes after it, more slowly than the limit
// allows, goes through the lane without a rest in it.
func TestALaneKeepsNobodyBelowTheLimitWaiting(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 100, Concurrency: 10})
	merchant, worker := db.Merchant(t).ID, register(t, db, time.Minute)
	finish := func(claims []billing.Claim) {
		settlements := make([]billing.Settlement, len(claims))
		for i, c := range claims {
			settlements[i] = settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
		}
		settle(t, db, settlements...)
	}
	schedule(t, db, many(t, merchant, 30)...)
	for done := 0; done < 30; {
		batch, err := db.Store.Claim(ctx, worker, 100)
		if err != nil {
			t.Fatal(err)
		}
		finish(batch.Claims)
		done += len(batch.Claims)
	}
	rests := func() bool { // a claim that finds nothing in the lane has it rest for a quarter of a second
		if _, err := db.Store.Claim(ctx, worker, 100); err != nil {
			t.Fatal(err)
		}
		var rests bool
		if err := db.SQL.Get(&rests, `SELECT coalesce(bool_or(ready_at > now() + interval '200 milliseconds'), false) FROM merchant_pace`); err != nil {
			t.Fatal(err)
		}
		return rests
	}
	var waits []time.Duration
	var claims []int // that it took
	for range 9 {
		for began := time.Now(); !rests(); {
			if time.Since(began) > 10*time.Second {
				t.Fatal("the lane does not come to rest")
			}
		}
		schedule(t, db, many(t, merchant, 1)...)
		for began, n := time.Now(), 1; ; n++ {
			batch, err := db.Store.Claim(ctx, worker, 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(batch.Claims) > 0 {
				waits, claims = append(waits, time.Since(began)), append(claims, n)
				finish(batch.Claims)
				break
			}
		}
	}
	slices.Sort(waits)
	slices.Sort(claims)
	// Half of the rest of an empty lane, and more than a slow machine's next claim or two.
	if waits[len(waits)/2] > 125*time.Millisecond && claims[len(claims)/2] > 3 {
		t.Errorf("tasks waited for %s, and for %d claims", waits, claims)
	}
}

// TestAMerchantWithoutAPaceIsNotLimited: what has no row to count in is let go, not parked where nobody would look for it.
func TestAMerchantWithoutAPaceIsNotLimited(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 1, Concurrency: 1})
	merchant, worker := db.Merchant(t).ID, register(t, db, time.Minute)
	db.SQL.MustExec(`DELETE FROM merchant_pace`)
	schedule(t, db, many(t, merchant, 5)...)
	if claims := claim(t, db, worker, 10); len(claims) != 5 {
		t.Errorf("%d of 5 were claimed", len(claims))
	}
}
