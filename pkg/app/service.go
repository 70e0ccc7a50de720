package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/config"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/telemetry"
	"billonce/pkg/vault"
)

// Service is one of the two programs.
type Service struct {
	Name    string
	memory  int64 // soft limit in bytes; 0: softMemoryLimit
	garbage int   // how much may be allocated between two collections, in percent of what is in use; 0: as Go has it
	prepare func(environ []string, stderr io.Writer) (started, error)
	opsAddr func(environ []string) (string, error)
}

// started is a service with its configuration read, ready to run.
type started struct {
	log      *slog.Logger
	patience time.Duration // with a shutdown
	run      func(ctx context.Context) error
}

// Connections to PostgreSQL per process. A worker needs few: it claims and settles in batches.
const (
	apiConns    = 20
	workerConns = 8
)

const (
	startPauseFirst = 200 * time.Millisecond
	startPauseMax   = 5 * time.Second
	startTimeout    = 10 * time.Second
)

// foundation is what both services stand on.
type foundation struct {
	name     string
	conf     config.Common
	log      *slog.Logger
	db       *store.DB
	store    *store.Store
	vault    *vault.Vault
	alarm    *keyAlarm
	registry *telemetry.Registry
	health   *telemetry.Health
	tracing  *telemetry.Tracing // nil: off
}

// onFoundation opens the database, serves operators, waits until the database and its schema are there and the encryption
// key is settled, and runs work. Operators are served until work has returned.
func onFoundation(ctx context.Context, name string, conf config.Common, conns int, log *slog.Logger,
	work func(ctx context.Context, base *foundation) error,
) (err error) {
	db, err := store.Open(store.Options{URL: conf.DatabaseURL, MaxConns: conns, Name: "billonce-" + name})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	base := &foundation{
		name: name, conf: conf, log: log, db: db,
		health: telemetry.NewHealth(), registry: telemetry.NewRegistry(name, Version, db.Pool()),
	}
	stopTracing, err := base.startTracing(ctx)
	if err != nil {
		return err
	}
	defer stopTracing()
	base.alarm = &keyAlarm{log: base.log, metrics: telemetry.NewKeyMetrics(base.registry)}
	ops, err := telemetry.NewOpsServer(ctx, conf.OpsAddr, base.registry, base.health, log)
	if err != nil {
		return err
	}
	opsCtx, stopOps := context.WithCancel(context.WithoutCancel(ctx))
	opsEnded := make(chan error, 1)
	go func() { opsEnded <- ops.Run(opsCtx) }()
	defer func() {
		stopOps()
		err = errors.Join(err, <-opsEnded)
	}()
	if err := base.waitForDatabase(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before there was anything to stop
		}
		return err
	}
	base.health.SetChecks(
		telemetry.Check{Name: "database", Run: db.Ping},
		telemetry.Check{Name: "schema", Run: db.RequireSchema},
		telemetry.Check{Name: "encryption_key", Run: func(ctx context.Context) error { return db.CheckKey(ctx, base.keyRecords()...) }},
		telemetry.Check{Name: "rights", Run: base.requireRights},
	)
	return work(ctx, base)
}

// startTracing begins to follow what is done, if the configuration says where spans go. What happens in a span is logged with its ids.
func (b *foundation) startTracing(ctx context.Context) (stop func(), err error) {
	metrics := telemetry.NewSpanMetrics(b.registry)
	address := b.conf.SpansURL()
	if address == "" {
		return func() {}, nil
	}
	b.tracing, err = telemetry.StartTracing(ctx, telemetry.TracingConfig{
		Endpoint: address, Timeout: b.conf.SpansTimeout(), Gzip: b.conf.SpansPacked(), Headers: b.conf.SpansHeaders(), Sampler: b.conf.Sampler, Ratio: b.conf.SamplerArg,
	}, b.name, Version, metrics, b.log)
	if err != nil {
		return nil, err
	}
	b.log = telemetry.WithSpans(b.log)
	return func() {
		if err := b.tracing.Stop(ctx); err != nil {
			b.log.WarnContext(ctx, "the last spans are lost", slog.Any("error", err))
		}
	}, nil
}

// requireRights refuses a service whose user lacks what only its first task would tell, and a worker's first decline.
func (b *foundation) requireRights(ctx context.Context) error {
	if err := b.db.RequireRecording(ctx); err != nil || b.name != workerName {
		return err
	}
	return b.db.RequireSuccession(ctx)
}

// waitForDatabase returns when the database answers, its schema is new enough, the user may do what the service does, and the encryption
// key is adopted. Only a key
// that does not fit is an error that waiting cannot mend.
func (b *foundation) waitForDatabase(ctx context.Context) error {
	for pause := startPauseFirst; ; pause = min(2*pause, startPauseMax) {
		attempt, cancel := context.WithTimeout(ctx, startTimeout)
		err := b.db.RequireSchema(attempt)
		if err == nil {
			err = b.requireRights(attempt)
		}
		if err == nil {
			err = b.adoptKey(attempt)
		}
		cancel()
		if err == nil {
			b.store = store.New(b.db, b.vault)
			b.store.SetAlarm(b.alarm)
			if b.tracing != nil {
				b.store.ReadTraces()
			}
			return nil
		}
		if fault := keyFault(err); fault != nil {
			return fault
		}
		level := slog.LevelWarn
		if billing.CodeOf(err) == billing.CodeInternal {
			level = slog.LevelError // a refused password, a database that does not exist: somebody must act
		}
		b.log.Log(ctx, level, "waiting for the database", slog.Any("error", err), slog.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// checks are what the configuration cannot judge by itself.
func checks() config.Checks { return config.Checks{Key: checkKey, Database: checkDatabase} }

// checkDatabase judges whether the URL can be read and, if connections to other machines must be encrypted, is sure to make such; it
// does not connect.
func checkDatabase(url secret.Text, encrypted bool) error {
	db, err := store.Open(store.Options{URL: url})
	if err != nil {
		return errors.New("is not a PostgreSQL URL that can be used")
	}
	if err := db.Close(); err != nil {
		return err
	}
	if plain, err := store.MayGoInClear(url); err != nil || encrypted && plain {
		return errors.New("must name sslmode=verify-full (or require, which checks no certificate), unless the server is on this machine; " +
			"DATABASE_ALLOW_PLAINTEXT=true allows connections without TLS")
	}
	return nil
}

// healthcheck asks the running service whether it lives.
func healthcheck(service Service, environ []string) error {
	addr, err := service.opsAddr(environ)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("read OPS_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/livez", nil)
	if err != nil {
		return fmt.Errorf("ask /livez: %w", err)
	}
	response, err := (&http.Client{}).Do(request)
	if err != nil {
		return fmt.Errorf("ask /livez: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask /livez: answered %d", response.StatusCode)
	}
	return nil
}
