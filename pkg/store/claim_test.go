package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
)

func TestClaim(t *testing.T) {
	t.Parallel()
	ctx := context.Background()

	t.Run("TakesDueTasksInOrderAndRecordsThem", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant := db.Merchant(t)
		worker := register(t, db, time.Minute)
		future := newTask(t, merchant.ID)
		future.RunAt = time.Now().Add(time.Hour)
		created := schedule(t, db, newTask(t, merchant.ID), newTask(t, merchant.ID), newTask(t, merchant.ID), future)
		for i, back := range []int{1, 3, 2} {
			db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() - $2 * interval '1 minute' WHERE id = $1`, created[i].Task.ID, back)
		}
		batch, err := db.Store.Claim(ctx, worker, 10)
		claims := batch.Claims
		if err != nil || batch.More || len(claims) != 3 {
			t.Fatalf("%d claims, more %v, %v", len(claims), batch.More, err)
		}
		if !batch.Foreseen || batch.NextDue < 59*time.Minute || batch.NextDue > time.Hour {
			t.Errorf("the next task is due in %s", batch.NextDue)
		}
		for i, want := range []int{1, 2, 0} {
			c := claims[i]
			if c.ID != created[want].Task.ID || c.Attempt != 1 || c.Resend || c.Worker != worker || c.Auth != billing.AuthToken ||
				c.Account != merchant.StripeConnectID || c.Lag < 59*time.Second {
				t.Errorf("claim %d: %+v", i, c)
			}
			if hash := c.Request.Hash(); string(hash[:]) != string(c.RequestHash) {
				t.Errorf("claim %d: the request is not the one that was frozen", i)
			}
			task := get(t, db, c.ID)
			if task.Status != billing.Running || task.FirstSentAt == nil || task.Attempt != 1 {
				t.Errorf("task %d: %+v", i, task)
			}
		}
	})

	t.Run("NeverGivesOneTaskToTwoWorkers", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant := db.Merchant(t)
		const n = 1000
		tasks := make([]billing.NewTask, n)
		for i := range tasks {
			tasks[i] = newTask(t, merchant.ID)
		}
		schedule(t, db, tasks...)
		var mu sync.Mutex
		owners := map[billing.TaskID]billing.WorkerID{}
		var group sync.WaitGroup
		for range 8 {
			worker := register(t, db, time.Minute)
			group.Go(func() {
				for {
					batch, err := db.Store.Claim(ctx, worker, 7)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, c := range batch.Claims {
						if other, taken := owners[c.ID]; taken {
							t.Errorf("task %s went to %s and %s", c.ID, other, worker)
						}
						owners[c.ID] = worker
					}
					done := len(owners) == n
					mu.Unlock()
					if done || (!batch.More && len(batch.Claims) == 0) {
						return
					}
				}
			})
		}
		group.Wait()
		if len(owners) != n {
			t.Errorf("%d tasks claimed, want %d", len(owners), n)
		}
	})

	t.Run("PutsAsideTasksOfAPausedMerchant", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		paused, active := db.Merchant(t), db.Merchant(t)
		worker := register(t, db, time.Minute)
		held := schedule(t, db, newTask(t, paused.ID), newTask(t, paused.ID))
		ready := schedule(t, db, newTask(t, active.ID))
		if _, err := db.Store.PauseMerchant(ctx, paused.ID, billing.PauseRequested, ""); err != nil {
			t.Fatal(err)
		}
		batch, err := db.Store.Claim(ctx, worker, 2)
		if err != nil || len(batch.Claims) != 0 || !batch.More {
			t.Fatalf("%d claims, more %v, %v", len(batch.Claims), batch.More, err)
		}
		claims := claim(t, db, worker, 2)
		if len(claims) != 1 || claims[0].ID != ready[0].Task.ID {
			t.Fatalf("a paused merchant holds back another: %+v", claims)
		}
		task := get(t, db, held[0].Task.ID)
		if task.Status != billing.Pending || task.FirstSentAt != nil || task.Attempt != 0 {
			t.Errorf("held task: %+v", task)
		}
		if _, err := db.Store.ResumeMerchant(ctx, paused.ID); err != nil {
			t.Fatal(err)
		}
		if claims = claim(t, db, worker, 10); len(claims) != 2 || claims[0].ID != held[0].Task.ID {
			t.Errorf("after resume: %+v", claims)
		}
	})

	t.Run("RecordsPlatformModeForMerchantsWithoutToken", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		merchant := newMerchant(t, "acct_platform")
		merchant.AccessToken = secret.Text{}
		if _, err := db.Store.CreateMerchant(ctx, merchant); err != nil {
			t.Fatal(err)
		}
		schedule(t, db, newTask(t, merchant.ID))
		if c := claim(t, db, register(t, db, time.Minute), 1)[0]; c.Auth != billing.AuthPlatform {
			t.Errorf("%+v", c)
		}
	})
}

func TestSettle(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	worker, other := register(t, db, time.Minute), register(t, db, time.Minute)
	one := func(t *testing.T) billing.Claim {
		t.Helper()
		schedule(t, db, newTask(t, merchant.ID))
		return claim(t, db, worker, 1)[0]
	}

	t.Run("WritesTheOutcomeAndTheAttempt", func(t *testing.T) {
		c := one(t)
		if ids := settle(t, db, settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)); len(ids) != 1 {
			t.Fatal("not settled")
		}
		task := get(t, db, c.ID)
		if task.Status != billing.Succeeded || task.FinishedAt == nil || task.Result == nil || task.Result.RequestID != "req_1" {
			t.Errorf("%+v", task)
		}
		attempts, err := db.Store.ListAttempts(context.Background(), c.ID)
		if err != nil || len(attempts) != 1 || attempts[0].Outcome != billing.OutcomeSucceeded || attempts[0].RequestID != "req_1" {
			t.Errorf("%+v, %v", attempts, err)
		}
	})
	t.Run("ChangesNothingForALostClaim", func(t *testing.T) {
		c := one(t)
		stale := settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
		wrongWorker, wrongAttempt := stale, stale
		wrongWorker.Worker = other
		wrongAttempt.Attempt = 2
		if ids := settle(t, db, wrongWorker, wrongAttempt); len(ids) != 0 {
			t.Fatalf("settled %v", ids)
		}
		settle(t, db, settlement(c, billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		if ids := settle(t, db, stale); len(ids) != 0 {
			t.Fatal("settled a pending task")
		}
		if again := claim(t, db, other, 1); len(again) != 1 || !again[0].Resend || again[0].Attempt != 2 {
			t.Fatalf("%+v", again)
		}
		if ids := settle(t, db, stale); len(ids) != 0 {
			t.Fatal("settled a task of another worker")
		}
		if attempts, err := db.Store.ListAttempts(context.Background(), c.ID); err != nil || len(attempts) != 1 {
			t.Errorf("%+v, %v", attempts, err)
		}
	})
	t.Run("ProvenUnsentFreesTheTaskAgain", func(t *testing.T) {
		c := one(t)
		s := settlement(c, billing.Pending, billing.OutcomeNotSent, billing.ReasonUnreachable)
		s.Unsent = true
		settle(t, db, s)
		if task := get(t, db, c.ID); task.FirstSentAt != nil || task.Attempt != 1 {
			t.Errorf("%+v", task)
		}
		c = claim(t, db, worker, 1)[0]
		settle(t, db, settlement(c, billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		c = claim(t, db, worker, 1)[0]
		s = settlement(c, billing.Pending, billing.OutcomeNotSent, billing.ReasonUnreachable)
		s.Unsent, s.Delay = true, time.Hour
		settle(t, db, s)
		if task := get(t, db, c.ID); task.FirstSentAt == nil {
			t.Error("an earlier send of unknown outcome was forgotten")
		}
	})
	t.Run("ReleaseDoesNotCount", func(t *testing.T) {
		c := one(t)
		if err := db.Store.Release(context.Background(), []billing.Claim{c}); err != nil {
			t.Fatal(err)
		}
		if task := get(t, db, c.ID); task.Status != billing.Pending || task.FirstSentAt != nil || task.Attempt != 0 {
			t.Errorf("%+v", task)
		}
		again := claim(t, db, worker, 1)[0]
		if again.Attempt != 2 || again.Released != 1 || again.Resend {
			t.Errorf("%+v", again)
		}
		if err := db.Store.Release(context.Background(), []billing.Claim{c}); err != nil {
			t.Fatal(err)
		}
		if task := get(t, db, c.ID); task.Status != billing.Running {
			t.Error("a release of an old claim took a new one away")
		}
	})
}

func TestRecoverOwnGivesBackClaimsThatWereNeverHeard(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	worker, other := register(t, db, time.Minute), register(t, db, time.Minute)
	schedule(t, db, newTask(t, merchant.ID), newTask(t, merchant.ID), newTask(t, merchant.ID))
	heard, lost, foreign := claim(t, db, worker, 1)[0], claim(t, db, worker, 1)[0], claim(t, db, other, 1)[0]
	n, err := db.Store.RecoverOwn(context.Background(), worker, []billing.TaskID{heard.ID})
	if err != nil || n != 1 {
		t.Fatalf("recovered %d, %v", n, err)
	}
	for id, want := range map[billing.TaskID]billing.Status{heard.ID: billing.Running, lost.ID: billing.Pending, foreign.ID: billing.Running} {
		if task := get(t, db, id); task.Status != want || (want == billing.Pending && task.FirstSentAt != nil) {
			t.Errorf("%+v, want %s", task, want)
		}
	}
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	alive, dead := register(t, db, time.Minute), register(t, db, time.Second)
	last := newTask(t, merchant.ID)
	last.MaxAttempts = 1
	schedule(t, db, newTask(t, merchant.ID))
	kept := claim(t, db, alive, 1)[0]
	schedule(t, db, newTask(t, merchant.ID), last)
	lost := claim(t, db, dead, 2)
	if taken, err := db.Store.TakeOver(ctx, 10, time.Minute); err != nil || taken.Tasks != 0 {
		t.Fatalf("took %+v from the living, %v", taken, err)
	}
	db.SQL.MustExec(`UPDATE workers SET heartbeat_at = now() - interval '2 seconds' WHERE id = $1`, dead)
	taken, err := db.Store.TakeOver(ctx, 10, 7*time.Minute)
	if err != nil || taken.Tasks != 2 || len(taken.Doubted) != 1 {
		t.Fatalf("took %+v, %v", taken, err)
	}
	want := billing.Doubted{ID: last.ID, MerchantID: merchant.ID, Kind: last.Kind, Attempt: 1, Worker: dead}
	if taken.Doubted[0] != want {
		t.Errorf("%+v, want %+v", taken.Doubted[0], want)
	}
	if look := get(t, db, last.ID).LookAt; look == nil || time.Until(*look).Round(time.Minute) != 7*time.Minute {
		t.Errorf("looked at %v, want in seven minutes", look)
	}
	wantCode(t, db.Store.Heartbeat(ctx, dead), billing.CodeLeaseLost)
	if err := db.Store.Heartbeat(ctx, alive); err != nil {
		t.Error(err)
	}
	for _, c := range lost {
		want := billing.Pending
		if c.ID == last.ID {
			want = billing.InDoubt
		}
		if task := get(t, db, c.ID); task.Status != want || task.FirstSentAt == nil {
			t.Errorf("%+v, want %s", task, want)
		}
		attempts, err := db.Store.ListAttempts(ctx, c.ID)
		if err != nil || len(attempts) != 1 || attempts[0].Outcome != billing.OutcomeUnknown || attempts[0].Reason != billing.ReasonWorkerLost {
			t.Errorf("%+v, %v", attempts, err)
		}
	}
	if ids := settle(t, db, settlement(lost[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)); len(ids) != 0 {
		t.Error("a dead worker settled a task")
	}
	if task := get(t, db, kept.ID); task.Status != billing.Running {
		t.Errorf("%+v", task)
	}
	again := claim(t, db, alive, 10)
	if len(again) != 1 || !again[0].Resend || again[0].SinceSent <= 0 || again[0].Attempt != 2 {
		t.Errorf("%+v", again)
	}
}

// TestHalfASettlementSaysWhatIsDone: ends and other settlements are two statements; when the second one fails, the caller learns what
// the first one has written.
func TestHalfASettlementSaysWhatIsDone(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	worker := register(t, db, time.Minute)
	schedule(t, db, many(t, db.Merchant(t).ID, 2)...)
	claims := claim(t, db, worker, 2)
	good := settlement(claims[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
	other := settlement(claims[1], billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer)
	tx := db.SQL.MustBegin()
	tx.MustExec(`LOCK TABLE task_attempts IN ACCESS EXCLUSIVE MODE`)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var done []billing.TaskID
	failed := make(chan error, 1)
	go func() {
		var err error
		done, err = db.Store.Settle(ctx, []billing.Settlement{other, good})
		failed <- err
	}()
	eventually(t, "the second statement waits for the table", func() bool {
		var waiting int
		err := db.SQL.Get(&waiting, `SELECT count(*) FROM pg_locks WHERE relation = 'task_attempts'::regclass AND NOT granted`)
		return err == nil && waiting > 0
	})
	cancel()
	if err := <-failed; err == nil || len(done) != 1 || done[0] != good.ID {
		t.Errorf("done are %v, %v", done, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if done := settle(t, db, good, other); len(done) != 1 || done[0] != other.ID {
		t.Errorf("done the second time are %v", done)
	}
}
