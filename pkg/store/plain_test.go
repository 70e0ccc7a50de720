package store_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// TestBothWaysWriteTheSame: a task that is scheduled in the fast way is stored, key and all, as the careful way stores it.
func TestBothWaysWriteTheSame(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t).ID
	later := time.Now().Add(48 * time.Hour)
	for name, change := range map[string]func(*billing.NewTask){
		"Due":      func(*billing.NewTask) {},
		"Later":    func(task *billing.NewTask) { task.RunAt = later },
		"JustPast": func(task *billing.NewTask) { task.RunAt = time.Now().Add(-30 * time.Second) },
		"Keyed":    func(task *billing.NewTask) { task.Fingerprint = []byte{0, 1, 0xff} },
		"Actor":    func(task *billing.NewTask) { task.CreatedBy = "ADMIN_API_KEY 10.0.0.1 r-1" },
		"Texts": func(task *billing.NewTask) {
			task.Params = json.RawMessage(`{"a": "é\\\" ,{}", "n": 1.50, "list": [null, true]}`)
			task.Metadata = map[string]string{"näme": `"va,l}ue\`, "empty": ""}
			task.Request.Body, task.MaxAttempts = `a=%7B&b="{,}\`, 1000
		},
		"Dunning": func(task *billing.NewTask) {
			task.OnDecline = &billing.Dunning{RetryAfter: []time.Duration{time.Hour}, StopCodes: []string{"lost_card"}}
		},
	} {
		for _, size := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s%d", name, size), func(t *testing.T) {
				t.Parallel()
				make := func(way string) (tasks []billing.NewTask) {
					for i := range size {
						task := newTask(t, merchant)
						task.Target, task.Metadata = fmt.Sprintf("in_%d", i), map[string]string{}
						change(&task)
						if task.Fingerprint != nil {
							task.Key = fmt.Sprint(way, size, i)
						}
						tasks = append(tasks, task)
					}
					return tasks
				}
				fast, careful := make("fast"), make("careful")
				created, err := db.Store.CreatePlain(t.Context(), fast)
				if err != nil || len(created) != size {
					t.Fatalf("the fast way: %v, %v", created, err)
				}
				other, err := db.Store.CreateCarefully(t.Context(), careful)
				if err != nil {
					t.Fatal(err)
				}
				for i := range size {
					if diff := cmp.Diff(get(t, db, fast[i].ID), created[i].Task); diff != "" {
						t.Errorf("stored and answered:\n%s", diff)
					}
					if diff := cmp.Diff(stored(t, db, other[i].Task), stored(t, db, created[i].Task)); diff != "" {
						t.Errorf("the two ways:\n%s", diff)
					}
				}
			})
		}
	}
}

// stored is all that the database has of a task, without what differs from task to task, and with times relative to its creation.
func stored(t *testing.T, db *storetest.DB, task billing.Task) string {
	t.Helper()
	var text string
	if err := db.SQL.Get(&text, `
		SELECT jsonb_pretty(to_jsonb(t) - '{id,created_at,updated_at,run_at,scheduled_for}'::text[] || jsonb_build_object(
			'key', to_jsonb(k) - '{key,task_id,scheduled_for,run_at}'::text[], 'key times', k.run_at = $2 AND k.scheduled_for = $3,
			'times', t.updated_at = t.created_at AND t.scheduled_for = $3, 'moved', t.run_at >= $2 AND t.run_at < $2 + interval '1 millisecond'))
		FROM scheduled_tasks AS t LEFT JOIN task_keys AS k ON k.task_id = t.id WHERE t.id = $1`,
		task.ID, task.RunAt, task.ScheduledFor); err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAPlainBatchIsWrittenWholeOrNotAtAll: with anything the matter with one of its tasks, nothing of it is there, and the careful
// way finds the connection that it left in order.
func TestAPlainBatchIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t).ID
	known := newTask(t, merchant)
	known.Key, known.Fingerprint = "known", []byte{1}
	schedule(t, db, known)
	for name, spoil := range map[string]func(*billing.NewTask){
		"Merchant": func(task *billing.NewTask) { task.MerchantID = billing.MerchantID(storetest.NewID(t)) },
		"Late":     func(task *billing.NewTask) { task.RunAt = time.Now().Add(-time.Hour) },
		"Far":      func(task *billing.NewTask) { task.RunAt = time.Now().AddDate(11, 0, 0) },
		"Key":      func(task *billing.NewTask) { task.Key, task.Fingerprint = "known", []byte{1} },
		"Attempts": func(task *billing.NewTask) { task.MaxAttempts = 1001 }, // refused by a constraint
		"Params":   func(task *billing.NewTask) { task.Params = json.RawMessage(`{`) },
		"Id":       func(task *billing.NewTask) { task.ID = known.ID },
		"NoUUID":   func(task *billing.NewTask) { task.ID = "no id" },
	} {
		tasks := []billing.NewTask{newTask(t, merchant), newTask(t, merchant), newTask(t, merchant)}
		spoil(&tasks[1])
		for range 3 {
			created, err := db.Store.CreatePlain(t.Context(), tasks)
			if err != nil || created != nil {
				t.Errorf("%s: %v, %v", name, created, err)
			}
		}
		if created, err := db.Store.CreatePlain(t.Context(), tasks[1:2]); err != nil || created != nil {
			t.Errorf("%s alone: %v, %v", name, created, err)
		}
	}
	var n int
	if err := db.SQL.Get(&n, `SELECT count(*) FROM scheduled_tasks`); err != nil || n != 1 {
		t.Errorf("%d tasks, %v", n, err)
	}
	schedule(t, db, newTask(t, merchant), newTask(t, merchant))
}

// TestWhatForeignKeysGuardedIsGuarded: no merchant can go, and a key goes with its task.
func TestWhatForeignKeysGuardedIsGuarded(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	task := newTask(t, db.Merchant(t).ID)
	task.Key, task.Fingerprint = "key", []byte{1}
	schedule(t, db, task)
	if _, err := db.SQL.Exec(`DELETE FROM merchants`); err == nil {
		t.Error("a merchant was deleted")
	}
	db.SQL.MustExec(`DELETE FROM scheduled_tasks`)
	var keys int
	if err := db.SQL.Get(&keys, `SELECT count(*) FROM task_keys`); err != nil || keys != 0 {
		t.Errorf("%d keys, %v", keys, err)
	}
}
