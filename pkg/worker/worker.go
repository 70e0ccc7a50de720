package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"billonce/pkg/billing"
)

// Config sets a worker's pace. Every field but Retention and LogProblems is required.
type Config struct {
	Hostname     string
	PID          int
	Version      string
	Concurrency  int             // tasks in flight at most
	PollInterval time.Duration   // pause between claims when nothing is due
	Lease        time.Duration   // silent for this long, the worker has lost its tasks
	Window       time.Duration   // no re-send of a key older than this
	Backoff      billing.Backoff // pauses between the attempts of a task
	LookDelays   []time.Duration // before the first look at a task in doubt, between the looks; not empty
	LookTimeout  time.Duration   // one merchant's looks
	DrainTimeout time.Duration   // how long tasks in flight may take to finish when the worker stops

	Retention      time.Duration // finished tasks older than this are archived; 0: never
	RetentionPause time.Duration // between looking for such tasks

	LogProblems bool // of tasks that succeed, nothing is logged
}

// Deps are what a worker works with. Every field but Tracer is required.
type Deps struct {
	Registry  Registry
	Queue     Queue
	Caretaker Caretaker
	Merchants Merchants
	Doubts    Doubts
	Archive   Archive
	Gateway   Gateway
	Metrics   Metrics
	Tracer    Tracer // nil: nothing is followed
	Log       *slog.Logger
	NewID     func() (billing.WorkerID, error)
	NewTaskID func() (billing.TaskID, error)
}

// ErrForced says that the drain time ran out and calls to Stripe were cut off. Their outcome is recorded as unknown.
var ErrForced = errors.New("worker: tasks in flight were cut off")

const (
	claimBatch      = 500                   // tasks per claim at most
	claimShare      = 16                    // while more is due, slots are claimed for when at least this part of them is free,
	gatherPause     = 4 * time.Millisecond  // or after this time
	freshClaim      = 50 * time.Millisecond // a merchant may have been paused while a claim that took longer waited
	mendPause       = time.Minute
	leastPause      = time.Millisecond       // between claims when the next task becomes due in no time
	wireTime        = 200 * time.Microsecond // of a statement, from here to the database
	storeTimeout    = 10 * time.Second       // one statement; longer than any healthy database takes
	errorPauseFirst = 100 * time.Millisecond
	errorPauseMax   = 5 * time.Second
	recordGrace     = 5 * time.Second // for recording outcomes once the drain time is over
)

// Worker is one worker process's loop. Make one with [New] and call [Worker.Run] once.
type Worker struct {
	deps    Deps
	conf    Config
	lease   *lease
	flight  *flight
	settler *settler
	tally   *tally
	wake    chan struct{}
}

// New returns a worker.
func New(deps Deps, conf Config) *Worker {
	flight, tally := newFlight(conf.Concurrency, deps.Metrics.Busy), &tally{}
	return &Worker{
		deps: deps, conf: conf, flight: flight, tally: tally,
		lease:   &lease{deps: deps, conf: conf, tally: tally},
		settler: newSettler(deps, flight, tally, conf.LogProblems),
		wake:    make(chan struct{}, 1),
	}
}

// Wake makes the worker look for due tasks at once. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends, then drains: it claims no more, gives back what it has not begun to send, lets calls to Stripe
// finish and records their outcomes. It returns nil after a clean drain and [ErrForced] when the drain time ran out. While
// the database does not answer, it waits and tries again.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.lease.register(ctx); err != nil {
		return nil // ctx ended before there was anything to do
	}
	w.deps.Metrics.Slots(w.conf.Concurrency)
	// What must outlive ctx while the worker drains ends with serve.
	serve, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	var background sync.WaitGroup
	background.Go(func() { w.lease.keep(serve) })
	background.Go(func() { w.settler.run(serve) })
	background.Go(func() { w.takeCare(ctx) })
	background.Go(func() { w.reconcile(ctx) })
	if w.conf.Retention > 0 {
		background.Go(func() { w.retain(ctx) })
	}

	send, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	w.claimLoop(ctx, send)
	if w.flight.count() > 0 {
		background.Go(func() { w.lease.draining(serve) })
	}
	err := w.drain(cutOff, stopServing)
	w.settler.finish(stopServing)
	stopServing()
	background.Wait()
	w.lease.end(context.WithoutCancel(ctx))
	return err
}

// drain waits for the tasks in flight. When the time is over it cuts off the calls to Stripe, and when even their outcomes
// cannot be recorded it stops trying: after the lease the tasks go to other workers.
func (w *Worker) drain(cutOff, stopServing context.CancelFunc) error {
	w.deps.Log.Info("draining", slog.Int("in_flight", w.flight.count()))
	deadline := time.NewTimer(w.conf.DrainTimeout)
	defer deadline.Stop()
	select {
	case <-w.flight.empty():
		return nil
	case <-deadline.C:
	}
	w.deps.Log.Error("drain time is over, cutting off calls to Stripe", slog.Int("in_flight", w.flight.count()))
	cutOff()
	grace := time.NewTimer(recordGrace)
	defer grace.Stop()
	select {
	case <-w.flight.empty():
	case <-grace.C:
		stopServing()
		<-w.flight.empty()
	}
	return ErrForced
}

