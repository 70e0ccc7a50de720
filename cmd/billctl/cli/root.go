package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"billonce/pkg/secret"
)

// Version is the build's version; the Makefile sets it through the linker.
var Version = "" //nolint:gochecknoglobals // the linker can set nothing else

// Exit codes of billctl.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2  // a wrong command, flag or argument
	ExitRefused = 3  // stored tokens do not open
	ExitConfig  = 78 // EX_CONFIG of sysexits(3)
)

// Streams are where billctl reads, writes and looks things up.
type Streams struct {
	In       *os.File
	Out, Err *os.File
	Lookup   func(string) (string, bool) // the environment
	Now      func() time.Time
}

// program is what the commands share.
type program struct {
	Streams
	out io.Writer
	err io.Writer
}

// Main runs billctl with the given arguments, those after the program's name, and returns its exit code.
func Main(ctx context.Context, args []string, streams Streams) int {
	p := &program{Streams: streams, out: streams.Out, err: streams.Err}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.out)
	root.SetErr(p.err)
	command, err := root.ExecuteContextC(ctx)
	return p.exitCode(command, err)
}

func (p *program) root() *cobra.Command {
	root := group("billctl", "Operate billonce: tasks, merchants, API keys, the audit log, schema, keys, and a whole stack on this machine",
		p.tasks(), p.merchants(), p.apiKeys(), p.audit(), p.migrate(), p.roles(), p.keys(), p.dev(), p.healthcheck(), p.version())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return root
}

// group returns a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	command := &cobra.Command{
		Use: use, Short: short,
		Args: func(command *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			text := fmt.Sprintf("%s has no command %q", command.CommandPath(), args[0])
			if close := command.SuggestionsFor(args[0]); len(close) > 0 {
				text += "; did you mean " + strings.Join(close, " or ") + "?"
			}
			return usageError{errors.New(text)}
		},
		RunE: func(command *cobra.Command, _ []string) error {
			_ = command.Help() // it is written to standard output, like every help
			return usageError{errors.New("name a command")}
		},
		SuggestionsMinimumDistance: 2,
	}
	command.AddCommand(commands...)
	return command
}

// exactly and atLeastOne check the number of arguments and say which ones are wanted.
func exactly(n int, names string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("want %s, got %d arguments", names, len(args))}
		}
		return nil
	}
}

func atLeastOne(names string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{fmt.Errorf("want %s", names)}
		}
		return nil
	}
}

// usageError is a wrong call of the program.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// configError is a wrong or missing setting.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// exitError carries another program's exit code; there is nothing more to say.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exitCode prints the error, once, and chooses the exit code. Arguments may be quoted in it, and a key among them by mistake.
func (p *program) exitCode(command *cobra.Command, err error) int {
	var usage usageError
	var config configError
	var exit exitError
	text := func() string { return secret.Scrub(err.Error()) }
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &usage):
		p.sayf("%s: %s\nTry '%s --help'.\n", command.CommandPath(), text(), command.CommandPath())
		return ExitUsage
	case errors.As(err, &config):
		p.sayf("%s: %s\n", command.CommandPath(), text())
		return ExitConfig
	}
	p.sayf("%s: %s\n", command.CommandPath(), text())
	return ExitFailure
}

// sayf tells the person at the terminal something that is not the result.
func (p *program) sayf(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) { // errors too may hold what came over the network
		_, _ = fmt.Fprintln(p.err, plain(strings.TrimSuffix(line, "\n")))
	}
}

// printf writes a part of the result.
func (p *program) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			p.printf("billctl %s\n", versionText())
			return nil
		},
	}
}

func versionText() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
