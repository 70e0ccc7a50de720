package stage

import (
	"context"
	"fmt"
	"maps"
	"time"

	"billonce/cmd/billctl/dev/proc"
)

const (
	adminKey      = "bench-admin-key-0123456789abcdef0123456789abcdef"
	encryptionKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	platformKey   = "sk_test_platform"
	nobodyListens = "http://127.0.0.1:9" // where a worker would send that is not told to answer itself
)

// Env are environment variables on top of those with which the stage starts a service.
type Env map[string]string

// common is what the api and the workers start with: as they come, with the log's own noise left out.
func (s *Stage) common(ctx context.Context, database string, more Env) (Env, error) {
	ops, err := proc.Address(ctx, 0)
	if err != nil {
		return nil, err
	}
	env := Env{
		"APP_ENV": "development", "DATABASE_URL": s.URL(database), "OPS_ADDR": ops, "LOG_LEVEL": "warn",
		"ENCRYPTION_KEY": encryptionKey, "STRIPE_SECRET_KEY": platformKey, "STRIPE_API_URL": nobodyListens,
		"STRIPE_CONNECT_URL": nobodyListens,
		"SHUTDOWN_TIMEOUT":   "10s", "MERCHANT_RATE": "0", "MERCHANT_CONCURRENCY": "0",
	}
	maps.Copy(env, more)
	return env, nil
}

// StartAPI starts billonce's api on a database and waits until it is ready.
func (s *Stage) StartAPI(ctx context.Context, database string, more Env) (*API, error) {
	env, err := s.common(ctx, database, more)
	if err != nil {
		return nil, err
	}
	address, err := proc.Address(ctx, 0)
	if err != nil {
		return nil, err
	}
	env["API_ADDR"], env["ADMIN_API_KEY"] = address, adminKey
	process, err := s.service(ctx, "api", env)
	if err != nil {
		return nil, err
	}
	process.URL = "http://" + address
	if err := process.WaitReady(ctx, process.URL+"/readyz"); err != nil {
		return nil, err
	}
	return newAPI(process), nil
}

// StartWorker starts one of billonce's workers on a database and waits until it is ready. Without a limit of merchants, with
// Stripe's answers made in memory (BENCH_STRIPE), unless more says otherwise. Its URL is that of /metrics and pprof.
func (s *Stage) StartWorker(ctx context.Context, database string, more Env) (*Process, error) {
	env, err := s.common(ctx, database, Env{"BENCH_STRIPE": "memory"})
	if err != nil {
		return nil, err
	}
	maps.Copy(env, more)
	process, err := s.service(ctx, "worker", env)
	if err != nil {
		return nil, err
	}
	process.URL = "http://" + env["OPS_ADDR"]
	if err := process.WaitReady(ctx, process.URL+"/readyz"); err != nil || s.opts.Profiles == "" {
		return process, err
	}
	process.profiler, err = newProfiler(ctx, process.URL, s.opts.Profiles, process.PID())
	return process, err
}

// StartSimulator starts the Stripe simulator, whose every call takes latency. A worker is sent there by
// Env{"BENCH_STRIPE": "", "STRIPE_API_URL": simulator.URL}.
func (s *Stage) StartSimulator(ctx context.Context, latency time.Duration, args ...string) (*Process, error) {
	address, err := proc.Address(ctx, 0)
	if err != nil {
		return nil, err
	}
	path, err := s.Binary(ctx, "stripesim")
	if err != nil {
		return nil, err
	}
	process, err := s.Spawn(ctx, Command{
		Name: "stripesim", Path: path, Args: append([]string{"-addr", address, "-latency", latency.String()}, args...),
	})
	if err != nil {
		return nil, err
	}
	process.URL = "http://" + address
	return process, process.WaitReady(ctx, process.URL+"/_sim/latency")
}

func (s *Stage) service(ctx context.Context, name string, env Env) (*Process, error) {
	path, err := s.Binary(ctx, name)
	if err != nil {
		return nil, err
	}
	process, err := s.Spawn(ctx, Command{Name: name, Path: path, Env: env})
	if err != nil {
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	return process, nil
}
