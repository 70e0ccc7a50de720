package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"billonce/cmd/billctl/dev/proc"
	"billonce/cmd/billctl/keys"
	"billonce/pkg/client"
	"billonce/pkg/secret"
	"billonce/pkg/store"
)

const (
	defaultAPIPort = 8080
	readyTimeout   = 30 * time.Second
	// The services give up by themselves after shutdownTimeout; only then are they killed.
	shutdownTimeout = 10 * time.Second
	stopGrace       = shutdownTimeout + 5*time.Second
	lastLines       = 15
)

// platformKey is the platform's secret key at the simulator.
const platformKey = "sk_test_platform"

// Options say which stack to run.
type Options struct {
	Workers     int         // worker processes, at least 1
	APIAddr     string      // host:port of the API; "": 127.0.0.1:8080, or another port if that one is taken
	DatabaseURL secret.Text // empty: a private PostgreSQL
	Quiet       bool        // only what must be said
	Out, Err    io.Writer   // results, and progress
	Now         func() time.Time
}

// service is one running part of the stack.
type service struct {
	*proc.Process
	log string
	url string // where it answers
}

// stack is the running whole.
type stack struct {
	opts     Options
	place    place
	binaries string
	database *database
	adminKey secret.Text
	api      *client.Client

	simulator, apiServer *service
	workers              []*service

	ended   chan *service // each service that has ended, asked or not
	watched sync.WaitGroup
}

// up starts everything in the order of need. When it fails, what had been started is stopped.
func up(ctx context.Context, where place, db *database, opts Options) (*stack, error) {
	s := &stack{opts: opts, place: where, database: db, ended: make(chan *service, opts.Workers+2)}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, stop(ctx, s.down))
	}
	return s, nil
}

func (s *stack) start(ctx context.Context) error {
	applied, err := s.database.migrate(ctx)
	if err != nil {
		return err
	}
	if err := s.database.separate(ctx); err != nil {
		return err
	}
	s.notef("schema up to date (%d migrations applied)", applied)
	if s.binaries, err = s.place.binaries(ctx, s.opts.Err); err != nil {
		return err
	}
	key, err := keys.Ensure(s.place.file("admin_key"), keys.AdminKey)
	if err != nil {
		return err
	}
	s.adminKey = secret.New(key)
	if err := s.startSimulator(ctx); err != nil {
		return err
	}
	if err := s.startAPI(ctx); err != nil {
		return err
	}
	for n := range s.opts.Workers {
		if err := s.startWorker(ctx, n+1); err != nil {
			return err
		}
	}
	s.api, err = client.New(s.apiServer.url, s.adminKey)
	return err
}

func (s *stack) startSimulator(ctx context.Context) error {
	address, err := proc.Address(ctx, 0)
	if err != nil {
		return err
	}
	s.simulator, err = s.spawn(ctx, "stripesim", "stripesim", map[string]string{"STRIPESIM_ADDR": address})
	if err != nil {
		return err
	}
	s.simulator.url = "http://" + address
	return s.waitReady(ctx, s.simulator, s.simulator.url+"/_sim/ledger")
}

func (s *stack) startAPI(ctx context.Context) error {
	address := s.opts.APIAddr
	var err error
	if address == "" {
		if address, err = proc.Address(ctx, defaultAPIPort); err != nil {
			return err
		}
	}
	settings, err := s.settings(ctx, store.RoleAPI)
	if err != nil {
		return err
	}
	settings["API_ADDR"] = address
	settings["ADMIN_API_KEY_FILE"] = s.place.file("admin_key")
	if s.apiServer, err = s.spawn(ctx, "api", "api", settings); err != nil {
		return err
	}
	s.apiServer.url = "http://" + reachable(address)
	return s.waitReady(ctx, s.apiServer, s.apiServer.url+"/readyz")
}

func (s *stack) startWorker(ctx context.Context, number int) error {
	settings, err := s.settings(ctx, store.RoleWorker)
	if err != nil {
		return err
	}
	worker, err := s.spawn(ctx, fmt.Sprintf("worker-%d", number), "worker", settings)
	if err != nil {
		return err
	}
	worker.url = "http://" + settings["OPS_ADDR"]
	s.workers = append(s.workers, worker)
	return s.waitReady(ctx, worker, worker.url+"/readyz")
}