// claimLoop claims and starts tasks until ctx ends. It is the only place that claims, so that recovering one's own lost
// claims never runs beside a claim.
func (w *Worker) claimLoop(ctx, send context.Context) {
	failing := errorPauseFirst
	suspect := false // a claim may have happened whose answer was lost
	recovered := time.Now()
	for ctx.Err() == nil {
		free := w.flight.free()
		worker, trusted := w.lease.current()
		if free == 0 || !trusted {
			w.rest(ctx, w.conf.PollInterval, w.flight.freed)
			continue
		}
		pause, err := time.Duration(0), error(nil)
		if suspect || time.Since(recovered) > w.conf.Lease {
			recovered = time.Now()
			err = w.recoverOwn(ctx, worker)
		}
		if err == nil {
			suspect = true // until the claim is answered
			pause, err = w.claim(ctx, send, worker, min(free, claimBatch))
		}
		if err != nil {
			w.deps.Metrics.ClaimFailed()
			w.deps.Log.WarnContext(ctx, "no tasks claimed", slog.Any("error", err), slog.Duration("pause", failing))
			w.rest(ctx, jitter(failing), nil)
			failing = min(2*failing, errorPauseMax)
			continue
		}
		failing, suspect = errorPauseFirst, false
		switch {
		case pause > 0:
			w.rest(ctx, pause, nil)
		case w.flight.free() < min(claimBatch, w.conf.Concurrency/claimShare):
			wait(ctx, gatherPause) // a claim for a few slots costs as much as one for many
		}
	}
}

// pauseAfter is how long there is nothing to claim, as far as a claim that was sent at the given moment can tell; a wake-up comes
// first if it is otherwise.
func (w *Worker) pauseAfter(batch billing.Batch, sent time.Time) time.Duration {
	if batch.More {
		return 0
	}
	pause := jitter(w.conf.PollInterval)
	if batch.Foreseen { // counted from when the claim reached the database, which was a moment after it was sent
		pause = max(min(pause, batch.NextDue-time.Since(sent)+wireTime), leastPause)
	}
	return pause
}

// rest waits for a wake-up, for early (which may be nil), for the time to pass or for ctx to end.
func (w *Worker) rest(ctx context.Context, atMost time.Duration, early <-chan struct{}) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-early:
	case <-w.wake:
	}
}

// recoverOwn gives back what the database says this worker runs and the worker does not know of.
func (w *Worker) recoverOwn(ctx context.Context, worker billing.WorkerID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	recovered, err := w.deps.Queue.RecoverOwn(ctx, worker, w.flight.ids())
	if err == nil && recovered > 0 {
		w.deps.Log.WarnContext(ctx, "recovered claims whose answer was lost", slog.Int("tasks", recovered))
	}
	return err
}

// claim takes up to limit tasks and starts each in a goroutine that the flight waits for. Once the claim statement has been
// sent it is seen through, whatever becomes of ctx. It returns how long to rest before the next claim.
func (w *Worker) claim(ctx, send context.Context, worker billing.WorkerID, limit int) (pause time.Duration, err error) {
	began := time.Now()
	statement, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	batch, err := w.deps.Queue.Claim(statement, worker, limit)
	if err != nil {
		return 0, err
	}
	claims := batch.Claims
	w.deps.Metrics.Claimed(len(claims), time.Since(began))
	if len(claims) == 0 {
		return w.pauseAfter(batch, began), nil
	}
	w.flight.add(claims)
	opened, failed, err := w.deps.Merchants.GetMerchants(statement, merchantsOf(claims, time.Since(began) < freshClaim))
	if err != nil {
		w.giveBack(claims...)
		return 0, err
	}
	merchants := make(map[billing.MerchantID]*billing.Merchant, len(opened))
	for id, merchant := range opened {
		merchants[id] = &merchant
	}
	tasks := make([]func(), len(claims))
	for i := range claims {
		held := &holding{Claim: claims[i], since: began} // a copy: the slowest of a batch must not keep all of it
		merchant, failure := merchants[held.MerchantID], failed[held.MerchantID]
		tasks[i] = func() { w.execute(ctx, send, held, merchant, failure) }
		if w.deps.Tracer != nil {
			tasks[i] = func() { w.executeFollowed(ctx, send, held, merchant, failure) }
		}
	}
	w.flight.start(tasks)
	return w.pauseAfter(batch, began), nil
}

