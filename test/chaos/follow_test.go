package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"billonce/internal/openapitest"
	"billonce/internal/programtest"
	"billonce/pkg/billing"
	api "billonce/pkg/client"
	"billonce/pkg/secret"
)

// belief is what somebody believes of a task, as the API tells it.
type belief struct {
	Status  billing.Status `db:"status"`
	Attempt int            `db:"attempt"`
}

// follower keeps a list of all tasks by nothing but GET /v1/events: what an event says of a task it believes, and at a reset it reads
// everything again. It goes to whichever api there is, and on from where it was.
type follower struct {
	w        *world
	name     string
	restless bool // leaves by itself, now and then, and comes back elsewhere
	api      *api.Client

	mu     sync.Mutex
	id     string // of the last event
	owes   bool   // it was told to read everything again, and has not yet
	tasks  map[string]belief
	events int
	resets map[billing.ResetReason]int
}

// follow starts followers; stop ends them and waits for them.
func (w *world) follow() (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var crew sync.WaitGroup
	for _, name := range []string{"steady", "restless"} {
		f := &follower{
			w: w, name: name, restless: name == "restless", tasks: map[string]belief{}, resets: map[billing.ResetReason]int{},
		}
		var err error
		f.api, err = api.New(w.nodes[0].base, secret.New(adminKey), api.Through(&roaming{w: w}), api.Timeout(clientPatience))
		if err != nil {
			w.t.Fatal(err)
		}
		w.followers = append(w.followers, f)
		crew.Go(func() { f.run(ctx) })
	}
	return func() {
		cancel()
		crew.Wait()
	}
}

func (f *follower) run(ctx context.Context) {
	random := rand.New(rand.NewPCG(f.w.seed, 2000))
	for ctx.Err() == nil {
		visit, leave := ctx, func() {}
		if f.restless {
			visit, leave = context.WithTimeout(ctx, time.Duration(100+random.IntN(1500))*time.Millisecond)
		}
		if err := f.visit(visit); err != nil && visit.Err() == nil {
			var p *api.Problem
			if errors.As(err, &p) && p.Status < 500 && p.Status != http.StatusTooManyRequests {
				f.w.t.Errorf("the follower %s is turned away: %v", f.name, err)
			}
			pause(visit, postPause)
		}
		leave()
	}
}

// visit follows one stream, or as many as the client makes of it, until ctx ends. The error is about the first connection.
func (f *follower) visit(ctx context.Context) error {
	f.mu.Lock()
	id, owes := f.id, f.owes
	f.mu.Unlock()
	if owes {
		f.readAgain(ctx)
	}
	for event, err := range f.api.Events(ctx, api.EventsQuery{After: id}) {
		if err != nil {
			return err
		}
		f.take(ctx, id != "", event)
	}
	return nil
}

// take believes an event. returned says that the stream was asked for with the place where the follower was.
func (f *follower) take(ctx context.Context, returned bool, event api.Event) {
	f.mu.Lock()
	f.id = event.ID
	if event.Task != nil {
		f.tasks[event.Task.ID] = belief{event.Task.Status, event.Task.Attempt}
		f.events++
		f.mu.Unlock()
		return
	}
	if event.Reset == billing.ResetBegun && (returned || f.resets[event.Reset] > 0) {
		f.w.t.Errorf("the follower %s says where it was, and is told that it begins", f.name)
	}
	f.resets[event.Reset]++
	f.owes = true
	f.mu.Unlock()
	f.readAgain(ctx)
}

// readAgain replaces everything by what the API says now. What it says is newer than the reset, and what happens from the reset on is
// told besides: what is told late is followed by what is not.
func (f *follower) readAgain(ctx context.Context) {
	for ctx.Err() == nil {
		tasks := map[string]belief{}
		query := api.ListTasksQuery{Limit: 200}
		var err error
		for more := true; more && err == nil; more = query.Cursor != "" {
			var page api.TaskPage
			page, err = f.api.ListTasks(ctx, query)
			for _, task := range page.Data {
				tasks[task.ID] = belief{task.Status, task.Attempt}
			}
			query.Cursor = ""
			if page.NextCursor != nil {
				query.Cursor = *page.NextCursor
			}
		}
		if err == nil {
			f.mu.Lock()
			f.tasks, f.owes = tasks, false
			f.mu.Unlock()
			return
		}
		pause(ctx, postPause)
	}
}