// settings is what API and workers have in common. Stripe's own addresses and keys never reach them.
func (s *stack) settings(ctx context.Context, role store.Role) (map[string]string, error) {
	ops, err := proc.Address(ctx, 0)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{
		"APP_ENV": "development", "DATABASE_URL": s.database.as(role).Reveal(), "OPS_ADDR": ops, "API_ADDR": "", "ADMIN_API_KEY": "",
		"STRIPE_API_URL": s.simulator.url, "STRIPE_CONNECT_URL": s.simulator.url,
		"STRIPE_SECRET_KEY": platformKey, "STRIPE_CLIENT_ID": "", "STRIPE_WEBHOOK_SECRET": "",
		"SHUTDOWN_DELAY": "0s", "SHUTDOWN_TIMEOUT": shutdownTimeout.String(),
	}
	// A database of this stack's own is sealed with a key of its own. Another one may hold tokens already: there the
	// environment names the key, or the services share the one that the database keeps for development.
	if s.database.server != nil {
		path := s.place.file("encryption_key")
		if _, err := keys.Ensure(path, keys.Generate); err != nil {
			return nil, err
		}
		settings["ENCRYPTION_KEY_FILE"] = path
	}
	return settings, nil
}

// spawn starts one service with its output in a log file, and has somebody wait for its end.
func (s *stack) spawn(ctx context.Context, name, program string, settings map[string]string) (*service, error) {
	path := s.place.log(name)
	log, err := proc.OpenLog(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	process, err := proc.Start(ctx, proc.Spec{
		Name: name, Path: filepath.Join(s.binaries, program), Env: environ(settings), Stdout: log, Stderr: log,
		// Nobody would see it go on: a worker survives this, and its tasks do.
		Orphan: syscall.SIGKILL,
	})
	if err != nil {
		return nil, err
	}
	started := &service{Process: process, log: path}
	s.watched.Go(func() {
		<-process.Done()
		s.ended <- started
	})
	return started, nil
}

// died tells of a service that ended by itself.
func died(which *service) error {
	text := fmt.Sprintf("%s ended by itself with exit code %d", which.Name(), which.ExitCode())
	if lines := proc.Tail(which.log, lastLines); len(lines) > 0 {
		text += "; its last lines, of " + which.log + ":\n  " + strings.Join(lines, "\n  ")
	}
	return errors.New(text)
}

// databaseDied tells of a private server that ended by itself.
func (s *stack) databaseDied() error {
	return errors.New("PostgreSQL ended by itself; its last lines:\n  " + strings.Join(s.database.server.Tail(), "\n  "))
}

// databaseDone never becomes ready for a database that is somebody else's.
func (s *stack) databaseDone() <-chan struct{} {
	if s.database.server == nil {
		return nil
	}
	return s.database.server.Done()
}

// down stops everything in the reverse order of need: no new tasks, none in flight, then what they speak to. The database
// is its maker's to close.
func (s *stack) down(ctx context.Context) error {
	err := s.end(ctx, s.apiServer)
	var workers sync.WaitGroup
	faults := make([]error, len(s.workers))
	for i, worker := range s.workers {
		workers.Go(func() { faults[i] = s.end(ctx, worker) })
	}
	workers.Wait()
	err = errors.Join(err, errors.Join(faults...), s.end(ctx, s.simulator))
	s.watched.Wait()
	return err
}

func (s *stack) end(ctx context.Context, one *service) error {
	if one == nil {
		return nil
	}
	select {
	case <-one.Done():
		return nil // its end has been told already
	default:
	}
	if err := one.Stop(ctx, syscall.SIGTERM, stopGrace); err != nil {
		return err
	}
	if code := one.ExitCode(); code != 0 {
		return fmt.Errorf("%s stopped with exit code %d; its log ends with:\n  %s",
			one.Name(), code, strings.Join(proc.Tail(one.log, lastLines), "\n  "))
	}
	return nil
}

// notef says what is going on, unless nobody wants to know.
func (s *stack) notef(format string, args ...any) {
	if !s.opts.Quiet {
		_, _ = fmt.Fprintf(s.opts.Err, format+"\n", args...)
	}
}
