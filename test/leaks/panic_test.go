package leaks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"billonce/internal/programtest"
	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
	"billonce/pkg/telemetry"
	"billonce/pkg/worker"
)

// panicInside panics with a secret at hand, inside handlers and inside tasks. The programs have no seam for that, so the
// same parts run here.
func (w *world) panicInside() {
	w.t.Helper()
	values := map[string]any{
		"a text": w.c.text("text of a panic"), "an error": errors.New(w.c.text("text of a panic")),
		"a wrapped error": fmt.Errorf("send: %w", errors.New(w.c.text("text of a panic"))),
		"a struct":        struct{ Token string }{w.c.text("token of a panic")},
		"a secret":        secret.New(w.c.text("token of a panic")), "bytes": []byte(w.c.text("token of a panic")),
		"a credential": billing.Credential{Token: secret.New(w.c.text("token of a panic"))},
	}
	for _, format := range []string{"json", "text"} {
		out := &programtest.Buffer{}
		log := telemetry.NewLogger(out, slog.LevelDebug, format, "test", "v")
		for name, value := range values {
			w.panicInHandler(log, name, value)
		}
		w.panicInTask(log, out, values)
		w.said = append(w.said, piece{"log of panics, " + format, out.String()})
	}
}

// faintTasks panics where others look into the database.
type faintTasks struct {
	httpapi.Tasks
	value any
}

func (f faintTasks) GetTask(context.Context, billing.TaskID) (billing.Task, error) { panic(f.value) }

func (w *world) panicInHandler(log *slog.Logger, name string, value any) {
	w.t.Helper()
	server := httptest.NewServer(httpapi.New(httpapi.Deps{
		Merchants: w.db.Store, Tasks: faintTasks{w.db.Store, value}, Standing: w.db.Store, Keys: w.db.Store, Audit: w.db.Store, Freezer: gateway.NewFreezer(false), Health: telemetry.NewHealth(),
		AdminKey: secret.New(w.c.text("admin key")), Log: log,
	}, httpapi.Config{}).Handler())
	defer server.Close()
	status, _ := w.caller(server.URL, w.c.text("admin key")).send("GET", "/v1/tasks/"+w.tasks["laden"], "")
	if status != 500 {
		w.t.Errorf("a panic with %s is answered %d", name, status)
	}
}

// faintGateway panics where others speak with Stripe.
type faintGateway struct {
	mu     sync.Mutex
	values []any
	calls  int
}

func (f *faintGateway) panic() {
	f.mu.Lock()
	value := f.values[f.calls%len(f.values)]
	f.calls++
	f.mu.Unlock()
	panic(value)
}

func (f *faintGateway) Execute(context.Context, billing.Claim, billing.Credential) billing.Answer {
	f.panic()
	return billing.Answer{}
}

func (f *faintGateway) Look(context.Context, []billing.Doubt, billing.Credential) map[billing.TaskID]billing.Finding {
	f.panic()
	return nil
}

// panicInTask runs a worker on a database of its own until it has panicked with each value, and in a look too.
func (w *world) panicInTask(log *slog.Logger, out *programtest.Buffer, values map[string]any) {
	w.t.Helper()
	db := storetest.Open(w.t)
	faint := &faintGateway{}
	for _, value := range values {
		faint.values = append(faint.values, value)
	}
	one := worker.New(worker.Deps{
		Registry: db.Store, Queue: db.Store, Caretaker: db.Store, Merchants: db.Store, Doubts: db.Store, Archive: db.Store,
		Gateway: faint, Metrics: telemetry.NewWorkerMetrics(prometheus.NewRegistry()), Log: log,
		NewID:     func() (billing.WorkerID, error) { return billing.WorkerID(uuid.Must(uuid.NewV7()).String()), nil },
		NewTaskID: func() (billing.TaskID, error) { return billing.TaskID(uuid.Must(uuid.NewV7()).String()), nil },
	}, worker.Config{
		Hostname: "test", PID: 1, Version: "v", Concurrency: 4, PollInterval: 50 * time.Millisecond, Lease: 5 * time.Second, Window: time.Hour,
		Backoff: billing.Backoff{Base: time.Millisecond, Max: time.Millisecond}, LookDelays: []time.Duration{10 * time.Millisecond, 10 * time.Millisecond},
		LookTimeout: time.Second, DrainTimeout: time.Second,
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- one.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the worker that panicked: %v", err)
		}
	}()
	w.scheduleFor(db, 2*len(values))
	w.eventually("a worker has panicked with everything, in sends and in looks", func() bool {
		text := out.String()
		return strings.Count(text, "panic while sending") >= 2*len(values) && strings.Contains(text, "panic while looking")
	})
	w.said = append(w.said, piece{"database of panics", strings.Join(attemptsOf(w, db), "\n")})
}

func (w *world) scheduleFor(db *storetest.DB, n int) {
	w.t.Helper()
	merchant := db.Merchant(w.t)
	var tasks []billing.NewTask
	for range n {
		id := billing.TaskID(storetest.NewID(w.t))
		request, err := gateway.NewFreezer(false).Freeze(id, billing.InvoiceCreate, "", []byte(`{"customer":"cus_ok"}`))
		if err != nil {
			w.t.Fatal(err)
		}
		tasks = append(tasks, billing.NewTask{
			ID: id, MerchantID: merchant.ID, Kind: billing.InvoiceCreate, Params: []byte(`{"customer":"cus_ok"}`), Request: request, MaxAttempts: 1,
		})
	}
	if _, err := db.Store.CreateTasks(w.t.Context(), tasks); err != nil {
		w.t.Fatal(err)
	}
}

func attemptsOf(w *world, db *storetest.DB) []string {
	w.t.Helper()
	var rows []string
	if err := db.SQL.Select(&rows, `SELECT a::text || t::text FROM attempts AS a JOIN scheduled_tasks AS t ON t.id = a.task_id`); err != nil {
		w.t.Fatal(err)
	}
	return rows
}

var _ worker.Gateway = (*faintGateway)(nil)
