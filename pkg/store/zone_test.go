package store_test

import (
	"context"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// TestTimesAreInUTC: also those that the database writes into documents, in a database whose own zone is another.
func TestTimesAreInUTC(t *testing.T) {
	t.Parallel()
	plain := storetest.Open(t)
	plain.SQL.MustExec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Kathmandu''', current_database()); END $$`)
	db := storetest.OpenURL(t, plain.URL, plain.Key)
	var elsewhere bool
	if err := storetest.OpenURL(t, plain.URL, plain.Key).SQL.Get(&elsewhere, `SELECT current_setting('timezone') = 'Asia/Kathmandu'`); err != nil || !elsewhere {
		t.Fatalf("the database's zone is another: %t, %v", elsewhere, err)
	}
	ids := settledInEveryWay(t, db)
	look := func() (resolutions int) {
		for _, id := range ids {
			task := get(t, db, id)
			attempts, err := db.Store.ListAttempts(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			for name, at := range timesOf(task, attempts) {
				if at.Location() != time.UTC {
					t.Errorf("%s is in %s", name, at.Location())
				}
			}
			if task.Resolution != nil {
				resolutions++
			}
		}
		return resolutions
	}
	if n := look(); n != 1 {
		t.Fatalf("%d tasks were resolved", n)
	}
	for _, id := range ids {
		age(t, db, id, retention+time.Hour)
	}
	for archive(t, db) > 0 {
		continue
	}
	if n := look(); n != 1 {
		t.Errorf("%d archived tasks were resolved", n)
	}
}

func timesOf(task billing.Task, attempts []billing.Attempt) map[string]time.Time {
	all := map[string]time.Time{
		"run_at": task.RunAt, "scheduled_for": task.ScheduledFor, "created_at": task.CreatedAt, "updated_at": task.UpdatedAt,
	}
	for name, at := range map[string]*time.Time{
		"first_sent_at": task.FirstSentAt, "finished_at": task.FinishedAt, "waiting_since": task.WaitingSince, "look_at": task.LookAt,
	} {
		if at != nil {
			all[name] = *at
		}
	}
	if task.Resolution != nil {
		all["resolved_at"] = task.Resolution.At
	}
	for _, attempt := range attempts {
		all["started_at"], all["finished_at of an attempt"] = attempt.StartedAt, attempt.FinishedAt
	}
	return all
}
