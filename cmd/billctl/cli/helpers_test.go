package cli_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"billonce/cmd/billctl/cli"
	"billonce/internal/programtest"
)

const (
	patience  = time.Minute
	testKey   = "billonce_admin_canary"
	actAsMain = "BILLCTL_TEST_MAIN"
)

// now is when every test happens.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestMain lets the test binary play billctl, for tests that need processes of it.
func TestMain(m *testing.M) {
	if os.Getenv(actAsMain) == "" {
		code := m.Run()
		programtest.Remove()
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Lookup: os.LookupEnv, Now: time.Now,
	}))
}

// billctl returns a process of it, not started yet.
func billctl(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(append(os.Environ(), actAsMain+"=1"), env...)
	return cmd
}

// result is what one call printed and how it ended.
type result struct {
	code     int
	out, err string
}

// run calls billctl within this process.
func run(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	return runWith(t, env, func(*cli.Streams) {}, args...)
}

// runWith is run with other streams.
func runWith(t *testing.T, env map[string]string, change func(*cli.Streams), args ...string) result {
	t.Helper()
	return runIn(t.Context(), t, env, change, args...)
}

// await returns when the condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	over := time.After(patience)
	for !holds() {
		select {
		case <-poll.C:
		case <-over:
			t.Fatal("it does not come to pass")
		}
	}
}

// contextOf returns a context that ends when cancel says so, as Ctrl-C ends that of a command.
func contextOf(t *testing.T) (ctx context.Context, cancel func()) {
	t.Helper()
	ctx, cancel = context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

func runIn(ctx context.Context, t *testing.T, env map[string]string, change func(*cli.Streams), args ...string) result {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return file
	}
	streams := cli.Streams{
		Out: open("out"), Err: open("err"), Now: func() time.Time { return now },
		Lookup: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
	}
	change(&streams)
	code := cli.Main(ctx, args, streams)
	read := func(file *os.File) string {
		content, err := os.ReadFile(file.Name())
		if err != nil {
			t.Error(err)
		}
		_ = file.Close()
		return string(content)
	}
	return result{code: code, out: read(streams.Out), err: read(streams.Err)}
}

// fakeAPI answers by method and path, and remembers what it was asked.
type fakeAPI struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
}

func newAPI(t *testing.T, routes map[string]http.HandlerFunc) *fakeAPI {
	t.Helper()
	api := &fakeAPI{}
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
	}
	api.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.mu.Lock()
		api.requests = append(api.requests, r)
		api.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)
	return api
}

func (api *fakeAPI) asked() []*http.Request {
	api.mu.Lock()
	defer api.mu.Unlock()
	return api.requests
}

func (api *fakeAPI) env() map[string]string {
	return map[string]string{"BILLONCE_URL": api.URL, "BILLONCE_API_KEY": testKey}
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func answerJSON(body string) http.HandlerFunc { return answer(http.StatusOK, "application/json", body) }
