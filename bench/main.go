// Command bench measures billonce beside its peers, on one private PostgreSQL, and prints ratios and whether the bars are met.
//
// It promises that every contender meets the same server with a database of its own, one after the other; that nothing it
// starts outlives it; and that what could not be measured is named. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"billonce/bench/report"
	"billonce/bench/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	quick, verbose   bool
	strict           bool
	only, contenders string
	repeats          int
	out, dir         string
	profiles         string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&opts.quick, "quick", false, "fewer tasks, one repeat: under three minutes in all")
	flags.StringVar(&opts.only, "only", "", "scenarios to run, by comma: a,b,c (empty: all)")
	flags.StringVar(&opts.contenders, "contenders", "", "contenders to run, by comma: billonce,river,graphile,pgboss,floor (empty: all)")
	flags.IntVar(&opts.repeats, "repeats", 3, "how often each measurement is made")
	flags.StringVar(&opts.out, "out", "", "where the results go (empty: bench/results)")
	flags.StringVar(&opts.dir, "dir", "", "where the server's data goes; it is kept (empty: a temporary folder)")
	flags.StringVar(&opts.profiles, "profiles", "", "where profiles of each of billonce's workers go (empty: none are taken)")
	flags.BoolVar(&opts.strict, "strict", false, "fail unless every bar is met")
	flags.BoolVar(&opts.verbose, "v", false, "say what is being done")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 || opts.repeats < 1 {
		flags.Usage()
		return opts, flag.ErrHelp
	}
	if opts.quick {
		opts.repeats = 1
	}
	return opts, nil
}

// Scenario is one thing that is measured.
type Scenario struct {
	Name, Title string
	Apart       bool // run only when -only names it
	// Run measures and puts what it finds into b.Report. An error ends this scenario, not the others.
	Run func(ctx context.Context, b *Bench) error
}

// Bench is what a scenario works with.
type Bench struct {
	Stage   *stage.Stage
	Report  *report.Report
	Quick   bool
	Repeats int

	contenders []string
	chosen     map[string]variant // by contender and number of workers
	loadRate   float64            // tasks a second that billonce was loaded with, at the least; 0: nothing was loaded yet
	spent      spent
	verbose    bool
	log        io.Writer
	began      time.Time
}

// Wants reports whether a contender is to be measured. billonce is, unless -contenders leaves it out.
func (b *Bench) Wants(contender string) bool {
	return len(b.contenders) == 0 || slices.Contains(b.contenders, contender)
}

// Logf says what is being done, with -v.
func (b *Bench) Logf(format string, args ...any) {
	if b.verbose {
		_, _ = fmt.Fprintf(b.log, "%6.1fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	opts, err := parse(args, stderr)
	if err != nil {
		return err
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	if opts.out == "" {
		opts.out = filepath.Join(root, "bench", "results")
	}
	place, err := stage.Start(ctx, stage.Options{Root: root, Dir: opts.dir, Progress: stderr, Profiles: opts.profiles})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Stop(ctx)) }()
	b := &Bench{
		Stage: place, Report: report.New(), Quick: opts.quick, Repeats: opts.repeats, contenders: list(opts.contenders), chosen: map[string]variant{},
		verbose: opts.verbose, log: stderr, began: time.Now(),
	}
	describe(ctx, b)
	failed := b.play(ctx, list(opts.only))
	b.Report.Head("took", "%s", b.spent.String())
	name := "full"
	if opts.quick {
		name = "quick"
	}
	err = errors.Join(failed, b.Report.Text(stdout), b.Report.Write(opts.out, name))
	if opts.strict {
		err = errors.Join(err, unmet(b.Report))
	}
	_, _ = fmt.Fprintf(stdout, "\ntook %s\n", b.spent.String())
	return err
}

// unmet is an error that names each bar that is not met.
func unmet(r *report.Report) error {
	var errs []error
	for _, verdict := range r.Verdicts() {
		if verdict.State != report.Met {
			errs = append(errs, fmt.Errorf("%s is %s: %.3f, want %s %.3f", verdict.Name, verdict.State, verdict.Value, verdict.Direction, verdict.Limit))
		}
	}
	return errors.Join(errs...)
}

// play runs the scenarios one after the other.
func (b *Bench) play(ctx context.Context, only []string) error {
	var failed []error
	for _, scenario := range scenarios() {
		if wanted := slices.Contains(only, scenario.Name); !wanted && (len(only) > 0 || scenario.Apart) {
			continue
		}
		b.Report.Title(scenario.Name, scenario.Title)
		b.Logf("scenario %s: %s", scenario.Name, scenario.Title)
		ended := b.spent.begin(scenario.Name, time.Now)
		err := scenario.Run(ctx, b)
		ended()
		if err != nil {
			failed = append(failed, fmt.Errorf("scenario %s: %w", scenario.Name, err))
		}
		if ctx.Err() != nil {
			return errors.Join(append(failed, context.Cause(ctx))...)
		}
	}
	return errors.Join(failed...)
}

func list(flag string) []string {
	var names []string
	for name := range strings.SplitSeq(flag, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// findRoot returns the source tree of billonce: this folder, or the first one above it with the module.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // looking around
		if err == nil && strings.HasPrefix(string(content), "module billonce\n") {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("find the source tree: run this inside it")
		}
		dir = filepath.Dir(dir)
	}
}
