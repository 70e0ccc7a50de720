package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// besideArchive is a queue in which much is old enough for the archive, and as much as old but alive.
type besideArchive struct {
	db       *storetest.DB
	merchant billing.MerchantID
	worker   billing.WorkerID
	old      []billing.TaskID                  // succeeded long ago: these may go
	canceled billing.TaskID                    // long ago as well
	want     map[billing.TaskID]billing.Status // the living, and what they are in the end
}

const besideTasks = 40

func newBesideArchive(t *testing.T) *besideArchive {
	t.Helper()
	db := storetest.Open(t)
	q := &besideArchive{db: db, merchant: db.Merchant(t).ID, worker: register(t, db, time.Minute), want: map[billing.TaskID]billing.Status{}}
	objects := make([]billing.NewTask, besideTasks)
	for i := range objects {
		objects[i] = newTask(t, q.merchant)
		objects[i].Target, objects[i].Key, objects[i].Fingerprint = fmt.Sprint("in_", i), fmt.Sprint("old-", i), []byte{1}
	}
	for _, task := range schedule(t, db, objects...) {
		q.old = append(q.old, task.Task.ID)
	}
	q.drain(context.Background(), t, func(billing.TaskID) billing.Status { return billing.Succeeded })
	for _, id := range q.old {
		age(t, db, id, retention+time.Hour)
	}
	q.canceled = done(t, db, q.worker, newTask(t, q.merchant), billing.Canceled)
	age(t, db, q.canceled, retention+time.Hour)
	q.addLiving(t, objects)
	for id := range q.want {
		age(t, db, id, retention+time.Hour)
	}
	return q
}

// addLiving adds a task in doubt, a chain, a task in the hands of a worker that is lost, and at each object one that is due. These
// are to end in every way.
func (q *besideArchive) addLiving(t *testing.T, objects []billing.NewTask) {
	t.Helper()
	q.want[done(t, q.db, q.worker, newTask(t, q.merchant), billing.InDoubt)] = billing.InDoubt
	repeated := done(t, q.db, q.worker, newTask(t, q.merchant), billing.Failed)
	q.want[repeated] = billing.Failed
	lost := register(t, q.db, time.Minute)
	q.want[schedule(t, q.db, newTask(t, q.merchant))[0].Task.ID] = billing.Succeeded
	if n := len(claim(t, q.db, lost, 1)); n != 1 {
		t.Fatalf("%d claims", n)
	}
	q.db.SQL.MustExec(`DELETE FROM workers WHERE id = $1`, lost)
	repetition, err := q.db.Store.RetryTask(context.Background(), repeated, newTask(t, q.merchant))
	if err != nil {
		t.Fatal(err)
	}
	q.want[repetition.Task.ID] = billing.Succeeded
	ends := []billing.Status{billing.Succeeded, billing.Failed, billing.Pending, billing.InDoubt}
	for i, old := range objects {
		task := newTask(t, q.merchant)
		task.Target = old.Target
		q.want[schedule(t, q.db, task)[0].Task.ID] = ends[i%len(ends)]
	}
}

// drain claims whatever is due and settles it as end says, until nothing is due any more, and returns how many tasks that was.
func (q *besideArchive) drain(ctx context.Context, t *testing.T, end func(billing.TaskID) billing.Status) (settled int) {
	t.Helper()
	outcomes := map[billing.Status]billing.Outcome{
		billing.Succeeded: billing.OutcomeSucceeded, billing.Failed: billing.OutcomeRefused,
		billing.Pending: billing.OutcomeUnknown, billing.InDoubt: billing.OutcomeUnknown,
	}
	q.db.Store.Sweep()
	for open := 1; open > 0; {
		batch, err := q.db.Store.Claim(ctx, q.worker, 7)
		if err != nil {
			t.Fatalf("claim: %v", err)
		}
		var settlements []billing.Settlement
		for _, c := range batch.Claims {
			one := settlement(c, end(c.ID), outcomes[end(c.ID)], billing.ReasonNoAnswer)
			one.Delay = time.Hour
			settlements = append(settlements, one)
		}
		ids, err := q.db.Store.Settle(ctx, settlements)
		if err != nil || len(ids) != len(settlements) {
			t.Fatalf("settled %d of %d: %v", len(ids), len(settlements), err)
		}
		settled += len(ids)
		if err := q.db.SQL.GetContext(ctx, &open, `SELECT count(*) FROM scheduled_tasks 
			WHERE status = 'pending' AND scheduled_for <= now() AND (run_at <= now() OR parked_at IS NOT NULL)`); err != nil {
			t.Fatal(err)
		}
	}
	return settled
}

