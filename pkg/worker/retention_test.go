package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/worker"
)

// finishLongAgo makes n tasks of a status that ended so long ago.
func (r *rig) finishLongAgo(t *testing.T, n int, status billing.Status, ago time.Duration) {
	t.Helper()
	r.db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at, finished_at, first_sent_at, sent_auth, sent_account)
		SELECT gen_random_uuid(), $1, 'invoice.pay', $2::text, at, at, CASE WHEN $2 <> 'canceled' THEN at END,
			CASE WHEN $2 <> 'canceled' THEN 'token' END, CASE WHEN $2 <> 'canceled' THEN 'a' END
		FROM generate_series(1, $4::int) AS n, LATERAL (SELECT now() - make_interval(secs => $3) - n * interval '1 microsecond' AS at) AS old`,
		r.db.Merchant(t).ID, status, ago.Seconds(), n)
}

func (r *rig) count(t *testing.T, table string) (n int) {
	t.Helper()
	if err := r.db.SQL.Get(&n, `SELECT count(*) FROM `+table); err != nil {
		t.Fatal(err)
	}
	return n
}

func (r *rig) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// TestRetention: workers move what is old out, all of it however many batches that takes, and leave what is young.
func TestRetention(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conf.Retention, r.conf.RetentionPause = 30*24*time.Hour, 50*time.Millisecond
	const month = 30 * 24 * time.Hour
	r.finishLongAgo(t, 1200, billing.Succeeded, 2*month)
	r.finishLongAgo(t, 3, billing.Failed, 2*month)
	r.finishLongAgo(t, 2, billing.Canceled, 2*month)
	r.finishLongAgo(t, 4, billing.Succeeded, month-time.Hour)
	r.start(t)
	stop := r.start(t)
	fresh := r.task(t, r.db.Merchant(t).ID)
	r.await(t, fresh, status(billing.Succeeded))
	r.eventually(t, "all old tasks are archived", func() bool { return r.count(t, "archived_tasks") == 1205 })
	r.eventually(t, "and counted", func() bool { return r.metrics.archived.Load() == 1205 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if left := r.count(t, "scheduled_tasks"); left != 5 {
		t.Errorf("%d tasks are left", left)
	}
}

// TestWorkersGoOnWhileTheyArchive: archiving that does not come to an end holds up no claim, no settlement and no heartbeat, and what
// it has locked comes back or goes as a whole.
func TestWorkersGoOnWhileTheyArchive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conf.Retention, r.conf.RetentionPause = 30*24*time.Hour, 50*time.Millisecond
	const old, fresh = 600, 60
	r.finishLongAgo(t, old, billing.Succeeded, 2*r.conf.Retention)
	gate := r.db.GateArchive(t)
	r.start(t)
	r.start(t)
	r.eventually(t, "somebody stands before the archive", gate.Waiting)
	held := time.Now()
	merchant := r.db.Merchant(t).ID
	ids := make([]billing.TaskID, fresh)
	for i := range ids {
		ids[i] = r.task(t, merchant)
	}
	for _, id := range ids {
		r.await(t, id, status(billing.Succeeded))
	}
	r.eventually(t, "both workers' hearts beat", func() bool {
		var beating int
		err := r.db.SQL.Get(&beating, `SELECT count(*) FROM workers WHERE heartbeat_at > $1`, held)
		return err == nil && beating == 2
	})
	if archived := r.count(t, "archived_tasks"); archived != 0 || !gate.Waiting() {
		t.Fatalf("%d tasks were archived meanwhile: the test has shown nothing", archived)
	}
	gate.Open(t)
	r.eventually(t, "all old tasks are archived", func() bool { return r.count(t, "archived_tasks") == old })
	if left := r.count(t, "scheduled_tasks"); left != fresh {
		t.Errorf("%d tasks are left, want %d", left, fresh)
	}
	for _, id := range ids {
		if n := r.gateway.sent(id); n != 1 {
			t.Errorf("task %s was sent %d times", id, n)
		}
	}
}

// asked notes what a worker asks of the archive, and answers with an error or as if it had moved a full batch.
type asked struct {
	mu     sync.Mutex
	calls  []billing.Status
	froms  []time.Time
	answer func(call int) (billing.Moved, error)
}

func (a *asked) MoveFinished(_ context.Context, status billing.Status, from time.Time, _ time.Duration, _ int) (billing.Moved, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.froms = append(a.calls, status), append(a.froms, from)
	return a.answer(len(a.calls))
}

func (a *asked) seen() []billing.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

func TestRetentionThatIsOffAsksNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conf.RetentionPause = time.Millisecond
	archive := &asked{answer: func(int) (billing.Moved, error) { return billing.Moved{}, nil }}
	r.archive = archive
	r.finishLongAgo(t, 1, billing.Succeeded, 10*365*24*time.Hour)
	stop := r.start(t)
	r.await(t, r.task(t, r.db.Merchant(t).ID), status(billing.Succeeded))
	if err := stop(); err != nil {
		t.Error(err)
	}
	if calls := archive.seen(); len(calls) != 0 {
		t.Errorf("asked for %v", calls)
	}
}

// TestRetentionGoesOn: after an error it begins anew, after a full batch it goes on where that one ended, and it ends with the
// worker though there is always more.
func TestRetentionGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.conf.Retention, r.conf.RetentionPause = time.Hour, 10*time.Millisecond
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	archive := &asked{answer: func(call int) (billing.Moved, error) {
		switch call {
		case 1:
			return billing.Moved{}, &billing.Error{Code: billing.CodeUnavailable, Err: errors.New("away")}
		case 2:
			return billing.Moved{Tasks: 7, Workers: 1}, nil
		}
		return billing.Moved{Tasks: 500, Last: at, Workers: 1}, nil
	}}
	r.archive = archive
	stop := r.start(t)
	r.eventually(t, "the fifth batch is asked for", func() bool { return len(archive.seen()) >= 5 })
	if err := stop(); err != nil {
		t.Error(err)
	}
	want := []billing.Status{billing.Succeeded, billing.Succeeded, billing.Failed, billing.Failed, billing.Failed}
	if got := archive.seen()[:5]; !slices.Equal(got, want) || !archive.froms[2].IsZero() || !archive.froms[3].Equal(at) {
		t.Errorf("asked for %v from %v", got, archive.froms)
	}
}

var _ worker.Archive = (*asked)(nil)
