package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

const (
	installTimeout    = 10 * time.Minute
	createClusterFile = "/etc/postgresql-common/createcluster.conf"
)

// findOrInstall returns an installation, and on Debian and Ubuntu installs one when there is none and it may.
func findOrInstall(ctx context.Context, wanted int, progress io.Writer) (installation, error) {
	found, err := find(ctx, wanted)
	if err == nil || !errors.Is(err, errNotFound) {
		return found, err
	}
	if wanted != 0 || !canInstall() {
		return found, fmt.Errorf("%w: %s", err, advice(wanted))
	}
	_, _ = fmt.Fprintln(progress, "PostgreSQL is not installed: installing it with apt-get …")
	if err := install(ctx, progress, createClusterFile); err != nil {
		return found, fmt.Errorf("install PostgreSQL: %w; %s", err, advice(wanted))
	}
	return find(ctx, wanted)
}

func advice(wanted int) string {
	if wanted != 0 {
		return "install that version, or remove the data folder to begin with an empty database"
	}
	return "install it (Debian, Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; " +
		"macOS: brew install postgresql@17), or set DATABASE_URL to a server of your own"
}

// canInstall reports whether this is Debian or one of its kin and this program is root.
func canInstall() bool {
	if os.Geteuid() != 0 {
		return false
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return false
	}
	release, err := os.ReadFile("/etc/os-release")
	return err == nil && debianPattern.Match(release)
}

var debianPattern = regexp.MustCompile(`(?m)^(ID|ID_LIKE)=.*\b(debian|ubuntu)\b`)

// install installs the packaged server without the cluster that the package would otherwise create and start.
func install(ctx context.Context, progress io.Writer, clusterFile string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	if err := aptGet(ctx, progress, "update"); err != nil {
		return err
	}
	if err := aptGet(ctx, progress, "install", "-y", "--no-install-recommends", "postgresql-common"); err != nil {
		return err
	}
	restore, err := withoutMainCluster(clusterFile)
	if err != nil {
		return err
	}
	err = aptGet(ctx, progress, "install", "-y", "--no-install-recommends", "postgresql")
	return errors.Join(err, restore())
}

func aptGet(ctx context.Context, progress io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...) //nolint:gosec // fixed words, from install above
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

var mainClusterPattern = regexp.MustCompile(`(?m)^\s*#?\s*create_main_cluster\s*=.*$`)

// withoutMainCluster switches the creation of a packaged cluster off in the given file and returns what restores the file.
func withoutMainCluster(path string) (restore func() error, err error) {
	before, err := os.ReadFile(path) //nolint:gosec // a fixed path
	if errors.Is(err, os.ErrNotExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keep the package from creating a cluster: %w", err)
	}
	line := "create_main_cluster = false"
	changed := mainClusterPattern.ReplaceAllString(string(before), line)
	if !strings.Contains(changed, line) {
		changed += "\n" + line + "\n"
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keep the package from creating a cluster: %w", err)
	}
	if err := os.WriteFile(path, []byte(changed), info.Mode().Perm()); err != nil { //nolint:gosec // a fixed path
		return nil, fmt.Errorf("keep the package from creating a cluster: %w", err)
	}
	return func() error {
		if err := os.WriteFile(path, before, info.Mode().Perm()); err != nil { //nolint:gosec // a fixed path
			return fmt.Errorf("restore %s: %w", path, err)
		}
		return nil
	}, nil
}
