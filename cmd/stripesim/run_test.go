package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// started is a run of the program in this process.
type started struct {
	addr string
	stop context.CancelFunc
	code chan int
	log  chan string
}

func start(t *testing.T, args []string, env map[string]string) *started {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	s := &started{stop: stop, code: make(chan int, 1), log: make(chan string, 100)}
	go func() {
		s.code <- run(ctx, args, func(name string) string { return env[name] }, write)
		write.Close()
	}()
	go func() {
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			s.log <- lines.Text()
		}
		close(s.log)
	}()
	t.Cleanup(stop)
	for line := range s.log {
		if strings.Contains(line, `"WARN"`) {
			env["warned"] = line
		}
		var entry struct{ Msg, Addr string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
			s.addr = entry.Addr
			return s
		}
	}
	t.Fatalf("it ended with %d before it listened", <-s.code)
	return nil
}

// end waits for the exit code.
func (s *started) end(t *testing.T) int {
	t.Helper()
	for range s.log {
		continue // drained, so that the program is not held up
	}
	select {
	case code := <-s.code:
		return code
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
		return -1
	}
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer sk_test_acct_x")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(read)
}

func TestItServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	env := map[string]string{"STRIPESIM_ADDR": "127.0.0.1:0"}
	s := start(t, nil, env)
	if status, body := call(t, "POST", "http://"+s.addr+"/v1/payment_intents", "amount=100&currency=usd"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	probe := func() int {
		return run(t.Context(), []string{"healthcheck"}, func(name string) string {
			return map[string]string{"STRIPESIM_ADDR": s.addr}[name]
		}, io.Discard)
	}
	if code := probe(); code != 0 {
		t.Errorf("healthcheck of a healthy one: %d", code)
	}
	s.stop()
	if code := s.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code := probe(); code != 1 {
		t.Errorf("healthcheck of a stopped one: %d", code)
	}
	if env["warned"] != "" {
		t.Errorf("it warned on loopback: %s", env["warned"])
	}
}

func TestItWarnsWhereOthersCanReachIt(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	s := start(t, []string{"-addr", "0.0.0.0:0"}, env)
	if !strings.Contains(env["warned"], "credentials") {
		t.Error("no warning")
	}
	_, port, _ := strings.Cut(s.addr, "]:")
	if port == "" {
		_, port, _ = strings.Cut(s.addr, ":")
	}
	if code := run(t.Context(), []string{"-healthcheck", "-addr", "0.0.0.0:" + port}, func(string) string { return "" }, io.Discard); code != 0 {
		t.Errorf("healthcheck: %d", code)
	}
	s.stop()
	s.end(t)
}

func TestAStalledCallIsAnsweredBeforeTheEnd(t *testing.T) {
	t.Parallel()
	s := start(t, []string{"-addr", "127.0.0.1:0"}, map[string]string{})
	base := "http://" + s.addr
	call(t, "POST", base+"/_sim/faults", `{"faults":[{"kind":"stall","hold":true}]}`)
	answered := make(chan int, 1)
	go func() {
		status, _ := call(t, "POST", base+"/v1/payment_intents", "amount=100&currency=usd")
		answered <- status
	}()
	held := false
	for deadline := time.Now().Add(10 * time.Second); !held && time.Now().Before(deadline); {
		_, body := call(t, "GET", base+"/_sim/held", "")
		held = strings.Contains(body, `"held":1`)
	}
	if !held {
		t.Fatal("the call is not held")
	}
	s.stop()
	if status := <-answered; status != 200 {
		t.Errorf("the stalled call: %d", status)
	}
	if code := s.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		args []string
		env  map[string]string
		code int
	}{
		"unknown flag":     {args: []string{"-nothing"}, code: exitUsage},
		"unknown argument": {args: []string{"nothing"}, code: exitUsage},
		"bad latency":      {env: map[string]string{"STRIPESIM_LATENCY": "soon"}, code: exitConfig},
		"bad rate":         {env: map[string]string{"STRIPESIM_EVENT_DROPS": "2"}, code: exitConfig},
		"bad switch":       {env: map[string]string{"STRIPESIM_MISMATCH_FIRST": "perhaps"}, code: exitConfig},
		"negative lag":     {args: []string{"-search-lag", "-1s"}, code: exitConfig},
		"negative latency": {args: []string{"-latency", "-1s"}, code: exitConfig},
		"bad address":      {args: []string{"-addr", "nowhere:port:x"}, code: exitFailure},
		"help":             {args: []string{"-h"}, code: exitOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if code := run(t.Context(), one.args, func(name string) string { return one.env[name] }, io.Discard); code != one.code {
				t.Errorf("exit code %d, want %d", code, one.code)
			}
		})
	}
}

func TestFlagsAndVariablesSetTheSwitches(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"STRIPESIM_ADDR": "127.0.0.1:0", "STRIPESIM_EVENT_LAG": "3m", "STRIPESIM_EVENT_DROPS": "0.25", "STRIPESIM_MISMATCH_FIRST": "true",
		"STRIPESIM_SEED": "7", "STRIPESIM_PRUNE_LATE": "1h",
	}
	s := start(t, []string{
		"-event-duplicates", "0.5", "-event-disorder=1", "-search-lag", "1m", "-no-keep-alive", "-prune-late", "24h", "-lock-wait", "-1s",
		"-store-invalid", "-store-lock-timeouts", "-keys-per-auth-mode", "-bare-from-schedule", "-bare-delete-events", "-key-ttl", "25h",
		"-rate", "500", "-rate-for", "acct_busy",
	}, env)
	_, body := call(t, "GET", "http://"+s.addr+"/_sim/switches", "")
	const want = `{"seed":7,"key_ttl":"25h0m0s","prune_late":"24h0m0s","rate_limit":500,"rate_limit_for":"acct_busy","lock_wait":"0s","event_lag":"3m0s",` +
		`"event_drops":0.25,"event_duplicates":0.5,"event_disorder":1,"search_lag":"1m0s","store_lock_timeouts":true,"store_invalid":true,` +
		`"mismatch_first":true,"keys_per_auth_mode":true,"bare_from_schedule":true,"bare_delete_events":true,"no_keep_alive":true}` + "\n"
	if body != want {
		t.Errorf("got  %swant %s", body, want)
	}
	s.stop()
	s.end(t)
}

// The real binary, with real signals.
func TestTheBinaryStopsOnASignal(t *testing.T) {
	t.Parallel()
	binary := t.TempDir() + "/stripesim"
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), binary, "-addr", "127.0.0.1:0")
			stderr, err := command.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
				continue
			}
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			var rest strings.Builder
			for lines.Scan() {
				rest.WriteString(lines.Text())
			}
			if err := command.Wait(); err != nil || !strings.Contains(rest.String(), `"msg":"stopped"`) {
				t.Errorf("%v: %s", err, rest.String())
			}
		})
	}
}
