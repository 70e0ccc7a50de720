package browser_test

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"billonce/internal/netfault"
	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

const adminKey = "bo_admin_0123456789abcdef"

type object = map[string]any

// world is a database, a simulator, an api with its console, and workers: the real programs, each in its role of the database.
type world struct {
	db   *storetest.DB
	wire *netfault.Proxy // between the api and PostgreSQL
	sim  string          // base URL of the simulator
	base string          // of the api and the console
	api  *programtest.Process
	env  map[string]string
	run  spawner
}

type spawner func(t testing.TB, name string, env map[string]string, args ...string) *programtest.Process

// newWorld starts an api and a worker. They live as long as the test.
func newWorld(t *testing.T, run spawner, changes ...string) *world {
	t.Helper()
	w := &world{db: storetest.Open(t), run: run}
	address, err := url.Parse(w.db.URL)
	if err != nil {
		t.Fatal("the address of the database is not a URL")
	}
	if w.wire, err = netfault.Start(t.Context(), address.Host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.wire.Close() })
	sim := run(t, "stripesim", map[string]string{"STRIPESIM_ADDR": "127.0.0.1:0"})
	w.sim = "http://" + sim.Attr("listening", "addr")
	w.env = map[string]string{
		"DATABASE_URL": w.db.URL, "ADMIN_API_KEY": adminKey, "API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0",
		"MERCHANT_RATE": "0", "MERCHANT_CONCURRENCY": "0",
		"STRIPE_API_URL": w.sim, "STRIPE_SECRET_KEY": "sk_test_platform", "STRIPE_TIMEOUT": "10s",
		"WORKER_LEASE": "5s", "WORKER_POLL_INTERVAL": "100ms", "RETRY_BASE": "50ms", "RETRY_MAX": "500ms",
		"ENCRYPTION_KEY": "7f4a1c9be2d3560817a5c4f2e9b0d36a8c5e1f7094b2d8a6c3e5f01927b4d86e",
	}
	for i := 0; i < len(changes); i += 2 {
		w.env[changes[i]] = changes[i+1]
	}
	behind := *address
	behind.Host = w.wire.Addr()
	w.api = w.spawn(t, "api", "DATABASE_URL", behind.String())
	w.base = "http://" + w.api.Attr("api listening", "address")
	return w
}

// spawn starts a program in its role, with changes to the environment.
func (w *world) spawn(t *testing.T, name string, changes ...string) *programtest.Process {
	t.Helper()
	env := maps.Clone(w.env)
	for i := 0; i < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
	}
	return w.run(t, name, storetest.EnvironOf(t, name, env))
}

// worker starts a worker.
func (w *world) worker(t *testing.T) *programtest.Process {
	t.Helper()
	worker := w.spawn(t, "worker")
	worker.Line(`"msg":"worker registered"`)
	return worker
}

// scene is what one test has of a world: a merchant with an account of its own, and clients that fail that test.
type scene struct {
	*world
	t        *testing.T
	c        *programtest.Client // of the API, with the admin key
	s        *programtest.Client // of the simulator
	account  string
	merchant string // its id
	name     string // and name
	invoices int
}

func (w *world) scene(t *testing.T) *scene {
	t.Helper()
	s := w.empty(t)
	s.connect()
	return s
}

// empty is a scene without a merchant.
func (w *world) empty(t *testing.T) *scene {
	t.Helper()
	suffix := strings.ReplaceAll(storetest.NewID(t), "-", "")[16:]
	s := &scene{
		world: w, t: t, account: "acct_" + suffix, name: "Bakery " + suffix[:6],
		c: &programtest.Client{T: t, Base: w.base, Key: adminKey}, s: &programtest.Client{T: t, Base: w.sim, Simulator: true},
	}
	return s
}

// connect connects the scene's account.
func (s *scene) connect() {
	s.t.Helper()
	s.merchant = id(s.c.Must(201, "POST", "/v1/merchants", object{
		"name": s.name, "stripe_connect_id": s.account, "access_token": "sk_test_" + s.account,
	}))
}

// id is that of an object of the API.
func id(of object) string {
	text, _ := of["id"].(string)
	return text
}

// tab opens a window of this scene's test that has signed in with a key.
func (s *scene) tab(key string) *tab {
	s.t.Helper()
	b := newTab(s.t, s.base)
	b.signIn(key)
	return b
}

