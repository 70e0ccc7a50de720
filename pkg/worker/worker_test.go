package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
	"billonce/pkg/worker"
)

// gateway answers as its function says and counts the sends of each task.
type gateway struct {
	mu     sync.Mutex
	sends  map[billing.TaskID]int
	answer func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer

	looks   map[billing.TaskID]int
	finding func(doubt billing.Doubt) billing.Finding
}

func noTrace(billing.Doubt) billing.Finding {
	return billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace}
}

func (g *gateway) Execute(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
	g.mu.Lock()
	if g.sends == nil {
		g.sends = map[billing.TaskID]int{}
	}
	g.sends[claim.ID]++
	g.mu.Unlock()
	return g.answer(ctx, claim, credential)
}

func (g *gateway) Look(_ context.Context, doubts []billing.Doubt, _ billing.Credential) map[billing.TaskID]billing.Finding {
	findings := map[billing.TaskID]billing.Finding{}
	for _, doubt := range doubts {
		g.mu.Lock()
		if g.looks == nil {
			g.looks = map[billing.TaskID]int{}
		}
		g.looks[doubt.ID]++
		g.mu.Unlock()
		findings[doubt.ID] = g.finding(doubt)
	}
	return findings
}

func (g *gateway) sent(id billing.TaskID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sends[id]
}

func done(context.Context, billing.Claim, billing.Credential) billing.Answer {
	return billing.Answer{
		Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone,
		Result: &billing.Result{Object: "invoice", ID: "in_1", Status: "paid", RequestID: "req_1"},
	}
}

// queue is the store with faults: each hook may turn a call that succeeded into an error, as a lost answer does.
type queue struct {
	*store.Store
	claimed func() error
	settled func() error
}

func (q *queue) Claim(ctx context.Context, id billing.WorkerID, limit int) ([]billing.Claim, bool, error) {
	claims, more, err := q.Store.Claim(ctx, id, limit)
	if err == nil && len(claims) > 0 && q.claimed != nil {
		if err := q.claimed(); err != nil {
			return nil, false, err
		}
	}
	return claims, more, err
}

func (q *queue) Settle(ctx context.Context, settlements []billing.Settlement) ([]billing.TaskID, error) {
	ids, err := q.Store.Settle(ctx, settlements)
	if err == nil && q.settled != nil {
		if err := q.settled(); err != nil {
			return nil, err
		}
	}
	return ids, err
}

// quiet counts nothing.
type quiet struct{ lost, takenOver atomic.Int64 }

func (*quiet) Slots(int)                                                                {}
func (*quiet) Busy(int)                                                                 {}
func (*quiet) Claimed(int, time.Duration)                                               {}
func (*quiet) Started(time.Duration)                                                    {}
func (*quiet) AttemptDone(billing.Kind, billing.Outcome, billing.Reason, time.Duration) {}
func (q *quiet) Settled(_, lost int, _ time.Duration)                                   { q.lost.Add(int64(lost)) }

func (q *quiet) TakenOver(n int) { q.takenOver.Add(int64(n)) }

type rig struct {
	db      *storetest.DB
	queue   *queue
	gateway *gateway
	metrics *quiet
	conf    worker.Config
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db := storetest.Open(t)
	return &rig{db: db, queue: &queue{Store: db.Store}, gateway: &gateway{answer: done, finding: noTrace}, metrics: &quiet{}, conf: worker.Config{
		Hostname: "test", PID: 1, Version: "test", Concurrency: 10, PollInterval: 10 * time.Millisecond, Lease: 2 * time.Second,
		Window: 23 * time.Hour, Backoff: billing.Backoff{Base: 10 * time.Millisecond, Max: 50 * time.Millisecond},
		LookDelays: []time.Duration{time.Hour}, LookTimeout: 10 * time.Second, DrainTimeout: 10 * time.Second,
	}}
}

