package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/telemetry"
)

func TestLoggerRedacts(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := telemetry.NewLogger(&out, slog.LevelDebug, format, "api", "v1")
		log.Info("m", slog.String("Authorization", "canary"), slog.String("access_token", "canary"), slog.String("ADMIN_API_KEY", "canary"),
			slog.String("note", "used sk_live_canary12345678 today"), slog.String("auth", "Bearer canary.canary"),
			slog.Any("error", fmt.Errorf("dial postgres://user:canary@db/x: %w", errors.New("no rt_canary1234567890"))),
			slog.Any("text", secret.New("canary")), slog.Group("g", slog.String("password", "canary")),
			slog.String("client", "pi_3Nabcdefgh_secret_canary"), slog.String("task_id", "0192f5a0-7b1c-7def-8a2b-0123456789ab"))
		if strings.Contains(out.String(), "canary") {
			t.Errorf("%s shows a secret: %s", format, out.String())
		}
		for _, kept := range []string{"0192f5a0-7b1c-7def-8a2b-0123456789ab", "used", "postgres", "service", "v1", "pi_3Nabcdefgh"} {
			if !strings.Contains(out.String(), kept) {
				t.Errorf("%s lost %q: %s", format, kept, out.String())
			}
		}
	}
}

func TestLoggerKeepsItsLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, slog.LevelWarn, "json", "api", "v1")
	log.Info("quiet")
	log.Warn("loud")
	if strings.Contains(out.String(), "quiet") || !strings.Contains(out.String(), "loud") {
		t.Error(out.String())
	}
}

type ops struct {
	base   string
	health *telemetry.Health
	stop   func() error
}

func startOps(t *testing.T, registry *prometheus.Registry) ops {
	t.Helper()
	health := telemetry.NewHealth()
	ctx, cancel := context.WithCancel(context.Background())
	server, err := telemetry.NewOpsServer(ctx, "127.0.0.1:0", registry, health, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stop := func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(cancel)
	return ops{base: "http://" + server.Addr(), health: health, stop: stop}
}

func (o ops) get(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestOpsServer(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	worker := telemetry.NewWorkerMetrics(registry)
	api := telemetry.NewAPIMetrics(registry)
	var depth atomic.Bool
	telemetry.RegisterQueue(registry, func(context.Context) (telemetry.Queue, error) {
		if !depth.Load() {
			return telemetry.Queue{}, errors.New("no database")
		}
		return telemetry.Queue{OldestDue: 3 * time.Second, Pending: 9, Due: 4, Running: 7, InDoubt: 2}, nil
	})
	telemetry.RegisterTokens(registry, func(context.Context) (map[string]int, error) { return map[string]int{"": 1, "abc": 5}, nil })
	telemetry.RegisterHistory(registry, func(context.Context) (time.Duration, error) { return 90 * time.Second, nil })
	o := startOps(t, registry)

	if status, body := o.get(t, "/readyz"); status != 503 || !strings.Contains(body, "starting") {
		t.Errorf("before there are checks: %d %s", status, body)
	}
	var broken atomic.Bool
	o.health.SetChecks(telemetry.Check{Name: "good", Run: func(context.Context) error { return nil }},
		telemetry.Check{Name: "bad", Run: func(context.Context) error {
			if broken.Load() {
				return errors.New("postgres://u:canary@h is away")
			}
			return nil
		}})
	if status, _ := o.get(t, "/readyz"); status != 200 {
		t.Errorf("ready: %d", status)
	}
	broken.Store(true)
	o.health.SetChecks(telemetry.Check{Name: "bad", Run: func(context.Context) error { return errors.New("postgres://u:canary@h is away") }})
	status, body := o.get(t, "/readyz?verbose")
	if status != 503 || !strings.Contains(body, `"bad"`) || strings.Contains(body, "canary") || !json.Valid([]byte(body)) {
		t.Errorf("not ready: %d %s", status, body)
	}
	if status, _ := o.get(t, "/livez"); status != 200 {
		t.Errorf("alive: %d", status)
	}

	worker.AttemptDone(billing.InvoicePay, billing.OutcomeSucceeded, billing.ReasonDone, time.Second)
	worker.Slots(7)
	worker.Claimed(3, time.Millisecond)
	worker.Settled(2, 1, time.Millisecond)
	worker.TakenOver(4)
	worker.Archived(6)
	worker.Started(time.Second)
	api.RequestDone("POST", "/v1/tasks", 201, time.Millisecond)
	api.TasksScheduled(billing.InvoicePay, 5)
	_, body = o.get(t, "/metrics")
	for _, line := range []string{
		`billonce_task_attempts_total{kind="invoice.pay",outcome="succeeded",reason="done"} 1`, "billonce_worker_slots 7",
		"billonce_tasks_claimed_total 3", "billonce_settlements_discarded_total 1", "billonce_tasks_taken_over_total 4",
		"billonce_archived_tasks_total 6", "billonce_oldest_finished_task_age_seconds 90",
		`billonce_encryption_key_tokens{key_id="abc"} 5`, `billonce_encryption_key_tokens{key_id="none"} 1`,
		`billonce_http_requests_total{code="201",method="POST",route="/v1/tasks"} 1`, `billonce_tasks_scheduled_total{kind="invoice.pay"} 5`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if strings.Contains(body, "billonce_tasks_in_doubt ") {
		t.Error("a gauge that could not be read is shown")
	}
	depth.Store(true)
	_, body = o.get(t, "/metrics")
	for _, line := range []string{"oldest_due_task_age_seconds 3", "tasks_pending 9", "tasks_due 4", "tasks_running 7", "tasks_in_doubt 2"} {
		if !strings.Contains(body, "billonce_"+line+"\n") {
			t.Errorf("metrics lack %s", line)
		}
	}
	if status, _ := o.get(t, "/debug/pprof/"); status != 200 {
		t.Errorf("pprof: %d", status)
	}
	o.health.Drain()
	if status, _ := o.get(t, "/readyz"); status != 503 {
		t.Errorf("draining: %d", status)
	}
	if err := o.stop(); err != nil {
		t.Error(err)
	}
}

func TestHealthSharesResults(t *testing.T) {
	t.Parallel()
	health := telemetry.NewHealth()
	var runs atomic.Int64
	health.SetChecks(telemetry.Check{Name: "counted", Run: func(context.Context) error {
		runs.Add(1)
		return nil
	}})
	for range 100 {
		if err := health.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if n := runs.Load(); n > 3 {
		t.Errorf("100 probes made %d checks", n)
	}
}
