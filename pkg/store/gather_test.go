package store_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// held keeps new tasks from being written until release is called, and waits until somebody tries.
type held struct {
	db      *storetest.DB
	release func()
}

func hold(t *testing.T, db *storetest.DB) held {
	t.Helper()
	tx := db.SQL.MustBegin()
	t.Cleanup(func() { _ = tx.Rollback() })
	tx.MustExec(`LOCK TABLE scheduled_tasks IN SHARE MODE`)
	return held{db: db, release: sync.OnceFunc(func() { _ = tx.Rollback() })}
}

func (h held) begun(t *testing.T) {
	t.Helper()
	eventually(t, "a statement waits", func() bool {
		var waiting int
		err := h.db.SQL.Get(&waiting, `SELECT count(*) FROM pg_locks WHERE relation = 'scheduled_tasks'::regclass AND NOT granted`)
		return err == nil && waiting > 0
	})
}

type answer struct {
	created []billing.CreatedTask
	err     error
}

// post schedules single tasks, each as a caller of its own, and returns where their answers come.
func post(ctx context.Context, s *store.Store, tasks ...billing.NewTask) []chan answer {
	answers := make([]chan answer, len(tasks))
	for i, task := range tasks {
		answers[i] = make(chan answer, 1)
		go func() {
			created, err := s.CreateTasks(ctx, []billing.NewTask{task})
			answers[i] <- answer{created, err}
		}()
	}
	return answers
}

// TestSinglesOfOneMomentAreWrittenTogether: one statement writes them, each caller gets the answer to its own task, and those with
// which something is the matter spoil nobody else's.
func TestSinglesOfOneMomentAreWrittenTogether(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, gone := db.Merchant(t), db.Merchant(t)
	if _, err := db.Store.DisconnectMerchant(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	keyed := func(key string, print byte) billing.NewTask {
		task := newTask(t, merchant.ID)
		task.Key, task.Fingerprint = key, []byte{print}
		return task
	}
	first := schedule(t, db, keyed("known", 1))[0].Task
	good := make([]billing.NewTask, 20)
	for i := range good {
		good[i] = newTask(t, merchant.ID)
		good[i].Metadata = map[string]string{"place": strconv.Itoa(i)}
	}
	unknown, disconnected, late := newTask(t, billing.MerchantID(storetest.NewID(t))), newTask(t, gone.ID), newTask(t, merchant.ID)
	late.RunAt = time.Now().Add(-time.Hour)

	h := hold(t, db)
	leader := post(t.Context(), db.Store, newTask(t, merchant.ID))
	h.begun(t)
	others := slices.Concat(good, []billing.NewTask{
		keyed("twice", 1), keyed("twice", 1), keyed("known", 1), keyed("known", 2), unknown, disconnected, late,
	})
	answers := post(t.Context(), db.Store, others...)
	eventually(t, "all have come", func() bool { return db.Store.Gathered() == len(others) })
	h.release()

	if got := <-leader[0]; got.err != nil {
		t.Error(got.err)
	}
	for i, task := range good {
		got := <-answers[i]
		if got.err != nil || len(got.created) != 1 || got.created[0].Task.ID != task.ID || got.created[0].Replayed {
			t.Fatalf("task %d: %+v, %v", i, got.created, got.err)
		}
		if diff := cmp.Diff(get(t, db, task.ID), got.created[0].Task); diff != "" {
			t.Errorf("what is stored and what was answered:\n%s", diff)
		}
	}
	rest := answers[len(good):]
	a, b := <-rest[0], <-rest[1]
	if a.err != nil || b.err != nil || a.created[0].Task.ID != b.created[0].Task.ID || a.created[0].Replayed == b.created[0].Replayed {
		t.Errorf("one key twice: %+v, %+v", a, b)
	}
	if again := <-rest[2]; again.err != nil || !again.created[0].Replayed || again.created[0].Task.ID != first.ID {
		t.Errorf("a known key: %+v", again)
	}
	wantCode(t, (<-rest[3]).err, billing.CodeKeyReused)
	for i, code := range []string{"unknown_merchant", "unknown_merchant", "in_the_past"} {
		got := <-rest[4+i]
		wantCode(t, got.err, billing.CodeInvalid)
		if faults := billing.FaultsOf(got.err); len(faults) != 1 || faults[0].Code != code {
			t.Errorf("%s: %+v", code, faults)
		}
	}
	var statements int
	if err := db.SQL.Get(&statements, `SELECT count(DISTINCT xmin::text) FROM scheduled_tasks WHERE id <> $1`, first.ID); err != nil || statements != 2 {
		t.Errorf("%d transactions, %v; want one for the first and one for all others", statements, err)
	}
}

// TestACallerThatGivesUpStopsNobody: neither one whose task is being written, nor one whose task waits, which is then not written.
func TestACallerThatGivesUpStopsNobody(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t).ID
	begun, waiting, patient := newTask(t, merchant), newTask(t, merchant), newTask(t, merchant)
	h := hold(t, db)
	ctx, giveUp := context.WithCancel(t.Context())
	leader := post(ctx, db.Store, begun)
	h.begun(t)
	impatient := post(ctx, db.Store, waiting)
	other := post(t.Context(), db.Store, patient)
	eventually(t, "both have come", func() bool { return db.Store.Gathered() == 2 })
	giveUp()
	wantCode(t, (<-leader[0]).err, billing.CodeUnavailable)
	wantCode(t, (<-impatient[0]).err, billing.CodeUnavailable)
	h.release()
	if got := <-other[0]; got.err != nil {
		t.Fatal(got.err)
	}
	var ids []billing.TaskID
	if err := db.SQL.Select(&ids, `SELECT id FROM scheduled_tasks ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]billing.TaskID{begun.ID, patient.ID}, ids); diff != "" {
		t.Error(diff)
	}
}

// TestClosingWaitsForWhatHasBegun, and then takes nothing more.
func TestClosingWaitsForWhatHasBegun(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t).ID
	pool, err := store.Open(store.Options{URL: secret.New(db.URL), Name: "closing"})
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(pool, db.Vault)
	h := hold(t, db)
	ctx, giveUp := context.WithCancel(t.Context())
	leader := post(ctx, s, newTask(t, merchant))
	h.begun(t)
	giveUp()
	<-leader[0]
	closed := make(chan error, 1)
	go func() { closed <- pool.Close() }()
	eventually(t, "nothing is taken", func() bool {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.CreateTasks(ended, []billing.NewTask{newTask(t, merchant)})
		return store.Refused(err)
	})
	select {
	case err := <-closed:
		t.Fatalf("closed with a statement under way: %v", err)
	default:
	}
	h.release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	var n int
	if err := db.SQL.Get(&n, `SELECT count(*) FROM scheduled_tasks`); err != nil || n != 1 {
		t.Errorf("%d tasks, %v", n, err)
	}
}
