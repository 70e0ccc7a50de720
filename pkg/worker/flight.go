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
	since time.Time
}

// age is how long ago the claim was asked for. The monotonic clock stands still while a machine is suspended, and the wall clock
// may be set back: the later of the two counts.
func (h holding) age() time.Duration { return elapsed(h.since, time.Now()) }

func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// flight knows which claims the worker holds, from the claim to the recorded settlement, and waits for their goroutines.
type flight struct {
	slots int
	freed chan struct{} // has an element after a slot became free
	busy  func(n int)   // told how many slots are taken, after each change

	mu      sync.Mutex
	held    map[billing.TaskID]billing.Claim
	running int // goroutines
	idle    chan struct{}
}

func newFlight(slots int, busy func(n int)) *flight {
	idle := make(chan struct{})
	close(idle)
	return &flight{slots: slots, freed: make(chan struct{}, 1), busy: busy, held: map[billing.TaskID]billing.Claim{}, idle: idle}
}

// add notes claims as held; start their goroutines afterwards or remove them.
func (f *flight) add(claims []billing.Claim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, claim := range claims {
		f.held[claim.ID] = claim
	}
}

// remove forgets a claim that was settled or given back.
func (f *flight) remove(claim billing.TaskID, attempt int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held[claim].Attempt == attempt {
		delete(f.held, claim)
	}
}

// start runs fn in a goroutine that occupies a slot.
func (f *flight) start(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == 0 {
		f.idle = make(chan struct{})
	}
	f.running++
	f.busy(f.running)
	go func() {
		defer f.done()
		fn()
	}()
}

func (f *flight) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	f.busy(f.running)
	if f.running == 0 {
		close(f.idle)
	}
	select {
	case f.freed <- struct{}{}:
	default:
	}
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
