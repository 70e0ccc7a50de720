// Package programtest runs the real programs for tests, as processes of their own: what such tests show holds for what is
// shipped. It promises that every process dies with its test, and never shows more of it than it wrote.
package programtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long anything is waited for.
const Patience = 30 * time.Second

// Remove takes away what was built. TestMain calls it after the tests.
func Remove() {
	builds.mu.Lock()
	defer builds.mu.Unlock()
	for _, dir := range builds.dirs {
		_ = os.RemoveAll(dir)
	}
}

// programs and plainPrograms build the services once per run of the tests, with the race detector and as they are shipped, and return
// where they lie.
var (
	programs      = sync.OnceValues(func() (string, error) { return build(os.Environ(), "-race") })
	plainPrograms = sync.OnceValues(func() (string, error) { return build(append(os.Environ(), "CGO_ENABLED=0"), "-trimpath") })
)

// builds is what there is to be removed.
var builds struct {
	mu   sync.Mutex
	dirs []string
}

// build builds in the product's own module, wherever the tests lie: another module does not know all that the programs are made of.
func build(env []string, flags ...string) (string, error) {
	dir, err := os.MkdirTemp("", "billonce-programs-")
	if err != nil {
		return "", err
	}
	builds.mu.Lock()
	builds.dirs = append(builds.dirs, dir)
	builds.mu.Unlock()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "billonce").Output()
	if err != nil {
		return "", fmt.Errorf("find the programs' source: %w", err)
	}
	args := append([]string{"build", "-o", dir + string(filepath.Separator)}, flags...)
	cmd := exec.Command("go", append(args, "./cmd/api", "./cmd/worker", "./cmd/stripesim", "./cmd/billctl")...)
	cmd.Dir, cmd.Env = strings.TrimSpace(string(root)), env
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, output)
	}
	return dir, nil
}

// Process is a running program and what it wrote.
type Process struct {
	t    testing.TB
	Name string // of the program
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed and replaced at each line
}

// Folder returns where the programs lie that the tests have built.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Spawn starts a program with exactly the given environment. It is killed when the test ends.
func Spawn(t testing.TB, name string, env map[string]string, args ...string) *Process {
	t.Helper()
	return SpawnAt(t, filepath.Join(Folder(t), name), env, args...)
}

// SpawnPlain is [Spawn] of a program without the race detector, for tests that measure time.
func SpawnPlain(t testing.TB, name string, env map[string]string, args ...string) *Process {
	t.Helper()
	dir, err := plainPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return SpawnAt(t, filepath.Join(dir, name), env, args...)
}

// SpawnAt starts the program at a path.
func SpawnAt(t testing.TB, path string, env map[string]string, args ...string) *Process {
	t.Helper()
	name := filepath.Base(path)
	p := &Process{t: t, Name: name, cmd: exec.Command(path, args...), done: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GORACE=halt_on_error=1"}
	for key, value := range env {
		p.cmd.Env = append(p.cmd.Env, key+"="+value)
	}
	reader, writer := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(reader)
	go func() {
		_ = p.cmd.Wait()
		_ = writer.Close()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.tail(60))
		}
	})
	return p
}

func (p *Process) read(from io.Reader) {
	defer close(p.done)
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *Process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-n):], "\n")
}

// Output is all that the process has written.
func (p *Process) Output() string { return p.tail(1 << 30) }

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and all that it wrote is known.
func (p *Process) Done() <-chan struct{} { return p.done }

// Line waits for a line that contains every part and returns it.
func (p *Process) Line(parts ...string) string {
	p.t.Helper()
	deadline := time.After(Patience)
	for from := 0; ; {
		p.mu.Lock()
		lines, news := p.lines[from:], p.news
		from += len(lines)
		p.mu.Unlock()
		for _, line := range lines {
			if containsAll(line, parts) {
				return line
			}
		}
		select {
		case <-news:
		case <-p.done:
			p.mu.Lock()
			rest := p.lines[from:]
			p.mu.Unlock()
			if len(rest) == 0 {
				p.t.Fatalf("%s ended without saying %q:\n%s", p.Name, parts, p.tail(40))
			}
		case <-deadline:
			p.t.Fatalf("%s did not say %q:\n%s", p.Name, parts, p.tail(40))
		}
	}
}

func containsAll(line string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(line, part) {
			return false
		}
	}
	return true
}

// Attr waits for a log line with the message and returns one of its attributes.
func (p *Process) Attr(message, attr string) string {
	p.t.Helper()
	fields := map[string]any{}
	line := p.Line(`"msg":"` + message + `"`)
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		p.t.Fatalf("%s wrote a line that is not JSON: %s", p.Name, line)
	}
	value, _ := fields[attr].(string)
	return value
}

// Signal sends a signal to the process.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Exit waits for the process to end and returns its exit code.
func (p *Process) Exit() int {
	p.t.Helper()
	return p.ExitWithin(Patience)
}

// ExitWithin is [Process.Exit] for a process that has more to do than most.
func (p *Process) ExitWithin(patience time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.Name, p.tail(40))
		return -1
	}
}

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// TrySignal sends a signal; the error says that the process has ended.
func (p *Process) TrySignal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }
