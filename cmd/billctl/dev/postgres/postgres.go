package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lib/pq"

	"billonce/cmd/billctl/dev/proc"
	"billonce/pkg/secret"
)

const (
	readyTimeout = time.Minute
	readyPoll    = 25 * time.Millisecond
	stopGrace    = 20 * time.Second
	startTries   = 5
)

// Options say which server to bring up.
type Options struct {
	// Folder keeps the data of a lasting server, which is safe against a power cut. Empty: a throw-away server, made for
	// speed, whose folder Stop removes.
	Folder string
	// Progress receives a line for each step that takes long. nil discards them.
	Progress io.Writer
}

// Server is a running private PostgreSQL.
type Server struct {
	process  *proc.Process
	folder   *folder
	durable  bool
	port     int
	password secret.Text
}

// Start brings a server up and returns when it answers. ctx bounds the start only.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	owner, err := serverAccount()
	if err != nil {
		return nil, err
	}
	s := &Server{durable: opts.Folder != ""}
	if s.durable {
		s.folder, err = openFolder(opts.Folder, owner)
	} else {
		sweep(ctx, owner)
		s.folder, err = openThrowaway(owner)
	}
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, opts.Progress); err != nil {
		return nil, errors.Join(err, s.giveUp())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, progress io.Writer) error {
	if err := s.folder.stopOrphan(ctx); err != nil {
		return err
	}
	major, err := s.folder.major()
	if err != nil {
		return err
	}
	bin, err := findOrInstall(ctx, major, progress)
	if err != nil {
		return err
	}
	if major == 0 {
		_, _ = fmt.Fprintf(progress, "creating a PostgreSQL %d cluster in %s\n", bin.major, s.folder.path)
		if err := s.folder.initialize(ctx, bin, s.durable); err != nil {
			return err
		}
	}
	if s.password, err = s.folder.readPassword(); err != nil {
		return err
	}
	socket, err := s.folder.socket()
	if err != nil {
		return err
	}
	return s.launch(ctx, bin, socket)
}

// launch starts the server on a free port, and on another one when somebody was quicker to bind it.
func (s *Server) launch(ctx context.Context, bin installation, socket string) error {
	preferred := s.lastPort()
	for range startTries {
		port, err := proc.FreePort(ctx, preferred)
		if err != nil {
			return err
		}
		s.port, preferred = port, 0
		if err := s.spawn(ctx, bin, socket); err != nil {
			return err
		}
		err = s.waitReady(ctx)
		if err == nil {
			return s.keepPort()
		}
		if !s.portWasTaken() {
			return errors.Join(err, s.halt(ctx))
		}
	}
	return fmt.Errorf("start PostgreSQL: no port stayed free in %d tries", startTries)
}

func (s *Server) spawn(ctx context.Context, bin installation, socket string) error {
	log, err := proc.OpenLog(s.folder.log())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	s.process, err = proc.Start(ctx, proc.Spec{
		Name: "PostgreSQL", Path: bin.server(),
		Args: append([]string{"-D", s.folder.data()}, settings(s.durable, s.port, socket)...),
		Env:  environment(), Dir: s.folder.path, Stdout: log, Stderr: log,
		Credential: s.folder.owner.credential(), Orphan: s.stopSignal(),
	})
	return err
}

// waitReady returns when the server answers a statement.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	db, err := sql.Open("postgres", s.URL("postgres").Reveal())
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = db.Close() }()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-s.process.Done():
			return fmt.Errorf("start PostgreSQL: it ended at once:\n%s", strings.Join(s.Tail(), "\n"))
		case <-ctx.Done():
			return fmt.Errorf("start PostgreSQL: not ready: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// portWasTaken reports whether the server ended because its port could not be bound.
func (s *Server) portWasTaken() bool {
	select {
	case <-s.process.Done():
		return strings.Contains(strings.Join(s.Tail(), "\n"), "could not bind")
	default:
		return false
	}
}

// lastPort returns the port of the server's earlier life, so that its URL stays; 0 when it had none.
func (s *Server) lastPort() int {
	content, err := os.ReadFile(s.folder.port())
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || port < 1024 || port > 65535 {
		return 0
	}
	return port
}

func (s *Server) keepPort() error {
	if err := os.WriteFile(s.folder.port(), []byte(strconv.Itoa(s.port)+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the database's port: %w", err)
	}
	return nil
}

// URL returns the superuser's URL of one database.
func (s *Server) URL(database string) secret.Text {
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password.Reveal()),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: database, RawQuery: "sslmode=disable",
	}
	return secret.New(address.String())
}

// CreateDatabase creates a database unless it exists.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	db, err := sql.Open("postgres", s.URL("postgres").Reveal())
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	defer func() { _ = db.Close() }()
	var exists bool
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, name).Scan(&exists)
	if err == nil && !exists {
		_, err = db.ExecContext(ctx, `CREATE DATABASE `+pq.QuoteIdentifier(name))
	}
	if err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

// DropDatabase removes a database and all that is in it, if it exists.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	db, err := sql.Open("postgres", s.URL("postgres").Reveal())
	if err == nil {
		defer func() { _ = db.Close() }()
		_, err = db.ExecContext(ctx, `DROP DATABASE IF EXISTS `+pq.QuoteIdentifier(name)+` WITH (FORCE)`)
	}
	if err != nil {
		return fmt.Errorf("drop the database: %w", err)
	}
	return nil
}

// Folder is where the server keeps its data, its log and its password.
func (s *Server) Folder() string { return filepath.Clean(s.folder.path) }

// PID returns the server's process id.
func (s *Server) PID() int { return s.process.PID() }

// Done is closed when the server has ended, asked or not.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Tail returns the last lines of the server's log.
func (s *Server) Tail() []string { return proc.Tail(s.folder.log(), 15) }

// Stop ends the server and waits for it, then gives its folder up; a throw-away server's folder is removed. When ctx ends,
// the server is killed.
func (s *Server) Stop(ctx context.Context) error {
	return errors.Join(s.halt(ctx), s.giveUp())
}

func (s *Server) halt(ctx context.Context) error {
	return s.process.Stop(ctx, s.stopSignal(), stopGrace)
}

func (s *Server) giveUp() error {
	if s.durable {
		return s.folder.release()
	}
	return s.folder.remove()
}

// stopSignal asks a lasting server for a fast shutdown with its checkpoint, a throw-away one for an immediate one.
func (s *Server) stopSignal() syscall.Signal {
	if s.durable {
		return syscall.SIGINT
	}
	return syscall.SIGQUIT
}
