package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

func TestCreateTasks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)

	t.Run("AreReadBackAsAnswered", func(t *testing.T) {
		due, later := newTask(t, merchant.ID), newTask(t, merchant.ID)
		due.Metadata = map[string]string{"order": "17"}
		later.RunAt = time.Now().Add(time.Hour)
		for _, created := range schedule(t, db, due, later) {
			if diff := cmp.Diff(created.Task, get(t, db, created.Task.ID)); diff != "" && created.Task.Metadata != nil {
				t.Errorf("answered and stored differ:\n%s", diff)
			}
		}
	})
	t.Run("InvalidOnesAreNamedAndNoneIsWritten", func(t *testing.T) {
		good, unknown, past, far := newTask(t, merchant.ID), newTask(t, billing.MerchantID(storetest.NewID(t))), newTask(t, merchant.ID), newTask(t, merchant.ID)
		past.RunAt = time.Now().Add(-time.Hour)
		far.RunAt = time.Now().AddDate(20, 0, 0)
		_, err := db.Store.CreateTasks(ctx, []billing.NewTask{good, unknown, past, far})
		wantCode(t, err, billing.CodeInvalid)
		var pointers []string
		for _, fault := range billing.FaultsOf(err) {
			pointers = append(pointers, fault.Pointer)
		}
		if diff := cmp.Diff([]string{"/1/merchant_id", "/2/run_at", "/3/run_at"}, pointers); diff != "" {
			t.Error(diff)
		}
		_, err = db.Store.GetTask(ctx, good.ID)
		wantCode(t, err, billing.CodeNotFound)
	})
	t.Run("TenThousandInOneTransaction", func(t *testing.T) {
		tasks := make([]billing.NewTask, 10_000)
		for i := range tasks {
			tasks[i] = newTask(t, merchant.ID)
			tasks[i].Key = fmt.Sprintf("batch-%05d", len(tasks)-i)
			tasks[i].Fingerprint = []byte{1}
			tasks[i].RunAt = time.Now().Add(time.Hour)
		}
		first := schedule(t, db, tasks...)
		for i := range tasks {
			tasks[i].ID = billing.TaskID(storetest.NewID(t))
		}
		again := schedule(t, db, tasks...)
		for i := range first {
			if first[i].Replayed || !again[i].Replayed || first[i].Task.ID != again[i].Task.ID {
				t.Fatalf("task %d: %v then %v", i, first[i].Task.ID, again[i].Task.ID)
			}
		}
	})
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	keyed := func(t *testing.T, key string, fingerprint byte) billing.NewTask {
		t.Helper()
		task := newTask(t, merchant.ID)
		task.Key, task.Fingerprint = key, []byte{fingerprint}
		return task
	}

	t.Run("SameRequestGetsTheFirstAnswer", func(t *testing.T) {
		first := schedule(t, db, keyed(t, "same", 1))[0]
		if _, err := db.Store.CancelTask(ctx, first.Task.ID); err != nil {
			t.Fatal(err)
		}
		again := schedule(t, db, keyed(t, "same", 1))[0]
		if !again.Replayed {
			t.Fatal("not replayed")
		}
		first.Task.Metadata = map[string]string{}
		if diff := cmp.Diff(first.Task, again.Task); diff != "" {
			t.Errorf("the first answer changed:\n%s", diff)
		}
	})
	t.Run("HoldsWhateverBecomesOfTheMerchantOrTheClock", func(t *testing.T) {
		gone := db.Merchant(t)
		task := keyed(t, "late", 1)
		task.MerchantID, task.RunAt = gone.ID, time.Now().Add(30*time.Second)
		first := schedule(t, db, task)[0]
		if _, err := db.Store.DisconnectMerchant(ctx, gone.ID); err != nil {
			t.Fatal(err)
		}
		task.RunAt = task.RunAt.Add(-time.Hour) // what an hour later looks like
		if again := schedule(t, db, task)[0]; !again.Replayed || again.Task.ID != first.Task.ID {
			t.Errorf("%+v", again)
		}
	})
	t.Run("AnInvalidTaskLeavesItsKeyFree", func(t *testing.T) {
		bad := keyed(t, "bad", 1)
		bad.RunAt = time.Now().AddDate(20, 0, 0)
		_, err := db.Store.CreateTasks(ctx, []billing.NewTask{bad})
		wantCode(t, err, billing.CodeInvalid)
		if schedule(t, db, keyed(t, "bad", 2))[0].Replayed {
			t.Error("the key was kept")
		}
	})
	t.Run("OtherRequestIsRefused", func(t *testing.T) {
		schedule(t, db, keyed(t, "other", 1))
		task := keyed(t, "other", 2)
		_, err := db.Store.CreateTasks(ctx, []billing.NewTask{task})
		wantCode(t, err, billing.CodeKeyReused)
		_, err = db.Store.GetTask(ctx, task.ID)
		wantCode(t, err, billing.CodeNotFound)
	})
	t.Run("InProgressIsRefusedAndFreeAfterwards", func(t *testing.T) {
		tx := db.SQL.MustBegin()
		tx.MustExec(`INSERT INTO task_keys (key, task_id, fingerprint, scheduled_for, run_at) VALUES ('busy', $1, '', now(), now())`, storetest.NewID(t))
		_, err := db.Store.CreateTasks(ctx, []billing.NewTask{keyed(t, "busy", 1)})
		wantCode(t, err, billing.CodeKeyInProgress)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if schedule(t, db, keyed(t, "busy", 1))[0].Replayed {
			t.Error("the key was not free")
		}
	})
	t.Run("ConcurrentRequestsMakeOneTask", func(t *testing.T) {
		other, err := store.Open(store.Options{URL: secret.New(db.URL)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		stores := []*store.Store{db.Store, store.New(other, db.Vault)}
		const n = 16
		ids := make([]billing.TaskID, n)
		var group sync.WaitGroup
		for i := range n {
			task := keyed(t, "race", 1)
			group.Go(func() {
				created, err := stores[i%2].CreateTasks(ctx, []billing.NewTask{task})
				if err != nil {
					t.Errorf("request %d: %v", i, err)
					return
				}
				ids[i] = created[0].Task.ID
			})
		}
		group.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("two tasks for one key: %v", ids)
			}
		}
	})
	t.Run("OppositeBatchesDoNotDeadlock", func(t *testing.T) {
		var forth, back []billing.NewTask
		for i := range 200 {
			forth = append(forth, keyed(t, fmt.Sprintf("cross-%03d", i), 1))
			back = append([]billing.NewTask{keyed(t, fmt.Sprintf("cross-%03d", i), 1)}, back...)
		}
		var group sync.WaitGroup
		for _, batch := range [][]billing.NewTask{forth, back} {
			group.Go(func() {
				if _, err := db.Store.CreateTasks(ctx, batch); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		var n int
		if err := db.SQL.Get(&n, `SELECT count(*) FROM task_keys WHERE key LIKE 'cross-%'`); err != nil || n != 200 {
			t.Errorf("%d keys, %v", n, err)
		}
	})
}

func TestChangesBeforeAnythingWasSent(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)

	t.Run("CancelAndRescheduleArePossible", func(t *testing.T) {
		id := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
		at := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Microsecond)
		moved, err := db.Store.RescheduleTask(ctx, id, at)
		if err != nil || !moved.RunAt.Equal(at) || !moved.ScheduledFor.Equal(at) {
			t.Fatalf("%+v, %v", moved, err)
		}
		canceled, err := db.Store.CancelTask(ctx, id)
		if err != nil || canceled.Status != billing.Canceled || canceled.FinishedAt == nil {
			t.Fatalf("%+v, %v", canceled, err)
		}
		if _, err := db.Store.CancelTask(ctx, id); err != nil {
			t.Errorf("canceling twice: %v", err)
		}
		_, err = db.Store.RescheduleTask(ctx, id, at)
		wantCode(t, err, billing.CodeConflict)
	})
	t.Run("AreRefusedAfterwards", func(t *testing.T) {
		id := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
		claims := claim(t, db, worker, 10)
		_, err := db.Store.CancelTask(ctx, id)
		wantCode(t, err, billing.CodeConflict)
		settle(t, db, settlement(claims[0], billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		_, err = db.Store.CancelTask(ctx, id)
		wantCode(t, err, billing.CodeConflict)
		_, err = db.Store.RescheduleTask(ctx, id, time.Now().Add(time.Hour))
		wantCode(t, err, billing.CodeConflict)
		_, err = db.Store.CancelTask(ctx, billing.TaskID(storetest.NewID(t)))
		wantCode(t, err, billing.CodeNotFound)
	})
}

func TestRetryMakesOneNewTask(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	id := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
	_, err := db.Store.RetryTask(ctx, id, newTask(t, merchant.ID))
	wantCode(t, err, billing.CodeConflict)
	if _, err := db.Store.CancelTask(ctx, id); err != nil {
		t.Fatal(err)
	}
	first, err := db.Store.RetryTask(ctx, id, newTask(t, merchant.ID))
	if err != nil || first.Replayed || first.Task.RetryOf != id || first.Task.ID == id {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := db.Store.RetryTask(ctx, id, newTask(t, merchant.ID))
	if err != nil || !second.Replayed || second.Task.ID != first.Task.ID {
		t.Errorf("a second click made %+v, %v", second, err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	id := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
	resolution := billing.Resolution{Outcome: billing.Failed, Note: "looked at Stripe", RequestID: "r"}
	_, err := db.Store.ResolveTask(ctx, id, resolution)
	wantCode(t, err, billing.CodeConflict)
	settle(t, db, settlement(claim(t, db, worker, 1)[0], billing.InDoubt, billing.OutcomeUnknown, billing.ReasonWindowClosed))
	resolved, err := db.Store.ResolveTask(ctx, id, resolution)
	if err != nil || resolved.Status != billing.Failed || resolved.FinishedAt == nil {
		t.Fatalf("%+v, %v", resolved, err)
	}
	var note string
	if err := db.SQL.Get(&note, `SELECT note FROM task_resolutions WHERE task_id = $1`, id); err != nil || note != "looked at Stripe" {
		t.Errorf("note %q, %v", note, err)
	}
}

// TestTasksForOneMomentAreSpread: in the table, by less than a millisecond; nobody sees it.
func TestTasksForOneMomentAreSpread(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	tasks := many(t, merchant.ID, 1000)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for i := range tasks {
		tasks[i].RunAt = at
	}
	created := schedule(t, db, tasks...)
	var moments int
	var within bool
	if err := db.SQL.QueryRow(`SELECT count(DISTINCT run_at), bool_and(run_at >= $1 AND run_at < $1 + interval '1 millisecond')
		FROM scheduled_tasks`, at).Scan(&moments, &within); err != nil || moments < 100 || !within {
		t.Errorf("%d moments, all within a millisecond %v, %v", moments, within, err)
	}
	for _, one := range created[:10] {
		if task := get(t, db, one.Task.ID); !task.RunAt.Equal(at) || !one.Task.RunAt.Equal(at) {
			t.Errorf("shown are %s and %s, want %s", one.Task.RunAt, task.RunAt, at)
		}
	}
	single := schedule(t, db, newTask(t, merchant.ID))[0].Task
	var unmoved bool
	if err := db.SQL.Get(&unmoved, `SELECT run_at = scheduled_for FROM scheduled_tasks WHERE id = $1`, single.ID); err != nil || !unmoved {
		t.Errorf("a task that is due at once was moved, %v", err)
	}
}
