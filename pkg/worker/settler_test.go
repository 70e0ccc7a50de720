package worker_test

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"billonce/pkg/billing"
)

// TestAnOutcomeIsKeptUntilItCanBeWritten: a database that refuses for a while, whatever it says, has not refused what was found out.
func TestAnOutcomeIsKeptUntilItCanBeWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.task(t, r.db.Merchant(t).ID)
	var tries atomic.Int64
	r.queue.settles = func([]billing.Settlement) error {
		if tries.Add(1) < 4 {
			return &billing.Error{Code: billing.CodeInternal, Err: errors.New("pq: permission denied")}
		}
		return nil
	}
	r.start(t)
	task := r.await(t, id, func(task billing.Task) bool { return task.Status != billing.Pending && task.Status != billing.Running })
	if task.Status != billing.Succeeded || task.Result == nil || tries.Load() < 4 || r.gateway.sent(id) != 1 {
		t.Errorf("%s after %d tries to write it", task.Status, tries.Load())
	}
}

// TestOneSettlementThatCannotBeWrittenHoldsBackNoOther: it is put in doubt with nothing but its reason.
func TestOneSettlementThatCannotBeWrittenHoldsBackNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	bad, good := r.task(t, merchant.ID), r.task(t, merchant.ID)
	r.queue.settles = func(settlements []billing.Settlement) error {
		for _, one := range settlements {
			if one.ID == bad && one.Status != billing.InDoubt {
				return &billing.Error{Code: billing.CodeInternal, Err: fmt.Errorf("%w: pq: a zero byte", billing.ErrContent)}
			}
		}
		return nil
	}
	r.start(t)
	r.await(t, good, status(billing.Succeeded))
	r.await(t, bad, status(billing.InDoubt))
}

// TestASettlementThatIsDeniedHoldsBackNoOther: it is kept, with all that is known, until somebody grants what is lacking.
func TestASettlementThatIsDeniedHoldsBackNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	lacking := map[billing.TaskID]bool{r.task(t, merchant.ID): true, r.task(t, merchant.ID): true}
	first := r.task(t, merchant.ID)
	var granted atomic.Bool
	r.queue.settles = func(settlements []billing.Settlement) error {
		for _, one := range settlements {
			if lacking[one.ID] && !granted.Load() {
				return &billing.Error{Code: billing.CodeUnavailable, Err: fmt.Errorf("%w: pq: permission denied", billing.ErrDenied)}
			}
		}
		return nil
	}
	r.start(t)
	r.await(t, first, status(billing.Succeeded))
	r.await(t, first, func(billing.Task) bool {
		return r.log.count(slog.LevelError, "settlements put aside are still not written", `"tasks":2`) > 1
	})
	r.await(t, r.task(t, merchant.ID), status(billing.Succeeded)) // what comes later as well
	for id := range lacking {
		if task := r.get(t, id); task.Status != billing.Running {
			t.Errorf("a task that cannot be settled is %s", task.Status)
		}
	}
	granted.Store(true)
	for id := range lacking {
		if task := r.await(t, id, status(billing.Succeeded)); task.Result == nil || r.gateway.sent(id) != 1 {
			t.Errorf("sent %d times, result %v", r.gateway.sent(id), task.Result)
		}
	}
	if r.metrics.lost.Load() != 0 {
		t.Error("a settlement counts as lost")
	}
}

// TestAWorkerThatIsDeniedStopsAllTheSame: what it could not write goes to another worker, under the same key.
func TestAWorkerThatIsDeniedStopsAllTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.task(t, r.db.Merchant(t).ID)
	r.queue.settles = func([]billing.Settlement) error { return billing.ErrDenied }
	stop := r.start(t)
	r.await(t, id, func(billing.Task) bool {
		return r.log.count(slog.LevelError, "settlements not written", string(id)) > 0
	})
	_ = stop() // it says that it has cut something short, or not
	if task := r.get(t, id); task.Status != billing.Running {
		t.Errorf("the task is %s", task.Status)
	}
	r.queue.settles = nil
	r.start(t)
	r.await(t, id, status(billing.Succeeded))
}

// TestATaskThatIsTakenOverForTheLastTimeIsToldOf: the dead worker cannot say that it left a doubt.
func TestATaskThatIsTakenOverForTheLastTimeIsToldOf(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	id := r.task(t, merchant.ID)
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'running', attempt = 1, max_attempts = 1, worker_id = $1, claimed_at = now(),
		first_sent_at = now(), sent_auth = 'token', sent_account = $2`, "0192f5a0-7b1c-7def-8a2b-0123456789ab", merchant.StripeConnectID)
	r.start(t)
	r.await(t, id, func(task billing.Task) bool {
		return task.Status == billing.InDoubt && r.log.count(slog.LevelError, "task in doubt", string(id), "worker_lost") == 1
	})
}

// TestWhatOneTryHasWrittenIsNotLostInTheNext: a batch is two statements at times, and the second one may fail alone.
func TestWhatOneTryHasWrittenIsNotLostInTheNext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.task(t, r.db.Merchant(t).ID)
	var tries atomic.Int64
	r.queue.half = func() error {
		if tries.Add(1) == 1 {
			return errors.New("the second statement failed")
		}
		return nil
	}
	r.start(t)
	r.await(t, id, func(billing.Task) bool { return r.log.count(slog.LevelInfo, "task succeeded", string(id)) == 1 })
	if n := len(r.metrics.seen(billing.Succeeded)); n != 1 {
		t.Errorf("the task counts %d times", n)
	}
	if r.metrics.lost.Load() != 0 || r.log.count(slog.LevelWarn, "attempt discarded", string(id)) != 0 {
		t.Error("what was written counts as lost")
	}
}
