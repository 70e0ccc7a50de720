package cli_test

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// script runs a shell script under `billctl dev exec`, which has no terminal here.
func script(t *testing.T, text string) *exec.Cmd {
	t.Helper()
	return billctl(t, nil, "dev", "exec", "--", "/bin/sh", "-c", text)
}

// assertGone fails if something still listens where the command was told that its database is.
func assertGone(t *testing.T, address string) {
	t.Helper()
	database, err := url.Parse(strings.TrimSpace(address))
	if err != nil || database.Host == "" {
		t.Fatalf("the command was given no URL: %v", err)
	}
	if conn, err := net.Dial("tcp", database.Host); err == nil {
		_ = conn.Close()
		t.Errorf("the database still listens on %s", database.Host)
	}
}

func TestExecGivesADatabaseAndTheExitCode(t *testing.T) {
	t.Parallel()
	command := script(t, `echo "$BILLONCE_TEST_DATABASE_URL"; exit 7`)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("%v, want exit code 7\n%s", err, complaints.String())
	}
	if !strings.HasSuffix(strings.TrimSpace(string(output)), "/postgres?sslmode=disable") {
		t.Error("the URL is not that of the maintenance database")
	}
	assertGone(t, string(output))
}

func TestExecRunsStatementsOnItsDatabase(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := script(t, `DATABASE_URL="$BILLONCE_TEST_DATABASE_URL" exec "$0" migrate up`)
	command.Args = append(command.Args, self)
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "applied 0001_init.sql") {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestExecHandsSignalsOn(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGHUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What it leaves in its group, as a hanging test binary, holds the pipe open for as long as it lives.
			command := script(t, `sleep 600 & trap 'echo got `+name+`; exit 9' TERM INT HUP; echo "$BILLONCE_TEST_DATABASE_URL"; while :; do sleep 0.02; done`)
			out, err := command.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			address, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			said, err := lines.ReadString('\n')
			if err != nil || said != "got "+name+"\n" {
				t.Errorf("the command said %q, %v", said, err)
			}
			var exit *exec.ExitError
			if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
				t.Errorf("%v, want exit code 9", err)
			}
			assertGone(t, address)
		})
	}
}

func TestExecOfAMissingCommandStartsNothing(t *testing.T) {
	t.Parallel()
	got := run(t, nil, "dev", "exec", "--", "no-such-command-here")
	if got.code != 1 || strings.Contains(got.err, "creating") || !strings.Contains(got.err, "no-such-command-here") {
		t.Errorf("%+v", got)
	}
}