// errs tells where the follower is wrong; nothing while it knows that it may be.
func (f *follower) errs(truth map[string]belief) (wrong []string, sure bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if maps.Equal(f.tasks, truth) {
		return nil, !f.owes
	}
	for id, is := range truth {
		if believed, known := f.tasks[id]; !known || believed != is {
			wrong = append(wrong, fmt.Sprintf("task %s is %s (%d), and is believed to be %q (%d)", id, is.Status, is.Attempt, believed.Status, believed.Attempt))
		}
	}
	for id := range f.tasks {
		if _, is := truth[id]; !is {
			wrong = append(wrong, "task "+id+" is believed in, and there is none")
		}
	}
	return wrong, !f.owes
}

// total is how many resets for a reason the follower was told.
func (f *follower) total(reason billing.ResetReason) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resets[reason]
}

// truth is what the database says of every task.
func (w *world) truth() map[string]belief {
	rows := []struct {
		ID string `db:"id"`
		belief
	}{}
	if err := w.db.Select(&rows, `SELECT id, status, attempt - released - looks AS attempt FROM scheduled_tasks`); err != nil {
		return nil
	}
	truth := map[string]belief{}
	for _, r := range rows {
		truth[r.ID] = r.belief
	}
	return truth
}

// compare waits until every follower believes what the database says of every task: nobody is told less than there is without knowing it.
// It is called when nothing happens any more. From the first time on nothing is left that could be forgotten, so that no reset hides what
// was not told.
func (w *world) compare(when string) {
	w.t.Helper()
	deadline := time.NewTimer(programtest.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, f := range w.followers {
		for {
			truth := w.truth()
			wrong, sure := f.errs(truth)
			if truth != nil && sure && len(wrong) == 0 {
				break
			}
			select {
			case <-tick.C:
				continue
			case <-deadline.C:
			}
			w.t.Fatalf("%s the follower %s is wrong (sure: %v):\n%s", when, f.name, sure, strings.Join(wrong[:min(len(wrong), 20)], "\n"))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	excused := w.struck["postgres restarted"] > 0 || w.struck["days that passed"] > 0
	for _, f := range w.followers {
		forgotten := f.total(billing.ResetForgotten)
		before, calm := w.calmResets[f.name]
		if calm && forgotten != before || !calm && forgotten > 0 && !excused {
			w.t.Errorf("%s the follower %s has been told %d times that something is forgotten, and nothing was", when, f.name, forgotten-before)
		}
		w.calmResets[f.name] = forgotten
	}
}

// told counts what followers were told.
func (w *world) told() (events int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.followers {
		f.mu.Lock()
		events += f.events
		for reason, n := range f.resets {
			w.struck["told "+string(reason)] += n
		}
		f.mu.Unlock()
	}
	return events
}

// roaming sends each request to another api than the one before.
type roaming struct {
	w    *world
	next atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (r *roaming) RoundTrip(request *http.Request) (*http.Response, error) {
	base, err := url.Parse(r.w.nodes[int(r.next.Add(1))%apis].base)
	if err != nil {
		return nil, err
	}
	sent := request.Clone(request.Context())
	sent.URL.Host, sent.Host = base.Host, base.Host
	answer, err := openapitest.Transport{}.RoundTrip(sent)
	if err != nil {
		return nil, r.judge(err)
	}
	answer.Body = judged{answer.Body, r}
	return answer, nil
}

// judge fails the test for what is not as described: the client would take it for a broken connection, and try again.
func (r *roaming) judge(err error) error {
	if errors.Is(err, openapitest.ErrMismatch) {
		r.w.t.Error(err)
	}
	return err
}

// judged is the body of an answer, which is judged as it is read.
type judged struct {
	io.ReadCloser
	by *roaming
}

// Read implements [io.Reader].
func (j judged) Read(into []byte) (int, error) {
	n, err := j.ReadCloser.Read(into)
	return n, j.by.judge(err)
}