// TestArchivingStandsInNobodysWay: while somebody who archives has locked and moved everything that he will, and does not come to an
// end, tasks are scheduled, claimed, settled, taken over and archived by others. None of them waits, and only what is finished goes.
func TestArchivingStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]billing.Limits{
		"WithoutLimits": {}, "WithLimits": {Rate: 500, Concurrency: 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newBesideArchive(t)
			q.db.Store.Limit(limits)
			archiver := storetest.OpenURL(t, q.db.URL, q.db.Key)
			gate := q.db.GateArchive(t)
			moved := make(chan billing.Moved, 1)
			go func() {
				m, err := archiver.Store.MoveFinished(context.Background(), billing.Succeeded, time.Time{}, retention, 1000)
				if err != nil {
					t.Error(err)
				}
				moved <- m
			}()
			eventually(t, "the archiver stands before the gate", gate.Waiting)
			q.work(t)
			if !gate.Waiting() || len(moved) > 0 {
				t.Fatal("the archiver went on: the test has shown nothing")
			}
			gate.Open(t)
			if m := <-moved; m.Tasks != len(q.old) {
				t.Errorf("%d tasks were moved, want %d", m.Tasks, len(q.old))
			}
			q.check(t)
		})
	}
}

// work does all that workers and apis do, and does not wait for long.
func (q *besideArchive) work(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	fresh, err := q.db.Store.CreateTasks(ctx, many(t, q.merchant, besideTasks))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range fresh {
		q.want[task.Task.ID] = billing.Succeeded
	}
	if taken, err := q.db.Store.TakeOver(ctx, 100, time.Minute); err != nil || taken.Tasks != 1 {
		t.Errorf("%d tasks were taken over, %v", taken.Tasks, err)
	}
	settled := q.drain(ctx, t, func(id billing.TaskID) billing.Status { return q.want[id] })
	if want := len(q.want) - 2; settled != want { // one has failed before, one is in doubt
		t.Errorf("%d tasks were settled, want %d", settled, want)
	}
	for status, want := range map[billing.Status]int{billing.Succeeded: 0, billing.Failed: 0, billing.Canceled: 1} {
		if moved, err := q.db.Store.MoveFinished(ctx, status, time.Time{}, retention, 1000); err != nil || moved.Tasks != want {
			t.Errorf("another one moved %d that are %s, want %d, %v", moved.Tasks, status, want, err)
		}
	}
	if _, err := q.db.Store.MendPaces(ctx); err != nil {
		t.Error(err)
	}
}

// check finds each task in one place: those that were finished long ago in the archive, the others as they were settled.
func (q *besideArchive) check(t *testing.T) {
	t.Helper()
	for _, id := range append(q.old, q.canceled) {
		if !isArchived(t, q.db, id) {
			t.Errorf("%s is not archived", id)
		}
	}
	for id, want := range q.want {
		if isArchived(t, q.db, id) || get(t, q.db, id).Status != want {
			t.Errorf("%s is %s, archived %v, want %s", id, get(t, q.db, id).Status, isArchived(t, q.db, id), want)
		}
	}
	if again := archive(t, q.db); again != 0 {
		t.Errorf("%d tasks that ended just now were moved", again)
	}
}
