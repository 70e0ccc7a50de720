package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

const retention = 400 * 24 * time.Hour

// age makes a task and all that belongs to it older, as time would.
func age(t testing.TB, db *storetest.DB, id billing.TaskID, by time.Duration) {
	t.Helper()
	db.SQL.MustExec(`
		UPDATE scheduled_tasks SET run_at = run_at - make_interval(secs => $2), scheduled_for = scheduled_for - make_interval(secs => $2),
			created_at = created_at - make_interval(secs => $2), updated_at = updated_at - make_interval(secs => $2),
			first_sent_at = first_sent_at - make_interval(secs => $2), finished_at = finished_at - make_interval(secs => $2)
		WHERE id = $1`, id, by.Seconds())
}

// archive moves what is old enough, as a worker's pass does, and returns how many tasks that was.
func archive(t testing.TB, db *storetest.DB) int {
	t.Helper()
	total := 0
	for _, status := range []billing.Status{billing.Succeeded, billing.Failed, billing.Canceled} {
		moved, err := db.Store.MoveFinished(context.Background(), status, time.Time{}, retention, 1000)
		if err != nil {
			t.Fatal(err)
		}
		total += moved.Tasks
	}
	return total
}

// isArchived reports whether a task is in the archive; being in both places or in none is a fault.
func isArchived(t testing.TB, db *storetest.DB, id billing.TaskID) bool {
	t.Helper()
	var living, archived bool
	err := db.SQL.QueryRow(`SELECT EXISTS (SELECT 1 FROM scheduled_tasks WHERE id = $1), EXISTS (SELECT 1 FROM archived_tasks WHERE id = $1)`, id).
		Scan(&living, &archived)
	if err != nil || living == archived {
		t.Fatalf("living %v, archived %v, %v", living, archived, err)
	}
	return archived
}

