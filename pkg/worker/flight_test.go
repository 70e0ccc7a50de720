package worker

import (
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
)

// within fails the test when done is not closed soon.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("waited in vain for %s", what)
	}
}

// TestNoTaskWaitsForAnother: tasks that go on only once all of them have begun are all begun, however many are started at once,
// and those too that are started while goroutines come and go.
func TestNoTaskWaitsForAnother(t *testing.T) {
	t.Parallel()
	const batches, size = 20, 50
	f := newFlight(batches*size, func(int) {})
	var all sync.WaitGroup
	all.Add(batches * size)
	for range batches {
		tasks := make([]func(), 0, 2*size)
		for range size {
			tasks = append(tasks, func() { all.Done(); all.Wait() }, func() {})
		}
		f.start(tasks)
	}
	within(t, "the end of all tasks", f.empty())
	if f.count() != 0 || f.free() != batches*size {
		t.Errorf("%d tasks run, %d slots are free", f.count(), f.free())
	}
}

// TestTasksBeginInOrder: the task that is due first is begun first.
func TestTasksBeginInOrder(t *testing.T) {
	t.Parallel()
	const batches, size = 10, 100
	f := newFlight(batches*size, func(int) {})
	gate := make(chan struct{})
	f.start([]func(){func() { <-gate }})
	var mu sync.Mutex
	begun := map[int]bool{}
	taken := 0 // by goroutines that have not noted it yet, too
	for b := range batches {
		tasks := make([]func(), size)
		for i := range tasks {
			tasks[i] = func() {
				mu.Lock()
				defer mu.Unlock()
				begun[b*size+i] = true
				taken = max(taken, b*size+i)
				if missing := taken + 1 - len(begun); missing > 64 { // no more than there can be goroutines at it
					t.Errorf("task %d was begun while %d before it were not", b*size+i, missing)
				}
			}
		}
		f.start(tasks)
	}
	close(gate)
	within(t, "the end of all tasks", f.empty())
	if len(begun) != batches*size {
		t.Errorf("%d tasks were begun of %d", len(begun), batches*size)
	}
}

// TestAFlightIsEmptyWhenItsLastGoroutineEnds: empty tells of the flight as it is, over and over.
func TestAFlightIsEmptyWhenItsLastGoroutineEnds(t *testing.T) {
	t.Parallel()
	busiest := 0
	f := newFlight(10, func(n int) { busiest = max(busiest, n) })
	within(t, "a flight that has begun nothing", f.empty())
	for range 1000 {
		gate := make(chan struct{})
		f.start([]func(){func() { <-gate }, func() {}, func() {}})
		select {
		case <-f.empty():
			t.Fatal("empty while a task runs")
		default:
		}
		close(gate)
		within(t, "the end of three tasks", f.empty())
	}
	if f.count() != 0 || f.crew != 0 || len(f.line) != f.begun || busiest != 3 {
		t.Errorf("%d tasks, %d goroutines, %d in the line, busiest %d", f.count(), f.crew, len(f.line)-f.begun, busiest)
	}
}

// TestALaterClaimOfATaskStaysHeld: a settlement of an earlier attempt does not make the flight forget the later one.
func TestALaterClaimOfATaskStaysHeld(t *testing.T) {
	t.Parallel()
	f := newFlight(10, func(int) {})
	f.add([]billing.Claim{{ID: "a", Attempt: 2}, {ID: "b", Attempt: 1}})
	f.land([]verdict{{Settlement: billing.Settlement{ID: "a", Attempt: 1}}, {Settlement: billing.Settlement{ID: "b", Attempt: 1}}})
	if ids := f.ids(); len(ids) != 1 || ids[0] != "a" {
		t.Errorf("held are %v, want a", ids)
	}
	f.forget([]billing.Claim{{ID: "a", Attempt: 2}})
	if ids := f.ids(); len(ids) != 0 {
		t.Errorf("held are %v, want none", ids)
	}
}
