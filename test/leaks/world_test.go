package leaks_test

import (
	"maps"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"

	"billonce/internal/netfault"
	"billonce/internal/openapitest"
	"billonce/internal/otlptest"
	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	programtest.Remove()
	os.Exit(code)
}

type object = map[string]any

// world is everything that a run has: the programs with their database and the simulator, and what they have said so far.
type world struct {
	t         *testing.T
	c         *canaries
	db        *storetest.DB
	wire      *netfault.Proxy // between the services and PostgreSQL
	mirror    *mirror
	simulator *programtest.Client
	env       map[string]string
	user      string // of the database: the programs' begin with it
	api       *caller
	through   string    // base URL of the api for other programs, through which nothing passes that is not described
	ops       []*caller // of the api and of a worker

	running  []*programtest.Process
	said     []piece // by programs that have ended, and by those within this process
	book     *book   // what was answered
	tale     *tale   // what the stream of events told
	metrics  []piece
	pages    []piece // of the console
	activity []piece
	spans    *otlptest.Collector

	merchants map[string]string // ids by name
	tasks     map[string]string // ids by what they are for
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := newCanaries(t)
	w := &world{t: t, c: c, db: storetest.Open(t), book: newBook(), merchants: map[string]string{}, tasks: map[string]string{}}
	sim := programtest.Spawn(t, "stripesim", map[string]string{
		"STRIPESIM_ADDR": "127.0.0.1:0", "STRIPESIM_PLATFORM_KEY": c.text("platform key"),
	})
	w.simulator = &programtest.Client{T: t, Base: "http://" + sim.Attr("listening", "addr"), Simulator: true}
	w.mirror = newMirror(t, c, w.simulator.Base)
	w.env = map[string]string{
		"DATABASE_URL": w.databaseURL(), "ADMIN_API_KEY": c.text("admin key"), "API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0",
		"ENCRYPTION_KEY": c.text("encryption key"), "ENCRYPTION_KEYS_PREVIOUS": c.text("previous encryption key"),
		"LOG_LEVEL": "debug", "MERCHANT_RATE": "0", "MERCHANT_CONCURRENCY": "0", "ALLOW_PAYOUTS": "true",
		"STRIPE_API_URL": w.mirror.server.URL, "STRIPE_SECRET_KEY": c.text("platform key"), "STRIPE_WEBHOOK_SECRET": c.text("webhook secret"),
		"STRIPE_TIMEOUT": "10s", "WORKER_LEASE": "2s", "WORKER_POLL_INTERVAL": "100ms", "RETRY_BASE": "20ms", "RETRY_MAX": "100ms",
		"RECONCILE_DELAYS": "20ms,50ms", "SHUTDOWN_TIMEOUT": "10s",
	}
	w.spans = otlptest.Start(t)
	w.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = w.spans.URL
	return w
}

// members are the users of the database that the programs are, each with the rights of its roles (deploy/roles.sql).
var members = map[string]string{
	"api": "billonce_api", "worker": "billonce_worker", "billctl": "billonce_migrate, billonce_read, billonce_rotate",
}

// databaseURL makes the users, whose password is a canary, puts a wire that can be cut before the database, and returns how the
// services reach it; [world.spawn] puts the program's user in.
func (w *world) databaseURL() string {
	w.t.Helper()
	address, err := url.Parse(w.db.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	w.user = "leaks_" + strings.ReplaceAll(storetest.NewID(w.t), "-", "_")
	for program, roles := range members {
		user := w.user + "_" + program
		w.db.SQL.MustExec(`CREATE ROLE ` + user + ` LOGIN PASSWORD ` + pq.QuoteLiteral(w.c.text("database password")) + ` IN ROLE ` + roles)
		w.t.Cleanup(func() { w.db.SQL.MustExec(`DROP ROLE ` + user) })
	}
	if w.wire, err = netfault.Start(w.t.Context(), address.Host); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.wire.Close() })
	address.User, address.Host = url.UserPassword(w.user, w.c.text("database password")), w.wire.Addr()
	return address.String()
}

// spawn starts a program as its user of the database.
func (w *world) spawn(program string, env map[string]string, args ...string) *programtest.Process {
	w.t.Helper()
	own := maps.Clone(env)
	if address, ok := own["DATABASE_URL"]; ok {
		own["DATABASE_URL"] = strings.Replace(address, w.user+":", w.user+"_"+program+":", 1)
	}
	return programtest.Spawn(w.t, program, own, args...)
}

// with returns the environment with changes; an empty value removes a variable.
func (w *world) with(changes ...string) map[string]string {
	env := map[string]string{}
	for name, value := range w.env {
		env[name] = value
	}
	for i := 0; i < len(changes); i += 2 {
		env[changes[i]] = changes[i+1]
		if changes[i+1] == "" {
			delete(env, changes[i])
		}
	}
	return env
}

// start starts the api and two workers, which log in either format.
func (w *world) start() {
	w.t.Helper()
	api := w.spawn("api", w.env)
	worker := w.spawn("worker", w.env)
	texts := w.spawn("worker", w.with("LOG_FORMAT", "text"))
	w.running = []*programtest.Process{api, worker, texts}
	w.api = w.caller("http://"+api.Attr("api listening", "address"), w.c.text("admin key"))
	w.through = openapitest.Proxy(w.t, w.api.base)
	w.ops = []*caller{w.operator("http://" + api.Attr("ops listening", "addr")), w.operator("http://" + worker.Attr("ops listening", "addr"))}
	worker.Line("worker registered")
	texts.Line("worker registered")
}

// stop ends the services, so that they have said all that they ever will.
func (w *world) stop() {
	w.t.Helper()
	for _, p := range w.running {
		p.Signal(syscall.SIGTERM)
	}
	for _, p := range w.running {
		if code := p.Exit(); code != 0 {
			w.t.Errorf("%s ended with %d", p.Name, code)
		}
		w.heard("log of "+p.Name, p)
	}
}

// heard notes what an ended program has written.
func (w *world) heard(place string, p *programtest.Process) {
	for line := range strings.Lines(p.Output()) {
		w.said = append(w.said, piece{place, line})
	}
}

// eventually waits until something is so.
func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	deadline := time.After(programtest.Patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("after %s, still not: %s", programtest.Patience, what)
		}
	}
}
