package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"billonce/cmd/billctl/dev/postgres"
	"billonce/cmd/billctl/dev/proc"
)

// testDatabaseVariable is where tests look for the server.
const testDatabaseVariable = "BILLONCE_TEST_DATABASE_URL"

// execGrace is how long a command may take to end when the database has ended before it.
const execGrace = 30 * time.Second

// Exec runs a command beside a throw-away PostgreSQL, whose superuser URL it finds in BILLONCE_TEST_DATABASE_URL, and
// returns its exit code. Signals are handed on to it; when it has ended, the server and all that it left in its process
// group are ended as well.
func Exec(ctx context.Context, command []string, stdin *os.File, stdout, stderr *os.File) (code int, err error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", command[0], err)
	}
	server, err := postgres.Start(ctx, postgres.Options{Progress: stderr})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop(ctx, server.Stop)) }()
	// Before the command starts: a signal that comes at once must reach it.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	terminal := isTerminal(stdin)
	child, err := proc.Start(ctx, proc.Spec{
		Name: command[0], Path: path, Args: command[1:], Stdin: stdin, Stdout: stdout, Stderr: stderr,
		Env:    environ(map[string]string{testDatabaseVariable: server.URL("postgres").Reveal()}),
		Orphan: syscall.SIGTERM,
		// In the foreground of a terminal the command must stay in this group, or it could not read from it.
		SameGroup: terminal,
	})
	if err != nil {
		return 0, err
	}
	code, err = handOn(child, server, signals, terminal, stderr)
	return code, err
}

// handOn waits for the child, and gives it the signals that the terminal has not given it already.
func handOn(child *proc.Process, server *postgres.Server, signals <-chan os.Signal, terminal bool, stderr io.Writer) (int, error) {
	for {
		select {
		case <-child.Done():
			if terminal {
				return child.ExitCode(), nil
			}
			return child.ExitCode(), child.Signal(syscall.SIGKILL) // what it left in its group
		case received := <-signals:
			sig, ok := received.(syscall.Signal)
			if !ok || terminal && (sig == syscall.SIGINT || sig == syscall.SIGQUIT) {
				continue
			}
			if err := child.Signal(sig); err != nil {
				return 0, err
			}
		case <-server.Done():
			_, _ = fmt.Fprintln(stderr, "PostgreSQL ended before the command:")
			for _, line := range server.Tail() {
				_, _ = fmt.Fprintln(stderr, "  "+line)
			}
			err := child.Stop(context.Background(), syscall.SIGTERM, execGrace)
			return 0, errors.Join(errors.New("PostgreSQL ended before the command"), err)
		}
	}
}

// stop runs a shutdown that the end of ctx does not cut short, but a further signal does.
func stop(ctx context.Context, shutdown func(context.Context) error) error {
	ctx, cancel := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	return shutdown(ctx)
}

// isTerminal reports whether a person may be typing into the file.
func isTerminal(file *os.File) bool { return file != nil && isatty.IsTerminal(file.Fd()) }
