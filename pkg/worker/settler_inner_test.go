package worker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
)

// slate is a queue that notes what is settled, and waits with it while gate is open for nobody.
type slate struct {
	Queue
	gate chan struct{} // nil: open

	mu    sync.Mutex
	seen  map[billing.TaskID]int
	sizes []int
}

func (q *slate) Settle(ctx context.Context, settlements []billing.Settlement) ([]billing.TaskID, error) {
	if q.gate != nil {
		select {
		case <-q.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sizes = append(q.sizes, len(settlements))
	ids := make([]billing.TaskID, len(settlements))
	for i := range settlements {
		ids[i] = settlements[i].ID
		if q.seen != nil {
			q.seen[ids[i]]++
		}
	}
	return ids, nil
}

// still counts nothing.
type still struct{}

func (still) Slots(int)                                                                {}
func (still) Busy(int)                                                                 {}
func (still) Claimed(int, time.Duration)                                               {}
func (still) Started(time.Duration)                                                    {}
func (still) AttemptDone(billing.Kind, billing.Outcome, billing.Reason, time.Duration) {}
func (still) Settled(int, int, time.Duration)                                          {}
func (still) TakenOver(int)                                                            {}
func (still) Archived(int)                                                             {}
func (still) ClaimFailed()                                                             {}
func (still) SettleFailed()                                                            {}
func (still) HeartbeatFailed()                                                         {}
func (still) LeaseLost()                                                               {}
func (still) TaskSettled(billing.Kind, billing.Status, billing.Reason, time.Duration)  {}

func newTestSettler(q Queue, log slog.Level) *settler {
	return newSettler(Deps{
		Queue: q, Metrics: still{}, Log: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: log})),
	}, newFlight(10, func(int) {}), &tally{}, false)
}

func sample(n int) *verdict {
	return &verdict{Settlement: billing.Settlement{
		ID: billing.TaskID(fmt.Sprint("task ", n)), Worker: "w", Attempt: 1, Status: billing.Succeeded,
		Answer: billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone, Result: &billing.Result{ID: "in_1"}},
	}}
}

// TestEverySettlementIsWrittenOnce: whoever hands over settlements, in whatever numbers, and whenever finish is called after
// that: each is in one statement, and no statement is larger than it may be.
func TestEverySettlementIsWrittenOnce(t *testing.T) {
	t.Parallel()
	for _, total := range []int{0, 1, settleBatch - 1, settleBatch, settleBatch + 1, 3*settleQueue + 7} {
		q := &slate{seen: map[billing.TaskID]int{}}
		s := newTestSettler(q, slog.LevelInfo)
		go s.run(t.Context())
		var crew sync.WaitGroup
		const hands = 7
		for hand := range hands {
			crew.Go(func() {
				for n := hand; n < total; n += hands {
					s.settle(sample(n))
				}
			})
		}
		crew.Wait()
		s.finish(func() {})
		if len(q.seen) != total {
			t.Errorf("%d settlements were written of %d", len(q.seen), total)
		}
		for id, times := range q.seen {
			if times != 1 {
				t.Errorf("%s was written %d times", id, times)
			}
		}
		for _, size := range q.sizes {
			if size > settleBatch {
				t.Errorf("a statement wrote %d settlements", size)
			}
		}
	}
}

// TestUnwrittenSettlementsAreBounded: while nothing can be written, tasks keep their slots once settleQueue and a batch wait, and
// a settler that gives up lets them go.
func TestUnwrittenSettlementsAreBounded(t *testing.T) {
	t.Parallel()
	q := &slate{gate: make(chan struct{})}
	s := newTestSettler(q, slog.LevelError+1)
	ctx, giveUp := context.WithCancel(t.Context())
	handed := make(chan struct{}, settleQueue+settleBatch+1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range settleQueue + settleBatch + 1 {
			s.settle(sample(n))
			handed <- struct{}{}
		}
	}()
	for range settleBatch { // the settler begins with a whole batch, however slow the machine is
		<-handed
	}
	go s.run(ctx)
	for range settleQueue {
		<-handed
	}
	select {
	case <-handed:
		t.Error("a settlement more than is allowed was taken")
	case <-time.After(50 * time.Millisecond):
	}
	giveUp()
	within(t, "the last settlement to be taken", done)
	s.finish(func() {})
}

// BenchmarkExecuteToSettle takes claims that are answered at once to their end, with a queue that writes nothing.
func BenchmarkExecuteToSettle(b *testing.B) {
	w, merchant := newBenchWorker()
	ctx := context.Background()
	go w.settler.run(ctx)
	b.ReportAllocs()
	for left := b.N; left > 0; left -= claimBatch {
		claims := benchClaims(min(left, claimBatch))
		w.flight.add(claims)
		tasks := make([]func(), len(claims))
		for i := range claims {
			held := &holding{Claim: claims[i], since: time.Now()}
			tasks[i] = func() { w.execute(ctx, ctx, held, merchant, nil) }
		}
		w.flight.start(tasks)
		<-w.flight.empty()
	}
	w.settler.finish(func() {})
}

type yes struct{}

func (yes) Execute(context.Context, billing.Claim, billing.Credential) billing.Answer {
	return billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone, Result: &billing.Result{ID: "in_1"}}
}

func (yes) Look(context.Context, []billing.Doubt, billing.Credential) map[billing.TaskID]billing.Finding {
	return nil
}

func newBenchWorker() (*Worker, *billing.Merchant) {
	w := New(Deps{
		Queue: &slate{}, Metrics: still{}, Gateway: yes{},
		Log: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, Config{Concurrency: claimBatch, Lease: time.Hour, Window: 23 * time.Hour})
	w.lease.renewed("w", time.Now())
	return w, &billing.Merchant{ID: "m", Status: billing.MerchantActive, StripeConnectID: "acct_1"}
}

func benchClaims(n int) []billing.Claim {
	claims := make([]billing.Claim, n)
	for i := range claims {
		claims[i] = billing.Claim{
			ID: billing.TaskID(fmt.Sprint("task ", i)), MerchantID: "m", Kind: billing.InvoicePay, Worker: "w", Attempt: 1, MaxAttempts: 5,
			Auth: billing.AuthPlatform, Account: "acct_1",
		}
	}
	return claims
}

// TestATaskAllocatesLittle: on its way from the claim to the settlement a task costs its answer and nothing else.
func TestATaskAllocatesLittle(t *testing.T) {
	w, merchant := newBenchWorker()
	held := &holding{Claim: benchClaims(1)[0], since: time.Now()}
	ctx := context.Background()
	w.settler.queue = make([]verdict, 0, settleQueue)
	got := testing.AllocsPerRun(settleQueue/2, func() { w.execute(ctx, ctx, held, merchant, nil) })
	if got > 1 {
		t.Errorf("%v allocations", got)
	}
	batch := w.settler.queue
	w.settler.settlements = make([]billing.Settlement, 0, len(batch))
	if got := testing.AllocsPerRun(10, func() {
		if err := w.settler.try(ctx, batch, nil); err != nil {
			t.Fatal(err)
		}
	}) / float64(len(batch)); got > 0.1 {
		t.Errorf("%v allocations for each settlement", got)
	}
}