// start runs a worker; stop ends it and returns what Run returned.
func (r *rig) start(t *testing.T) (stop func() error) {
	t.Helper()
	w := worker.New(worker.Deps{
		Registry: r.queue, Queue: r.queue, Caretaker: r.queue, Merchants: r.queue, Doubts: r.queue, Gateway: r.gateway, Metrics: r.metrics,
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
		NewID:     func() (billing.WorkerID, error) { return billing.WorkerID(storetest.NewID(t)), nil },
		NewTaskID: func() (billing.TaskID, error) { return billing.TaskID(storetest.NewID(t)), nil },
	}, r.conf)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			err = <-ended
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func (r *rig) task(t *testing.T, merchant billing.MerchantID) billing.TaskID {
	t.Helper()
	id := storetest.NewID(t)
	created, err := r.db.Store.CreateTasks(context.Background(), []billing.NewTask{{
		ID: billing.TaskID(id), MerchantID: merchant, Kind: billing.InvoicePay, Target: "in_" + id,
		Params: json.RawMessage(`{}`), MaxAttempts: 50,
		Request: billing.Request{Method: "POST", Path: "/v1/invoices/in_1/pay", APIVersion: "2023-10-16"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return created[0].Task.ID
}

func (r *rig) get(t *testing.T, id billing.TaskID) billing.Task {
	t.Helper()
	task, err := r.db.Store.GetTask(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// await polls until the task is as wanted.
func (r *rig) await(t *testing.T, id billing.TaskID, want func(billing.Task) bool) billing.Task {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		task := r.get(t, id)
		if want(task) {
			return task
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("task is %s after attempt %d, first sent %v, last error %+v", task.Status, task.Attempt, task.FirstSentAt, task.LastError)
		}
	}
}

func status(want billing.Status) func(billing.Task) bool {
	return func(task billing.Task) bool { return task.Status == want }
}

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

func TestWhatMayNotBeSent(t *testing.T) {
	t.Parallel()
	unknownFirst := func(r *rig) {
		r.gateway.answer = func(context.Context, billing.Claim, billing.Credential) billing.Answer {
			return billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer}
		}
		r.conf.Backoff = billing.Backoff{Base: 24 * time.Hour, Max: 24 * time.Hour}
	}
	unknown := func(task billing.Task) bool { return task.Status == billing.Pending && task.FirstSentAt != nil }

	t.Run("OutsideTheWindow", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		unknownFirst(r)
		id := r.task(t, r.db.Merchant(t).ID)
		r.start(t)
		r.await(t, id, unknown)
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET first_sent_at = first_sent_at - interval '23 hours', run_at = now()`)
		r.await(t, id, status(billing.InDoubt))
		if r.gateway.sent(id) != 1 {
			t.Errorf("sent %d times", r.gateway.sent(id))
		}
	})
	t.Run("WithAnotherCredential", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		unknownFirst(r)
		merchant := r.db.Merchant(t)
		id := r.task(t, merchant.ID)
		r.start(t)
		r.await(t, id, unknown)
		none := secret.Text{}
		if _, err := r.db.Store.UpdateMerchant(context.Background(), merchant.ID, billing.MerchantChange{AccessToken: &none}); err != nil {
			t.Fatal(err)
		}
		r.db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now()`)
		r.await(t, id, status(billing.InDoubt))
		if r.gateway.sent(id) != 1 {
			t.Errorf("sent %d times", r.gateway.sent(id))
		}
	})
	t.Run("WithATokenChangedByHand", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		broken, healthy := r.db.Merchant(t), r.db.Merchant(t)
		r.db.SQL.MustExec(`UPDATE merchants SET access_token = overlay(access_token PLACING 'ffffffff' FROM 60) WHERE id = $1`, broken.ID)
		id, other := r.task(t, broken.ID), r.task(t, healthy.ID)
		r.start(t)
		r.await(t, other, status(billing.Succeeded))
		task := r.await(t, id, func(task billing.Task) bool { return task.Status == billing.Pending && task.FirstSentAt == nil })
		merchant, err := r.db.Store.ViewMerchant(context.Background(), broken.ID)
		if err != nil || merchant.PauseReason != billing.PauseNeedsReauth || r.gateway.sent(id) != 0 || task.Attempt != 0 {
			t.Errorf("%+v, sent %d times, %+v, %v", merchant, r.gateway.sent(id), task, err)
		}
	})
}

func TestUnauthorizedPausesTheMerchantAndKeepsTheTask(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	merchant := r.db.Merchant(t)
	var accepted atomic.Bool
	r.gateway.answer = func(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
		if accepted.Load() {
			return done(ctx, claim, credential)
		}
		return billing.Answer{Outcome: billing.OutcomeNotSent, Reason: billing.ReasonUnauthorized, Error: &billing.StripeError{HTTPStatus: 401}}
	}
	id := r.task(t, merchant.ID)
	r.db.SQL.MustExec(`UPDATE scheduled_tasks SET max_attempts = 1`)
	r.start(t)
	task := r.await(t, id, func(task billing.Task) bool { return task.Status == billing.Pending && task.LastError != nil })
	if task.FirstSentAt != nil {
		t.Error("the task is marked as sent")
	}
	paused, err := r.db.Store.ViewMerchant(ctx, merchant.ID)
	if err != nil || paused.Status != billing.MerchantPaused || paused.PauseReason != billing.PauseNeedsReauth {
		t.Fatalf("%+v, %v", paused, err)
	}
	accepted.Store(true)
	if _, err := r.db.Store.ResumeMerchant(ctx, merchant.ID); err != nil {
		t.Fatal(err)
	}
	r.await(t, id, status(billing.Succeeded))
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
