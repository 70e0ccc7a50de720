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
	addr        string
	probe       bool
	platformKey string
	latency     stripesim.Latency
	seed        uint64
	rate        int
}

// errEnvironment marks a variable that cannot be read.
var errEnvironment = errors.New("is not a duration")

func parse(args []string, getenv func(string) string, out io.Writer) (options, error) {
	opts := options{addr: defaultAddr, platformKey: stripesim.DefaultPlatformKey}
	if text := getenv("STRIPESIM_ADDR"); text != "" {
		opts.addr = text
	}
	if text := getenv("STRIPESIM_PLATFORM_KEY"); text != "" {
		opts.platformKey = text
	}
	for name, into := range map[string]*time.Duration{
		"STRIPESIM_LATENCY": &opts.latency.Fixed, "STRIPESIM_JITTER": &opts.latency.Jitter,
	} {
		text := getenv(name)
		if text == "" {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return opts, fmt.Errorf("%s %w", name, errEnvironment)
		}
		*into = d
	}
	flags := flag.NewFlagSet("stripesim", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&opts.addr, "addr", opts.addr, "address to listen on")
	flags.DurationVar(&opts.latency.Fixed, "latency", opts.latency.Fixed, "how long each call takes")
	flags.DurationVar(&opts.latency.Jitter, "jitter", opts.latency.Jitter, "how much longer it may take, at random")
	flags.StringVar(&opts.platformKey, "platform-key", opts.platformKey, "the platform's secret key")
	flags.Uint64Var(&opts.seed, "seed", 0, "seed of everything random; 0: another each time")
	flags.IntVar(&opts.rate, "rate", 0, "calls that an account is served each second before it is answered 429; 0: any number")
	flags.BoolVar(&opts.probe, "healthcheck", false, "ask the simulator at the address whether it answers, and exit")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() == 1 && flags.Arg(0) == "healthcheck" {
		opts.probe = true
		return opts, nil
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintln(out, "stripesim: arguments that are not known")
		flags.Usage()
		return opts, errors.New("arguments")
	}
	return opts, nil
}

// run is the program, from its arguments to its exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	opts, err := parse(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errEnvironment):
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
	sim := stripesim.New(stripesim.Config{PlatformKey: opts.platformKey, Latency: opts.latency, Seed: opts.seed, RateLimit: opts.rate, Log: log})
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
