package dev_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"billonce/cmd/billctl/dev/proc"
	"billonce/internal/openapitest"
	"billonce/internal/programtest"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

const patience = 90 * time.Second

// programs builds the four programs once and returns their folder.
var programs = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "billonce-programs-")
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-o", folder+"/", "./cmd/api", "./cmd/worker", "./cmd/billctl", "./cmd/stripesim")
	build.Dir = "../../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("build the programs: %w\n%s", err, output)
	}
	return folder, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if folder, err := programs(); err == nil || folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// billctl returns a process of it in a folder of its own, away from any checkout.
func billctl(t *testing.T, folder string, args ...string) *exec.Cmd {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "billctl"), args...)
	cmd.Dir = folder
	// Whatever the developer has set must not reach the stack.
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "DATABASE_URL") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	return cmd
}

// openFolder returns a folder that the database's user can reach, which t.TempDir is not when the tests run as root.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "devtest-") //nolint:usetesting // t.TempDir is private to root
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o711); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestDemoHoldsAndCleansUp(t *testing.T) {
	t.Parallel()
	folder, temporary := openFolder(t), openFolder(t)
	demo := billctl(t, folder, "dev", "--demo")
	demo.Env = append(demo.Env, "TMPDIR="+temporary)
	var out, complaints bytes.Buffer
	demo.Stdout, demo.Stderr = &out, &complaints
	if err := demo.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), complaints.String())
	}
	if !strings.Contains(out.String(), "Every succeeded task has exactly one effect") {
		t.Errorf("the demo said\n%s", out.String())
	}
	for _, place := range []string{folder, temporary} {
		if left, err := os.ReadDir(place); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// running is a stack brought up by `billctl dev`.
type running struct {
	t        *testing.T
	cmd      *exec.Cmd
	lines    chan string
	errors   *programtest.Buffer
	api, key string
	console  string
}

// start brings a stack up and reads the address and key that it prints.
func start(t *testing.T, folder string, args ...string) *running {
	t.Helper()
	address, err := proc.Address(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, cmd: billctl(t, folder, append([]string{"dev", "--api-addr", address}, args...)...), lines: make(chan string, 1000), errors: &programtest.Buffer{}}
	r.cmd.Stderr = r.errors
	out, in := io.Pipe()
	r.cmd.Stdout = in
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // an error says that it has ended
		_ = in.Close()
	})
	go func() {
		defer close(r.lines)
		for text := bufio.NewScanner(out); text.Scan(); {
			r.lines <- text.Text()
		}
	}()
	r.console = r.await(`^CONSOLE=(http://\S+/)$`)
	r.api = r.await(`^API=(http://\S+)$`)
	r.key = r.await(`^KEY=(\S+)$`)
	return r
}

// await reads lines until one matches and returns its first group.
func (r *running) await(pattern string) string {
	r.t.Helper()
	wanted := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				r.t.Fatalf("no line matched %s; it complained:\n%s", pattern, r.errors)
			}
			if match := wanted.FindStringSubmatch(line); match != nil {
				return match[len(match)-1]
			}
		case <-deadline:
			r.t.Fatalf("no line matched %s in %s", pattern, patience)
		}
	}
}

// end waits for billctl and returns its exit code.
func (r *running) end() int {
	r.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			r.t.Fatal(err)
		}
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatalf("billctl did not end in %s", patience)
		return 0
	}
}

// children returns the processes that billctl started, with their names.
func (r *running) children() map[int]string {
	r.t.Helper()
	path := fmt.Sprintf("/proc/%d/task", r.cmd.Process.Pid)
	threads, err := os.ReadDir(path)
	if err != nil {
		r.t.Fatal(err)
	}
	found := map[int]string{}
	for _, thread := range threads {
		list, err := os.ReadFile(filepath.Join(path, thread.Name(), "children"))
		if err != nil {
			continue // the thread ended
		}
		for field := range strings.FieldsSeq(string(list)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				r.t.Fatal(err)
			}
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			if err == nil {
				found[pid] = strings.TrimSpace(string(name))
			}
		}
	}
	return found
}

// assertNothingLeft waits until every process is gone, and nobody listens where the API was.
func (r *running) assertNothingLeft(processes map[int]string) {
	r.t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for pid, name := range processes {
		for alive(pid) {
			select {
			case <-poll.C:
			case <-deadline:
				r.t.Fatalf("%s, process %d, still runs", name, pid)
			}
		}
	}
	address, err := url.Parse(r.api)
	if err != nil {
		r.t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", address.Host); err == nil {
		_ = conn.Close()
		r.t.Error("somebody still listens on the API's address")
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// The lives of one stack, one after the other, because they share its folder.
func TestRun(t *testing.T) {
	t.Parallel()
	folder := openFolder(t)
	var key string
	var earlier []string // tasks of the first life

	t.Run("samples finish, and an interrupt ends all of it", func(t *testing.T) {
		r := start(t, folder, "--workers", "2")
		key = r.key
		// In any order: two succeed at once, one is declined, one comes five seconds later.
		for range 5 {
			r.await(`^  \d\d:\d\d:\d\d  (succeeded|failed) `)
		}
		if earlier = taskIDs(t, r.api, r.key); len(earlier) < 5 {
			t.Errorf("the samples are %v", earlier)
		}
		visit(t, r.console, r.key).follow(5, 1)
		children := r.children()
		if len(children) != 5 {
			t.Errorf("the stack is %v", children)
		}
		if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if code := r.end(); code != 0 {
			t.Errorf("exit code %d\n%s", code, r.errors)
		}
		r.assertNothingLeft(children)
	})
	t.Run("a part that dies is told and ends the rest", func(t *testing.T) {
		r := start(t, folder)
		if r.key != key {
			t.Error("the admin key changed from one life to the next")
		}
		for _, id := range earlier {
			if got := request(t, http.MethodGet, r.api+"/v1/tasks/"+id, r.key, ""); got != http.StatusNotFound {
				t.Errorf("%d: task %s of an earlier life is left, of which the simulator knows nothing", got, id)
			}
		}
		children := r.children()
		for pid, name := range children {
			if name == "worker" {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		if code := r.end(); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if !strings.Contains(r.errors.String(), "worker-1 ended by itself with exit code 137; its last lines") {
			t.Errorf("it complained:\n%s", r.errors)
		}
		r.assertNothingLeft(children)
	})
	t.Run("nothing outlives a killed billctl", func(t *testing.T) {
		r := start(t, folder)
		children := r.children()
		if err := r.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		r.end()
		r.assertNothingLeft(children)
	})
	t.Run("a service that does not start is told", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		cmd := billctl(t, folder, "dev", "--api-addr", taken.Addr().String())
		output, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(output), "api ended by itself with exit code 1; its last lines") {
			t.Errorf("%v\n%s", err, output)
		}
	})
}

// taskIDs lists the tasks that the API knows, with the key that was printed.
func taskIDs(t *testing.T, api, key string) []string {
	t.Helper()
	c, err := client.New(api, secret.New(key), client.Through(openapitest.Transport{}), client.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.ListTasks(t.Context(), client.ListTasksQuery{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(page.Data))
	for i, task := range page.Data {
		ids[i] = task.ID
	}
	return ids
}

func request(t *testing.T, method, address, key, body string) int {
	t.Helper()
	call, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Authorization", "Bearer "+key)
	call.Header.Set("Content-Type", "application/json")
	web := &http.Client{Transport: openapitest.Transport{}, Timeout: patience}
	answer, err := web.Do(call)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.StatusCode
}
