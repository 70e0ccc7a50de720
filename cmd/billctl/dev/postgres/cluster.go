package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"billonce/pkg/secret"
)

// superuser is the role that owns everything in a private server.
const superuser = "billonce"

// major returns the version with which the data folder was made, 0 when there is none yet.
func (f *folder) major() (int, error) {
	content, err := os.ReadFile(filepath.Join(f.data(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the data folder: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("read the version of the data folder: %s/PG_VERSION holds no number", f.data())
	}
	return major, nil
}

// initialize makes the data folder under another name first, so that an interruption leaves no half of one.
func (f *folder) initialize(ctx context.Context, bin installation, durable bool) error {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails since Go 1.24
	password := hex.EncodeToString(random)
	if err := os.RemoveAll(f.draft()); err != nil {
		return fmt.Errorf("create the database cluster: %w", err)
	}
	if err := os.Mkdir(f.draft(), 0o700); err != nil {
		return fmt.Errorf("create the database cluster: %w", err)
	}
	if err := f.owner.own(f.draft()); err != nil {
		return err
	}
	passwordFile := filepath.Join(f.path, "initdb-password")
	defer func() { _ = os.Remove(passwordFile) }()
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("create the database cluster: %w", err)
	}
	if err := f.owner.own(passwordFile); err != nil {
		return err
	}
	if err := f.initdb(ctx, bin, passwordFile, durable); err != nil {
		return err
	}
	if err := os.WriteFile(f.password(), []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the database's password: %w", err)
	}
	if err := os.Rename(f.draft(), f.data()); err != nil {
		return fmt.Errorf("create the database cluster: %w", err)
	}
	return nil
}

func (f *folder) initdb(ctx context.Context, bin installation, passwordFile string, durable bool) error {
	args := []string{
		"--pgdata=" + f.draft(), "--username=" + superuser, "--pwfile=" + passwordFile, "--auth=scram-sha-256",
		"--encoding=UTF8", "--no-locale", "--no-instructions",
	}
	if durable {
		args = append(args, "--data-checksums")
	} else {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, bin.initdb(), args...) //nolint:gosec // the program found, with arguments from above
	cmd.Dir, cmd.Env = f.path, environment()
	// Kept from the terminal's signals, and ended with the server that it runs for a while.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: f.owner.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("create the database cluster: initdb: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// readPassword returns the superuser's password.
func (f *folder) readPassword() (secret.Text, error) {
	content, err := os.ReadFile(f.password())
	if err != nil {
		return secret.Text{}, fmt.Errorf("read the database's password: %w; remove %s to begin with an empty database", err, f.path)
	}
	return secret.New(strings.TrimSpace(string(content))), nil
}

// environment is what PostgreSQL's programs see: none of the PG… variables, and messages in English, which are read here.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// settings are the server's settings, for the command line: the files in the data folder stay as initdb made them.
func settings(durable bool, port int, socket string) []string {
	list := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(port),
		`unix_socket_directories="` + socket + `"`, "unix_socket_permissions=0700",
		"max_connections=300", "timezone=UTC", "log_timezone=UTC", "logging_collector=off", "log_destination=stderr",
	}
	if !durable {
		list = append(list, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal",
			"max_wal_senders=0", "max_wal_size=2GB", "checkpoint_timeout=30min")
	}
	args := make([]string, 0, 2*len(list))
	for _, setting := range list {
		args = append(args, "-c", setting)
	}
	return args
}
