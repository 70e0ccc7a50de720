package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"billonce/pkg/stripesim"
)

const (
	defaultAddr  = "127.0.0.1:12111"
	stopTimeout  = 20 * time.Second
	probeTimeout = 2 * time.Second
)

const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
	exitConfig  = 78 // EX_CONFIG of sysexits(3)
)

// options are what flags and environment say.
type options struct {
	addr  string
	probe bool
	sim   stripesim.Config
}

// errSetting marks a value that makes no sense, be it a flag's or a variable's.
var errSetting = errors.New("setting")

// define binds the flags to the options.
func define(flags *flag.FlagSet, opts *options) {
	sim := &opts.sim
	flags.StringVar(&opts.addr, "addr", defaultAddr, "address to listen on")
	flags.StringVar(&sim.PlatformKey, "platform-key", stripesim.DefaultPlatformKey, "the platform's secret key")
	flags.Uint64Var(&sim.Seed, "seed", 0, "seed of everything random; 0: another each time")
	flags.DurationVar(&sim.Latency.Fixed, "latency", 0, "how long each call takes")
	flags.DurationVar(&sim.Latency.Jitter, "jitter", 0, "how much longer it may take, at random")
	flags.IntVar(&sim.RateLimit, "rate", 0, "calls that an account is served each second before it is answered 429; 0: any number")
	flags.StringVar(&sim.LimitFor, "rate-for", "", "the account that -rate is for; none: each")
	flags.DurationVar(&sim.KeyTTL, "key-ttl", 0, "how long an idempotency key is remembered; 0: 24h")
	flags.DurationVar(&sim.PruneLate, "prune-late", 0, "up to how much longer than that, drawn for each key")
	flags.DurationVar(&sim.LockWait, "lock-wait", 0, "how long a call waits for a busy object before 429 lock_timeout; 0: 2s, negative: not at all")
	flags.DurationVar(&sim.EventLag, "event-lag", 0, "how much later than its cause an event is listed")
	flags.Float64Var(&sim.EventDrops, "event-drops", 0, "how likely an event is never listed, 0 to 1")
	flags.Float64Var(&sim.EventDuplicates, "event-duplicates", 0, "how likely an event is listed twice, 0 to 1")
	flags.Float64Var(&sim.EventDisorder, "event-disorder", 0, "how likely an event is listed out of order, 0 to 1")
	flags.DurationVar(&sim.SearchLag, "search-lag", 0, "how much later than its creation an object is found by search")
	flags.BoolVar(&sim.StoreLockTimeouts, "store-lock-timeouts", false, "keep a 429 lock_timeout under its key")
	flags.BoolVar(&sim.StoreInvalid, "store-invalid", false, "keep a 400 for its parameters under its key")
	flags.BoolVar(&sim.MismatchFirst, "mismatch-first", false, "a running key sent with other parameters answers 400 rather than 409")
	flags.BoolVar(&sim.KeysPerAuthMode, "keys-per-auth-mode", false, "a key sent with a merchant's token and with the platform's key is two keys")
	flags.BoolVar(&sim.BareFromSchedule, "bare-from-schedule", false, "from_subscription tolerates no other parameter")
	flags.BoolVar(&sim.BareDeleteEvents, "bare-delete-events", false, "the events of a DELETE do not name the key that it carried")
	flags.BoolVar(&sim.NoKeepAlive, "no-keep-alive", false, "end every connection with its first answer")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(flags.Output(), "Usage: stripesim [flags] [healthcheck]\n\n"+
			"The variable STRIPESIM_NAME_OF_FLAG is the default of -name-of-flag. Most can be switched while it runs, by POST /_sim/switches.")
		flags.PrintDefaults()
	}
	flags.BoolVar(&opts.probe, probeFlag, false, "ask the simulator at the address whether it answers, and exit")
}

// probeFlag has no variable: a service started with one would not serve.
const probeFlag = "healthcheck"

func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("stripesim", flag.ContinueOnError)
	flags.SetOutput(out)
	define(flags, &opts)
	if err := defaults(flags, getenv); err != nil {
		return opts, err
	}
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	switch {
	case flags.NArg() == 1 && flags.Arg(0) == probeFlag:
		opts.probe = true
	case flags.NArg() > 0:
		_, _ = fmt.Fprintln(out, "stripesim: arguments that are not known")
		flags.Usage()
		return opts, errors.New("arguments")
	}
	if err := opts.sim.Check(); err != nil {
		return opts, fmt.Errorf("%w: %w", errSetting, err)
	}
	return opts, nil
}

// defaults sets the flags that have a variable. The error names the variable, not its value, which may be a key.
func defaults(flags *flag.FlagSet, getenv func(string) string) error {
	var wrong error
	flags.VisitAll(func(f *flag.Flag) {
		name := "STRIPESIM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		text := getenv(name)
		if text == "" || f.Name == probeFlag {
			return
		}
		if flags.Set(f.Name, text) != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%w: %s cannot be read", errSetting, name))
		}
	})
	return wrong
}

// run is the program, from its arguments to its exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	opts, err := parse(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errSetting):
		_, _ = fmt.Fprintln(stderr, "stripesim:", err)
		return exitConfig
	case err != nil:
		return exitUsage
	}
	if opts.probe {
		if err := probe(ctx, opts.addr); err != nil {
			_, _ = fmt.Fprintln(stderr, "healthcheck:", err)
			return exitFailure
		}
		return exitOK
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	if err := serve(ctx, opts, log); err != nil {
		log.ErrorContext(ctx, "stopped", slog.String("error", err.Error()))
		return exitFailure
	}
	return exitOK
}

func serve(ctx context.Context, opts options, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", opts.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", opts.addr, err)
	}
	if at, err := netip.ParseAddrPort(listener.Addr().String()); err == nil && !at.Addr().Unmap().IsLoopback() {
		log.WarnContext(ctx, "reachable from other machines, and the control routes ask for no credentials",
			slog.String("addr", listener.Addr().String()))
	}
	opts.sim.Log = log
	sim := stripesim.New(opts.sim)
	server := &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.InfoContext(ctx, "listening", slog.String("addr", listener.Addr().String()))
	select {
	case err := <-ended:
		sim.Close()
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.InfoContext(ctx, "shutting down", slog.Int("effects", len(sim.Ledger())))
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	sim.Close() // what is stalled is committed and answered now
	if err := server.Shutdown(stopping); err != nil {
		return fmt.Errorf("shut down: %w", errors.Join(err, server.Close()))
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	log.InfoContext(ctx, "stopped")
	return nil
}

// probe asks the simulator at the address. One that listens everywhere is asked on loopback.
func probe(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/_sim/healthz", http.NoBody)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is next door
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}
