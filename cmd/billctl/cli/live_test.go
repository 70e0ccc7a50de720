package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"billonce/cmd/billctl/cli"
	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

const (
	liveKey     = "bo_admin_0123456789abcdef"
	liveAccount = "acct_acme"
)

// installation is a database, a simulator, an api and a worker, as processes of their own, and billctl's environment for them.
type installation struct {
	t      *testing.T
	db     *storetest.DB
	worker *programtest.Process
	shared map[string]string
	env    map[string]string
}

func install(t *testing.T) *installation {
	t.Helper()
	db := storetest.Open(t)
	sim := programtest.Spawn(t, "stripesim", map[string]string{"STRIPESIM_ADDR": "127.0.0.1:0"})
	in := &installation{t: t, db: db}
	in.shared = map[string]string{
		"DATABASE_URL": db.URL, "ADMIN_API_KEY": liveKey, "API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0",
		"STRIPE_API_URL": "http://" + sim.Attr("listening", "addr"), "STRIPE_SECRET_KEY": "sk_test_platform",
		"WORKER_LEASE": "2s", "WORKER_POLL_INTERVAL": "100ms",
		"ENCRYPTION_KEY": "7f4a1c9be2d3560817a5c4f2e9b0d36a8c5e1f7094b2d8a6c3e5f01927b4d86e",
	}
	api := programtest.Spawn(t, "api", storetest.EnvironOf(t, "api", in.shared))
	in.worker = programtest.Spawn(t, "worker", storetest.EnvironOf(t, "worker", in.shared))
	in.worker.Line(`"msg":"worker registered"`)
	in.env = map[string]string{
		"XDG_CONFIG_HOME": t.TempDir(), "BILLONCE_URL": "http://" + api.Attr("api listening", "address"), "BILLONCE_API_KEY": liveKey,
	}
	return in
}

// open makes open invoices at the simulator.
func (in *installation) open(ids ...string) {
	in.t.Helper()
	objects := make([]map[string]any, len(ids))
	for i, id := range ids {
		objects[i] = map[string]any{"object": "invoice", "id": id, "status": "open", "customer": "cus_ok", "amount": 2000}
	}
	simulator := &programtest.Client{T: in.t, Base: in.shared["STRIPE_API_URL"], Simulator: true}
	if a := simulator.Do("POST", "/_sim/fixtures", map[string]any{"account": liveAccount, "livemode": false, "objects": objects}); a.Status >= 300 {
		in.t.Fatalf("fixtures: %d %v", a.Status, a.Body)
	}
}

// call runs billctl by this machine's clock and fails the test unless it ends with the code.
func (in *installation) call(code int, env map[string]string, args ...string) result {
	in.t.Helper()
	got := runWith(in.t, env, func(streams *cli.Streams) { streams.Now = time.Now }, args...)
	if got.code != code {
		in.t.Fatalf("billctl %s ends with %d: %s%s", strings.Join(args, " "), got.code, got.out, got.err)
	}
	return got
}

func (in *installation) do(args ...string) result {
	in.t.Helper()
	return in.call(0, in.env, args...)
}

// made returns the id of what a command that prints JSON has made.
func (in *installation) made(args ...string) string {
	in.t.Helper()
	return read[struct{ ID string }](in.t, in.do(append(args, "--json")...).out).ID
}

// has fails the test unless what a command prints has all of this in it.
func (in *installation) has(args []string, wants ...string) {
	in.t.Helper()
	got := in.do(args...)
	for _, want := range wants {
		if !strings.Contains(got.out, want) {
			in.t.Errorf("billctl %s: no %q in\n%s%s", strings.Join(args, " "), want, got.out, got.err)
		}
	}
}

// TestAnOperatorsDay goes through every action on real services.
func TestAnOperatorsDay(t *testing.T) {
	t.Parallel()
	in := install(t)
	token := keyFile(t, "sk_test_"+liveAccount)
	merchant := in.made("merchants", "create", "--name", "Acme", "--account", liveAccount, "--access-token-from", token)
	in.open("in_1", "in_2", "in_3")

	paid := in.made("tasks", "create", "--merchant", merchant, "--kind", "invoice.pay", "--target", "in_1", "--metadata", "order=7", "--intent", "renewal:1")
	in.has([]string{"tasks", "show", paid, "--watch", "--every", "100ms"}, "succeeded")
	in.has([]string{"tasks", "attempts", paid}, "succeeded", "req_")
	in.has([]string{"tasks", "list", "--q", "renewal:1"}, paid)
	in.has([]string{"tasks", "list", "--target", "in_1", "--from", "-1h", "--to", "+1h"}, paid)
	in.has([]string{"tasks", "counts", "--merchant", merchant}, "succeeded  1")
	in.later(merchant)
	in.inBulk(merchant)

	in.has([]string{"workers"}, "alive")
	in.has([]string{"overview"}, "1 alive")
	in.has([]string{"encryption"}, "seals", "Every stored token, 1 in all")
	in.has([]string{"me"}, "ADMIN_API_KEY", "admin")
	in.has([]string{"merchants", "pause", merchant, "--reason", "asked"}, "is paused")
	in.has([]string{"audit", "--object", merchant, "--from", "-1h"}, "merchant.pause", "asked")
	in.has([]string{"merchants", "resume", merchant}, "is active")
	in.has([]string{"merchants", "update", merchant, "--name", "Acme & Sons"}, "changed")
	in.restricted(merchant)
	in.has([]string{"merchants", "disconnect", merchant, "--yes"}, "is disconnected")
}

