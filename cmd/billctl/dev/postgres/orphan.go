package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	orphanGrace = 10 * time.Second
	orphanPoll  = 20 * time.Millisecond
)

// stopOrphan ends the server that an earlier life of this program left in the folder, and removes its stale pid file. The
// caller holds the folder's lock: no other living billctl owns that server.
func (f *folder) stopOrphan(ctx context.Context) error {
	file := filepath.Join(f.data(), "postmaster.pid")
	pid, err := readPID(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if pid > 0 && serves(pid, f.data()) {
		if err := end(ctx, pid, f.data()); err != nil {
			return err
		}
	}
	// PostgreSQL judges the file by the process id alone and would refuse to start when another program has it by now.
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the stale postmaster.pid: %w", err)
	}
	return nil
}

// readPID returns the first line of postmaster.pid as a number, 0 when it is none.
func readPID(path string) (int, error) {
	file, err := os.Open(path) //nolint:gosec // a path of this package's own
	if err != nil {
		return 0, fmt.Errorf("read postmaster.pid: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	if !lines.Scan() {
		return 0, lines.Err()
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
	if err != nil || pid <= 1 {
		return 0, nil // a torn file names no process
	}
	return pid, nil
}

// end asks for a fast shutdown, then for an immediate one.
func end(ctx context.Context, pid int, data string) error {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop the database left over from an earlier run (process %d): %w", pid, err)
		}
		if gone(ctx, pid, data) {
			return nil
		}
	}
	return fmt.Errorf("stop the database left over from an earlier run: process %d does not end", pid)
}

func gone(ctx context.Context, pid int, data string) bool {
	ctx, cancel := context.WithTimeout(ctx, orphanGrace)
	defer cancel()
	poll := time.NewTicker(orphanPoll)
	defer poll.Stop()
	for serves(pid, data) {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// sweep removes the throw-away folders of programs that were killed. What it cannot remove it leaves to the next sweep.
func sweep(ctx context.Context, owner account) {
	folders, _ := filepath.Glob(filepath.Join(temporary(owner), throwawayPattern)) // the pattern is well formed
	for _, path := range folders {
		if _, err := os.Stat(filepath.Join(path, "lock")); err != nil || mine(path) != nil {
			continue
		}
		lock, err := lockFile(filepath.Join(path, "lock"))
		if err != nil {
			continue
		}
		left := &folder{path: path, lock: lock, owner: owner}
		if left.stopOrphan(ctx) == nil {
			_ = left.remove()
		} else {
			_ = left.release()
		}
	}
}
