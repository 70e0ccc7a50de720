package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

func overviewOf(t *testing.T, db *storetest.DB, merchant billing.MerchantID) billing.Overview {
	t.Helper()
	overview, err := db.Store.Overview(context.Background(), merchant)
	if err != nil {
		t.Fatal(err)
	}
	return overview
}

// TestOverview of everything, and of one merchant, whose has nothing of the others.
func TestOverview(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	key := store.KeyRecord{ID: db.Key.ID(), CheckValue: db.Key.CheckValue()}
	if before := overviewOf(t, db, ""); before.Keys.WriteKey != "" || before.Keys.Rotating || before.OldestDue != nil || before.Due.N != 0 || before.Workers.Alive != 0 {
		t.Errorf("%+v", before)
	}
	if err := db.DB.AdoptKey(ctx, db.Vault, key); err != nil {
		t.Fatal(err)
	}
	mine, other, worker := db.Merchant(t), db.Merchant(t), register(t, db, time.Hour)
	inDoubtAt(t, db, worker, newTask(t, mine.ID))
	for _, merchant := range []billing.MerchantID{mine.ID, other.ID, other.ID} {
		task := schedule(t, db, newTask(t, merchant))[0].Task
		db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() - interval '10 minutes' WHERE id = $1`, task.ID)
	}
	schedule(t, db, newTask(t, mine.ID)) // due now
	if _, err := db.Store.PauseMerchant(ctx, other.ID, billing.PauseRequested, ""); err != nil {
		t.Fatal(err)
	}
	silent := register(t, db, time.Minute)
	db.SQL.MustExec(`UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE id = $1`, silent)

	all := overviewOf(t, db, "")
	if all.Due.N != 4 || all.Overdue.N != 3 || all.Paused.N != 1 || all.Tasks[0].N != 4 || all.Tasks[4].N != 1 || len(all.Outcomes) != 72 {
		t.Errorf("%+v", all)
	}
	if all.OldestDue == nil || all.Now.Sub(*all.OldestDue) < 9*time.Minute || all.Keys.WriteKey != key.ID || all.Keys.Rotating {
		t.Errorf("%v, %+v", all.OldestDue, all.Keys)
	}
	if diff := cmp.Diff(&billing.WorkerTotals{Alive: 1, Silent: 1, Slots: 10}, all.Workers); diff != "" {
		t.Error(diff)
	}
	own := overviewOf(t, db, mine.ID)
	if own.Due.N != 2 || own.Overdue.N != 1 || own.Paused.N != 0 || own.Tasks[0].N != 2 || own.Tasks[4].N != 1 {
		t.Errorf("%+v", own)
	}
	if own.Workers != nil || own.Keys != nil || own.Outcomes != nil {
		t.Errorf("a merchant's has %+v %+v %+v", own.Workers, own.Keys, own.Outcomes)
	}
	if none := overviewOf(t, db, db.Merchant(t).ID); none.Due.N+none.Overdue.N+none.Paused.N != 0 || none.OldestDue != nil {
		t.Errorf("%+v", none)
	}
	next := newKey(t)
	if err := db.DB.AdoptKey(ctx, db.Vault, store.KeyRecord{ID: next.ID(), CheckValue: next.CheckValue()}, key); err != nil {
		t.Fatal(err)
	}
	if rotating := overviewOf(t, db, "").Keys; rotating.WriteKey != next.ID() || !rotating.Rotating {
		t.Errorf("%+v", rotating)
	}
	keys, err := db.Store.EncryptionKeys(ctx)
	if err != nil || len(keys) != 2 || keys[0].ID != key.ID || keys[0].Tokens != 6 || keys[0].RetiredAt != nil || !keys[1].Active {
		t.Errorf("%+v, %v", keys, err)
	}
	if err := db.DB.RetireOthers(ctx, store.KeyRecord{ID: next.ID(), CheckValue: next.CheckValue()}); err != nil {
		t.Fatal(err)
	}
	if ended := overviewOf(t, db, "").Keys; ended.Rotating {
		t.Errorf("%+v", ended)
	}
	if keys, err = db.Store.EncryptionKeys(ctx); err != nil || keys[0].RetiredAt == nil {
		t.Errorf("%+v, %v", keys, err)
	}
}

// TestOverdueIsTheSameEverywhere: the lists, the counts, the overview and the doctor draw the line where the vocabulary does.
func TestOverdueIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	late, soon := schedule(t, db, newTask(t, merchant.ID))[0].Task.ID, schedule(t, db, newTask(t, merchant.ID))[0].Task.ID
	for id, more := range map[billing.TaskID]time.Duration{late: 5 * time.Second, soon: -time.Minute} {
		db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now() - make_interval(secs => $2) WHERE id = $1`, id, (billing.OverdueAfter + more).Seconds())
	}
	wantFound(t, db, "attention", billing.TaskFilter{Attention: true}, late)
	if n := overviewOf(t, db, "").Overdue.N; n != 1 {
		t.Errorf("the overview has %d", n)
	}
	if found, err := db.DB.Checkup().Backlog(ctx, billing.OverdueAfter); err != nil || found.Overdue != 1 {
		t.Errorf("the doctor has %d, %v", found.Overdue, err)
	}
}

