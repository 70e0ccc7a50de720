package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// reasons counts the entries of the audit log by action, object and reason.
func reasons(t *testing.T, db *storetest.DB) map[string]int {
	t.Helper()
	var rows []string
	if err := db.SQL.Select(&rows, `SELECT action || ' ' || object || ' ' || coalesce(detail->>'reason', '') || ' ' || request_id FROM audit_log`); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, row := range rows {
		found[row]++
	}
	return found
}

func asked(reason string) context.Context {
	ctx := billing.WithActor(context.Background(), billing.Actor{ID: billing.ActorAdmin, RequestID: "r-1"})
	return billing.WithReason(ctx, reason)
}

// TestManyAreCanceledAsOneIs: those alone that can be, each with its entry.
func TestManyAreCanceledAsOneIs(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, other, worker := db.Merchant(t), db.Merchant(t), register(t, db, time.Hour)
	doubted := inDoubtAt(t, db, worker, newTask(t, merchant.ID))
	var ids []billing.TaskID
	for range 250 {
		task := newTask(t, merchant.ID)
		task.RunAt = time.Now().Add(time.Hour)
		ids = append(ids, schedule(t, db, task)[0].Task.ID)
	}
	sent := ids[0]
	db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = now(), sent_auth = 'token', sent_account = 'acct_1' WHERE id = $1`, sent)
	hidden := schedule(t, db, newTask(t, other.ID))[0].Task.ID
	matching, err := db.Store.FindUnsent(context.Background(), billing.TaskFilter{MerchantID: merchant.ID}, time.Time{}, 10_000, "")
	if err != nil || len(matching.IDs) != 249 || slices.Contains(matching.IDs, sent) || slices.Contains(matching.IDs, doubted) {
		t.Fatalf("%d match, %v", len(matching.IDs), err)
	}
	changed, err := db.Store.CancelTasks(asked("no more"), append(ids, doubted, billing.TaskID(storetest.NewID(t))))
	if err != nil || changed != 249 {
		t.Fatalf("%d changed, %v", changed, err)
	}
	log := reasons(t, db)
	for _, id := range ids[1:] {
		if status := get(t, db, id).Status; status != billing.Canceled || log[fmt.Sprintf("task.cancel %s no more r-1", id)] != 1 {
			t.Fatalf("%s is %s, %d entries", id, status, log[fmt.Sprintf("task.cancel %s no more r-1", id)])
		}
	}
	for _, id := range []billing.TaskID{sent, doubted, hidden} {
		if log[fmt.Sprintf("task.cancel %s no more r-1", id)] != 0 || get(t, db, id).Status == billing.Canceled {
			t.Errorf("%s was canceled", id)
		}
	}
	if again, err := db.Store.CancelTasks(asked("no more"), ids); err != nil || again != 0 {
		t.Errorf("%d canceled twice, %v", again, err)
	}
}

// TestManyAreMovedOnce: those that are scheduled for the time already do not match any more, so that repeating it comes to an end.
func TestManyAreMovedOnce(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	for range 120 {
		schedule(t, db, newTask(t, merchant.ID))
	}
	at := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Microsecond)
	find := func() []billing.TaskID {
		t.Helper()
		matching, err := db.Store.FindUnsent(context.Background(), billing.TaskFilter{MerchantID: merchant.ID}, at, 10_000, "")
		if err != nil {
			t.Fatal(err)
		}
		return matching.IDs
	}
	ids := find()
	if changed, err := db.Store.RescheduleTasks(asked("later"), ids[:70], at); err != nil || changed != 70 {
		t.Fatalf("%d, %v", changed, err)
	}
	if left := find(); len(left) != 50 {
		t.Errorf("%d are left", len(left))
	}
	moved := get(t, db, ids[0])
	if !moved.RunAt.Equal(at) || !moved.ScheduledFor.Equal(at) || reasons(t, db)["task.reschedule "+string(ids[0])+" later r-1"] != 1 {
		t.Errorf("%+v", moved)
	}
	_, err := db.Store.RescheduleTasks(asked("x"), ids, time.Now().Add(-time.Hour))
	var known *billing.Error
	if !errors.As(err, &known) || known.Code != billing.CodeInvalid || known.Faults[0].Pointer != "/0/run_at" {
		t.Errorf("%v", err)
	}
}

// TestWhatCanBeRetried leaves out what was repeated, what a living task does already, and what a merchant that has left would have to do.
func TestWhatCanBeRetried(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, gone, worker := db.Merchant(t), db.Merchant(t), register(t, db, time.Hour)
	canceled := func(task billing.NewTask) billing.TaskID {
		t.Helper()
		schedule(t, db, task)
		if _, err := db.Store.CancelTask(ctx, task.ID); err != nil {
			t.Fatal(err)
		}
		return task.ID
	}
	wanted := newTask(t, merchant.ID)
	wanted.Intent = "once"
	plain, taken := canceled(newTask(t, merchant.ID)), canceled(wanted)
	holder := newTask(t, merchant.ID)
	holder.Intent = "once"
	schedule(t, db, holder)
	repeated := canceled(newTask(t, merchant.ID))
	if _, err := db.Store.RetryTask(ctx, repeated, newTask(t, merchant.ID)); err != nil {
		t.Fatal(err)
	}
	ofGone := canceled(newTask(t, gone.ID))
	if _, err := db.Store.DisconnectMerchant(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	failed := newTask(t, merchant.ID)
	schedule(t, db, failed)
	for _, one := range claim(t, db, worker, 100) {
		if one.ID == failed.ID {
			settle(t, db, settlement(one, billing.Failed, billing.OutcomeRefused, billing.ReasonInvalid))
		}
	}
	find := func(filter billing.TaskFilter) []billing.TaskID {
		t.Helper()
		matching, err := db.Store.FindRetryable(ctx, filter, 100, "")
		if err != nil {
			t.Fatal(err)
		}
		return matching.IDs
	}
	if got := find(billing.TaskFilter{}); !slices.Equal(got, []billing.TaskID{failed.ID, plain}) {
		t.Errorf("found %v, want %s and %s; not %s, %s, %s", got, failed.ID, plain, taken, repeated, ofGone)
	}
	if got := find(billing.TaskFilter{Statuses: []billing.Status{billing.Failed, billing.Running}}); !slices.Equal(got, []billing.TaskID{failed.ID}) {
		t.Errorf("failed: %v", got)
	}
	if got := find(billing.TaskFilter{Statuses: []billing.Status{billing.Succeeded}}); len(got) != 0 {
		t.Errorf("succeeded: %v", got)
	}
	if got := find(billing.TaskFilter{CreatedBefore: get(t, db, failed.ID).CreatedAt}); !slices.Equal(got, []billing.TaskID{plain}) {
		t.Errorf("created before: %v", got)
	}
}

// TestABulkChangeBesideClaims: what a worker takes meanwhile is not canceled, what is canceled is not taken.
func TestABulkChangeBesideClaims(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Hour)
	var ids []billing.TaskID
	for range 400 {
		ids = append(ids, schedule(t, db, newTask(t, merchant.ID))[0].Task.ID)
	}
	var crew sync.WaitGroup
	taken, canceled := 0, 0
	crew.Go(func() {
		for range 40 {
			batch, err := db.Store.Claim(context.Background(), worker, 10)
			if err != nil {
				t.Error(err)
			}
			taken += len(batch.Claims)
		}
	})
	var turn sync.Mutex
	for range 2 {
		crew.Go(func() {
			n, err := db.Store.CancelTasks(asked("race"), ids)
			if err != nil && billing.CodeOf(err) != billing.CodeUnavailable {
				t.Error(err)
			}
			turn.Lock()
			canceled += n
			turn.Unlock()
		})
	}
	crew.Wait()
	var running, ended int
	if err := db.SQL.QueryRow(`SELECT count(*) FILTER (WHERE status = 'running'), count(*) FILTER (WHERE status = 'canceled') FROM scheduled_tasks`).
		Scan(&running, &ended); err != nil || running != taken || ended != canceled {
		t.Errorf("%d run of %d taken, %d are canceled of %d, %v", running, taken, ended, canceled, err)
	}
	n := 0
	for entry, times := range reasons(t, db) {
		if strings.HasPrefix(entry, "task.cancel ") {
			n += times
		}
	}
	if n != canceled {
		t.Errorf("%d entries for %d canceled tasks", n, canceled)
	}
}

// TestABulkChangeInAnotherOrder: whoever locks the same tasks in another order, as the end of a pause may, delays a change and does not
// end it.
func TestABulkChangeInAnotherOrder(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	ids := []billing.TaskID{schedule(t, db, newTask(t, merchant.ID))[0].Task.ID, schedule(t, db, newTask(t, merchant.ID))[0].Task.ID}
	slices.Sort(ids)
	other := db.SQL.MustBegin()
	defer func() { _ = other.Rollback() }()
	const lock = `UPDATE scheduled_tasks SET updated_at = now() WHERE id = $1`
	other.MustExec(lock, ids[1])
	var crew sync.WaitGroup
	crew.Go(func() {
		if n, err := db.Store.CancelTasks(asked("no more"), ids); err != nil || n != 2 {
			t.Errorf("%d canceled, %v", n, err)
		}
	})
	for waits := false; !waits; {
		if err := db.SQL.Get(&waits, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = other.Exec(lock, ids[0]) // one of the two is told of a deadlock: as a rule the one that waits already
	_ = other.Commit()
	crew.Wait()
	if n := len(reasons(t, db)); n != 2 {
		t.Errorf("%d entries", n)
	}
}

// TestABulkSearchKeepsToItsBudget and says how far it came. Whoever goes on from there, until nothing says that there is more, comes to
// an end, and has found each task once.
func TestABulkSearchKeepsToItsBudget(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	many, few := db.Merchant(t), db.Merchant(t)
	const total, every = 30_000, 6_000
	fillTasks(t, db, many.ID, total)
	db.SQL.MustExec(`UPDATE scheduled_tasks SET merchant_id = $2 WHERE id IN (
		SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM scheduled_tasks) AS numbered WHERE n % $1 = 0)`, every, few.ID)
	var want []billing.TaskID
	if err := db.SQL.Select(&want, `SELECT id FROM scheduled_tasks WHERE merchant_id = $1 ORDER BY id DESC`, few.ID); err != nil || len(want) != total/every {
		t.Fatalf("%d tasks, %v", len(want), err)
	}
	find := map[string]func(billing.TaskFilter, int, billing.TaskID, time.Duration) (billing.Matching, error){
		"unsent": func(filter billing.TaskFilter, limit int, after billing.TaskID, budget time.Duration) (billing.Matching, error) {
			return db.Store.FindUnsentWithin(ctx, filter, limit, after, budget)
		},
		"retryable": func(filter billing.TaskFilter, limit int, after billing.TaskID, budget time.Duration) (billing.Matching, error) {
			return db.Store.FindRetryableWithin(ctx, filter, limit, after, budget)
		},
	}
	for _, what := range []string{"unsent", "retryable"} {
		if what == "retryable" {
			db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'failed', finished_at = now(), first_sent_at = now(), sent_auth = 'token', sent_account = 'acct_1'
				WHERE finished_at IS NULL`)
		}
		// One window and the time is over; a limit that is met on the way; all that there is.
		for _, tc := range []struct {
			limit  int
			budget time.Duration
			least  int // calls
		}{{10_000, time.Nanosecond, 10}, {2, time.Hour, 3}, {10_000, time.Hour, 1}} {
			var found []billing.TaskID
			filter, after, calls, late := billing.TaskFilter{MerchantID: few.ID}, billing.TaskID(""), 0, newTask(t, few.ID)
			for more := true; more; calls++ {
				got, err := find[what](filter, tc.limit, after, tc.budget)
				if err != nil || len(got.IDs) > tc.limit {
					t.Fatalf("%d found, %v", len(got.IDs), err)
				}
				if calls == 0 { // what comes now is not meant
					schedule(t, db, late)
					filter.CreatedBefore = got.AsOf
				}
				if more = got.Next != ""; more && after != "" && got.Next >= after {
					t.Fatalf("%s goes from %s to %s", what, after, got.Next)
				}
				if early := !got.SearchedTo.IsZero(); early && !more || early != (more && len(got.IDs) < tc.limit) {
					t.Errorf("%d found, next %q, searched to %s", len(got.IDs), got.Next, got.SearchedTo)
				}
				found, after = append(found, got.IDs...), got.Next
			}
			if !slices.Equal(found, want) || calls < tc.least {
				t.Errorf("%s, %+v: found %v in %d calls, want %v", what, tc, found, calls, want)
			}
			db.SQL.MustExec(`UPDATE scheduled_tasks SET merchant_id = $2 WHERE id = $1`, late.ID, many.ID)
		}
	}
}
