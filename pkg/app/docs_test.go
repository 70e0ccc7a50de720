package app_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"billonce/cmd/billctl/dev/postgres"
	"billonce/cmd/billctl/dev/proc"
	"billonce/internal/openapitest"
	"billonce/internal/programtest"
)

// These tests run what the documents show, as it stands there: each block of bash of a page, in order, in one shell. Pages that have
// such blocks and are not here fail a test of test/docs.

// session is the shell of one page.
type session struct {
	dir  string
	text string // all that was printed
}

// perform runs the blocks of a page in a folder of its own, in which bin/ holds the programs.
func perform(t *testing.T, page string, env map[string]string) session {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(content), -1)
	if len(blocks) == 0 {
		t.Fatalf("%s has no block of bash", page)
	}
	script := "set -euo pipefail\ntrap 'kill -KILL $(jobs -p) 2>/dev/null || true' EXIT\n"
	for _, block := range blocks {
		script += block[1] + "\necho\n"
	}
	s := session{dir: t.TempDir()}
	if err := os.Symlink(programtest.Folder(t), filepath.Join(s.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir = s.dir
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "GORACE=halt_on_error=1"}
	for name, value := range env {
		shell.Env = append(shell.Env, name+"="+value)
	}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.WaitDelay = 5 * time.Second
	output, err := shell.CombinedOutput()
	s.text = string(output)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", page, err, s.text, s.logs())
	}
	return s
}

// logs is what the page's own services wrote.
func (s session) logs() string {
	var all bytes.Buffer
	files, _ := filepath.Glob(filepath.Join(s.dir, "*.log")) // the only error is a malformed pattern
	for _, file := range files {
		content, _ := os.ReadFile(file)
		all.WriteString("\n" + file + ":\n")
		all.Write(content[max(0, len(content)-4000):])
	}
	return all.String()
}

// shows fails the test unless each part was printed.
func (s session) shows(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(s.text, part) {
			t.Errorf("the session does not show %s:\n%s", part, s.text)
			return
		}
	}
}

// paper is the environment that `make run` prints.
func (s *stack) paper(t *testing.T, c *client) map[string]string {
	t.Helper()
	api := openapitest.Proxy(t, c.Base)
	return map[string]string{"API": api, "KEY": adminKey, "SIM": s.sim, "BILLONCE_URL": api, "BILLONCE_API_KEY": adminKey}
}

func TestTheSessionInTheREADME(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api()
	s.worker()
	session := perform(t, "README.md", s.paper(t, c))
	session.shows(t, `"kind":"subscription.create"`, `"kind":"invoice.pay"`, `"status":"succeeded"`, `"outcome":"succeeded"`, `"idempotency_key":"task_`)
	ledger := session.text[strings.LastIndex(session.text, `"data"`):]
	if n := strings.Count(ledger, `"idempotency_key"`); n != 1 {
		t.Errorf("the ledger shows %d effects for the payment: %s", n, ledger)
	}
	eventually(t, "the subscription is created", func() bool {
		tasks, _ := c.Must(200, "GET", "/v1/tasks?kind=subscription.create", nil)["data"].([]any)
		for _, task := range tasks {
			fields, _ := task.(map[string]any)
			return fields["status"] == "succeeded"
		}
		return false
	})
}

// TestTheGuide follows the guide to its end: everything it orders was done once, and its refusals are the ones it speaks of.
func TestTheGuide(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api()
	s.worker()
	session := perform(t, "docs/guide.md", s.paper(t, c))
	session.shows(t, `"has_refresh_token":false`, `dempotent-`, `"code":"invalid"`, `/params/`, `"status":"canceled"`, `"code":"conflict"`,
		`"code":"intent_taken"`, `"decline_code":"insufficient_funds"`, `"status":"in_doubt"`, `"outcome":"succeeded"`, `"status":"paused"`,
		`{"matched":1,"capped":false,"changed":0,`, `{"matched":1,"capped":false,"changed":1,`, `"data":[],"next_cursor":null`, "bo_live_", "api_key.revoke")
	for key, n := range s.effects() {
		if n != 1 {
			t.Errorf("%d effects under %s", n, key)
		}
	}
	for status, want := range map[string]int{"in_doubt": 0, "failed": 1, "canceled": 4} {
		list, _ := c.Must(200, "GET", "/v1/tasks?status="+status, nil)["data"].([]any)
		if len(list) != want {
			t.Errorf("%d tasks are %s, want %d", len(list), status, want)
		}
	}
}

// TestTheFirstLookOfTheRunbook: what whoever is on call types first.
func TestTheFirstLookOfTheRunbook(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api()
	worker := s.worker()
	c.Must(200, "POST", "/v1/merchants/"+c.merchant()+"/pause", map[string]any{"reason": "it is looked at"})
	env := s.paper(t, c)
	env["OPS"] = "http://" + worker.Attr("ops listening", "addr")
	perform(t, "docs/runbook.md", env).shows(t, `"encryption_key":"ok"`, account, "paused", "merchant.pause")
}

// TestTheOperations follows an installation from an empty server over an upgrade, a backup, a restore and a rotation. Its server is its
// own, because the passwords of roles are a whole server's.
func TestTheOperations(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	if err := server.CreateDatabase(ctx, "billonce"); err != nil {
		t.Fatal(err)
	}
	address, err := proc.Address(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	sim := spawn(t, "stripesim", map[string]string{"STRIPESIM_ADDR": "127.0.0.1:0"})
	session := perform(t, "docs/operations.md", map[string]string{
		"SUPERUSER": server.URL("billonce").Reveal(), "SIM": "http://" + sim.Attr("listening", "addr"),
		"API_ADDR": address, "OPS_ADDR": "127.0.0.1:0", "PATH": path(),
	})
	session.shows(t, "roles applied", "nothing to apply", `"status":"succeeded"`, `"code":"not_found"`)
	if n := strings.Count(session.text, `"idempotency_key":"task_`); n != 2 { // of the task before the backup, and of the effect after it
		t.Errorf("the restored task and the one effect under the lost one's key are shown %d times", n)
	}
	history, err := os.ReadFile(filepath.Join(session.dir, "history.ndjson"))
	if err != nil || bytes.Count(history, []byte("\n")) != 1 {
		t.Errorf("the history is %q, %v", history, err)
	}
	for _, name := range []string{"encryption_key", "new_key"} {
		key, err := os.ReadFile(filepath.Join(session.dir, "installed", name))
		if err != nil || strings.Contains(session.text+session.logs(), strings.TrimSpace(string(key))) {
			t.Errorf("%s is shown, or %v", name, err)
		}
	}
}

// path finds PostgreSQL's own programs, where the packages of Debian keep them, if they are not on PATH.
func path() string {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the only error is a malformed pattern
	return strings.Join(append([]string{os.Getenv("PATH")}, folders...), ":")
}
