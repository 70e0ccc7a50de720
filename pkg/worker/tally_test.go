package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// recorded is the sum of all that workers wrote.
func (r *rig) recorded(t *testing.T) billing.OutcomeCounts {
	t.Helper()
	overview, err := r.db.Store.Overview(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	sum := billing.OutcomeCounts{}
	for _, step := range overview.Outcomes {
		sum = sum.Plus(step.OutcomeCounts)
	}
	return sum
}

func (r *rig) awaitRecorded(t *testing.T, want billing.OutcomeCounts) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for r.recorded(t) != want {
		if time.Now().After(deadline) {
			t.Fatal(cmp.Diff(want, r.recorded(t)))
		}
		<-tick.C
	}
}

// TestOutcomesAreRecorded beside the heartbeat, and what is left of them when the worker ends: each attempt that was settled, once.
func TestOutcomesAreRecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	tries := atomic.Int64{}
	good, bad, doubtful, again := r.task(t, merchant.ID), r.task(t, merchant.ID), r.task(t, merchant.ID), r.task(t, merchant.ID)
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		switch {
		case claim.ID == bad:
			return billing.Answer{Outcome: billing.OutcomeRefused, Reason: billing.ReasonInvalid, Final: true, Error: &billing.StripeError{HTTPStatus: 400}}
		case claim.ID == doubtful:
			return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnexpected, Final: true, Error: &billing.StripeError{HTTPStatus: 500}}
		case claim.ID == again && tries.Add(1) < 3:
			return billing.Answer{Outcome: billing.OutcomeNotSent, Reason: billing.ReasonUnreachable, Error: &billing.StripeError{}}
		}
		return done(ctx, claim, credential)
	}
	stop := r.start(t)
	r.await(t, good, status(billing.Succeeded))
	r.await(t, bad, status(billing.Failed))
	r.await(t, doubtful, status(billing.InDoubt))
	r.await(t, again, status(billing.Succeeded))
	want := billing.OutcomeCounts{Succeeded: 2, Failed: 1, InDoubt: 1, Retried: 2}
	r.awaitRecorded(t, want) // while it runs
	r.await(t, r.task(t, merchant.ID), status(billing.Succeeded))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want.Succeeded++
	if diff := cmp.Diff(want, r.recorded(t)); diff != "" {
		t.Error(diff)
	}
}

// TestOutcomesThatCannotBeRecordedComeLater: the queue goes on meanwhile.
func TestOutcomesThatCannotBeRecordedComeLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	var failed atomic.Int64
	r.queue.records = func() error {
		if failed.Add(1) <= 2 {
			return errors.New("not now")
		}
		return nil
	}
	r.start(t)
	r.await(t, r.task(t, merchant.ID), status(billing.Succeeded))
	r.await(t, r.task(t, merchant.ID), status(billing.Succeeded))
	r.awaitRecorded(t, billing.OutcomeCounts{Succeeded: 2})
	if failed.Load() < 3 {
		t.Errorf("recorded after %d tries", failed.Load())
	}
}

// TestADrainingWorkerSaysSo for as long as it has something to end.
func TestADrainingWorkerSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	begun, end := make(chan struct{}), make(chan struct{})
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		close(begun)
		<-end
		return done(ctx, claim, credential)
	}
	stop := r.start(t)
	r.task(t, merchant.ID)
	<-begun
	look := func() []billing.WorkerStanding {
		workers, err := r.db.Store.ListWorkers(context.Background(), 10)
		if err != nil {
			t.Error(err)
		}
		return workers
	}
	if workers := look(); len(workers) != 1 || workers[0].Draining || workers[0].Busy != 1 || !workers[0].Alive {
		t.Errorf("%+v", workers)
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for workers := look(); len(workers) != 1 || !workers[0].Draining; workers = look() {
		if time.Now().After(deadline) {
			t.Errorf("%+v", workers)
			break
		}
		<-tick.C
	}
	close(end)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if workers := look(); len(workers) != 0 {
		t.Errorf("%+v", workers)
	}
}

// TestWhatIsTakenOverIsCounted by the one that takes it.
func TestWhatIsTakenOverIsCounted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	dead := billing.WorkerID(storetest.NewID(t))
	err := r.db.Store.RegisterWorker(ctx, billing.Worker{ID: dead, Hostname: "dead", PID: 1, Version: "test", Concurrency: 10, Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	id := r.task(t, merchant.ID)
	if batch, err := r.db.Store.Claim(ctx, dead, 10); err != nil || len(batch.Claims) != 1 {
		t.Fatalf("%+v, %v", batch, err)
	}
	stop := r.start(t)
	r.await(t, id, status(billing.Succeeded))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(billing.OutcomeCounts{Succeeded: 1, Retried: 1}, r.recorded(t)); diff != "" {
		t.Error(diff)
	}
}
