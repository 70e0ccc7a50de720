package worker

import (
	"sync"
	"time"

	"billonce/pkg/billing"
)

// holding is a claim with the moment before it was asked for: by this process's monotonic clock, no less time has passed
// since then than by the database's clock since the claim.
type holding struct {
	billing.Claim
	since    time.Time
	followed *followed // nil unless there is a Tracer
}

// ageAt is how long ago the claim was asked for. The monotonic clock stands still while a machine is suspended, and the wall clock
// may be set back: the later of the two counts.
func (h *holding) ageAt(now time.Time) time.Duration { return elapsed(h.since, now) }

func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// flight knows which claims the worker holds, from the claim to the recorded settlement, and waits for their goroutines.
//
// A goroutine that has carried out one task goes on with the next one that no goroutine has begun: where calls are answered at
// once, a few goroutines do everything. Where they take their time none waits for another, because whoever leaves tasks in
// the line has another goroutine on its way before it begins.
type flight struct {
	slots int
	freed chan struct{} // has an element after a slot became free
	busy  func(n int)   // told how many slots are taken, after each change

	mu      sync.Mutex
	held    map[billing.TaskID]int // the attempt of each task
	line    []func()               // tasks, in the order in which they are to begin
	begun   int                    // how many of the line a goroutine has taken
	coming  bool                   // a goroutine was started that has not looked at the line yet
	running int                    // tasks begun or in the line
	crew    int                    // goroutines; 0 only when no task is left
	idle    chan struct{}          // closed while there are none
}

func newFlight(slots int, busy func(n int)) *flight {
	idle := make(chan struct{})
	close(idle)
	return &flight{slots: slots, freed: make(chan struct{}, 1), busy: busy, held: map[billing.TaskID]int{}, idle: idle}
}

// add notes claims as held; start their goroutines afterwards or remove them.
func (f *flight) add(claims []billing.Claim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range claims {
		f.held[claims[i].ID] = claims[i].Attempt
	}
}

// forget removes claims that were given back.
func (f *flight) forget(claims []billing.Claim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range claims {
		f.remove(claims[i].ID, claims[i].Attempt)
	}
}

// land removes claims that were settled.
func (f *flight) land(batch []verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range batch {
		f.remove(batch[i].ID, batch[i].Attempt)
	}
}

// remove forgets a claim unless the task is held under a later one. The caller holds the lock.
func (f *flight) remove(task billing.TaskID, attempt int) {
	if f.held[task] == attempt {
		delete(f.held, task)
	}
}

// start runs tasks, each in a slot of its own and none behind another that has begun.
func (f *flight) start(tasks []func()) {
	if len(tasks) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running += len(tasks)
	f.busy(f.running)
	f.line = append(f.line[:copy(f.line, f.line[f.begun:])], tasks...)
	f.begun = 0
	f.call()
}

// call has a goroutine come for what is in the line, unless one is on its way. The caller holds the lock.
func (f *flight) call() {
	if f.begun == len(f.line) || f.coming {
		return
	}
	if f.crew == 0 {
		f.idle = make(chan struct{})
	}
	f.crew++
	f.coming = true
	go f.work()
}

// work carries out tasks until none is left in the line.
func (f *flight) work() {
	for task := f.first(); task != nil; task = f.next() {
		task()
	}
}

// first takes a task for a goroutine that has just begun, nil when others were faster.
func (f *flight) first() func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.coming = false
	return f.take()
}

// next notes that a goroutine has done its task, and takes another one for it, nil when there is none.
func (f *flight) next() func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	f.busy(f.running)
	select {
	case f.freed <- struct{}{}:
	default:
	}
	return f.take()
}

// take takes a task from the line, and sees to it that the others do not wait for it. A goroutine that gets none ends. The caller
// holds the lock.
func (f *flight) take() func() {
	if f.begun == len(f.line) {
		if f.crew--; f.crew == 0 {
			close(f.idle)
		}
		return nil
	}
	task := f.line[f.begun]
	f.line[f.begun] = nil
	f.begun++
	f.call()
	return task
}

func (f *flight) free() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(f.slots-f.running, 0)
}

func (f *flight) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// empty returns a channel that is closed once no goroutine runs. Nothing may be started meanwhile.
func (f *flight) empty() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.idle
}

func (f *flight) ids() []billing.TaskID {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]billing.TaskID, 0, len(f.held))
	for id := range f.held {
		ids = append(ids, id)
	}
	return ids
}
