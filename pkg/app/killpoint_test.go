package app_test

import (
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/netfault"
	"billonce/internal/programtest"
)

// killing is a worker that is to be killed at one certain point of its way with one task.
type killing struct {
	*stack
	t    *testing.T
	c    *client
	db   *sqlx.DB
	wire *netfault.Proxy // between the worker and PostgreSQL
}

func newKilling(t *testing.T) *killing {
	t.Helper()
	s := newStack(t)
	_, c := s.api()
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := netfault.Start(t.Context(), address.Host)
	if err != nil {
		t.Fatal(err)
	}
	db := sqlx.MustConnect("postgres", s.url)
	t.Cleanup(func() {
		_ = wire.Close()
		_ = db.Close()
	})
	return &killing{stack: s, t: t, c: c, db: db, wire: wire}
}

// victim starts the worker that will be killed; it reaches the database over the wire.
func (k *killing) victim(changes ...string) *programtest.Process {
	k.t.Helper()
	address, err := url.Parse(k.url)
	if err != nil {
		k.t.Fatal(err)
	}
	address.Host = k.wire.Addr()
	return k.worker(append([]string{"DATABASE_URL", address.String()}, changes...)...)
}

// order schedules the payment of an invoice.
func (k *killing) order() string {
	k.t.Helper()
	return idOf(k.c.Must(201, "POST", "/v1/tasks", map[string]any{
		"merchant_id": k.c.merchant(), "kind": "invoice.pay", "target": k.invoice("in_killing"),
	}))
}

// killOnAnswer kills the worker when the database answers it for the first time after any task has come into the status; the
// answer itself is lost.
func (k *killing) killOnAnswer(victim *programtest.Process, status string) {
	k.wire.LoseAnswer(1, false, func(string) bool {
		var there bool
		if err := k.db.Get(&there, `SELECT EXISTS (SELECT 1 FROM scheduled_tasks WHERE status = $1)`, status); err != nil || !there {
			return false
		}
		victim.Kill()
		return true
	})
}

// holdStripe lets the next payment of an invoice wait in the simulator until it is released.
func (s *stack) holdStripe() {
	s.t.Helper()
	s.simulator().Must(200, "POST", "/_sim/faults", map[string]any{"faults": []any{
		map[string]any{"kind": "stall", "op": "invoice.pay", "hold": true},
	}})
}

func (s *stack) releaseStripe() {
	s.t.Helper()
	s.simulator().Must(200, "POST", "/_sim/release", nil)
}

func (k *killing) requests(id string) int {
	k.t.Helper()
	received, _ := k.simulator().Must(200, "GET", "/_sim/requests?key=task_"+id, nil)["data"].([]any)
	return len(received)
}

// wantOnce lets the task come to its end and wants one effect, after so many requests.
func (k *killing) wantOnce(id string, requests int) {
	k.t.Helper()
	k.c.Await(id, "succeeded")
	if n := k.effects()["task_"+id]; n != 1 {
		k.t.Errorf("%d effects", n)
	}
	if n := k.requests(id); n != requests {
		k.t.Errorf("%d requests, want %d", n, requests)
	}
}

// wantAttempts compares the reasons of the task's attempts.
func (k *killing) wantAttempts(id string, reasons ...string) {
	k.t.Helper()
	var got []string
	if err := k.db.Select(&got, `SELECT reason FROM attempts WHERE task_id = $1 ORDER BY attempt`, id); err != nil {
		k.t.Fatal(err)
	}
	if len(got) != len(reasons) {
		k.t.Fatalf("attempts %v, want %v", got, reasons)
	}
	for i := range got {
		if got[i] != reasons[i] {
			k.t.Fatalf("attempts %v, want %v", got, reasons)
		}
	}
}

