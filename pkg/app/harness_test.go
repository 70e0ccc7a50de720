package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"billonce/pkg/store/storetest"
)

// These tests run the real programs as processes of their own: what they show holds for what is shipped.

const (
	adminKey = "bo_admin_0123456789abcdef"
	patience = 30 * time.Second
	account  = "acct_acme"
)

// programs builds the services once per run of the tests, with the race detector, and returns where they lie.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "billonce-programs-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-race", "-o", dir+string(filepath.Separator),
		"billonce/cmd/api", "billonce/cmd/worker", "billonce/cmd/stripesim", "billonce/cmd/billctl")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, output)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// process is a running program and what it wrote.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed and replaced at each line
}

// spawn starts a program with exactly the given environment. It is killed when the test ends.
func spawn(t *testing.T, name string, env map[string]string, args ...string) *process {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return spawnAt(t, filepath.Join(dir, name), env, args...)
}

// spawnAt starts the program at a path.
func spawnAt(t *testing.T, path string, env map[string]string, args ...string) *process {
	t.Helper()
	name := filepath.Base(path)
	p := &process{t: t, name: name, cmd: exec.Command(path, args...), done: make(chan struct{}), news: make(chan struct{})}
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

func (p *process) read(from io.Reader) {
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

func (p *process) tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-n):], "\n")
}

func (p *process) output() string { return p.tail(1 << 30) }

// line waits for a line that contains every part and returns it.
func (p *process) line(parts ...string) string {
	p.t.Helper()
	deadline := time.After(patience)
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
				p.t.Fatalf("%s ended without saying %q:\n%s", p.name, parts, p.tail(40))
			}
		case <-deadline:
			p.t.Fatalf("%s did not say %q:\n%s", p.name, parts, p.tail(40))
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

// attr waits for a log line with the message and returns one of its attributes.
func (p *process) attr(message, attr string) string {
	p.t.Helper()
	fields := map[string]any{}
	line := p.line(`"msg":"` + message + `"`)
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		p.t.Fatalf("%s wrote a line that is not JSON: %s", p.name, line)
	}
	value, _ := fields[attr].(string)
	return value
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the process to end and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.name, p.tail(40))
		return -1
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stack is a database, a simulator and the environment that the services share.
type stack struct {
	t   *testing.T
	url string // of the database
	sim string // base URL of the simulator
	env map[string]string
}

func newStack(t *testing.T) *stack {
	t.Helper()
	db := storetest.Open(t)
	sim := spawn(t, "stripesim", map[string]string{"STRIPESIM_ADDR": "127.0.0.1:0"})
	s := &stack{t: t, url: db.URL, sim: "http://" + sim.attr("listening", "addr")}
	s.env = map[string]string{
		"DATABASE_URL": db.URL, "ADMIN_API_KEY": adminKey, "API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0",
		"STRIPE_API_URL": s.sim, "STRIPE_SECRET_KEY": "sk_test_platform", "STRIPE_TIMEOUT": "10s",
		"WORKER_LEASE": "2s", "WORKER_POLL_INTERVAL": "100ms", "RETRY_BASE": "50ms", "RETRY_MAX": "500ms",
		"ENCRYPTION_KEY": "7f4a1c9be2d3560817a5c4f2e9b0d36a8c5e1f7094b2d8a6c3e5f01927b4d86e",
	}
	return s
}

// with returns the stack's environment with changes; an empty value removes a variable.
func (s *stack) with(changes ...string) map[string]string {
	env := map[string]string{}
	for key, value := range s.env {
		env[key] = value
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			delete(env, changes[i])
			continue
		}
		env[changes[i]] = changes[i+1]
	}
	return env
}

func (s *stack) api(changes ...string) (*process, *client) {
	s.t.Helper()
	p := spawn(s.t, "api", s.with(changes...))
	return p, &client{t: s.t, base: "http://" + p.attr("api listening", "address"), key: adminKey}
}

func (s *stack) worker(changes ...string) *process {
	s.t.Helper()
	p := spawn(s.t, "worker", s.with(changes...))
	p.line(`"msg":"worker registered"`)
	return p
}

// client speaks to the API, or to the simulator when key is empty.
type client struct {
	t    *testing.T
	base string
	key  string
}

type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (c *client) do(method, path string, body any, headers ...string) answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *client) try(method, path string, body any, headers ...string) (answer, error) {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		reader = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return answer{}, err
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := (&http.Client{}).Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	a := answer{status: response.StatusCode, header: response.Header, body: map[string]any{}}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	if len(content) > 0 {
		if err := json.Unmarshal(content, &a.body); err != nil {
			return answer{}, fmt.Errorf("%s %s answered %d with %q", method, path, response.StatusCode, content)
		}
	}
	return a, nil
}

// must fails the test unless the call is answered with the status, and returns the body.
func (c *client) must(status int, method, path string, body any, headers ...string) map[string]any {
	c.t.Helper()
	a := c.do(method, path, body, headers...)
	if a.status != status {
		c.t.Fatalf("%s %s answered %d, want %d: %v", method, path, a.status, status, a.body)
	}
	return a.body
}

// merchant connects the account with a token that the simulator knows.
func (c *client) merchant() string {
	c.t.Helper()
	return idOf(c.must(201, "POST", "/v1/merchants", map[string]any{
		"name": "Acme", "stripe_connect_id": account, "access_token": "sk_test_" + account,
	}))
}

// idOf returns the id of an object of the API.
func idOf(object map[string]any) string {
	id, _ := object["id"].(string)
	return id
}

// await polls until the task is in one of the statuses, and returns it.
func (c *client) await(id string, statuses ...string) map[string]any {
	c.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		task := c.must(200, "GET", "/v1/tasks/"+id, nil)
		for _, status := range statuses {
			if task["status"] == status {
				return task
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatalf("the task is not %v: %v", statuses, task)
		}
	}
}

// simulator returns a client of the simulator's control routes.
func (s *stack) simulator() *client { return &client{t: s.t, base: s.sim} }

// invoices makes n open invoices of the account at the simulator and returns their ids.
func (s *stack) invoices(n int) []string {
	s.t.Helper()
	ids := make([]string, n)
	for i := range n {
		ids[i] = fmt.Sprintf("in_open_%05d", i)
	}
	s.seed(ids...)
	return ids
}

// seed makes open invoices of the account with the given ids at the simulator.
func (s *stack) seed(ids ...string) {
	s.t.Helper()
	objects := make([]map[string]any, len(ids))
	for i, id := range ids {
		objects[i] = map[string]any{"object": "invoice", "id": id, "status": "open", "customer": "cus_ok", "amount": 2000}
	}
	a := s.simulator().do("POST", "/_sim/fixtures", map[string]any{"account": account, "livemode": false, "objects": objects})
	if a.status >= 300 {
		s.t.Fatalf("fixtures: %d %v", a.status, a.body)
	}
}

// invoice makes one open invoice with the given id and returns it.
func (s *stack) invoice(id string) string {
	s.t.Helper()
	s.seed(id)
	return id
}

// effects counts the simulator's effects by idempotency key.
func (s *stack) effects() map[string]int {
	s.t.Helper()
	counts := map[string]int{}
	data, _ := s.simulator().must(200, "GET", "/_sim/ledger", nil)["data"].([]any)
	for _, entry := range data {
		key, _ := entry.(map[string]any)["idempotency_key"].(string)
		counts[key]++
	}
	return counts
}