// done schedules a task and settles it.
func done(t testing.TB, db *storetest.DB, worker billing.WorkerID, task billing.NewTask, status billing.Status) billing.TaskID {
	t.Helper()
	id := schedule(t, db, task)[0].Task.ID
	switch status {
	case billing.Pending:
		return id
	case billing.Canceled:
		if _, err := db.Store.CancelTask(context.Background(), id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, c := range claim(t, db, worker, 10) {
		switch status {
		case billing.Succeeded:
			settle(t, db, settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
		case billing.Failed:
			settle(t, db, settlement(c, billing.Failed, billing.OutcomeRefused, billing.ReasonInvalid))
		case billing.InDoubt:
			settle(t, db, settlement(c, billing.InDoubt, billing.OutcomeUnknown, billing.ReasonNoAnswer))
		}
	}
	if got := get(t, db, id).Status; got != status {
		t.Fatalf("the task is %s, want %s", got, status)
	}
	return id
}

// TestWhatIsArchived: age alone decides, and only about tasks that are finished.
func TestWhatIsArchived(t *testing.T) {
	t.Parallel()
	const more, less = retention + time.Minute, retention - time.Minute
	for name, tc := range map[string]struct {
		status billing.Status
		age    time.Duration
		set    string // what else is unusual
		want   bool
	}{
		"OldSucceeded":              {status: billing.Succeeded, age: more, want: true},
		"OldFailed":                 {status: billing.Failed, age: more, want: true},
		"OldCanceled":               {status: billing.Canceled, age: more, want: true},
		"YoungSucceeded":            {status: billing.Succeeded, age: less},
		"YoungFailed":               {status: billing.Failed, age: less},
		"YoungCanceled":             {status: billing.Canceled, age: less},
		"OldPending":                {status: billing.Pending, age: more},
		"OldRunning":                {status: billing.Running, age: more},
		"OldInDoubt":                {status: billing.InDoubt, age: more},
		"ResolvedLate":              {status: billing.Succeeded, age: more, set: `finished_at = now() - interval '1 hour'`},
		"CanceledBeforeItsTimeCame": {status: billing.Canceled, age: more, set: `run_at = now() + interval '1 day'`},
		"CanceledBeforeALateTime":   {status: billing.Canceled, age: more, set: `run_at = now() - interval '300 days'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t)
			id := done(t, db, register(t, db, time.Minute), newTask(t, db.Merchant(t).ID), tc.status)
			age(t, db, id, tc.age)
			if tc.set != "" {
				db.SQL.MustExec(`UPDATE scheduled_tasks SET `+tc.set+` WHERE id = $1`, id)
			}
			moved := archive(t, db)
			if got := isArchived(t, db, id); got != tc.want || moved != map[bool]int{true: 1}[tc.want] {
				t.Errorf("archived %v (%d moved), want %v", got, moved, tc.want)
			}
			if again := archive(t, db); again != 0 {
				t.Errorf("%d moved again", again)
			}
		})
	}
	t.Run("StatusesThatAreNotFinishedAreRefused", func(t *testing.T) {
		t.Parallel()
		db := storetest.Open(t)
		for _, status := range billing.Statuses() {
			_, err := db.Store.MoveFinished(context.Background(), status, time.Time{}, retention, 10)
			if (err == nil) != status.Terminal() {
				t.Errorf("%s: %v", status, err)
			}
		}
	})
}

// settledInEveryWay makes tasks that have everything a task can have, all of them finished, and returns their ids.
func settledInEveryWay(t *testing.T, db *storetest.DB) []billing.TaskID {
	t.Helper()
	ctx := context.Background()
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	rich := wanting(t, merchant.ID, renewal)
	rich.Key, rich.Fingerprint = "once", []byte{1}
	rich.Metadata = map[string]string{"note": "a \"b\" <c> ü"}
	rich.Params = []byte(`{"z": 1.10, "a": [null, {"b": true}], "long": 12345678901234567890}`)
	rich.OnDecline = &billing.Dunning{RetryAfter: []time.Duration{time.Hour}, StopCodes: []string{"x"}}
	ids := []billing.TaskID{done(t, db, worker, rich, billing.Succeeded), done(t, db, worker, newTask(t, merchant.ID), billing.Canceled)}

	failed := done(t, db, worker, newTask(t, merchant.ID), billing.Failed)
	next := newTask(t, merchant.ID)
	if _, err := db.Store.RetryTask(ctx, failed, next); err != nil {
		t.Fatal(err)
	}
	settle(t, db, settlement(claim(t, db, worker, 10)[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))

	doubtful := doubted(t, db)
	if _, err := db.Store.SettleLook(ctx, billing.LookSettlement{Doubt: doubtful, Status: billing.InDoubt, NextIn: time.Hour, Finding: billing.Finding{
		Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Error: &billing.StripeError{Message: "nothing"},
		Evidence: []billing.Evidence{{Source: "events", HTTPStatus: 200, RequestID: "req_9", Note: "nothing"}},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Store.ResolveTask(ctx, doubtful.ID, billing.Resolution{Outcome: billing.Failed, Note: "looked", RequestID: "r"}); err != nil {
		t.Fatal(err)
	}
	return append(ids, failed, next.ID, doubtful.ID)
}

// TestArchivingLosesNothing: what the API shows of a task is the same before and after.
func TestArchivingLosesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	ids := settledInEveryWay(t, db)
	type shown struct {
		Task     billing.Task
		Attempts []billing.Attempt
		Chain    []billing.Task
	}
	show := func() map[billing.TaskID]shown {
		all := map[billing.TaskID]shown{}
		for _, id := range ids {
			attempts, err := db.Store.ListAttempts(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := db.Store.ListChain(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			all[id] = shown{get(t, db, id), attempts, chain}
		}
		return all
	}
	for _, id := range ids {
		age(t, db, id, retention+time.Hour)
	}
	before := show()
	for passes := 0; archive(t, db) > 0; passes++ {
		if diff := cmp.Diff(before, show()); diff != "" {
			t.Fatalf("after pass %d:\n%s", passes, diff)
		}
	}
	for _, id := range ids {
		if !isArchived(t, db, id) {
			t.Errorf("task %+v is not archived", get(t, db, id))
		}
	}
	var left int
	if err := db.SQL.Get(&left, `SELECT (SELECT count(*) FROM scheduled_tasks) + (SELECT count(*) FROM task_attempts)
		+ (SELECT count(*) FROM task_resolutions) + (SELECT count(*) FROM task_keys)`); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
	var key, body string
	if err := db.SQL.QueryRow(`SELECT document->>'key', document->'task'->>'request_path' FROM archived_tasks WHERE id = $1`, ids[0]).
		Scan(&key, &body); err != nil || key != "once" || body == "" {
		t.Errorf("key %q, path %q, %v", key, body, err)
	}
}

// TestMigratingDownBringsArchivedTasksBack: rows, attempts and resolutions; only callers' keys stay forgotten.
func TestMigratingDownBringsArchivedTasksBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	for _, id := range settledInEveryWay(t, db) {
		age(t, db, id, retention+time.Hour)
	}
	rows := func() (all []string) {
		t.Helper()
		if err := db.SQL.Select(&all, `
			SELECT (to_jsonb(t) - 'parked_at' - 'created_by' - 'trace_context')::text FROM scheduled_tasks AS t -- later migrations'
			UNION ALL SELECT to_jsonb(a)::text FROM attempts AS a
			UNION ALL SELECT to_jsonb(r)::text FROM task_resolutions AS r ORDER BY 1`); err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := rows()
	for archive(t, db) > 0 {
	}
	if left := rows(); len(left) != 0 {
		t.Fatalf("not archived: %v", left)
	}
	provider, err := openAgain(t, db).Migrations()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = provider.Close() }()
	if _, err := provider.DownTo(ctx, 4); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, rows()); diff != "" {
		t.Error(diff)
	}
	if _, err := provider.Up(ctx); err != nil {
		t.Fatal(err)
	}
	for archive(t, db) > 0 {
	}
	if left := rows(); len(left) != 0 {
		t.Errorf("not archived the second time: %v", left)
	}
}

// TestChainsAreArchivedFromTheirEnd: a task that another one repeats stays until that one has gone.
func TestChainsAreArchivedFromTheirEnd(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	first := done(t, db, worker, newTask(t, merchant.ID), billing.Failed)
	age(t, db, first, 2*retention)
	second := newTask(t, merchant.ID)
	if _, err := db.Store.RetryTask(ctx, first, second); err != nil {
		t.Fatal(err)
	}
	for _, status := range []billing.Status{billing.Pending, billing.Succeeded} {
		if status == billing.Succeeded {
			settle(t, db, settlement(claim(t, db, worker, 1)[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
		}
		if moved := archive(t, db); moved != 0 || isArchived(t, db, first) {
			t.Fatalf("%d moved though the repetition is %s", moved, status)
		}
	}
	age(t, db, second.ID, retention+time.Hour)
	if moved, err := db.Store.MoveFinished(ctx, billing.Succeeded, time.Time{}, retention, 10); err != nil || moved.Tasks != 1 || !isArchived(t, db, second.ID) {
		t.Fatalf("%+v, %v", moved, err)
	}
	// Between the two moves the first one is there without its repetition, and must not be repeated once more.
	again, err := db.Store.RetryTask(ctx, first, newTask(t, merchant.ID))
	if err != nil || !again.Replayed || again.Task.ID != second.ID {
		t.Errorf("%+v, %v", again, err)
	}
	if got := get(t, db, first).RetriedBy; got != second.ID {
		t.Errorf("retried by %q", got)
	}
	if chain, err := db.Store.ListChain(ctx, first); err != nil || len(chain) != 2 || chain[0].ID != first || chain[1].ID != second.ID {
		t.Errorf("%+v, %v", chain, err)
	}
	archive(t, db)
	if !isArchived(t, db, first) {
		t.Error("the first one stays")
	}
	_, err = db.Store.RetryTask(ctx, first, newTask(t, merchant.ID))
	wantCode(t, err, billing.CodeConflict)
	_, err = db.Store.CancelTask(ctx, first)
	wantCode(t, err, billing.CodeConflict)
	_, err = db.Store.RetryTask(ctx, billing.TaskID(storetest.NewID(t)), newTask(t, merchant.ID))
	wantCode(t, err, billing.CodeNotFound)
}

// openAgain opens the test's database once more, for migrations, which close what they are given.
func openAgain(t *testing.T, db *storetest.DB) *store.DB {
	t.Helper()
	return storetest.OpenURL(t, db.URL, newKey(t)).DB
}

// TestManyMoversBesideTheQueue: whatever runs at the same time, each task is in one place and nothing fails.
func TestManyMoversBesideTheQueue(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	const tasks = 400
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at, finished_at, first_sent_at, sent_auth, sent_account)
		SELECT gen_random_uuid(), $1, 'invoice.pay', 'failed', at, at, at, 'token', 'a'
		FROM generate_series(1, $2::int) AS n, LATERAL (SELECT now() - interval '500 days' + n % 20 * interval '1 second' AS at) AS old`, merchant.ID, tasks)
	var total, retried int
	var mu sync.Mutex
	var movers, others sync.WaitGroup
	for range 4 {
		movers.Go(func() {
			for from := (time.Time{}); ; {
				moved, err := db.Store.MoveFinished(ctx, billing.Failed, from, retention, 25)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				total += moved.Tasks
				mu.Unlock()
				if moved.Tasks < 25 {
					return
				}
				from = moved.Last
			}
		})
	}
	others.Go(func() { // somebody retries old tasks, in the very moment in which they move
		var ids []billing.TaskID
		if err := db.SQL.Select(&ids, `SELECT id FROM scheduled_tasks WHERE status = 'failed' ORDER BY run_at DESC LIMIT 50`); err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			_, err := db.Store.RetryTask(ctx, id, newTask(t, merchant.ID))
			if err == nil {
				retried++
			} else if billing.CodeOf(err) != billing.CodeConflict {
				t.Error(err)
			}
		}
	})
	others.Go(func() {
		for range 20 {
			schedule(t, db, newTask(t, merchant.ID))
			for _, c := range claim(t, db, worker, 5) {
				settle(t, db, settlement(c, billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone))
			}
		}
	})
	movers.Wait()
	others.Wait()
	var archived, old int
	if err := db.SQL.QueryRow(`SELECT (SELECT count(*) FROM archived_tasks), (SELECT count(*) FROM scheduled_tasks WHERE run_at < now() - interval '1 year')`).
		Scan(&archived, &old); err != nil {
		t.Fatal(err)
	}
	if archived != total || archived+old != tasks || old > retried {
		t.Errorf("%d archived, %d moved, %d left of which %d were retried", archived, total, old, retried)
	}
}
