package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"billonce/cmd/billctl/dev/proc"
)

const (
	readyTimeout = 30 * time.Second
	readyPoll    = 10 * time.Millisecond
	stopGrace    = 20 * time.Second
)

// Command says which child process to start.
type Command struct {
	Name string // how messages and the log file call it
	Path string
	Args []string
	Dir  string            // "": this program's
	Env  map[string]string // in place of what this program's environment says; "" removes
}

// Process is a child process of the stage.
type Process struct {
	*proc.Process
	Log string // where its output goes
	URL string // where it answers, if it is one of billonce's services

	profiler *profiler // nil: none

	mu   sync.Mutex
	last Usage
}

// Spawn starts a child. It ends with the stage at the latest.
func (s *Stage) Spawn(ctx context.Context, command Command) (*Process, error) {
	s.mu.Lock()
	s.serial++
	path := filepath.Join(s.dir, "log", fmt.Sprintf("%03d-%s.log", s.serial, command.Name))
	s.mu.Unlock()
	log, err := proc.OpenLog(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	started, err := proc.Start(ctx, proc.Spec{
		Name: command.Name, Path: command.Path, Args: command.Args, Dir: command.Dir, Env: environ(command.Env),
		Stdout: log, Stderr: log, Orphan: syscall.SIGKILL,
	})
	if err != nil {
		return nil, err
	}
	p := &Process{Process: started, Log: path}
	s.mu.Lock()
	s.processes = append(s.processes, p)
	s.mu.Unlock()
	return p, nil
}

// Usage reads what the process has used so far; of one that has ended, what the last reading said.
func (p *Process) Usage() (Usage, error) {
	usage, err := usageOf(p.PID(), false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.last = usage
	} else if p.last.CPU > 0 {
		return p.last, nil
	}
	return usage, err
}

// Stop asks the process to end and waits for it.
func (p *Process) Stop(ctx context.Context) error {
	_, _ = p.Usage() // the last reading; it may have ended already
	var err error
	if p.profiler != nil {
		err = p.profiler.stop(ctx)
		p.profiler = nil
	}
	return errors.Join(err, p.Process.Stop(ctx, syscall.SIGTERM, stopGrace))
}

// Tail returns the last lines that the process wrote.
func (p *Process) Tail() string { return strings.Join(proc.Tail(p.Log, 15), "\n") }

// WaitReady returns when the URL answers with a 2xx.
func (p *Process) WaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	probe := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * time.Second}
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		err := ask(ctx, probe, url)
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-p.Done():
			return fmt.Errorf("%s ended with exit code %d:\n%s", p.Name(), p.ExitCode(), p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.Name(), errors.Join(ctx.Err(), err), p.Tail())
		}
	}
}

func ask(ctx context.Context, probe *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := probe.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}

// environ is this program's environment with settings put in place of what it says of them.
func environ(settings map[string]string) []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := settings[name]
		return replaced || strings.HasPrefix(name, "PG") // none of libpq's, which River's driver and Node's read
	})
	for name, value := range settings {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Binary builds one of billonce's programs on first use, with the tag bench, and returns its path. That tag adds the switch
// BENCH_STRIPE and nothing else.
func (s *Stage) Binary(ctx context.Context, name string) (string, error) {
	return s.build(ctx, name, s.opts.Root, "./cmd/"+name)
}

// BenchBinary does the same for a program of this module, under bench/cmd.
func (s *Stage) BenchBinary(ctx context.Context, name string) (string, error) {
	return s.build(ctx, "bench-"+name, filepath.Join(s.opts.Root, "bench"), "./cmd/"+name)
}

func (s *Stage) build(ctx context.Context, name, dir, pkg string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.dir, "bin", name)
	if s.built[name] {
		return path, nil
	}
	s.progress("building %s", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "bench", "-o", path, pkg) //nolint:gosec // the product
	cmd.Dir, cmd.Env = dir, environ(map[string]string{"CGO_ENABLED": "0"})
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, output)
	}
	s.built[name] = true
	return path, nil
}
