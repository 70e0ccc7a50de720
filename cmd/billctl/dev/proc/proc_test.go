package proc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/cmd/billctl/dev/proc"
)

const patience = 20 * time.Second

// TestMain lets the test binary play a program that starts a child, says so and then waits to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("PROC_TEST_PARENT") == "" {
		os.Exit(m.Run())
	}
	child, err := proc.Start(context.Background(), proc.Spec{
		Name: "sleeper", Path: "/bin/sleep", Args: []string{"600"}, Orphan: syscall.SIGKILL,
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(child.PID())
	select {}
}

func start(t *testing.T, spec proc.Spec) *proc.Process {
	t.Helper()
	child, err := proc.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Stop(context.WithoutCancel(t.Context()), syscall.SIGKILL, patience) })
	return child
}

// shell runs a script whose output is read through the returned reader.
func shell(t *testing.T, script string) (*proc.Process, *bufio.Reader) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	child := start(t, proc.Spec{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}, Stdout: in, Orphan: syscall.SIGKILL})
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	return child, bufio.NewReader(out)
}

func line(t *testing.T, from *bufio.Reader) string {
	t.Helper()
	text, err := from.ReadString('\n')
	if err != nil {
		t.Fatalf("read the child's output: %v", err)
	}
	return strings.TrimSpace(text)
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("a child that obeys ends by the signal", func(t *testing.T) {
		t.Parallel()
		child, out := shell(t, `trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`)
		line(t, out)
		if err := child.Stop(t.Context(), syscall.SIGTERM, patience); err != nil {
			t.Fatal(err)
		}
		if got := child.ExitCode(); got != 7 {
			t.Errorf("exit code %d, want 7", got)
		}
	})
	t.Run("a child that does not obey is killed with its own children", func(t *testing.T) {
		t.Parallel()
		child, out := shell(t, `trap '' TERM; sleep 600 & echo $!; wait; wait`)
		grandchild, err := strconv.Atoi(line(t, out))
		if err != nil {
			t.Fatal(err)
		}
		err = child.Stop(t.Context(), syscall.SIGTERM, 50*time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "was killed") {
			t.Errorf("Stop() = %v, want that it was killed", err)
		}
		if got, want := child.ExitCode(), 128+int(syscall.SIGKILL); got != want {
			t.Errorf("exit code %d, want %d", got, want)
		}
		waitGone(t, grandchild)
	})
	t.Run("a child that has ended is no error", func(t *testing.T) {
		t.Parallel()
		child, _ := shell(t, `exit 3`)
		<-child.Done()
		if err := child.Stop(t.Context(), syscall.SIGTERM, patience); err != nil {
			t.Error(err)
		}
		if got := child.ExitCode(); got != 3 {
			t.Errorf("exit code %d, want 3", got)
		}
	})
}

func TestStartOfAMissingProgramSaysWhichChild(t *testing.T) {
	t.Parallel()
	_, err := proc.Start(t.Context(), proc.Spec{Name: "api", Path: filepath.Join(t.TempDir(), "missing")})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "start api") {
		t.Errorf("Start() = %v", err)
	}
}

func TestAChildEndsWhenItsParentIsKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Log("only Linux has a parent-death signal")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	parent := start(t, proc.Spec{Name: "parent", Path: self, Env: append(os.Environ(), "PROC_TEST_PARENT=1"), Stdout: in, Orphan: syscall.SIGKILL})
	_ = in.Close()
	text := line(t, bufio.NewReader(out))
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("the parent said %q", text)
	}
	// Only the parent, not its group: the child must learn of it by itself.
	if err := syscall.Kill(parent.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
}

// waitGone waits until the process is gone, or a zombie that nobody on this machine reaps.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("process %d still runs", pid)
		}
	}
}

func TestFreePort(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the listener's address is %T", listener.Addr())
	}
	taken := address.Port
	got, err := proc.FreePort(t.Context(), taken)
	if err != nil {
		t.Fatal(err)
	}
	if got == taken {
		t.Error("a port in use was handed out")
	}
	again, err := proc.FreePort(t.Context(), got)
	if err != nil {
		t.Fatal(err)
	}
	if again != got {
		t.Errorf("FreePort(%d) = %d, want the preferred one, which is free", got, again)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	content := strings.Repeat("an old line\n", 10_000) + "one\n\ntwo\nthree\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"two", "three"}, proc.Tail(path, 2)); diff != "" {
		t.Error(diff)
	}
	if got := proc.Tail(filepath.Join(t.TempDir(), "missing"), 2); got != nil {
		t.Errorf("Tail of a missing file = %q", got)
	}
}
