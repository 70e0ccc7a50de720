package app_test

import (
	"context"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jmoiron/sqlx"
)

const otherKey = "0e8a64f1c7d92b35408f6be1d2a7c59313f0b86d5e42a97c6018fd3b7e95c2a4"

// pay schedules the payment of one invoice and waits until it is done.
func (s *stack) pay(c *client, merchant string) map[string]any {
	s.t.Helper()
	invoice := s.invoices(1)[0]
	task := c.must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice})
	done := c.await(idOf(task), "succeeded", "failed", "in_doubt")
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
	for _, p := range []*process{api, worker} {
		if !strings.Contains(p.line(`"level":"WARN"`, "ENCRYPTION_KEY"), "key_id") {
			t.Errorf("%s does not name the key it fell back to", p.name)
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

	worker.signal(syscall.SIGTERM)
	if code := worker.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	api.signal(syscall.SIGTERM)
	if code := api.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	_, c = s.api("ENCRYPTION_KEY", "")
	s.worker("ENCRYPTION_KEY", "")
	second := s.invoice("in_after_restart")
	task := c.must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": second})
	c.await(idOf(task), "succeeded")
}

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, _ := s.api()
	mine := api.attr("encryption key adopted", "key_id")
	worker := spawn(t, "worker", s.with("ENCRYPTION_KEY", otherKey))
	if code := worker.exit(); code != 78 {
		t.Errorf("exit code %d, want 78", code)
	}
	ids := regexp.MustCompile(`\b[0-9a-f]{16}\b`).FindAllString(worker.output(), -1)
	other := ""
	for _, id := range ids {
		if id != mine {
			other = id
		}
	}
	if !strings.Contains(worker.output(), "ENCRYPTION_KEY does not fit") {
		t.Errorf("the variable is not named: %s", worker.output())
	}
	if mine == "" || other == "" || !strings.Contains(worker.output(), mine) {
		t.Errorf("the two key ids are not named: %s", worker.output())
	}
	if strings.Contains(worker.output(), otherKey) {
		t.Error("the key itself is shown")
	}
}

func TestProductionNeedsAKey(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, name := range []string{"api", "worker"} {
		p := spawn(t, name, s.with("ENCRYPTION_KEY", "", "APP_ENV", "production"))
		if code := p.exit(); code != 78 || !strings.Contains(p.output(), "ENCRYPTION_KEY") {
			t.Errorf("%s: exit code %d, want 78: %s", name, code, p.output())
		}
	}
}

// TestAKeyThatOpensNothingIsRefused takes away the record of which key the database is sealed with.
func TestAKeyThatOpensNothingIsRefused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, c := s.api()
	c.merchant()
	api.kill()
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	db.MustExec(`DELETE FROM encryption_keys`)
	worker := spawn(t, "worker", s.with("ENCRYPTION_KEY", otherKey))
	if code := worker.exit(); code != 78 || !strings.Contains(worker.output(), "ENCRYPTION_KEY does not fit") {
		t.Errorf("exit code %d, want 78: %s", code, worker.output())
	}
}

func TestEveryFaultOfTheConfigurationIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"api", "worker"} {
		p := spawn(t, name, map[string]string{
			"DATABASE_URL": "postgres://canary:canary@[::1/b", "ENCRYPTION_KEY": "canary-not-a-key", "LOG_LEVEL": "canary-loud", "STRIPE_TIMEOUT": "canary", "SHUTDOWN_TIMEOUT": "-1s",
		})
		if code := p.exit(); code != 78 {
			t.Errorf("%s: exit code %d, want 78", name, code)
		}
		for _, variable := range []string{"DATABASE_URL", "ENCRYPTION_KEY", "LOG_LEVEL", "STRIPE_TIMEOUT", "SHUTDOWN_TIMEOUT"} {
			if !strings.Contains(p.output(), variable) {
				t.Errorf("%s does not name %s: %s", name, variable, p.output())
			}
		}
		if strings.Contains(p.output(), "canary") {
			t.Errorf("%s shows a value: %s", name, p.output())
		}
	}
}
