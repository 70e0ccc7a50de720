package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"billonce/pkg/config"
	"billonce/pkg/secret"
	"billonce/pkg/worker"
)

// Exit codes of the services.
const (
	ExitOK      = 0
	ExitFailure = 1   // an error, or work in flight that had to be cut off
	ExitUsage   = 2   // an argument that is not known
	ExitConfig  = 78  // EX_CONFIG of sysexits(3): starting again changes nothing
	ExitSecond  = 130 // a second signal ended the process at once
)

// softMemoryLimit makes the collector work harder before a burst (a batch of 10,000 tasks) doubles the heap. A process that
// truly needs more gets it; GOMEMLIMIT overrides it.
const softMemoryLimit = 56 << 20 // bytes

// overduePatience is what a shutdown may take beyond SHUTDOWN_TIMEOUT before the process ends all the same: a database that no
// longer answers would keep it. What was in flight is then left as a crash leaves it.
const overduePatience = 2 * time.Second

var errOverdue = errors.New("the time for shutting down is over")

// Version is the build's version; the Makefile sets it through the linker.
var Version = "dev" //nolint:gochecknoglobals // the linker can set nothing else

// Main runs one service from its arguments to its exit code. args are those after the program's name.
//
// Without arguments the service runs until SIGTERM or SIGINT and then shuts down; a second signal ends the process at once.
// "version" prints the version, "healthcheck" asks the running service on OPS_ADDR whether it lives.
func Main(service Service, args, environ []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		return sideJob(service, args, environ, stdout, stderr)
	}
	if config.Lookup(environ, "GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cmp.Or(service.memory, softMemoryLimit))
	}
	if service.garbage != 0 && config.Lookup(environ, "GOGC") == "" {
		debug.SetGCPercent(service.garbage)
	}
	if err := run(service, environ, stderr); err != nil {
		return exitCode(err, stderr)
	}
	return ExitOK
}

func sideJob(service Service, args, environ []string, stdout, stderr io.Writer) int {
	switch {
	case len(args) == 1 && args[0] == "version":
		_, _ = fmt.Fprintln(stdout, "billonce", service.Name, Version)
		return ExitOK
	case len(args) == 1 && args[0] == "healthcheck":
		if err := healthcheck(service, environ); err != nil {
			_, _ = fmt.Fprintln(stderr, "healthcheck:", err)
			return ExitFailure
		}
		return ExitOK
	}
	_, _ = fmt.Fprintf(stderr, "usage: %s [version | healthcheck]\nThe environment configures the service; see README.md.\n", service.Name)
	return ExitUsage
}

// exitCode prints what the log cannot have said, and tells how the process ends. An address that cannot be listened on may be
// a credential in the wrong variable.
func exitCode(err error, stderr io.Writer) int {
	var misconfigured *config.Error
	switch {
	case errors.As(err, &misconfigured):
		_, _ = fmt.Fprintln(stderr, secret.Scrub(err.Error()))
		return ExitConfig
	case errors.Is(err, worker.ErrForced), errors.Is(err, errOverdue):
		return ExitFailure
	}
	_, _ = fmt.Fprintln(stderr, secret.Scrub(err.Error()))
	return ExitFailure
}

// run starts the service and turns signals into the end of its context.
func run(service Service, environ []string, stderr io.Writer) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	start, err := service.prepare(environ, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- start.run(ctx) }()
	stopping := false
	var overdue <-chan time.Time
	for {
		select {
		case err := <-ended:
			start.log.Info("stopped", slog.Bool("clean", err == nil))
			return err
		case received := <-signals:
			if stopping {
				start.log.Error("second signal, exiting at once", slog.String("signal", signalName(received)))
				os.Exit(ExitSecond) // the promise of a second signal
			}
			stopping = true
			start.log.Info("shutting down", slog.String("signal", signalName(received)))
			overdue = time.After(start.patience + overduePatience)
			cancel()
		case <-overdue:
			start.log.Error("the time for shutting down is over, ending with work in flight")
			return errOverdue
		}
	}
}

func signalName(received os.Signal) string {
	switch received {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	}
	return received.String()
}