// key makes an API key and returns it with its id.
func (s *scene) key(fields object) (key, keyID string) {
	s.t.Helper()
	body := object{"name": "Clerk of " + s.name}
	maps.Copy(body, fields)
	made := s.c.Must(201, "POST", "/v1/api_keys", body)
	key, _ = made["key"].(string)
	return key, id(made)
}

// invoice makes an open invoice at the simulator.
func (s *scene) invoice() string {
	s.t.Helper()
	s.invoices++
	name := "in_" + s.account[5:13] + string(rune('a'+s.invoices/26)) + string(rune('a'+s.invoices%26))
	s.s.Must(200, "POST", "/_sim/fixtures", object{"account": s.account, "objects": []object{
		{"object": "invoice", "id": name, "status": "open", "customer": "cus_ok", "amount": 2000},
	}})
	return name
}

// later is a time at which no test still runs.
func later() time.Time { return time.Now().Add(48 * time.Hour).UTC().Truncate(time.Minute) }

// pending schedules a payment for later and returns its id.
func (s *scene) pending() string {
	s.t.Helper()
	return id(s.c.Must(201, "POST", "/v1/tasks", object{
		"merchant_id": s.merchant, "kind": "invoice.pay", "target": s.invoice(), "run_at": later(),
	}))
}

// succeeded has a payment made.
func (s *scene) succeeded() string {
	s.t.Helper()
	task := id(s.c.Must(201, "POST", "/v1/tasks", object{"merchant_id": s.merchant, "kind": "invoice.pay", "target": s.invoice()}))
	s.c.Await(task, "succeeded")
	return task
}

// failed has a payment refused.
func (s *scene) failed() string {
	s.t.Helper()
	task := id(s.c.Must(201, "POST", "/v1/tasks", object{"merchant_id": s.merchant, "kind": "invoice.pay", "target": "in_missing" + storetest.NewID(s.t)[24:]}))
	s.c.Await(task, "failed")
	return task
}

// inDoubt has Stripe break down over a payment.
func (s *scene) inDoubt() string {
	s.t.Helper()
	s.fault(object{"kind": "error_kept", "delay": "1h"})
	task := id(s.c.Must(201, "POST", "/v1/tasks", object{"merchant_id": s.merchant, "kind": "invoice.pay", "target": s.invoice()}))
	s.c.Await(task, "in_doubt")
	return task
}

// fault has the next payment of the scene's account meet a fault of the simulator.
func (s *scene) fault(fields object) {
	s.t.Helper()
	body := object{"account": s.account, "op": "invoice.pay"}
	maps.Copy(body, fields)
	s.s.Must(200, "POST", "/_sim/faults", object{"faults": []object{body}})
}

// task reads a task.
func (s *scene) task(task string) object {
	s.t.Helper()
	return s.c.Must(200, "GET", "/v1/tasks/"+task, nil)
}

// status fails the test unless the task has the status, and its payment was made n times.
func (s *scene) status(task, status string, effects int) {
	s.t.Helper()
	if got := s.task(task)["status"]; got != status {
		s.t.Errorf("the task is %v, want %s", got, status)
	}
	made, _ := s.s.Must(200, "GET", "/_sim/ledger?key=task_"+task, nil)["data"].([]any)
	if len(made) != effects {
		s.t.Errorf("the task has %d effects, want %d", len(made), effects)
	}
}

// chain is the ids of all tasks that repeat one another, first to last.
func (s *scene) chain(of string) []string {
	s.t.Helper()
	data, _ := s.c.Must(200, "GET", "/v1/tasks/"+of+"/chain", nil)["data"].([]any)
	ids := make([]string, len(data))
	for i, one := range data {
		task, _ := one.(object)
		ids[i] = id(task)
	}
	return ids
}

// entries are those of the audit log about an object, newest first.
func (s *scene) entries(of string) []object {
	s.t.Helper()
	data, _ := s.c.Must(200, "GET", "/v1/audit?object="+of, nil)["data"].([]any)
	entries := make([]object, len(data))
	for i, one := range data {
		entries[i], _ = one.(object)
	}
	return entries
}

// audited fails the test unless the newest entry about an object is the action, with the reason.
func (s *scene) audited(of, action, reason string) {
	s.t.Helper()
	entries := s.entries(of)
	if len(entries) == 0 {
		s.t.Errorf("nothing is recorded about %s", of)
		return
	}
	detail, _ := entries[0]["detail"].(object)
	if entries[0]["action"] != action || reason != "" && detail["reason"] != reason {
		s.t.Errorf("the newest entry is %v, want %s with the reason %q", entries[0], action, reason)
	}
}
