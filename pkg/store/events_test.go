package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// watch begins to watch, and returns the mark from where everything is known.
func watch(t *testing.T, db *storetest.DB) billing.EventMark {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		mark, err := db.Store.WatchTasks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !mark.IsZero() {
			return mark
		}
		if time.Now().After(deadline) {
			t.Fatal("the recording is not complete: somebody is writing events")
		}
	}
}

// page reads what has changed since the mark, and moves it on.
func page(t *testing.T, db *storetest.DB, mark *billing.EventMark) billing.EventPage {
	t.Helper()
	read, err := db.Store.ReadEvents(t.Context(), *mark, billing.EventMark{})
	if err != nil {
		t.Fatal(err)
	}
	*mark = read.Next
	return read
}

// told wants exactly the events of the given tasks, each as the API shows the task.
func told(t *testing.T, db *storetest.DB, mark *billing.EventMark, ids ...billing.TaskID) {
	t.Helper()
	read := page(t, db, mark)
	if read.Lost != "" {
		t.Fatalf("lost: %s", read.Lost)
	}
	type shown struct {
		ID       billing.TaskID
		Merchant billing.MerchantID
		Kind     billing.Kind
		Target   string
		Status   billing.Status
		Attempt  int
		RunAt    time.Time
	}
	want, got := map[billing.TaskID]shown{}, map[billing.TaskID]shown{}
	for _, id := range ids {
		task := get(t, db, id)
		want[id] = shown{task.ID, task.MerchantID, task.Kind, task.Target, task.Status, task.Attempt, task.RunAt}
	}
	for _, event := range read.Events {
		if _, twice := got[event.ID]; twice {
			t.Errorf("task %s is told twice in one page", event.ID)
		}
		got[event.ID] = shown{event.ID, event.MerchantID, event.Kind, event.Target, event.Status, event.Attempt, event.RunAt}
		if age := time.Since(event.At); age < -time.Minute || age > time.Minute {
			t.Errorf("it changed at %s", event.At)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("- as the API shows it, + told:\n%s", diff)
	}
	if again := page(t, db, mark); len(again.Events) > 0 || again.Lost != "" {
		t.Fatalf("told again: %+v", again)
	}
}

// TestEachChangeIsTold makes every change of a status, and of a time, that there is, and wants it told once, as the API shows the task.
func TestEachChangeIsTold(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	mark := watch(t, db)

	one, two := newTask(t, merchant.ID), newTask(t, merchant.ID)
	schedule(t, db, one)
	told(t, db, &mark, one.ID)
	two.RunAt = time.Now().Add(time.Hour)
	three := newTask(t, merchant.ID)
	three.RunAt = two.RunAt
	schedule(t, db, two, three)
	told(t, db, &mark, two.ID, three.ID)
	careful := newTask(t, merchant.ID)
	careful.Intent, careful.RunAt = "an intent", two.RunAt // not in the fast way
	schedule(t, db, careful)
	told(t, db, &mark, careful.ID)

	claims := claim(t, db, worker, 10)
	told(t, db, &mark, one.ID)
	if err := db.Store.Release(ctx, claims); err != nil {
		t.Fatal(err)
	}
	told(t, db, &mark, one.ID)
	claim(t, db, worker, 10)
	told(t, db, &mark, one.ID)
	if n, err := db.Store.RecoverOwn(ctx, worker, nil); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	told(t, db, &mark, one.ID)

	retried := settlement(claim(t, db, worker, 10)[0], billing.Pending, billing.OutcomeUnknown, billing.ReasonNoAnswer)
	told(t, db, &mark, one.ID)
	settle(t, db, retried)
	told(t, db, &mark, one.ID)
	settle(t, db, settlement(claim(t, db, worker, 10)[0], billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer))
	told(t, db, &mark, one.ID)
	look := func(status billing.Status, outcome billing.Outcome, reason billing.Reason) {
		t.Helper()
		db.SQL.MustExec(`UPDATE scheduled_tasks SET look_at = now() WHERE id = $1`, one.ID)
		doubts, err := db.Store.ClaimLooks(ctx, worker, 1, 1, time.Minute)
		if err != nil || len(doubts) != 1 {
			t.Fatal(doubts, err)
		}
		learned := billing.LookSettlement{Doubt: doubts[0], Status: status, Finding: billing.Finding{Outcome: outcome, Reason: reason}}
		if status == billing.InDoubt {
			learned.NextIn = time.Hour
		}
		written, err := db.Store.SettleLook(ctx, learned)
		if err != nil || !written {
			t.Fatal(written, err)
		}
	}
	look(billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer)
	told(t, db, &mark) // nothing: it is in doubt as before
	look(billing.Failed, billing.OutcomeRefused, billing.ReasonAbsent)
	told(t, db, &mark, one.ID)

	again := newTask(t, merchant.ID)
	again.RunAt = two.RunAt
	if _, err := db.Store.RetryTask(ctx, one.ID, again); err != nil {
		t.Fatal(err)
	}
	told(t, db, &mark, again.ID)
	if _, err := db.Store.RescheduleTask(ctx, two.ID, two.RunAt.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	told(t, db, &mark, two.ID)
	for _, id := range []billing.TaskID{two.ID, three.ID, careful.ID, again.ID} {
		if _, err := db.Store.CancelTask(ctx, id); err != nil {
			t.Fatal(err)
		}
		told(t, db, &mark, id)
	}
	if _, err := db.Store.CancelTask(ctx, two.ID); err != nil {
		t.Fatal(err)
	}
	told(t, db, &mark) // it was canceled already
}

// TestEachEndIsTold: what settles in bulk, what follows a decline, what is left by a dead worker, and what a person decides.
func TestEachEndIsTold(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	mark := watch(t, db)
	running := func() billing.Claim {
		t.Helper()
		schedule(t, db, newTask(t, merchant.ID))
		claims := claim(t, db, worker, 1)
		told(t, db, &mark, claims[0].ID)
		return claims[0]
	}
	good, bad := running(), running()
	settle(t, db, settlement(good, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone),
		settlement(bad, billing.Failed, billing.OutcomeRefused, billing.ReasonInvalid))
	told(t, db, &mark, good.ID, bad.ID)

	declined := running()
	planned(db, declined.ID)
	refused := settlement(declined, billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined)
	refused.Next = &billing.Successor{ID: billing.TaskID(storetest.NewID(t)), Request: declined.Request, After: time.Hour}
	settle(t, db, refused)
	told(t, db, &mark, declined.ID, refused.Next.ID)

	doubted := running()
	settle(t, db, settlement(doubted, billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer))
	told(t, db, &mark, doubted.ID)
	if _, err := db.Store.ResolveTask(ctx, doubted.ID, billing.Resolution{Outcome: billing.Succeeded, Note: "seen"}); err != nil {
		t.Fatal(err)
	}
	told(t, db, &mark, doubted.ID)

	left, last := running(), running()
	db.SQL.MustExec(`UPDATE scheduled_tasks SET max_attempts = 1 WHERE id = $1`, last.ID)
	db.SQL.MustExec(`DELETE FROM workers`)
	if taken, err := db.Store.TakeOver(ctx, 10, time.Minute); err != nil || taken.Tasks != 2 {
		t.Fatal(taken, err)
	}
	told(t, db, &mark, left.ID, last.ID)
}

// TestEachWayOfClaimingIsTold: with merchant limits, passing by, and from the lanes.
func TestEachWayOfClaimingIsTold(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.Store.Limit(billing.Limits{Rate: 1000, Concurrency: 1})
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	mark := watch(t, db)
	schedule(t, db, newTask(t, merchant.ID), newTask(t, merchant.ID))
	page(t, db, &mark)
	first := claim(t, db, worker, 10)
	if len(first) != 1 {
		t.Fatalf("%d are claimed at a concurrency of 1", len(first))
	}
	told(t, db, &mark, first[0].ID) // the other one is parked, which is no change of its status
	settle(t, db, settlement(first[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
	told(t, db, &mark, first[0].ID)
	deadline := time.Now().Add(20 * time.Second)
	for {
		if fromLane := claim(t, db, worker, 10); len(fromLane) == 1 {
			told(t, db, &mark, fromLane[0].ID)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the lane does not go on")
		}
	}
}

// TestNothingIsWrittenWhileNobodyWatches goes through the life of a task.
func TestNothingIsWrittenWhileNobodyWatches(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	live := func() {
		t.Helper()
		schedule(t, db, newTask(t, merchant.ID))
		settle(t, db, settlement(claim(t, db, worker, 1)[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
	}
	written := func() (n int) {
		t.Helper()
		if err := db.SQL.Get(&n, `SELECT count(*) FROM task_events`); err != nil {
			t.Fatal(err)
		}
		return n
	}
	live()
	if n := written(); n != 0 {
		t.Fatalf("%d rows are written for nobody", n)
	}
	watch(t, db)
	live()
	if n := written(); n != 3 {
		t.Fatalf("%d rows are written for three statements", n)
	}
	db.SQL.MustExec(`UPDATE event_watch SET until = now() - interval '1 second'`)
	if err := db.Store.TidyEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
	live()
	if n := written(); n != 3 {
		t.Fatalf("%d rows are written after the end of the recording", n)
	}
}

// TestTheBeginningIsComplete: a mark is given only once nobody is under way who has not seen that somebody watches.
func TestTheBeginningIsComplete(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	task := newTask(t, db.Merchant(t).ID)
	tx := db.SQL.MustBegin()
	if n, err := tx.MustExec(`
		INSERT INTO task_events (tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
		SELECT 1, 1, '{}', '{}', '{}', '{}', '{}', '{}', '{}' FROM event_watch`).RowsAffected(); err != nil || n != 0 { // as each of our statements looks
		t.Fatal(n, err)
	}
	for range 5 {
		if mark, err := db.Store.WatchTasks(t.Context()); err != nil || !mark.IsZero() {
			t.Fatalf("a mark while somebody may be writing nothing: %v, %v", mark, err)
		}
	}
	schedule(t, db, task) // holds the same locks, but has come later
	tx.MustExec(`COMMIT`)
	mark := watch(t, db)
	if read := page(t, db, &mark); len(read.Events) > 0 || read.Lost != "" {
		t.Fatalf("told what was before the mark: %+v", read)
	}
	if again := watch(t, db); again.Epoch != mark.Epoch {
		t.Error("the second who watches begins anew")
	}
}

// TestLateCommitsAreNotPassedOver keeps a transaction open across readings that see younger ones.
func TestLateCommitsAreNotPassedOver(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	mark := watch(t, db)
	late := newTask(t, merchant.ID)
	tx := db.SQL.MustBegin()
	tx.MustExec(`
		INSERT INTO task_events (tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
		VALUES (1, 1, ARRAY[$1::uuid], ARRAY[$2::uuid], '{invoice.pay}', '{in_1}', '{pending}', '{0}', ARRAY[now()])`, late.ID, merchant.ID)
	before := mark
	for range 3 { // each is told at once, though an older transaction is still open
		next := newTask(t, merchant.ID)
		schedule(t, db, next)
		told(t, db, &mark, next.ID)
	}
	tx.MustExec(`COMMIT`)
	read := page(t, db, &mark)
	if len(read.Events) != 1 || read.Events[0].ID != late.ID || read.Lost != "" {
		t.Fatalf("told %+v", read)
	}
	if read := page(t, db, &mark); len(read.Events) != 0 {
		t.Fatalf("told again: %+v", read)
	}
	whole, err := db.Store.ReadEvents(t.Context(), before, mark)
	if err != nil || len(whole.Events) != 4 || whole.Next != mark {
		t.Fatalf("from mark to mark: %+v, %v", whole, err)
	}
}

// TestTheLastChangeComesLast: two transactions change one task, and the one that began first does so last.
func TestTheLastChangeComesLast(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	task := newTask(t, merchant.ID)
	task.RunAt = time.Now().Add(time.Hour)
	schedule(t, db, task)
	mark := watch(t, db)
	event := func(status string) string {
		return fmt.Sprintf(`INSERT INTO task_events (tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
			VALUES (1, 1, '{%s}', '{%s}', '{invoice.pay}', '{in_1}', '{%s}', '{0}', ARRAY[now()])`, task.ID, merchant.ID, status)
	}
	older := db.SQL.MustBegin()
	older.MustExec(`SELECT pg_current_xact_id()`)
	db.SQL.MustExec(event("canceled"))
	older.MustExec(event("running"))
	older.MustExec(`COMMIT`)
	if read := page(t, db, &mark); len(read.Events) != 1 || read.Events[0].Status != billing.Running {
		t.Errorf("told %+v", read)
	}
}
