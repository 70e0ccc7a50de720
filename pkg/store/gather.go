package store

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"time"

	"billonce/pkg/billing"
)

// Single tasks that arrive while others are being written wait for them and are then written together.
const (
	gatherFlights  = 1   // statements at once
	gatherMost     = 256 // tasks in one statement
	gatherPatience = 10 * time.Second
)

// gatherer schedules single tasks, those of one moment by one statement: many callers then share its plan, its round trip and its
// commit. Nobody waits for anything but statements that have begun. Each caller gets an answer of its own, and one that gives up
// stops nobody else's task.
type gatherer struct {
	prepared *prepared

	mu      sync.Mutex
	waiting []*single
	flights int
	closed  bool
	group   sync.WaitGroup
}

type single struct {
	task    billing.NewTask
	done    chan struct{} // closed when what follows is there
	created []billing.CreatedTask
	err     error
}

// create is [Store.createPlain] for one task.
func (g *gatherer) create(ctx context.Context, task billing.NewTask) ([]billing.CreatedTask, error) {
	one := &single{task: task, done: make(chan struct{})}
	if !g.add(one) {
		return nil, translate("create tasks", sql.ErrConnDone)
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		if g.forget(one) { // nothing of it was sent
			return nil, translate("create tasks", ctx.Err())
		}
		select { // an answer that is there already is given
		case <-one.done:
		default:
			return nil, translate("create tasks", ctx.Err())
		}
	}
	return one.created, one.err
}

func (g *gatherer) add(one *single) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.waiting = append(g.waiting, one)
	if g.flights < gatherFlights {
		g.flights++
		g.group.Go(g.fly)
	}
	return true
}

// forget takes back a task that has not been taken up.
func (g *gatherer) forget(one *single) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(g.waiting, one)
	if at >= 0 {
		g.waiting = slices.Delete(g.waiting, at, at+1)
	}
	return at >= 0
}

// fly writes what is waiting until nothing is.
func (g *gatherer) fly() {
	for {
		g.mu.Lock()
		together := slices.Clone(g.waiting[:min(len(g.waiting), gatherMost)])
		g.waiting = slices.Delete(g.waiting, 0, len(together))
		if len(together) == 0 {
			g.flights--
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		g.write(together)
		for _, one := range together {
			close(one.done)
		}
	}
}

// write schedules tasks together. It has no caller's context: one that gives up must not stop the others. Those that could not be
// scheduled in this way are left to their callers.
func (g *gatherer) write(together []*single) {
	ctx, cancel := context.WithTimeout(context.Background(), gatherPatience)
	defer cancel()
	args, err := newArgs(len(together), false, func(i int) *billing.NewTask { return &together[i].task })
	if err != nil {
		return // one of them cannot be written, and its own transaction will say so
	}
	var said scheduled
	err = g.prepared.run(ctx, "create tasks", func(stmt *sql.Stmt) error {
		said, err = schedulePlain(ctx, stmt, args)
		return err
	})
	if undone(err) {
		return
	}
	some := make(map[string]bool, len(said.some))
	for _, id := range said.some {
		some[id] = true
	}
	for _, one := range together {
		if one.err = err; err == nil && (said.n == len(together) || some[string(one.task.ID)]) {
			one.created = []billing.CreatedTask{{Task: asCreated(one.task, said.now)}}
		}
	}
}

// close waits for what has begun; nothing can be added any more.
func (g *gatherer) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.group.Wait()
}
