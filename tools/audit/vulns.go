package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	standardDatabase = "https://vuln.go.dev"
	patience         = 20 * time.Second
	old              = 30 * 24 * time.Hour
)

// errKnown says that the program can reach a vulnerability that is known.
var errKnown = errors.New("a known vulnerability is reached")

// unreadError says that vulnerabilities could not be looked for.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }

func (e *unreadError) Unwrap() error { return e.err }

// vulnerabilities runs govulncheck over the tree with the given database. It first looks whether there is one, so that what
// govulncheck says then is about the tree.
func vulnerabilities(ctx context.Context, root, database string, out, errs io.Writer) error {
	address, err := databaseURL(database)
	if err != nil {
		return &unreadError{err}
	}
	modified, err := readDatabase(ctx, address)
	if err != nil {
		return &unreadError{err}
	}
	_, _ = fmt.Fprintf(out, "vulnerabilities: the database %s is of %s\n", address, modified.UTC().Format(time.DateOnly))
	if age := time.Since(modified); age > old {
		_, _ = fmt.Fprintf(errs, "vulnerabilities: it is %d days old, and knows of none since\n", age/(24*time.Hour))
	}
	script := filepath.Join(root, "tools", "govulncheck.sh")
	command := exec.CommandContext(ctx, script, "-db", address.String(), "./...") //nolint:gosec // a developer's own arguments
	command.Dir, command.Stdout, command.Stderr = root, out, errs
	err = command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == 3: // govulncheck's for a finding
		return errKnown
	case errors.As(err, &exit) && exit.ExitCode() == exitUnchecked: // the script's
		return &unreadError{errors.New("govulncheck is not installed and could not be built")}
	}
	return fmt.Errorf("govulncheck: %w", err)
}

// databaseURL takes a URL, the path of a folder, or "" for Go's own database.
func databaseURL(database string) (*url.URL, error) {
	if database == "" {
		database = standardDatabase
	}
	if !strings.Contains(database, "://") {
		path, err := filepath.Abs(database)
		if err != nil {
			return nil, err
		}
		return &url.URL{Scheme: "file", Path: filepath.ToSlash(path)}, nil
	}
	address, err := url.Parse(database)
	if err != nil || address.Scheme != "https" && address.Scheme != "file" {
		return nil, errors.New("the database must be an https or file URL, or a folder")
	}
	return address, nil
}

// readDatabase returns when a database was last changed.
func readDatabase(ctx context.Context, address *url.URL) (time.Time, error) {
	text, err := readIndex(ctx, address)
	if err != nil {
		return time.Time{}, fmt.Errorf("the database %s cannot be read: %w", address, err)
	}
	var index struct{ Modified time.Time }
	if err := json.Unmarshal(text, &index); err != nil || index.Modified.IsZero() {
		return time.Time{}, fmt.Errorf("the database %s is none: index/db.json names no time", address)
	}
	return index.Modified, nil
}

func readIndex(ctx context.Context, address *url.URL) ([]byte, error) {
	if address.Scheme == "file" {
		return os.ReadFile(filepath.Join(filepath.FromSlash(address.Path), "index", "db.json")) //nolint:gosec // naming a folder is the developer's right
	}
	index := address.JoinPath("index", "db.json").String()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, index, nil) //nolint:gosec // so is naming a database
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Timeout: patience}).Do(request) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, 1<<20))
}
