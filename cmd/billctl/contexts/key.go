package contexts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"billonce/pkg/secret"
)

const (
	commandPatience = 2 * time.Minute // a person may have to type a passphrase
	maxKey          = 4 << 10
	forOthers       = 0o077 // of a file's mode
)

// Terminal is what a command that prints a key may use to ask for a passphrase.
type Terminal struct {
	In  io.Reader
	Err io.Writer
}

// HasKey reports whether the context says how its key is come by.
func (c Context) HasKey() bool { return !c.Key.Empty() || c.KeyFile != "" || c.KeyCommand != "" }

// KeySource says in one word or two how the key is come by, without showing it.
func (c Context) KeySource() string {
	switch {
	case !c.Key.Empty():
		return "kept here"
	case c.KeyFile != "":
		return "file " + c.KeyFile
	case c.KeyCommand != "":
		return "command"
	}
	return "environment"
}

// ResolveKey returns the key. It never asks anybody when the context keeps it.
func (c Context) ResolveKey(ctx context.Context, terminal Terminal) (secret.Text, error) {
	switch {
	case !c.Key.Empty():
		return c.Key, nil
	case c.KeyFile != "":
		return readKey(c.KeyFile)
	case c.KeyCommand != "":
		return runForKey(ctx, c.KeyCommand, terminal)
	}
	return secret.Text{}, errors.New("the context names no key")
}

// Exposed returns how the file of the key may be used by others than its owner; 0 when there is no such file, or nobody else may.
// What is no regular file, such as the end of a pipe, is nobody else's.
func (c Context) Exposed() os.FileMode {
	if c.KeyFile == "" {
		return 0
	}
	info, err := os.Stat(c.KeyFile)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&forOthers == 0 {
		return 0
	}
	return info.Mode().Perm()
}

func readKey(path string) (secret.Text, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return secret.Text{}, fmt.Errorf("read key_file: %w", err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxKey+1))
	if err != nil {
		return secret.Text{}, fmt.Errorf("read key_file: %w", err)
	}
	return oneLine("key_file", content)
}

// runForKey has the shell run a command that prints a key. What it printed is in no error.
func runForKey(ctx context.Context, line string, terminal Terminal) (secret.Text, error) {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	command := exec.CommandContext(ctx, "/bin/sh", "-c", line) //nolint:gosec // the operator's own command, from a file for them alone
	var output bytes.Buffer
	command.Stdin, command.Stderr = terminal.In, terminal.Err
	command.Stdout = &limited{to: &output, left: maxKey + 1}
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil {
		return secret.Text{}, fmt.Errorf("run key_command: %w", err)
	}
	return oneLine("key_command", output.Bytes())
}

// limited takes what fits and refuses the rest.
type limited struct {
	to   *bytes.Buffer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errors.New("it prints too much for a key")
	}
	l.left -= len(p)
	return l.to.Write(p)
}

func oneLine(from string, content []byte) (secret.Text, error) {
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" || len(text) > maxKey || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return secret.Text{}, fmt.Errorf("what %s gives is no key: it must be one line of printable ASCII", from)
	}
	return secret.New(text), nil
}
