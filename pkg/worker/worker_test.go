package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/worker"
)

func TestATaskIsSentOnceAndSettled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		if credential.Token.Reveal() != "sk_test_"+merchant.StripeConnectID || credential.Account != merchant.StripeConnectID {
			t.Error("the credential is not the merchant's")
		}
		var marked bool
		if err := r.db.SQL.Get(&marked, `SELECT first_sent_at IS NOT NULL FROM scheduled_tasks WHERE id = $1`, claim.ID); err != nil || !marked {
			t.Errorf("sent before the database knew: %v", err)
		}
		return done(ctx, claim, credential)
	}
	id := r.task(t, merchant.ID)
	stop := r.start(t)
	task := r.await(t, id, status(billing.Succeeded))
	if task.Result.RequestID != "req_1" || task.Attempt != 1 || r.gateway.sent(id) != 1 {
		t.Errorf("%+v, sent %d times", task, r.gateway.sent(id))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	var workers int
	if err := r.db.SQL.Get(&workers, `SELECT count(*) FROM workers`); err != nil || workers != 0 {
		t.Errorf("%d workers are still listed, %v", workers, err)
	}
}

func TestUnknownIsSentAgainAndStays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.task(t, r.db.Merchant(t).ID)
	var attempt atomic.Int64
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		switch attempt.Add(1) {
		case 1:
			return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer}
		case 2, 3:
			if !claim.Resend {
				t.Error("a re-send is not marked as one")
			}
			return billing.Answer{Outcome: billing.OutcomeNotSent, Reason: billing.ReasonUnreachable}
		}
		return done(ctx, claim, credential)
	}
	r.start(t)
	task := r.await(t, id, status(billing.Succeeded))
	attempts, err := r.db.Store.ListAttempts(context.Background(), id)
	if err != nil || len(attempts) != 4 || task.Attempt != 4 || attempts[1].Outcome != billing.OutcomeUnknown {
		t.Errorf("%+v, %v", attempts, err)
	}
}

func TestAttemptsRunOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		outcome billing.Outcome
		reason  billing.Reason
		want    billing.Status
	}{
		"NeverSentIsFailed":  {billing.OutcomeNotSent, billing.ReasonUnreachable, billing.Failed},
		"UnknownIsInDoubt":   {billing.OutcomeUnknown, billing.ReasonServerError, billing.InDoubt},
		"RefusedFailsAtOnce": {billing.OutcomeRefused, billing.ReasonDeclined, billing.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			id := r.task(t, r.db.Merchant(t).ID)
			r.db.SQL.MustExec(`UPDATE scheduled_tasks SET max_attempts = 3`)
			r.gateway.answer = func(context.Context, billing.Claim, billing.Credential) billing.Answer {
				return billing.Answer{Outcome: tc.outcome, Reason: tc.reason, Error: &billing.StripeError{Message: "no"}}
			}
			r.start(t)
			r.await(t, id, status(tc.want))
			want := 3
			if tc.outcome == billing.OutcomeRefused {
				want = 1
			}
			if got := r.gateway.sent(id); got != want {
				t.Errorf("sent %d times, want %d", got, want)
			}
		})
	}
}

func TestLostAnswersOfTheDatabase(t *testing.T) {
	t.Parallel()
	once := func() func() error {
		var lost atomic.Bool
		return func() error {
			if lost.CompareAndSwap(false, true) {
				return &billing.Error{Code: billing.CodeUnavailable, Err: errors.New("the connection is dead")}
			}
			return nil
		}
	}
	t.Run("OfAClaim", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.queue.claimed = once()
		id := r.task(t, r.db.Merchant(t).ID)
		r.start(t)
		if task := r.await(t, id, status(billing.Succeeded)); r.gateway.sent(id) != 1 || task.Attempt != 1 {
			t.Errorf("sent %d times, attempt %d", r.gateway.sent(id), task.Attempt)
		}
	})
	t.Run("OfASettlement", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.queue.settled = once()
		id := r.task(t, r.db.Merchant(t).ID)
		stop := r.start(t)
		r.await(t, id, status(billing.Succeeded))
		if err := stop(); err != nil {
			t.Error(err)
		}
		attempts, err := r.db.Store.ListAttempts(context.Background(), id)
		if err != nil || len(attempts) != 1 || r.gateway.sent(id) != 1 {
			t.Errorf("%d attempts, sent %d times, %v", len(attempts), r.gateway.sent(id), err)
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	t.Run("FinishesWhatWasSent", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		sending, release := make(chan struct{}), make(chan struct{})
		r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
			close(sending)
			<-release
			return done(ctx, claim, credential)
		}
		id := r.task(t, r.db.Merchant(t).ID)
		stop := r.start(t)
		<-sending
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		late := r.task(t, r.db.Merchant(t).ID)
		close(release)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if task := r.get(t, id); task.Status != billing.Succeeded {
			t.Errorf("%+v", task)
		}
		if task := r.get(t, late); task.Status == billing.Running {
			t.Error("a task is left running")
		}
	})
	t.Run("CutsOffWhatTakesTooLong", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.conf.DrainTimeout = 50 * time.Millisecond
		r.conf.Backoff = billing.Backoff{Base: time.Hour, Max: time.Hour}
		sending := make(chan struct{})
		r.gateway.answer = func(ctx context.Context, _ billing.Claim, _ billing.Credential) billing.Answer {
			close(sending)
			<-ctx.Done()
			return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer}
		}
		id := r.task(t, r.db.Merchant(t).ID)
		stop := r.start(t)
		<-sending
		if err := stop(); !errors.Is(err, worker.ErrForced) {
			t.Errorf("got %v, want ErrForced", err)
		}
		if task := r.get(t, id); task.Status != billing.Pending || task.FirstSentAt == nil {
			t.Errorf("%+v", task)
		}
	})
}

func TestAWorkerThatWasDeclaredDeadChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conf.Lease = time.Second
	sending, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int64
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		if calls.Add(1) > 1 {
			return done(ctx, claim, credential)
		}
		close(sending)
		<-release
		return billing.Answer{Outcome: billing.OutcomeRefused, Reason: billing.ReasonInvalid, Error: &billing.StripeError{HTTPStatus: 400}}
	}
	id := r.task(t, r.db.Merchant(t).ID)
	stop := r.start(t)
	<-sending
	r.db.SQL.MustExec(`DELETE FROM workers`)
	task := r.await(t, id, status(billing.Succeeded)) // by the same process under a new id
	close(release)
	if err := stop(); err != nil {
		t.Error(err)
	}
	after := r.get(t, id)
	if after.Status != billing.Succeeded || !after.UpdatedAt.Equal(task.UpdatedAt) || r.metrics.lost.Load() != 1 {
		t.Errorf("%+v, %d settlements discarded", after, r.metrics.lost.Load())
	}
}

func TestAPanicLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var calls atomic.Int64
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		if calls.Add(1) == 1 {
			panic("boom")
		}
		return done(ctx, claim, credential)
	}
	id := r.task(t, r.db.Merchant(t).ID)
	r.start(t)
	if task := r.await(t, id, status(billing.Succeeded)); task.Attempt != 2 {
		t.Errorf("%+v", task)
	}
}

func TestASettlementThatCannotBeWrittenBecomesADoubt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.gateway.answer = func(context.Context, billing.Claim, billing.Credential) billing.Answer {
		return billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone, Result: &billing.Result{ID: "a\x00b"}}
	}
	id := r.task(t, r.db.Merchant(t).ID)
	r.start(t)
	r.await(t, id, status(billing.InDoubt))
}
