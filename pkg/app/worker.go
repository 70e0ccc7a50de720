package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"billonce/pkg/billing"
	"billonce/pkg/config"
	"billonce/pkg/gateway"
	"billonce/pkg/store"
	"billonce/pkg/telemetry"
	"billonce/pkg/worker"
)

var (
	_ worker.Registry  = (*store.Store)(nil)
	_ worker.Queue     = (*store.Store)(nil)
	_ worker.Caretaker = (*store.Store)(nil)
	_ worker.Merchants = (*store.Store)(nil)
	_ worker.Doubts    = (*store.Store)(nil)
	_ worker.Archive   = (*store.Store)(nil)
	_ worker.Gateway   = (*gateway.Gateway)(nil)
	_ worker.Metrics   = (*telemetry.WorkerMetrics)(nil)
	_ worker.Tracer    = (*telemetry.Tracing)(nil)
	_ gateway.Metrics  = (*telemetry.WorkerMetrics)(nil)
	_ gateway.Tracer   = (*telemetry.Tracing)(nil)
)

// retentionPause is between two looks for tasks that are to be archived, three cheap statements each.
const retentionPause = time.Minute

const workerName = "worker"

// recordReserve is the part of SHUTDOWN_TIMEOUT that is kept for recording outcomes once calls have been cut off.
const recordReserve = 0.2

// Worker is the service that carries tasks out.
func Worker() Service {
	return Service{
		Name: workerName,
		prepare: func(environ []string, stderr io.Writer) (started, error) {
			conf, err := config.LoadWorker(environ, checks())
			if err != nil {
				return started{}, err
			}
			collectLess(environ, conf.Concurrency)
			log := telemetry.NewLogger(stderr, conf.LogLevel, conf.LogFormat, "worker", Version)
			return started{log: log, patience: conf.ShutdownTimeout, run: func(ctx context.Context) error {
				return onFoundation(ctx, workerName, conf.Common, workerConns, log, func(ctx context.Context, base *foundation) error {
					return runWorker(ctx, conf, base)
				})
			}}, nil
		},
		opsAddr: func(environ []string) (string, error) {
			conf, err := config.LoadWorker(environ, checks())
			return conf.OpsAddr, err
		},
	}
}

func runWorker(ctx context.Context, conf config.Worker, base *foundation) error {
	base.registerGauges()
	telemetry.RegisterHistory(base.registry, base.store.OldestFinished)
	metrics := telemetry.NewWorkerMetrics(base.registry)
	reach := gateway.Config{
		BaseURL: conf.APIURL, PlatformKey: conf.SecretKey, Timeout: conf.Timeout, MaxConns: conf.Concurrency, Metrics: metrics,
	}
	deps := worker.Deps{
		Registry: base.store, Queue: base.store, Caretaker: base.store, Merchants: base.store,
		Doubts: base.store, Archive: base.store, Metrics: metrics, Log: base.log, NewID: newWorkerID, NewTaskID: newTaskID,
	}
	if base.tracing != nil {
		reach.Tracer, deps.Tracer = base.tracing, base.tracing
	}
	stripe, err := gateway.New(reach)
	if err != nil {
		return fmt.Errorf("prepare the gateway: %w", err)
	}
	base.store.Limit(billing.Limits{Rate: conf.MerchantRate, Concurrency: conf.MerchantConcurrency})
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	deps.Gateway = stripeOf(stripe)
	one := worker.New(deps, worker.Config{
		Hostname: hostname, PID: os.Getpid(), Version: Version, Concurrency: conf.Concurrency, PollInterval: conf.PollInterval,
		Lease: conf.Lease, Window: conf.Window, Backoff: billing.Backoff{Base: conf.RetryBase, Max: conf.RetryMax},
		LookDelays: conf.ReconcileDelays, LookTimeout: 2 * conf.Timeout, DrainTimeout: drainTimeout(conf),
		Retention: time.Duration(conf.Retention), RetentionPause: retentionPause, LogProblems: conf.LogTasks == config.LogTaskProblems,
	})
	defer base.wakeWorkers(ctx)()
	var listener sync.WaitGroup
	listener.Go(func() {
		if err := base.store.Listen(ctx, one.Wake); err != nil {
			base.log.ErrorContext(ctx, "listening for wake-ups stopped", slog.Any("error", err))
		}
	})
	defer listener.Wait()
	defer context.AfterFunc(ctx, base.health.Drain)()
	return one.Run(ctx)
}

func drainTimeout(conf config.Worker) time.Duration {
	return conf.ShutdownTimeout - time.Duration(recordReserve*float64(conf.ShutdownTimeout))
}

func newWorkerID() (billing.WorkerID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make a worker id: %w", err)
	}
	return billing.WorkerID(id.String()), nil
}

func newTaskID() (billing.TaskID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make a task id: %w", err)
	}
	return billing.TaskID(id.String()), nil
}