// later goes through what is done to tasks whose time has not come.
func (in *installation) later(merchant string) {
	in.t.Helper()
	task := in.made("tasks", "create", "--merchant", merchant, "--kind", "invoice.pay", "--target", "in_2", "--run-at", "30d")
	in.has([]string{"tasks", "reschedule", task, "--at", "40d", "--reason", "moved"}, "runs in 39d")
	in.has([]string{"tasks", "cancel", task, "--reason", "called off"}, "canceled")
	in.has([]string{"audit", "--object", task}, "moved", "called off")
	again := in.made("tasks", "retry", task)
	in.has([]string{"tasks", "chain", task}, task, again)
	in.has([]string{"tasks", "list", "--retry-of", task}, again)
	if got := in.call(1, in.env, "tasks", "resolve", again, "--as", "failed", "--note", "n"); !strings.Contains(got.err, "409") {
		in.t.Errorf("%+v", got)
	}
	in.do("tasks", "cancel", again)
}

// inBulk schedules many tasks and calls them off.
func (in *installation) inBulk(merchant string) {
	in.t.Helper()
	var lines strings.Builder
	for i := range 25 {
		fmt.Fprintf(&lines, "{\"merchant_id\":%q,\"kind\":\"invoice.pay\",\"target\":\"in_bulk_%d\",\"run_at\":%q}\n", merchant, i,
			time.Now().Add(100*24*time.Hour).UTC().Format(time.RFC3339))
	}
	path := filepath.Join(in.t.TempDir(), "tasks.ndjson")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		in.t.Fatal(err)
	}
	in.has([]string{"tasks", "batch", path, "--size", "10"}, "scheduled 25 tasks")
	in.has([]string{"tasks", "batch", path, "--size", "7"}, "scheduled 0 tasks; 25 had been scheduled before")
	ahead := []string{"--merchant", merchant, "--from", "+90d", "--to", "+110d"}
	bulk := append([]string{"tasks", "bulk", "cancel", "--reason", "ended"}, ahead...)
	in.has(append(bulk, "--dry-run"), "25 tasks fit")
	in.has(append(bulk, "--yes", "--limit", "5"), "5 tasks changed")
	in.has(append(bulk, "--yes"), "20 tasks changed")
	list := in.do(append([]string{"tasks", "list", "--status", "canceled", "--all", "--json"}, ahead...)...)
	if found := read[struct{ Data []json.RawMessage }](in.t, list.out); len(found.Data) != 25 {
		in.t.Errorf("%d were canceled", len(found.Data))
	}
}

// restricted uses a key for one merchant, kept in a context.
func (in *installation) restricted(merchant string) {
	in.t.Helper()
	path := filepath.Join(in.t.TempDir(), "key")
	in.do("apikeys", "create", "--name", "shop", "--scope", "tasks:read", "--merchant", merchant, "--out", path)
	in.do("context", "set", "shop", "--url", in.env["BILLONCE_URL"], "--key-file", path)
	own := map[string]string{"XDG_CONFIG_HOME": in.env["XDG_CONFIG_HOME"], "BILLONCE_CONTEXT": "shop"}
	if got := in.call(0, own, "me"); !strings.Contains(got.out, merchant) || !strings.Contains(got.out, "shop, http://") {
		in.t.Errorf("%+v", got)
	}
	if got := in.call(1, own, "workers"); !strings.Contains(got.err, "403") {
		in.t.Errorf("%+v", got)
	}
	in.call(1, own, "merchants", "pause", merchant)
}

// TestDoctorOnRealServices: all is well; then no worker is there any more.
func TestDoctorOnRealServices(t *testing.T) {
	t.Parallel()
	in := install(t)
	env := map[string]string{
		"DATABASE_URL": in.db.URL, "STRIPE_API_URL": in.shared["STRIPE_API_URL"], "ENCRYPTION_KEY": in.shared["ENCRYPTION_KEY"],
		"BILLONCE_URL": in.env["BILLONCE_URL"], "BILLONCE_API_KEY": liveKey,
	}
	type report struct {
		Findings []struct{ Check, Level, What, Do, Runbook string }
		Counts   map[string]int
	}
	well := read[report](t, in.call(0, env, "doctor", "--json", "--skip", "settings").out) // the test server is not made to last
	seen := map[string]bool{}
	for _, one := range well.Findings {
		seen[one.Check] = true
		if one.Level != "ok" && one.Check != "transactions" { // other tests' sessions
			t.Errorf("%+v", one)
		}
	}
	for _, check := range []string{"database", "schema", "roles", "keys", "clock", "workers", "tasks", "archive", "tables", "transactions", "api", "stripe"} {
		if !seen[check] {
			t.Errorf("%s is not looked at", check)
		}
	}
	in.worker.Kill()
	if code := in.worker.Exit(); code == 0 {
		t.Errorf("the worker ends with %d", code)
	}
	await(t, func() bool {
		got := runWith(t, env, func(streams *cli.Streams) { streams.Now = time.Now }, "doctor", "--skip", "settings,transactions", "--quiet")
		return got.code == 1 && strings.Contains(got.out, "no worker is alive") && strings.Contains(got.out, "docs/runbook.md#workers-fall-silent") &&
			!strings.Contains(got.out+got.err, liveKey)
	})
}
