package app_test

import (
	"fmt"
	"os"
	"testing"

	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

// These tests run the real programs as processes of their own: what they show holds for what is shipped.

const (
	adminKey = "bo_admin_0123456789abcdef"
	patience = programtest.Patience
	account  = "acct_acme"
)

// client adds to a client of the API what these tests do often.
type client struct{ *programtest.Client }

func newClient(t testing.TB, base, key string) *client {
	t.Helper()
	return &client{&programtest.Client{T: t, Base: base, Key: key}}
}

// spawn starts a program; it comes into the database by its own role, whoever's URL it is given.
func spawn(t *testing.T, name string, env map[string]string, args ...string) *programtest.Process {
	t.Helper()
	program := name
	if name == "billctl" && len(args) > 0 {
		program += " " + args[0]
	}
	return programtest.Spawn(t, name, storetest.EnvironOf(t, program, env), args...)
}

func TestMain(m *testing.M) {
	code := m.Run()
	programtest.Remove()
	os.Exit(code)
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
	s := &stack{t: t, url: db.URL, sim: "http://" + sim.Attr("listening", "addr")}
	s.env = map[string]string{
		"DATABASE_URL": db.URL, "ADMIN_API_KEY": adminKey, "API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0",
		"MERCHANT_RATE": "0", "MERCHANT_CONCURRENCY": "0", // most tests have one merchant with many tasks
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

func (s *stack) api(changes ...string) (*programtest.Process, *client) {
	s.t.Helper()
	p := spawn(s.t, "api", s.with(changes...))
	return p, newClient(s.t, "http://"+p.Attr("api listening", "address"), adminKey)
}

func (s *stack) worker(changes ...string) *programtest.Process {
	s.t.Helper()
	p := spawn(s.t, "worker", s.with(changes...))
	p.Line(`"msg":"worker registered"`)
	return p
}

// merchant connects the account with a token that the simulator knows.
func (c *client) merchant() string {
	c.T.Helper()
	return idOf(c.Must(201, "POST", "/v1/merchants", map[string]any{
		"name": "Acme", "stripe_connect_id": account, "access_token": "sk_test_" + account,
	}))
}

// idOf returns the id of an object of the API.
func idOf(object map[string]any) string {
	id, _ := object["id"].(string)
	return id
}

// simulator returns a client of the simulator's control routes.
func (s *stack) simulator() *client {
	return &client{&programtest.Client{T: s.t, Base: s.sim, Simulator: true}}
}

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
	a := s.simulator().Do("POST", "/_sim/fixtures", map[string]any{"account": account, "livemode": false, "objects": objects})
	if a.Status >= 300 {
		s.t.Fatalf("fixtures: %d %v", a.Status, a.Body)
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
	data, _ := s.simulator().Must(200, "GET", "/_sim/ledger", nil)["data"].([]any)
	for _, entry := range data {
		key, _ := entry.(map[string]any)["idempotency_key"].(string)
		counts[key]++
	}
	return counts
}
