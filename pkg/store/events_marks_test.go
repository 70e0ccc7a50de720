package store_test

import (
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// TestMarksEnd: a mark from which not everything can be told any more brings a reset, and never a part.
func TestMarksEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, db *storetest.DB, mark *billing.EventMark){
		"Nowhere":       func(_ *testing.T, _ *storetest.DB, mark *billing.EventMark) { *mark = billing.EventMark{} },
		"AnotherEpoch":  func(_ *testing.T, _ *storetest.DB, mark *billing.EventMark) { mark.Epoch = "0123456789ab" },
		"FromTheFuture": func(_ *testing.T, _ *storetest.DB, mark *billing.EventMark) { mark.Snapshot = "99999999:99999999:" },
		"CrashOfServer": func(_ *testing.T, db *storetest.DB, _ *billing.EventMark) {
			db.SQL.MustExec(`TRUNCATE event_watch, task_events`)
		},
		"NobodyWatched": func(t *testing.T, db *storetest.DB, _ *billing.EventMark) { t.Helper(); lapse(t, db) },
		"WatchedAnew":   func(t *testing.T, db *storetest.DB, _ *billing.EventMark) { t.Helper(); lapse(t, db); watch(t, db) },
		"TooLongAgo":    func(t *testing.T, db *storetest.DB, _ *billing.EventMark) { t.Helper(); grow(t, db, "16 minutes", 1) },
		"TooMuchSince": func(t *testing.T, db *storetest.DB, _ *billing.EventMark) {
			t.Helper()
			grow(t, db, "1 second", 25_000)
		},
		"NotYetComplete": func(_ *testing.T, db *storetest.DB, _ *billing.EventMark) {
			db.SQL.MustExec(`UPDATE event_watch SET complete = false`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t)
			mark := watch(t, db)
			schedule(t, db, newTask(t, db.Merchant(t).ID))
			if read, err := db.Store.ReadEvents(t.Context(), mark, billing.EventMark{}); err != nil || len(read.Events) != 1 {
				t.Fatalf("told %+v, %v", read, err)
			}
			end(t, db, &mark)
			read, err := db.Store.ReadEvents(t.Context(), mark, billing.EventMark{})
			if err != nil || read.Lost != billing.ResetForgotten || len(read.Events) != 0 || !read.Next.IsZero() {
				t.Fatalf("told %+v, %v", read, err)
			}
		})
	}
}

func lapse(t *testing.T, db *storetest.DB) {
	t.Helper()
	db.SQL.MustExec(`UPDATE event_watch SET until = now() - interval '1 second'`)
	tidy(t, db)
}

