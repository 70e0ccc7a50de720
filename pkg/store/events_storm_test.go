package store_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// TestNoChangeIsMissedInAStorm lets several processes schedule, claim, settle, give back and cancel at once, with transactions that
// commit late, while two readers follow, one of which comes back from marks of its own: after every reading each knows of each task the
// status that the database had, and nothing is told twice.
func TestNoChangeIsMissedInAStorm(t *testing.T) {
	t.Parallel()
	const tasks, writers = 300, 4
	db := storetest.Open(t)
	// A row of the events is followed by a wait before its transaction commits, now and then.
	db.SQL.MustExec(`
		CREATE FUNCTION tarry() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF random() < 0.3 THEN PERFORM pg_sleep(random() * 0.03); END IF;
			RETURN NULL;
		END $$;
		CREATE TRIGGER tarry AFTER INSERT ON task_events FOR EACH STATEMENT EXECUTE FUNCTION tarry()`)
	merchant := db.Merchant(t)
	mark := watch(t, db)
	var storm sync.WaitGroup
	for range writers {
		storm.Go(func() { storming(t, db, merchant.ID, tasks/writers) })
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		storm.Wait()
	}()
	steady, returning := newFollower(t, db, mark), newFollower(t, db, mark)
	for over := false; !over; {
		select {
		case <-ended:
			over = true // and read once more
		default:
		}
		steady.read(billing.EventMark{})
		if rand.N(4) == 0 || over {
			returning.read(steady.mark) // over several of the other's readings at once
		}
	}
	var rows []struct {
		ID      billing.TaskID `db:"id"`
		Status  billing.Status `db:"status"`
		Attempt int            `db:"attempt"`
	}
	if err := db.SQL.Select(&rows, `SELECT id, status, attempt - released - looks AS attempt FROM scheduled_tasks`); err != nil || len(rows) != tasks {
		t.Fatal(len(rows), err)
	}
	for _, follower := range []*follower{steady, returning} {
		for _, row := range rows {
			if last := follower.last[row.ID]; last.Status != row.Status || last.Attempt != row.Attempt {
				t.Errorf("task %s is %s (%d), and was last told as %q (%d)", row.ID, row.Status, row.Attempt, last.Status, last.Attempt)
			}
		}
	}
	t.Logf("%d and %d events of %d tasks", steady.n, returning.n, tasks)
}

// follower reads events as a client does.
type follower struct {
	t    *testing.T
	db   *storetest.DB
	mark billing.EventMark
	last map[billing.TaskID]billing.TaskEvent
	n    int
}

func newFollower(t *testing.T, db *storetest.DB, mark billing.EventMark) *follower {
	t.Helper()
	return &follower{t: t, db: db, mark: mark, last: map[billing.TaskID]billing.TaskEvent{}}
}

func (f *follower) read(upTo billing.EventMark) {
	f.t.Helper()
	read, err := f.db.Store.ReadEvents(f.t.Context(), f.mark, upTo)
	if err != nil || read.Lost != "" {
		f.t.Fatalf("lost %q, %v", read.Lost, err)
	}
	f.mark = read.Next
	for _, event := range read.Events {
		if before, ok := f.last[event.ID]; ok && (before == event || before.Status.Terminal()) {
			f.t.Errorf("task %s is told twice: %+v after %+v", event.ID, event, before)
		}
		f.last[event.ID] = event
		f.n++
	}
}

// storming is one process: it schedules n tasks one by one and works on whatever it gets.
func storming(t *testing.T, db *storetest.DB, merchant billing.MerchantID, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pool, err := store.Open(store.Options{URL: secret.New(db.URL), MaxConns: 5})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = pool.Close() }()
	s, worker := store.New(pool, db.Vault), billing.WorkerID(storetest.NewID(t))
	if err := s.RegisterWorker(ctx, billing.Worker{ID: worker, Hostname: "h", Concurrency: 10, Lease: time.Minute}); err != nil {
		t.Error(err)
		return
	}
	for left := n; ctx.Err() == nil; {
		if left > 0 {
			left--
			task := newTask(t, merchant)
			if _, err := s.CreateTasks(ctx, []billing.NewTask{task}); err != nil {
				t.Error(err)
				return
			}
			if rand.N(10) == 0 {
				_, _ = s.CancelTask(ctx, task.ID) // unless somebody has begun it
			}
		}
		batch, err := s.Claim(ctx, worker, 1+rand.N(8))
		if err != nil {
			t.Error(err)
			return
		}
		if len(batch.Claims) == 0 && left == 0 {
			return
		}
		if rand.N(5) == 0 {
			err = s.Release(ctx, batch.Claims)
		} else {
			_, err = s.Settle(ctx, settlements(batch.Claims))
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func settlements(claims []billing.Claim) []billing.Settlement {
	made := make([]billing.Settlement, len(claims))
	for i, c := range claims {
		s := billing.Settlement{ID: c.ID, Worker: c.Worker, Attempt: c.Attempt, ClaimedAt: c.ClaimedAt, Status: billing.Succeeded}
		s.Answer = billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone, Result: &billing.Result{Object: "invoice", ID: "in_1"}}
		switch rand.N(4) {
		case 0:
			s.Status, s.Answer = billing.Pending, billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer}
		case 1:
			s.Status, s.Answer = billing.Failed, billing.Answer{
				Outcome: billing.OutcomeRefused, Reason: billing.ReasonInvalid, Error: &billing.StripeError{HTTPStatus: 400},
			}
		}
		made[i] = s
	}
	return made
}