// merchantsOf returns the merchants of claims: as the claims saw them, or as they are now if that is long ago.
func merchantsOf(claims []billing.Claim, fresh bool) map[billing.MerchantID]billing.MerchantVersion {
	wanted := map[billing.MerchantID]billing.MerchantVersion{}
	for i := range claims {
		if claim := &claims[i]; fresh {
			wanted[claim.MerchantID] = claim.Merchant
		} else {
			wanted[claim.MerchantID] = ""
		}
	}
	return wanted
}

// takeCare returns to the queue what nobody works on: now and then, and as soon as a worker's lease has run out. A living
// worker renews its lease long before that, so that waiting for it costs nothing but the question when it would be.
func (w *Worker) takeCare(ctx context.Context) {
	const (
		batch  = 500
		margin = 10 * time.Millisecond
	)
	mend, sweep := time.Now(), time.Now() // and then now and then
	for {
		lapse, err := w.nextLapse(ctx)
		if !time.Now().Before(sweep) || err == nil && lapse <= 0 {
			well := w.takeOver(ctx, batch)
			sweep = time.Now().Add(jitter(w.conf.Lease * 2 / 3))
			lapse, err = w.nextLapse(ctx)
			if !well { // the database has trouble enough
				lapse = max(lapse, w.conf.Lease/3)
			}
		}
		if !time.Now().Before(mend) {
			for w.mendPaces(ctx) && ctx.Err() == nil { // there is more
			}
			w.tidyEvents(ctx)
			mend = time.Now().Add(jitter(mendPause))
		}
		pause := jitter(w.conf.Lease / 3)
		if err == nil {
			pause = max(min(pause, lapse+margin), margin)
		}
		wait(ctx, pause)
		if ctx.Err() != nil {
			return
		}
	}
}

// mendPaces reports whether there is more to mend.
func (w *Worker) mendPaces(ctx context.Context) (more bool) {
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	freed, err := w.deps.Caretaker.MendPaces(statement)
	if err != nil && ctx.Err() == nil {
		w.deps.Log.WarnContext(ctx, "paces of merchants not mended", slog.Any("error", err))
	}
	return freed > 0
}

// tidyEvents is left to workers too, so that nothing is recorded any longer when the api that watched is gone.
func (w *Worker) tidyEvents(ctx context.Context) {
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := w.deps.Caretaker.TidyEvents(statement); err != nil && ctx.Err() == nil {
		w.deps.Log.WarnContext(ctx, "events not tidied", slog.Any("error", err))
	}
}

func (w *Worker) nextLapse(ctx context.Context) (time.Duration, error) {
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return w.deps.Caretaker.NextLapse(statement)
}

// takeOver reports whether all went well.
func (w *Worker) takeOver(ctx context.Context, batch int) bool {
	for ctx.Err() == nil {
		statement, cancel := context.WithTimeout(ctx, storeTimeout)
		taken, err := w.deps.Caretaker.TakeOver(statement, batch, w.conf.LookDelays[0])
		w.reportTakeover(ctx, taken)
		if err == nil && taken.Tasks < batch {
			_, err = w.deps.Caretaker.FreeHeld(statement)
		}
		if err == nil && taken.Tasks < batch {
			_, err = w.deps.Caretaker.FreeWaiting(statement)
		}
		if err == nil && taken.Tasks < batch {
			err = w.deps.Caretaker.MendLanes(statement)
		}
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				w.deps.Log.WarnContext(ctx, "no tasks taken over", slog.Any("error", err))
			}
			return false
		}
		if taken.Tasks < batch {
			break
		}
	}
	return true
}

func (w *Worker) reportTakeover(ctx context.Context, taken billing.Takeover) {
	if taken.Tasks == 0 {
		return
	}
	w.deps.Metrics.TakenOver(taken.Tasks)
	w.tally.add(billing.OutcomeCounts{InDoubt: len(taken.Doubted), Retried: taken.Tasks - len(taken.Doubted)})
	w.deps.Log.WarnContext(ctx, "took over tasks of silent workers", slog.Int("tasks", taken.Tasks))
	w.Wake()
	for _, task := range taken.Doubted {
		w.deps.Metrics.TaskSettled(task.Kind, billing.InDoubt, billing.ReasonWorkerLost, 0)
		w.deps.Log.ErrorContext(ctx, "task in doubt", slog.String("task_id", string(task.ID)),
			slog.String("merchant_id", string(task.MerchantID)), slog.String("kind", string(task.Kind)), slog.Int("attempt", task.Attempt),
			slog.String("worker_id", string(task.Worker)), slog.String("outcome", string(billing.OutcomeUnknown)),
			slog.String("reason", string(billing.ReasonWorkerLost)), slog.String("status", string(billing.InDoubt)))
	}
}

// jitter spreads d by a fifth either way, so that many workers do not act in step.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // spreading load needs no secrecy
}
