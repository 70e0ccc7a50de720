package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"billonce/pkg/secret"
)

// confirmFlags are the flags of every command that changes something.
type confirmFlags struct{ yes bool }

func (f *confirmFlags) add(command *cobra.Command) {
	command.Flags().BoolVarP(&f.yes, "yes", "y", false, "go on without asking, as scripts must")
}

var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// inProduction asks before something is changed in an installation that is marked as production; elsewhere it does not.
func (p *program) inProduction(ctx context.Context, flags confirmFlags, what string) error {
	if !p.at.production {
		return nil
	}
	return p.confirm(ctx, flags, what, p.at.context)
}

// confirm has a person type the expected word before something is changed.
func (p *program) confirm(ctx context.Context, flags confirmFlags, what, expected string) error {
	if flags.yes {
		if p.at.production {
			p.notef("%s: %s\n", p.at, what)
		}
		return nil
	}
	if !p.terminal(p.In) {
		return usageError{fmt.Errorf("%s: to %s takes a confirmation, and there is no terminal to ask on: --yes goes on without", p.at, what)}
	}
	p.sayf("%s\n", p.at)
	_, _ = fmt.Fprintf(p.err, "%s? Type %s to go on: ", plain(upperFirst(what)), plain(expected))
	line, err := p.readLine(ctx)
	if err != nil {
		return err
	}
	if line != expected {
		return errNotConfirmed
	}
	return nil
}

func upperFirst(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// readLine reads what a person types. Nothing ends the read of a terminal but its line: when ctx ends first, so does the process, and
// the read with it.
func (p *program) readLine(ctx context.Context) (string, error) {
	if p.lines == nil {
		p.lines = bufio.NewReader(p.In)
	}
	type read struct {
		line string
		err  error
	}
	done := make(chan read, 1)
	go func() {
		line, err := p.lines.ReadString('\n')
		done <- read{line, err}
	}()
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(p.err)
		return "", interrupted(ctx, ctx.Err())
	case got := <-done:
		if got.line == "" && got.err != nil {
			return "", errNotConfirmed
		}
		return strings.TrimRight(got.line, "\r\n"), nil
	}
}

// askSecret has a person type a secret, which the terminal does not show.
func (p *program) askSecret(ctx context.Context, name string) (secret.Text, error) {
	if !p.terminal(p.In) {
		return secret.Text{}, usageError{fmt.Errorf("there is no terminal to ask for %s on: give it by a file, or by standard input with -", name)}
	}
	_, _ = fmt.Fprintf(p.err, "%s (it is not shown): ", name)
	descriptor := int(p.In.Fd())
	before, err := term.GetState(descriptor)
	if err != nil {
		return p.lineAsSecret(ctx)
	}
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		text, err := term.ReadPassword(descriptor)
		done <- read{text, err}
	}()
	select {
	case <-ctx.Done(): // as in readLine, but for the terminal, which must show again what is typed
		err = errors.Join(interrupted(ctx, ctx.Err()), term.Restore(descriptor, before))
		_, _ = fmt.Fprintln(p.err)
		return secret.Text{}, err
	case got := <-done:
		_, _ = fmt.Fprintln(p.err)
		if got.err != nil {
			return secret.Text{}, fmt.Errorf("read %s: %w", name, got.err)
		}
		return secret.New(strings.TrimSpace(string(got.text))), nil
	}
}

// lineAsSecret is for what calls itself a terminal and cannot be told to show nothing.
func (p *program) lineAsSecret(ctx context.Context) (secret.Text, error) {
	line, err := p.readLine(ctx)
	return secret.New(strings.TrimSpace(line)), err
}

// secretFrom reads a secret from a file, from standard input for "-", or has it typed for "ask". Arguments are no place for one:
// every user of the machine can read them.
func (p *program) secretFrom(ctx context.Context, name, place string) (secret.Text, error) {
	switch place {
	case "ask":
		text, err := p.askSecret(ctx, name)
		if err == nil && text.Empty() {
			err = fmt.Errorf("no %s was given", name)
		}
		return text, err
	case "-":
		if p.In == nil {
			return secret.Text{}, fmt.Errorf("read %s: there is no standard input", name)
		}
		return readSecret(name, p.In)
	}
	file, err := os.Open(place) //nolint:gosec // the operator names the file
	if err != nil {
		var cause *os.PathError
		if errors.As(err, &cause) {
			err = cause.Err // without the path: a secret may stand there by mistake
		}
		return secret.Text{}, fmt.Errorf("read %s from its file: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	return readSecret(name, file)
}
