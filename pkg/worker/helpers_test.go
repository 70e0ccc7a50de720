package worker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
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
	opened  func()                                       // before merchants' tokens are
	settles func(settlements []billing.Settlement) error // before anything is written
	half    func() error                                 // after a part was written, which the caller is told
	records func() error                                 // before outcomes are recorded
}

func (q *queue) Claim(ctx context.Context, id billing.WorkerID, limit int) (billing.Batch, error) {
	batch, err := q.Store.Claim(ctx, id, limit)
	if err == nil && len(batch.Claims) > 0 && q.claimed != nil {
		if err := q.claimed(); err != nil {
			return billing.Batch{}, err
		}
	}
	return batch, err
}

func (q *queue) Settle(ctx context.Context, settlements []billing.Settlement) ([]billing.TaskID, error) {
	if q.settles != nil {
		if err := q.settles(settlements); err != nil {
			return nil, err
		}
	}
	ids, err := q.Store.Settle(ctx, settlements)
	if err == nil && q.half != nil {
		err = q.half()
	}
	if err == nil && q.settled != nil {
		if err := q.settled(); err != nil {
			return nil, err
		}
	}
	return ids, err
}

func (q *queue) RecordOutcomes(ctx context.Context, id billing.WorkerID, outcomes billing.OutcomeCounts) error {
	if q.records != nil {
		if err := q.records(); err != nil {
			return err
		}
	}
	return q.Store.RecordOutcomes(ctx, id, outcomes)
}

func (q *queue) GetMerchants(ctx context.Context, wanted map[billing.MerchantID]billing.MerchantVersion) (map[billing.MerchantID]billing.Merchant, map[billing.MerchantID]error, error) {
	if q.opened != nil {
		q.opened()
	}
	return q.Store.GetMerchants(ctx, wanted)
}

// quiet counts what tests ask for.
type quiet struct {
	lost, takenOver, archived atomic.Int64

	mu      sync.Mutex
	settled []ended
}

// ended is what was counted of one task.
type ended struct {
	kind   billing.Kind
	status billing.Status
	reason billing.Reason
	age    time.Duration
}

func (*quiet) Slots(int)                                                                {}
func (*quiet) Busy(int)                                                                 {}
func (*quiet) Claimed(int, time.Duration)                                               {}
func (*quiet) Started(time.Duration)                                                    {}
func (*quiet) AttemptDone(billing.Kind, billing.Outcome, billing.Reason, time.Duration) {}
func (q *quiet) Settled(_, lost int, _ time.Duration)                                   { q.lost.Add(int64(lost)) }

func (*quiet) ClaimFailed()     {}
func (*quiet) SettleFailed()    {}
func (*quiet) HeartbeatFailed() {}
func (*quiet) LeaseLost()       {}

func (q *quiet) TaskSettled(kind billing.Kind, status billing.Status, reason billing.Reason, age time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled = append(q.settled, ended{kind, status, reason, age})
}

// seen returns what was counted of tasks that came to a status.
func (q *quiet) seen(status billing.Status) []ended {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(q.settled), func(e ended) bool { return e.status != status })
}

func (q *quiet) TakenOver(n int) { q.takenOver.Add(int64(n)) }
func (q *quiet) Archived(n int)  { q.archived.Add(int64(n)) }

type rig struct {
	db      *storetest.DB
	queue   *queue
	gateway *gateway
	metrics *quiet
	tracer  *tracer // nil: none
	archive worker.Archive
	conf    worker.Config
	log     lines
}

// lines are a log's, as JSON.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, line...)
	return len(line), nil
}

// count counts the lines of a level that hold the message and all words.
func (l *lines) count(level slog.Level, message string, words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(l.text)) {
		found := strings.Contains(line, `"level":"`+level.String()+`"`) && strings.Contains(line, `"msg":"`+message+`"`)
		for _, word := range words {
			found = found && strings.Contains(line, word)
		}
		if found {
			n++
		}
	}
	return n
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db := storetest.Open(t)
	return &rig{db: db, queue: &queue{Store: db.Store}, archive: db.Store, gateway: &gateway{answer: done, finding: noTrace}, metrics: &quiet{}, conf: worker.Config{
		Hostname: "test", PID: 1, Version: "test", Concurrency: 10, PollInterval: 10 * time.Millisecond, Lease: 2 * time.Second,
		Window: 23 * time.Hour, Backoff: billing.Backoff{Base: 10 * time.Millisecond, Max: 50 * time.Millisecond},
		LookDelays: []time.Duration{time.Hour}, LookTimeout: 10 * time.Second, DrainTimeout: 10 * time.Second,
	}}
}

// start runs a worker; stop ends it and returns what Run returned.
func (r *rig) start(t *testing.T) (stop func() error) {
	t.Helper()
	deps := worker.Deps{
		Registry: r.queue, Queue: r.queue, Caretaker: r.queue, Merchants: r.queue, Doubts: r.queue, Archive: r.archive, Gateway: r.gateway, Metrics: r.metrics,
		Log:       slog.New(slog.NewJSONHandler(&r.log, nil)),
		NewID:     func() (billing.WorkerID, error) { return billing.WorkerID(storetest.NewID(t)), nil },
		NewTaskID: func() (billing.TaskID, error) { return billing.TaskID(storetest.NewID(t)), nil },
	}
	if r.tracer != nil {
		deps.Tracer = r.tracer
	}
	w := worker.New(deps, r.conf)
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

// awaitHeld polls until a claim has put the task aside for its merchant.
func (r *rig) awaitHeld(t *testing.T, id billing.TaskID) {
	t.Helper()
	r.await(t, id, func(billing.Task) bool {
		var held bool
		if err := r.db.SQL.Get(&held, `SELECT held_at IS NOT NULL FROM scheduled_tasks WHERE id = $1`, id); err != nil {
			t.Fatal(err)
		}
		return held
	})
}
