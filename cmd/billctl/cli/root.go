package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// Version is the build's version; the Makefile sets it through the linker.
var Version = "" //nolint:gochecknoglobals // the linker can set nothing else

// Streams are where billctl reads, writes and looks things up.
type Streams struct {
	In       *os.File
	Out, Err *os.File
	Lookup   func(string) (string, bool) // the environment
	Now      func() time.Time
	// IsTerminal says whether a person sits at one of the files; nil asks the system.
	IsTerminal func(*os.File) bool
}

// program is what the commands share.
type program struct {
	Streams
	out   io.Writer
	err   io.Writer
	quiet bool          // say nothing beside results and errors
	at    target        // the installation that the command speaks to, once it is connected
	lines *bufio.Reader // what a person types

	warned bool // of a key's file that others may use
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
		p.overview(), p.tasks(), p.merchants(), p.workers(), p.events(), p.encryption(), p.apiKeys(), p.audit(), p.me(), p.doctor(), p.contexts(),
		p.migrate(), p.roles(), p.keys(), p.dev(), p.healthcheck(), p.version(), exitCodes(), times(), p.reference())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentFlags().BoolVarP(&p.quiet, "quiet", "q", false, "say nothing beside results and errors")
	p.completeContexts(root)
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
	if hint := hintAt(err); hint != "" {
		p.sayf("%s\n", hint)
	}
	return ExitFailure
}

// hintAt says what to look at first, where the error alone does not.
func hintAt(err error) string {
	var problem *client.Problem
	var dial *net.OpError
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
		return "The key is wrong, has expired or was revoked; 'billctl context --help' says from where it is taken."
	case errors.As(err, &problem) && strings.Contains(problem.Error(), "/params/") && strings.Contains(problem.Error(), "must be a"):
		return "--param name=text is a text; name:=JSON is a number, true, false or a list."
	case errors.As(err, &dial) && dial.Op == "dial":
		return "Nothing answers there. 'billctl context --help' says from where the API's address is taken; 'billctl doctor' looks for the cause."
	}
	return ""
}

// sayf tells the person at the terminal something that is not the result.
func (p *program) sayf(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) { // errors too may hold what came over the network
		_, _ = fmt.Fprintln(p.err, plain(strings.TrimSuffix(line, "\n")))
	}
}

// notef is sayf for what a person need not know.
func (p *program) notef(format string, args ...any) {
	if !p.quiet {
		p.sayf(format, args...)
	}
}

// terminal reports whether a person sits at the file.
func (p *program) terminal(file *os.File) bool {
	switch {
	case file == nil:
		return false
	case p.IsTerminal != nil:
		return p.IsTerminal(file)
	default:
		return isatty.IsTerminal(file.Fd())
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
