package app_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
)

// slowStripe makes every call take d.
func (s *stack) slowStripe(d time.Duration) {
	s.t.Helper()
	s.simulator().Must(200, "POST", "/_sim/latency", map[string]any{"fixed": d.String()})
}

// TestSignals stops both services while a request and a two-second call to Stripe are in flight.
func TestSignals(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			api, c := s.api()
			worker := s.worker()
			merchant := c.merchant()
			invoice := s.invoice("in_slow")
			s.slowStripe(2 * time.Second)
			id := idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice}))
			s.awaitSent(id)

			worker.Signal(sig)
			if code := worker.Exit(); code != 0 {
				t.Errorf("worker: exit code %d", code)
			}
			if !strings.Contains(worker.Line(`"msg":"shutting down"`), name) {
				t.Error("the worker's log does not name the signal")
			}
			if task := c.Must(200, "GET", "/v1/tasks/"+id, nil); task["status"] != "succeeded" {
				t.Errorf("the call in flight was not recorded: %v", task)
			}

			// A request in flight at the api: its transaction waits for a lock that this test holds.
			db := sqlx.MustConnect("postgres", s.url)
			defer func() { _ = db.Close() }()
			tx := db.MustBegin()
			tx.MustExec(`LOCK TABLE merchants IN ACCESS EXCLUSIVE MODE`)
			answered := make(chan programtest.Answer, 1)
			go func() {
				a, err := c.Try("POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice})
				if err != nil {
					t.Error(err)
				}
				answered <- a
			}()
			awaitLockWaiter(t, db)
			api.Signal(sig)
			api.Line(`"msg":"shutting down"`, name)
			awaitRefused(t, strings.TrimPrefix(c.Base, "http://"))
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			if a := <-answered; a.Status != 201 {
				t.Errorf("the request in flight was answered with %d: %v", a.Status, a.Body)
			}
			if code := api.Exit(); code != 0 {
				t.Errorf("api: exit code %d", code)
			}
			var tasks int
			if err := db.Get(&tasks, `SELECT count(*) FROM scheduled_tasks WHERE status = 'pending'`); err != nil || tasks != 1 {
				t.Errorf("%d pending tasks, %v", tasks, err)
			}
		})
	}
}

// awaitSent waits until the simulator has received the task's request. A task that is running may not have been sent yet.
func (s *stack) awaitSent(id string) {
	s.t.Helper()
	simulator := s.simulator()
	eventually(s.t, "the request reaches Stripe", func() bool {
		received, _ := simulator.Must(200, "GET", "/_sim/requests?key=task_"+id, nil)["data"].([]any)
		return len(received) > 0
	})
}

func awaitLockWaiter(t *testing.T, db *sqlx.DB) {
	t.Helper()
	eventually(t, "a statement waits for the lock", func() bool {
		var waiting int
		err := db.Get(&waiting, `SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		return err == nil && waiting > 0
	})
}

func awaitRefused(t *testing.T, addr string) {
	t.Helper()
	eventually(t, "new connections are refused", func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	within(t, patience, what, holds)
}

func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never came true: %s", what)
		}
	}
}

func TestASecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api()
	worker := s.worker("SHUTDOWN_TIMEOUT", "10m", "STRIPE_TIMEOUT", "10m") // neither ends it
	merchant := c.merchant()
	invoice := s.invoice("in_stuck")
	s.holdStripe()
	id := idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice}))
	s.awaitSent(id)
	worker.Signal(syscall.SIGTERM)
	worker.Line(`"msg":"shutting down"`)
	worker.Signal(syscall.SIGTERM)
	if code := worker.Exit(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	s.releaseStripe()
	s.worker() // takes over, and Stripe has seen the key already
	c.Await(id, "succeeded")
	if n := s.effects()["task_"+id]; n != 1 {
		t.Errorf("%d effects", n)
	}
}

// TestClaimedButUnsentTasksGoBackAtOnce stops a worker between its claim and its sends. A trigger makes the claim wait for
// a lock that the test holds; meanwhile the test queues for the merchants table, and so gets it as soon as the claim has
// committed, before the worker can read the tokens.
func TestClaimedButUnsentTasksGoBackAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := newStack(t)
	_, c := s.api()
	merchant := c.merchant()
	for _, invoice := range s.invoices(5) {
		c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice})
	}
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	db.MustExec(`
		CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END';
		CREATE TRIGGER gate AFTER UPDATE ON scheduled_tasks FOR EACH STATEMENT EXECUTE FUNCTION gate()`)
	gate, err := db.Connx(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = gate.Close() }()
	if _, err := gate.ExecContext(ctx, `SELECT pg_advisory_lock(42)`); err != nil {
		t.Fatal(err)
	}
	worker := s.worker("WORKER_LEASE", "60s")
	eventually(t, "the claim waits for the lock", func() bool {
		var waiting int
		err := db.Get(&waiting, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%SELECT id, merchant_id, target, run_at%' AND pid <> pg_backend_pid()`)
		return err == nil && waiting > 0
	})
	tokens, err := db.BeginTxx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan error, 1)
	go func() {
		_, err := tokens.Exec(`LOCK TABLE merchants IN ACCESS EXCLUSIVE MODE`)
		locked <- err
	}()
	eventually(t, "the test queues for the merchants table", func() bool {
		var queued int
		err := db.Get(&queued, `
			SELECT count(*) FROM pg_locks
			WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation = 'merchants'::regclass
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		return err == nil && queued > 0
	})
	if _, err := gate.ExecContext(ctx, `SELECT pg_advisory_unlock(42)`); err != nil {
		t.Fatal(err)
	}
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	var running int
	if err := db.Get(&running, `SELECT count(*) FROM scheduled_tasks WHERE status = 'running'`); err != nil || running != 5 {
		t.Fatalf("%d tasks are running, %v", running, err)
	}
	worker.Signal(syscall.SIGTERM)
	worker.Line(`"msg":"shutting down"`)
	if err := tokens.Rollback(); err != nil {
		t.Fatal(err)
	}
	if code := worker.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var unsent int
	err = db.Get(&unsent, `SELECT count(*) FROM scheduled_tasks WHERE status = 'pending' AND first_sent_at IS NULL AND run_at <= now()`)
	if err != nil || unsent != 5 {
		t.Errorf("%d tasks are pending and unsent, %v", unsent, err)
	}
	if effects := s.effects(); len(effects) != 0 {
		t.Errorf("effects: %v", effects)
	}
}
