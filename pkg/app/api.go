package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"billonce/pkg/config"
	"billonce/pkg/console"
	"billonce/pkg/gateway"
	"billonce/pkg/httpapi"
	"billonce/pkg/store"
	"billonce/pkg/telemetry"
)

var (
	_ httpapi.Merchants = (*store.Store)(nil)
	_ httpapi.Tasks     = (*store.Store)(nil)
	_ httpapi.Standing  = (*store.Store)(nil)
	_ httpapi.APIKeys   = (*store.Store)(nil)
	_ httpapi.Audit     = (*store.Store)(nil)
	_ httpapi.Events    = (*store.Store)(nil)
	_ console.Sessions  = (*store.Store)(nil)
	_ httpapi.Console   = (*console.Console)(nil)
	_ httpapi.Freezer   = gateway.Freezer{}
	_ httpapi.Health    = (*telemetry.Health)(nil)
	_ httpapi.Metrics   = (*telemetry.APIMetrics)(nil)
	_ httpapi.Tracer    = (*telemetry.Tracing)(nil)
)

// The api's heap is a few megabytes, except while it holds a batch: what a collection costs is what is in use, so it may well wait
// until several times as much is garbage, but for the limit, which keeps a batch of 10,000 within about 80 MiB.
const (
	apiMemoryLimit = 64 << 20 // bytes
	apiGarbage     = 400      // percent
)

// API is the service that takes tasks over HTTP.
func API() Service {
	return Service{
		Name: "api", memory: apiMemoryLimit, garbage: apiGarbage,
		prepare: func(environ []string, stderr io.Writer) (started, error) {
			conf, err := config.LoadAPI(environ, checks())
			if err != nil {
				return started{}, err
			}
			log := telemetry.NewLogger(stderr, conf.LogLevel, conf.LogFormat, "api", Version)
			return started{log: log, patience: conf.ShutdownTimeout, run: func(ctx context.Context) error {
				return onFoundation(ctx, "api", conf.Common, apiConns, log, func(ctx context.Context, base *foundation) error {
					return runAPI(ctx, conf, base)
				})
			}}, nil
		},
		opsAddr: func(environ []string) (string, error) {
			conf, err := config.LoadAPI(environ, checks())
			return conf.OpsAddr, err
		},
	}
}

func runAPI(ctx context.Context, conf config.API, base *foundation) error {
	base.registerGauges()
	metrics := telemetry.NewAPIMetrics(base.registry)
	base.db.CountAudit(metrics.Audited)
	deps := httpapi.Deps{
		Merchants: base.store, Tasks: base.store, Standing: base.store, Keys: base.store, Audit: base.store, Events: base.store,
		Freezer: gateway.NewFreezer(conf.AllowPayouts), Health: base.health, Metrics: metrics, Log: base.log,
		AdminKey: conf.AdminKey, RequireKey: conf.RequireKey,
	}
	if base.tracing != nil {
		deps.Tracer = base.tracing
	}
	server := serveWithConsole(deps, base.store, httpapi.Config{
		Delay: conf.ShutdownDelay, Timeout: conf.ShutdownTimeout - conf.ShutdownDelay, TrustedProxies: conf.TrustedProxies,
	})
	if conf.AdminKey.Empty() {
		base.log.WarnContext(ctx, "no ADMIN_API_KEY: only keys of the database open /v1")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", conf.Addr)
	if err != nil {
		return fmt.Errorf("listen on API_ADDR: %w", err)
	}
	defer base.wakeWorkers(ctx)()
	defer context.AfterFunc(ctx, base.health.Drain)()
	return server.Run(ctx, listener)
}

// serveWithConsole makes the server of the API, and the console that calls it within the process.
func serveWithConsole(deps httpapi.Deps, sessions console.Sessions, conf httpapi.Config) *httpapi.Server {
	within := &inside{}
	deps.Console = console.New(console.Deps{
		API: within, As: asSession, Sessions: sessions, Guesses: httpapi.NewGuesses(conf), Log: deps.Log, AdminKey: deps.AdminKey, Version: Version,
		Events: true,
	})
	server := httpapi.New(deps, conf)
	within.handler = server.Handler()
	return server
}

// wakeWorkers sends wake-ups until stop is called, which may be long after ctx has ended: whoever drains still frees tasks.
func (b *foundation) wakeWorkers(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var waker sync.WaitGroup
	waker.Go(func() {
		if err := b.store.RunWaker(ctx); err != nil {
			b.log.ErrorContext(ctx, "wake-ups stopped", slog.Any("error", err))
		}
	})
	return func() {
		cancel()
		waker.Wait()
	}
}

// registerGauges adds the gauges that are read from the database.
func (b *foundation) registerGauges() {
	telemetry.RegisterQueue(b.registry, func(ctx context.Context) (telemetry.Queue, error) {
		depth, err := b.store.Depth(ctx)
		return telemetry.Queue(depth), err
	})
	telemetry.RegisterTokens(b.registry, b.db.TokensByKey)
}
