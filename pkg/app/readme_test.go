package app_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"billonce/internal/openapitest"
)

// TestTheSessionInTheREADME runs the README's curl session word for word.
func TestTheSessionInTheREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 4 {
		t.Fatalf("the README has %d bash blocks", len(blocks))
	}
	script := "set -euo pipefail\n"
	for _, block := range blocks {
		script += block[1] + "\necho\n"
	}
	s := newStack(t)
	_, c := s.api()
	s.worker()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	session := exec.CommandContext(ctx, "bash", "-c", script)
	session.Env = append(os.Environ(), "API="+openapitest.Proxy(t, c.Base), "KEY="+adminKey, "SIM="+s.sim)
	output, err := session.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	text := string(output)
	for _, want := range []string{
		`"kind":"subscription.create"`, `"kind":"invoice.pay"`, `"status":"succeeded"`, `"outcome":"succeeded"`, `"idempotency_key":"task_`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the session does not show %s:\n%s", want, text)
		}
	}
	ledger := text[strings.LastIndex(text, `"data"`):]
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
