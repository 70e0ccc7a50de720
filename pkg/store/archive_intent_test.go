package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// TestIntentsOutliveTheirTasks: what has succeeded is never done again because it has been archived.
func TestIntentsOutliveTheirTasks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for status, free := range map[billing.Status]bool{billing.Succeeded: false, billing.Failed: true, billing.Canceled: true} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t)
			merchant, other := db.Merchant(t), db.Merchant(t)
			first := done(t, db, register(t, db, time.Minute), wanting(t, merchant.ID, renewal), status)
			age(t, db, first, retention+time.Hour)
			if archive(t, db) != 1 {
				t.Fatal("not archived")
			}
			schedule(t, db, wanting(t, other.ID, renewal), newTask(t, merchant.ID), wanting(t, merchant.ID, "another")) // none of these clash
			_, err := db.Store.CreateTasks(ctx, []billing.NewTask{newTask(t, merchant.ID), wanting(t, merchant.ID, renewal)})
			if free {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, err, billing.CodeIntentTaken)
			faults := billing.FaultsOf(err)
			if !strings.Contains(err.Error(), string(first)) || len(faults) != 1 || faults[0].Pointer != "/1/intent" || !strings.Contains(faults[0].Detail, string(first)) {
				t.Errorf("%v %+v does not name %s", err, faults, first)
			}
			var left int
			if err := db.SQL.Get(&left, `SELECT count(*) FROM scheduled_tasks WHERE merchant_id = $1`, merchant.ID); err != nil || left != 2 {
				t.Errorf("%d tasks, %v: the refused batch left something", left, err)
			}
		})
	}
}

// TestAnIntentIsNotFreeWhileItsTaskMoves: a request that comes while the move is not yet committed waits, and is refused.
func TestAnIntentIsNotFreeWhileItsTaskMoves(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	first := done(t, db, register(t, db, time.Minute), wanting(t, merchant.ID, renewal), billing.Succeeded)
	age(t, db, first, retention+time.Hour)
	query, _ := store.MoveQuery(billing.Succeeded)
	move, err := db.SQL.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = move.Rollback() }()
	if _, err := move.Exec(query, time.Time{}, retention.Seconds(), 10); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() {
		_, err := db.Store.CreateTasks(ctx, []billing.NewTask{wanting(t, merchant.ID, renewal)})
		refused <- err
	}()
	eventually(t, "the request waits for the move", func() bool {
		var waiting int
		err := db.SQL.Get(&waiting, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		return err == nil && waiting == 1
	})
	if err := move.Commit(); err != nil {
		t.Fatal(err)
	}
	err = <-refused
	wantCode(t, err, billing.CodeIntentTaken)
	if !strings.Contains(err.Error(), string(first)) {
		t.Errorf("%v does not name %s", err, first)
	}
}

// TestKeysGoWithTheirTasks: an Idempotency-Key holds for as long as its task is in the queue.
func TestKeysGoWithTheirTasks(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	task := newTask(t, db.Merchant(t).ID)
	task.Key, task.Fingerprint = "once", []byte{1}
	first := done(t, db, register(t, db, time.Minute), task, billing.Succeeded)
	again := task
	again.ID = billing.TaskID(storetest.NewID(t))
	if replay := schedule(t, db, again)[0]; !replay.Replayed || replay.Task.ID != first {
		t.Errorf("%+v", replay)
	}
	age(t, db, first, retention+time.Hour)
	if archive(t, db) != 1 {
		t.Fatal("not archived")
	}
	if fresh := schedule(t, db, again)[0]; fresh.Replayed || fresh.Task.ID != again.ID {
		t.Errorf("%+v", fresh)
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
