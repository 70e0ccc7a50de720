package app_test

import (
	"context"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
)

const otherKey = "0e8a64f1c7d92b35408f6be1d2a7c59313f0b86d5e42a97c6018fd3b7e95c2a4"

// pay schedules the payment of one invoice and waits until it is done.
func (s *stack) pay(c *client, merchant string) map[string]any {
	s.t.Helper()
	invoice := s.invoices(1)[0]
	task := c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice})
	done := c.Await(idOf(task), "succeeded", "failed", "in_doubt")
	if done["status"] != "succeeded" {
		s.t.Fatalf("%v", done)
	}
	return done
}

func TestDevelopmentWithoutAKey(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, c := s.api("ENCRYPTION_KEY", "")
	worker := s.worker("ENCRYPTION_KEY", "")
	for _, p := range []*programtest.Process{api, worker} {
		if !strings.Contains(p.Line(`"level":"WARN"`, "ENCRYPTION_KEY"), "key_id") {
			t.Errorf("%s does not name the key it fell back to", p.Name)
		}
	}
	merchant := c.merchant()
	s.pay(c, merchant) // the worker opens what the api sealed

	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	var token string
	if err := db.GetContext(context.Background(), &token, `SELECT access_token FROM merchants`); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{24}:[0-9a-f]{32}:[0-9a-f]+$`).MatchString(token) {
		t.Errorf("the stored token is %q", token)
	}

	worker.Signal(syscall.SIGTERM)
	if code := worker.Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	api.Signal(syscall.SIGTERM)
	if code := api.Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	_, c = s.api("ENCRYPTION_KEY", "")
	s.worker("ENCRYPTION_KEY", "")
	second := s.invoice("in_after_restart")
	task := c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": second})
	c.Await(idOf(task), "succeeded")
}

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, _ := s.api()
	mine := api.Attr("encryption key adopted", "key_id")
	worker := spawn(t, "worker", s.with("ENCRYPTION_KEY", otherKey))
	if code := worker.Exit(); code != 78 {
		t.Errorf("exit code %d, want 78", code)
	}
	ids := regexp.MustCompile(`\b[0-9a-f]{16}\b`).FindAllString(worker.Output(), -1)
	other := ""
	for _, id := range ids {
		if id != mine {
			other = id
		}
	}
	if !strings.Contains(worker.Output(), "ENCRYPTION_KEY does not fit") {
		t.Errorf("the variable is not named: %s", worker.Output())
	}
	if mine == "" || other == "" || !strings.Contains(worker.Output(), mine) {
		t.Errorf("the two key ids are not named: %s", worker.Output())
	}
	if strings.Contains(worker.Output(), otherKey) {
		t.Error("the key itself is shown")
	}
}

func TestProductionNeedsAKey(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, name := range []string{"api", "worker"} {
		p := spawn(t, name, s.with("ENCRYPTION_KEY", "", "APP_ENV", "production"))
		if code := p.Exit(); code != 78 || !strings.Contains(p.Output(), "ENCRYPTION_KEY") {
			t.Errorf("%s: exit code %d, want 78: %s", name, code, p.Output())
		}
	}
}

// TestAKeyThatOpensNothingIsRefused takes away the record of which key the database is sealed with.
func TestAKeyThatOpensNothingIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, c := s.api()
	c.merchant()
	api.Kill()
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	db.MustExec(`DELETE FROM encryption_keys`)
	worker := spawn(t, "worker", s.with("ENCRYPTION_KEY", otherKey))
	if code := worker.Exit(); code != 78 || !strings.Contains(worker.Output(), "ENCRYPTION_KEY does not fit") {
		t.Errorf("exit code %d, want 78: %s", code, worker.Output())
	}
}

func TestEveryFaultOfTheConfigurationIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"api", "worker"} {
		p := spawn(t, name, map[string]string{
			"DATABASE_URL": "postgres://canary:canary@[::1/b", "ENCRYPTION_KEY": "canary-not-a-key", "LOG_LEVEL": "canary-loud", "STRIPE_TIMEOUT": "canary", "SHUTDOWN_TIMEOUT": "-1s",
		})
		if code := p.Exit(); code != 78 {
			t.Errorf("%s: exit code %d, want 78", name, code)
		}
		for _, variable := range []string{"DATABASE_URL", "ENCRYPTION_KEY", "LOG_LEVEL", "STRIPE_TIMEOUT", "SHUTDOWN_TIMEOUT"} {
			if !strings.Contains(p.Output(), variable) {
				t.Errorf("%s does not name %s: %s", name, variable, p.Output())
			}
		}
		if strings.Contains(p.Output(), "canary") {
			t.Errorf("%s shows a value: %s", name, p.Output())
		}
	}
}

// TestAForgottenProcessDoesNotTurnTheKeyBack: one that is started with the old order of keys after the rotation ends with 78, and those
// that hold the new key alone stay ready. Whoever means it says so first.
func TestAForgottenProcessDoesNotTurnTheKeyBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	first := s.env["ENCRYPTION_KEY"]
	api, c := s.api()
	c.merchant()
	api.Kill()
	rotated := s.with("ENCRYPTION_KEY", otherKey, "ENCRYPTION_KEYS_PREVIOUS", first)
	worker := s.worker("ENCRYPTION_KEY", otherKey, "ENCRYPTION_KEYS_PREVIOUS", first)
	if code := spawn(t, "billctl", rotated, "keys", "rotate").Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	worker.Kill()
	_, alone := s.api("ENCRYPTION_KEY", otherKey)
	old, present := parseKey(t, first).ID(), parseKey(t, otherKey).ID()
	for _, name := range []string{"api", "worker"} {
		p := spawn(t, name, s.with("ENCRYPTION_KEYS_PREVIOUS", otherKey))
		if code := p.Exit(); code != 78 || !strings.Contains(p.Output(), old) || !strings.Contains(p.Output(), present) ||
			!strings.Contains(p.Output(), "billctl keys reinstate "+old) {
			t.Errorf("%s: exit code %d: %s", name, code, p.Output())
		}
	}
	alone.Must(200, "GET", "/readyz", nil)
	if code := spawn(t, "billctl", rotated, "keys", "reinstate", old).Exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if id := s.worker("ENCRYPTION_KEYS_PREVIOUS", otherKey).Attr("encryption key adopted", "key_id"); id != old {
		t.Errorf("%s", id)
	}
}