// TestKillPoints kills a worker with SIGKILL at each point of its way with a task, and lets another one finish it.
func TestKillPoints(t *testing.T) {
	t.Parallel()
	t.Run("AfterTheClaimBeforeTheWorkerKnows", func(t *testing.T) {
		t.Parallel()
		k := newKilling(t)
		victim := k.victim()
		k.killOnAnswer(victim, "running")
		id := k.order()
		<-victim.Done()
		k.wantRunning(id, 0)
		k.worker()
		k.wantOnce(id, 1)
		k.wantAttempts(id, "worker_lost", "done")
	})
	t.Run("AfterFirstSentAtBeforeTheFirstByte", func(t *testing.T) {
		t.Parallel()
		k := newKilling(t)
		stripe, err := url.Parse(k.sim)
		if err != nil {
			t.Fatal(err)
		}
		line, err := netfault.Start(t.Context(), stripe.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = line.Close() }()
		line.BlackHole(true)
		victim := k.victim("STRIPE_API_URL", "http://"+line.Addr())
		id := k.order()
		eventually(t, "the worker connects to Stripe", func() bool { return line.Conns() > 0 })
		victim.Kill()
		k.wantRunning(id, 0)
		k.worker()
		k.wantOnce(id, 1)
		k.wantAttempts(id, "worker_lost", "done")
	})
	t.Run("WhileStripeWorksOnIt", func(t *testing.T) {
		t.Parallel()
		k := newKilling(t)
		k.holdStripe()
		victim := k.victim()
		id := k.order()
		k.awaitSent(id)
		victim.Kill()
		k.worker()
		eventually(t, "another worker has sent it again", func() bool { return k.requests(id) >= 2 })
		k.releaseStripe()
		k.c.Await(id, "succeeded")
		k.wantOnce(id, k.requests(id))
	})
	t.Run("AfterTheAnswerBeforeTheCommit", func(t *testing.T) {
		t.Parallel()
		k := newKilling(t)
		k.holdStripe()
		victim := k.victim()
		id := k.order()
		k.awaitSent(id)
		tx := k.db.MustBegin()
		defer func() { _ = tx.Rollback() }()
		tx.MustExec(`SELECT 1 FROM scheduled_tasks WHERE id = $1 FOR UPDATE`, id)
		k.releaseStripe()
		eventually(t, "the settlement waits for the row", func() bool {
			var n int
			return k.db.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == nil && n > 0
		})
		victim.Kill()
		// What the dead worker has sent to PostgreSQL must not be carried out after all.
		k.db.MustExec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		k.wantRunning(id, 1)
		k.worker()
		k.wantOnce(id, 2)
		k.wantAttempts(id, "worker_lost", "done")
		task := k.c.Must(200, "GET", "/v1/tasks/"+id, nil)
		if result, _ := task["result"].(map[string]any); result["replayed"] != true {
			t.Errorf("the answer is not Stripe's record of the first send: %v", result)
		}
	})
	t.Run("AfterTheCommit", func(t *testing.T) {
		t.Parallel()
		k := newKilling(t)
		victim := k.victim()
		k.killOnAnswer(victim, "succeeded")
		id := k.order()
		<-victim.Done()
		k.worker()
		other := idOf(k.c.Must(201, "POST", "/v1/tasks", map[string]any{
			"merchant_id": k.c.Must(200, "GET", "/v1/tasks/"+id, nil)["merchant_id"], "kind": "invoice.pay", "target": k.invoice("in_after"),
		}))
		eventually(t, "the dead worker is off the list", func() bool {
			var n int
			return k.db.Get(&n, `SELECT count(*) FROM workers`) == nil && n == 1
		})
		k.wantOnce(other, 1)
		k.wantOnce(id, 1)
		k.wantAttempts(id, "done")
	})
}

// wantRunning wants the database to hold the dead worker's claim, and Stripe to have seen so many requests.
func (k *killing) wantRunning(id string, requests int) {
	k.t.Helper()
	task := k.c.Must(200, "GET", "/v1/tasks/"+id, nil)
	if task["status"] != "running" || task["first_sent_at"] == nil || k.requests(id) != requests {
		k.t.Fatalf("%d requests, want %d, and the task is %v", k.requests(id), requests, task)
	}
}

// TestADeadWorkersTasksAreWorkedAgain holds the bound of the contract: the lease and two seconds.
func TestADeadWorkersTasksAreWorkedAgain(t *testing.T) {
	t.Parallel()
	const lease = 6 * time.Second
	k := newKilling(t)
	k.holdStripe()
	victim := k.victim("WORKER_LEASE", lease.String())
	id := k.order()
	k.awaitSent(id)
	k.worker("WORKER_LEASE", lease.String())
	victim.Kill()
	dead := time.Now()
	within(t, lease+2*time.Second, "another worker sends it again", func() bool { return k.requests(id) >= 2 })
	t.Logf("sent again %s after the death, the lease being %s", time.Since(dead), lease)
	k.releaseStripe()
	k.c.Await(id, "succeeded")
	k.wantOnce(id, k.requests(id))
}

// TestADrainedWorkersTasksAreWorkedAtOnce cuts a call off at the end of the drain: nobody waits for a lease then.
func TestADrainedWorkersTasksAreWorkedAtOnce(t *testing.T) {
	t.Parallel()
	const lease = 10 * time.Minute
	k := newKilling(t)
	k.holdStripe()
	drained := k.victim("WORKER_LEASE", lease.String(), "SHUTDOWN_TIMEOUT", "1s")
	id := k.order()
	k.awaitSent(id)
	k.worker("WORKER_LEASE", lease.String())
	drained.Signal(syscall.SIGTERM)
	drained.Exit()
	eventually(t, "another worker sends it again", func() bool { return k.requests(id) >= 2 })
	k.releaseStripe()
	k.c.Await(id, "succeeded")
	k.wantOnce(id, k.requests(id))
}

// TestASilentDatabaseDoesNotFreezeAShutdown lets the wire to PostgreSQL fall silent, with a call to Stripe under way.
func TestASilentDatabaseDoesNotFreezeAShutdown(t *testing.T) {
	t.Parallel()
	k := newKilling(t)
	k.holdStripe()
	victim := k.victim("SHUTDOWN_TIMEOUT", "2s")
	id := k.order()
	k.awaitSent(id)
	k.wire.BlackHole(true)
	victim.Signal(syscall.SIGTERM)
	if code := victim.Exit(); code != 1 {
		t.Errorf("exit code %d, want 1: what was under way is not on record", code)
	}
	k.releaseStripe()
	k.worker()
	k.c.Await(id, "succeeded")
	k.wantOnce(id, k.requests(id))
}