// TestOutcomesAreSummedUp by steps, over workers, and forgotten after two days.
func TestOutcomesAreSummedUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	one, two := register(t, db, time.Hour), register(t, db, time.Hour)
	record := func(worker billing.WorkerID, outcomes billing.OutcomeCounts) {
		t.Helper()
		if err := db.Store.RecordOutcomes(ctx, worker, outcomes); err != nil {
			t.Fatal(err)
		}
	}
	db.SQL.MustExec(`INSERT INTO outcome_minutes (minute, worker_id, failed) VALUES
		(date_trunc('minute', now()) - interval '1 hour', $1, 7), (now() - interval '7 hours', $1, 100), (now() - interval '49 hours', $1, 100)`, one)
	record(one, billing.OutcomeCounts{Succeeded: 3, Retried: 1})
	record(one, billing.OutcomeCounts{Succeeded: 2})
	record(two, billing.OutcomeCounts{InDoubt: 1})
	overview := overviewOf(t, db, "")
	var sum billing.OutcomeCounts
	for i, step := range overview.Outcomes {
		sum = sum.Plus(step.OutcomeCounts)
		if i > 0 && step.At.Sub(overview.Outcomes[i-1].At) != billing.OutcomeStep || step.At.After(overview.Now) {
			t.Errorf("a step at %s after %s", step.At, overview.Outcomes[i-1].At)
		}
	}
	if diff := cmp.Diff(billing.OutcomeCounts{Succeeded: 5, Failed: 7, InDoubt: 1, Retried: 1}, sum); diff != "" {
		t.Error(diff)
	}
	var minutes int
	if err := db.SQL.Get(&minutes, `SELECT count(*) FROM outcome_minutes`); err != nil || minutes < 4 || minutes > 6 { // the test may pass into another minute
		t.Errorf("%d minutes are kept, %v", minutes, err)
	}
	var old int
	if err := db.SQL.Get(&old, `SELECT count(*) FROM outcome_minutes WHERE minute < now() - interval '48 hours'`); err != nil || old != 0 {
		t.Errorf("%d old minutes are kept, %v", old, err)
	}
}

// TestListWorkers says what each does.
func TestListWorkers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	silent := register(t, db, time.Minute)
	db.SQL.MustExec(`UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE id = $1`, silent)
	busy := register(t, db, time.Hour)
	schedule(t, db, newTask(t, merchant.ID))
	schedule(t, db, newTask(t, merchant.ID))
	claim(t, db, busy, 10)
	if err := db.Store.DrainWorker(ctx, busy); err != nil {
		t.Fatal(err)
	}
	idle := register(t, db, time.Hour)
	workers, err := db.Store.ListWorkers(ctx, 10)
	if err != nil || len(workers) != 3 {
		t.Fatalf("%+v, %v", workers, err)
	}
	for i, want := range []struct {
		id              billing.WorkerID
		busy            int
		alive, draining bool
	}{{idle, 0, true, false}, {busy, 2, true, true}, {silent, 0, false, false}} {
		got := workers[i]
		if got.ID != want.id || got.Busy != want.busy || got.Alive != want.alive || got.Draining != want.draining || got.Concurrency != 10 || got.Hostname != "test" {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
