package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"billonce/internal/openapitest"
	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

// running is a server on a port of its own.
type running struct {
	address string
	stop    context.CancelFunc
	done    chan error
}

func start(t *testing.T, a *api) *running {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{address: listener.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() { r.done <- a.Run(ctx, listener) }()
	t.Cleanup(stop)
	return r
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Run does not return")
		return nil
	}
}

type reply struct {
	status int
	header http.Header
	err    error
}

// get asks on a connection of its own.
func (r *running) get(path string) reply {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+r.address+path, nil)
	if err != nil {
		return reply{err: err}
	}
	request.Header.Set("Authorization", "Bearer "+adminKey)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: openapitest.Transport{Base: transport}, Timeout: 15 * time.Second}).Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return reply{response.StatusCode, response.Header, err}
}

// slow makes GET /v1/tasks/{id} wait until it is let go, or until its context ends when obedient.
func slow(a *api, obedient bool) (inside, leave chan struct{}) {
	inside, leave = make(chan struct{}), make(chan struct{})
	a.tasks.GetFunc = func(ctx context.Context, _ billing.TaskID) (billing.Task, error) {
		close(inside)
		done := ctx.Done()
		if !obedient {
			done = nil
		}
		select {
		case <-leave:
			return someTask(), ctx.Err()
		case <-done:
			return billing.Task{}, context.Cause(ctx)
		}
	}
	return inside, leave
}

func TestShutdownWaitsForRequestsInFlight(t *testing.T) {
	t.Parallel()
	a := newAPI()
	inside, leave := slow(a, true)
	r := start(t, a)
	answer := make(chan reply, 1)
	go func() { answer <- r.get("/v1/tasks/" + taskID) }()
	<-inside
	r.stop()
	refused(t, r.address)
	close(leave)
	if got := <-answer; got.err != nil || got.status != 200 {
		t.Errorf("the request in flight: %+v", got)
	}
	if err := r.wait(t); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// refused waits until new connections are.
func refused(t *testing.T, address string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return
		}
		_ = conn.Close()
		runtime.Gosched()
	}
	t.Fatal("new connections are still accepted")
}

func TestDuringTheDelayRequestsAreServedAndReadinessIsOff(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.Delay = 6 * time.Second })
	r := start(t, a)
	if got := r.get("/readyz"); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	r.stop()
	for deadline := time.Now().Add(patience); r.get("/readyz").status != 503; {
		if time.Now().After(deadline) {
			t.Fatal("readiness stays on")
		}
	}
	if got := r.get("/v1/tasks"); got.status != 200 {
		t.Errorf("during the delay: %+v", got)
	}
	if got := r.get("/livez"); got.status != 200 {
		t.Errorf("during the delay: %+v", got)
	}
	if err := r.wait(t); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAShutdownThatMustCutRequestsOffSaysSo(t *testing.T) {
	t.Parallel()
	for name, obedient := range map[string]bool{"who hears gets an answer": true, "who does not is closed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.Timeout = 50 * time.Millisecond })
			inside, leave := slow(a, obedient)
			r := start(t, a)
			answer := make(chan reply, 1)
			go func() { answer <- r.get("/v1/tasks/" + taskID) }()
			<-inside
			r.stop()
			err := r.wait(t)
			if err == nil || !strings.Contains(err.Error(), "cut off") {
				t.Errorf("Run: %v", err)
			}
			got := <-answer
			if obedient && got.status < 500 || !obedient && got.err == nil {
				t.Errorf("the request in flight: %+v", got)
			}
			close(leave)
		})
	}
}

func TestAServerThatCannotServeSaysSo(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := newAPI().Run(t.Context(), listener); err == nil {
		t.Error("Run on a closed listener returned nil")
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) {
		config.ReadHeaderTimeout, config.ReadTimeout = time.Second, 2*time.Second
	})
	r := start(t, a)
	dial := func(text string) *bufio.Reader {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(conn)
	}
	if text, err := io.ReadAll(dial("GET /v1/tasks HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil || strings.Contains(string(text), "200 OK") {
		t.Errorf("slow headers: %q, %v", text, err)
	}
	reader := dial("POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + adminKey +
		"\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"kind\"")
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != 400 || a.writes() != 0 {
		t.Errorf("a slow body: %d", response.StatusCode)
	}
	long := dial(fmt.Sprintf("GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 64<<10)))
	response, err = http.ReadResponse(long, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != 431 {
		t.Errorf("long headers: %d", response.StatusCode)
	}
}

// TestRunLeavesNoGoroutine is not parallel: it counts.
func TestRunLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		r := start(t, newAPI())
		if got := r.get("/livez"); got.status != 200 {
			t.Fatalf("%+v", got)
		}
		r.stop()
		if err := r.wait(t); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if after := runtime.NumGoroutine(); after > before {
		stack := make([]byte, 64<<10)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, stack[:runtime.Stack(stack, true)])
	}
}
