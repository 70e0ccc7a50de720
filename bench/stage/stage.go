// Package stage is what a benchmark stands on: one private PostgreSQL for the whole run, fresh databases in it, billonce's
// real binaries as child processes, and an account of what each process used.
//
// It promises that the server keeps what it commits (fsync and synchronous_commit are on), that every contender gets a
// database of its own on that server, that all listens on loopback only, and that everything started ends with the run,
// be it finished, interrupted or killed.
//
// It measures nothing by itself and knows no contender but billonce.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"billonce/cmd/billctl/dev/postgres"
)

// Options say where and how a stage is set up.
type Options struct {
	Root     string    // the source tree of billonce
	Dir      string    // where the server's data, the binaries and the logs go; "": a new folder for temporary files
	Progress io.Writer // a line for each step that takes long
	Profiles string    // where each worker's profiles go; "": none are taken
}

// Setting is a setting of the server, as the server itself reports it.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Stage is a running stage. Stop it.
type Stage struct {
	opts     Options
	dir      string
	server   *postgres.Server
	settings []Setting
	version  string

	mu        sync.Mutex
	processes []*Process
	serial    int
	built     map[string]bool
}

const stopTimeout = time.Minute

// wanted are the settings beside PostgreSQL's defaults, and durability, which is not to be lost to a file of somebody's.
func wanted() []Setting {
	return []Setting{
		{"fsync", "on"},
		{"synchronous_commit", "on"},
		{"full_page_writes", "on"},
		{"autovacuum", "on"},
		{"shared_buffers", "1GB"},
		{"max_wal_size", "8GB"},
		{"checkpoint_timeout", "30min"},
	}
}

// Start brings the server up with the settings of the benchmark. ctx bounds the start only.
func Start(ctx context.Context, opts Options) (*Stage, error) {
	s := &Stage{opts: opts, dir: opts.Dir, built: map[string]bool{}}
	if opts.Progress == nil {
		s.opts.Progress = io.Discard
	}
	var err error
	if s.dir == "" {
		s.dir, err = os.MkdirTemp("", "billonce-bench-*")
	} else {
		err = os.MkdirAll(s.dir, 0o711) //nolint:gosec // the server's user passes through
	}
	if err == nil {
		err = os.Chmod(s.dir, 0o711) //nolint:gosec // as above
	}
	for _, folder := range []string{"bin", "log"} {
		if err == nil {
			err = os.MkdirAll(filepath.Join(s.dir, folder), 0o700)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("prepare the folder of the benchmark: %w", err)
	}
	if err := s.startServer(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

// startServer starts the server twice: most settings are made through the first life, for the second.
func (s *Stage) startServer(ctx context.Context) error {
	options := postgres.Options{Folder: filepath.Join(s.dir, "pg"), Progress: s.opts.Progress}
	server, err := postgres.Start(ctx, options)
	if err != nil {
		return err
	}
	s.server = server
	if err := s.configure(ctx); err != nil {
		return err
	}
	s.server = nil
	if err := server.Stop(ctx); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	if s.server, err = postgres.Start(ctx, options); err != nil {
		return err
	}
	return s.readSettings(ctx)
}

func (s *Stage) configure(ctx context.Context) error {
	db, err := s.Open("postgres")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, setting := range wanted() {
		if _, err := db.ExecContext(ctx, `ALTER SYSTEM SET `+setting.Name+` = '`+setting.Value+`'`); err != nil {
			return fmt.Errorf("set %s: %w", setting.Name, err)
		}
	}
	return nil
}

func (s *Stage) readSettings(ctx context.Context) error {
	db, err := s.Open("postgres")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(ctx, `SHOW server_version`).Scan(&s.version); err != nil {
		return fmt.Errorf("read the server's version: %w", err)
	}
	names := []string{"data_checksums", "wal_level", "wal_sync_method", "autovacuum_naptime", "max_connections", "jit"}
	for _, setting := range wanted() {
		names = append(names, setting.Name)
	}
	for _, name := range names {
		var value string
		if err := db.QueryRowContext(ctx, `SELECT current_setting($1)`, name).Scan(&value); err != nil {
			return fmt.Errorf("read the setting %s: %w", name, err)
		}
		s.settings = append(s.settings, Setting{name, value})
		if (name == "fsync" || name == "synchronous_commit") && value != "on" {
			return fmt.Errorf("the server runs with %s = %s: its numbers would be worth nothing", name, value)
		}
	}
	return nil
}

// Settings are the server's settings that matter here.
func (s *Stage) Settings() []Setting { return s.settings }

// Version is the server's version.
func (s *Stage) Version() string { return s.version }

// Dir is the stage's folder: bin, log and the server's data.
func (s *Stage) Dir() string { return s.dir }

// Root is the source tree of billonce.
func (s *Stage) Root() string { return s.opts.Root }

// Stop ends everything that still runs, and removes the folder unless the caller named it. It works after ctx has ended.
func (s *Stage) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var errs []error
	s.mu.Lock()
	running := s.processes
	s.processes = nil
	s.mu.Unlock()
	for _, process := range running {
		errs = append(errs, process.Stop(ctx))
	}
	if s.server != nil {
		errs = append(errs, s.server.Stop(ctx))
		s.server = nil
	}
	if s.opts.Dir == "" && strings.Contains(filepath.Base(s.dir), "billonce-bench-") {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

func (s *Stage) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(s.opts.Progress, format+"\n", args...)
}