func tidy(t *testing.T, db *storetest.DB) {
	t.Helper()
	if err := db.Store.TidyEvents(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// grow adds n statements' events of the given age, and tidies.
func grow(t *testing.T, db *storetest.DB, age string, n int) {
	t.Helper()
	db.SQL.MustExec(`
		INSERT INTO task_events (at, tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
		SELECT now() - $1::interval, 1, 1, ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], '{a}', '{b}', '{pending}', '{0}', ARRAY[now()]
		FROM generate_series(1, $2::int)`, age, n)
	deadline := time.Now().Add(20 * time.Second)
	for gone := false; !gone; tidy(t, db) { // what is as young as a transaction that another test has open stays
		if err := db.SQL.Get(&gone, `SELECT horizon > '0' FROM event_watch`); err != nil || time.Now().After(deadline) {
			t.Fatalf("nothing is deleted, %v", err)
		}
	}
}

// TestMarksLast: what is young stays, however often it is tidied, and so does what an open transaction may still have to add to.
func TestMarksLast(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	mark := watch(t, db)
	before := mark
	task := newTask(t, merchant.ID)
	schedule(t, db, task)
	told(t, db, &mark, task.ID)
	tidy(t, db)
	if read, err := db.Store.ReadEvents(t.Context(), before, mark); err != nil || len(read.Events) != 1 || read.Lost != "" {
		t.Fatalf("after tidying: %+v, %v", read, err)
	}
	tx := db.SQL.MustBegin()
	tx.MustExec(`SELECT pg_current_xact_id()`)
	page(t, db, &mark) // names the open transaction
	db.SQL.MustExec(`UPDATE task_events SET at = now() - interval '1 hour'`)
	next := newTask(t, merchant.ID)
	schedule(t, db, next)
	tidy(t, db)
	tx.MustExec(`COMMIT`)
	told(t, db, &mark, next.ID)
}

// TestADumpBesideTheBeginning: whoever only reads the tables, as pg_dump does for hours, does not keep the recording from beginning.
func TestADumpBesideTheBeginning(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	dump := db.SQL.MustBegin()
	defer func() { _ = dump.Rollback() }()
	dump.MustExec(`LOCK TABLE event_watch, task_events IN ACCESS SHARE MODE`)
	watch(t, db) // fails where it waits for the dump
}

// TestEventsOfAnotherServer: a dump brings them along, with the numbers of transactions that are far ahead of this server's. They are
// neither told nor kept, and the recording that stands in the dump is none.
func TestEventsOfAnotherServer(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	watch(t, db)
	db.SQL.MustExec(`UPDATE event_watch SET horizon = '8000000000000'`)
	db.SQL.MustExec(`
		INSERT INTO task_events (xact, tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
		SELECT '9000000000000', 1, 1, ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], '{a}', '{b}', '{pending}', '{0}', ARRAY[now()]
		FROM generate_series(1, 700)`)
	tidy(t, db)
	mark := watch(t, db)
	task := newTask(t, db.Merchant(t).ID)
	schedule(t, db, task)
	told(t, db, &mark, task.ID)
	var left int
	if err := db.SQL.Get(&left, `SELECT count(*) FROM task_events WHERE ids <> ARRAY[$1::uuid]`, task.ID); err != nil || left != 0 {
		t.Errorf("%d events of another server are kept, %v", left, err)
	}
}

// TestAFloodIsCounted: more than is told one by one is only counted, and costs no details from then on; afterwards each is told again.
func TestAFloodIsCounted(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	mark := watch(t, db)
	batch := func(n int) {
		t.Helper()
		tasks := make([]billing.NewTask, n)
		for i := range tasks {
			tasks[i] = newTask(t, merchant.ID)
			tasks[i].RunAt = time.Now().Add(time.Hour)
		}
		schedule(t, db, tasks...)
	}
	kept := func() (n int) {
		t.Helper()
		if err := db.SQL.Get(&n, `SELECT kept FROM task_events ORDER BY id DESC LIMIT 1`); err != nil {
			t.Fatal(err)
		}
		return n
	}
	batch(500)
	if read := page(t, db, &mark); len(read.Events) != 500 || read.Lost != "" {
		t.Fatalf("%d are told, lost %q", len(read.Events), read.Lost)
	}
	batch(300)
	batch(201)
	if read := page(t, db, &mark); len(read.Events) != 0 || read.Lost != billing.ResetTooMany {
		t.Fatalf("%d are told, lost %q", len(read.Events), read.Lost)
	}
	batch(100)
	if n := kept(); n != 1 {
		t.Errorf("%d are written in detail in a flood", n)
	}
	if read := page(t, db, &mark); read.Lost != billing.ResetTooMany {
		t.Fatalf("lost %q although only one of a hundred is known", read.Lost)
	}
	if read := page(t, db, &mark); len(read.Events) != 0 || read.Lost != "" {
		t.Fatalf("told %+v", read)
	}
	batch(100)
	if read := page(t, db, &mark); len(read.Events) != 100 || read.Lost != "" || kept() != 100 {
		t.Fatalf("after the flood %d are told, lost %q", len(read.Events), read.Lost)
	}
}

// TestMarksAreSnapshots: what is read as a mark, PostgreSQL reads too, and as the same.
func TestMarksAreSnapshots(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	for _, text := range []string{"1:1:", "1:2:1", "100:107:100,103,106", "9223372036854775806:9223372036854775807:", "1:9223372036854775807:5"} {
		mark, err := billing.ParseEventMark("0123456789ab." + text)
		if err != nil {
			t.Error(err)
			continue
		}
		var read string
		if err := db.SQL.Get(&read, `SELECT $1::pg_snapshot::text`, mark.Snapshot); err != nil || read != text {
			t.Errorf("%q is read as %q, %v", text, read, err)
		}
		if _, err := db.Store.ReadEvents(t.Context(), mark, billing.EventMark{}); err != nil {
			t.Error(err)
		}
	}
}

// TestEventsOfAnotherServerAreForgotten: a dump that was made while somebody watched brings events of transactions which this server
// will have in years. They are told at most until the first tidying, and do not keep later ones from being told.
func TestEventsOfAnotherServerAreForgotten(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	watch(t, db)
	db.SQL.MustExec(`UPDATE event_watch SET horizon = '8000000000000'`)
	db.SQL.MustExec(`
		INSERT INTO task_events (xact, tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
		SELECT '9000000000000', 1, 1, ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], '{a}', '{b}', '{pending}', '{0}', ARRAY[now()]`)
	tidy(t, db)
	mark := watch(t, db)
	task := newTask(t, merchant.ID)
	schedule(t, db, task)
	told(t, db, &mark, task.ID)
}
