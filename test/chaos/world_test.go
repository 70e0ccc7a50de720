package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq" // the driver

	"billonce/internal/netfault"
	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

const (
	apis    = 2
	workers = 4

	adminKey      = "bo_admin_canary_5d1f8a7c20"
	platformKey   = "sk_test_platform_canary_77c1"
	encryptionKey = "7f4a1c9be2d3560817a5c4f2e9b0d36a8c5e1f7094b2d8a6c3e5f01927b4d86e"

	lease         = 1500 * time.Millisecond
	stripeTimeout = 2 * time.Second
)

// world is one seed's world: services, each behind a proxy of its own to the database, and a simulator.
type world struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand // of the test's own goroutine
	server *server
	name   string   // of the database
	db     *sqlx.DB // past the proxies
	sim    *programtest.Client
	nodes  []*node // apis first
	wares  *wares
	began  time.Time
	timers []*time.Timer // of what is to be put right again
	doubts []doubt       // that a person had to decide

	followers  []*follower
	calmResets map[string]int // how often each had been told that something is forgotten when all was compared; empty: not yet

	mu     sync.Mutex     // guards what follows, and what is known of orders and merchants
	output []string       // of processes that have ended
	extra  []*order       // asked for again under another key
	struck map[string]int // what happened how often
}

// node is a service that is started again after each of its ends.
type node struct {
	name, program string
	env           map[string]string
	base          string // of an api
	proxy         *netfault.Proxy
	process       *programtest.Process
}

func newWorld(t *testing.T, s *server, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), server: s, name: fmt.Sprintf("chaos_%d", seed),
		struck: map[string]int{}, calmResets: map[string]int{}, began: time.Now(),
	}
	s.create(w.name, template)
	w.db = sqlx.MustOpen("postgres", s.url(w.name))
	t.Cleanup(func() {
		_ = w.db.Close()
		s.drop(w.name)
	})
	sim := programtest.Spawn(t, "stripesim", map[string]string{
		"STRIPESIM_ADDR": "127.0.0.1:0", "STRIPESIM_PLATFORM_KEY": platformKey,
	})
	w.sim = &programtest.Client{T: t, Base: "http://" + sim.Attr("listening", "addr"), Simulator: true}
	for i := range apis {
		port := freePort(t)
		n := w.node(fmt.Sprintf("api-%d", i), "api", "API_ADDR", fmt.Sprintf("127.0.0.1:%d", port))
		n.base = fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	for i := range workers {
		w.node(fmt.Sprintf("worker-%d", i), "worker")
	}
	for _, n := range w.nodes {
		w.start(n)
	}
	return w
}

func (w *world) node(name, program string, more ...string) *node {
	w.t.Helper()
	direct, err := url.Parse(w.server.url(w.name))
	if err != nil {
		w.t.Fatal(err)
	}
	proxy, err := netfault.Start(context.WithoutCancel(w.t.Context()), direct.Host)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = proxy.Close() })
	direct.Host = proxy.Addr()
	n := &node{name: name, program: program, proxy: proxy, env: map[string]string{
		"DATABASE_URL": direct.String(), "ADMIN_API_KEY": adminKey, "ENCRYPTION_KEY": encryptionKey, "OPS_ADDR": "127.0.0.1:0",
		"STRIPE_API_URL": w.sim.Base, "STRIPE_SECRET_KEY": platformKey, "STRIPE_TIMEOUT": stripeTimeout.String(),
		"WORKER_LEASE": lease.String(), "WORKER_POLL_INTERVAL": "100ms", "WORKER_CONCURRENCY": "16", "LOG_LEVEL": "debug",
		"RETRY_BASE": "50ms", "RETRY_MAX": "500ms", "RECONCILE_DELAYS": "200ms,300ms,400ms", "SHUTDOWN_TIMEOUT": "5s",
	}}
	for i := 0; i < len(more); i += 2 {
		n.env[more[i]] = more[i+1]
	}
	w.nodes = append(w.nodes, n)
	return n
}

func (w *world) start(n *node) {
	w.t.Helper()
	n.process = programtest.Spawn(w.t, n.program, storetest.EnvironOf(w.t, n.program, n.env))
}

// end kills a node or, with another signal, waits until it has gone by itself.
func (w *world) end(n *node, with syscall.Signal) {
	if with == syscall.SIGKILL {
		n.process.Kill()
		w.keepOutput(n)
		return
	}
	_ = n.process.TrySignal(syscall.SIGCONT)
	if n.process.TrySignal(with) == nil {
		select {
		case <-n.process.Done():
		case <-time.After(programtest.Patience):
			w.t.Errorf("%s does not end after %s", n.name, with)
			n.process.Kill()
		}
	}
	w.keepOutput(n)
}

func (w *world) keepOutput(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.output = append(w.output, n.process.Output())
}

func (w *world) workers() []*node { return w.nodes[apis:] }

// clients are the ways to the api, one for each process.
func (w *world) clients() []*programtest.Client {
	list := make([]*programtest.Client, apis)
	for i, n := range w.nodes[:apis] {
		list[i] = &programtest.Client{T: w.t, Base: n.base, Key: adminKey, Patience: clientPatience}
	}
	return list
}

// api is a client for calm times.
func (w *world) api() *programtest.Client {
	return &programtest.Client{T: w.t, Base: w.nodes[0].base, Key: adminKey}
}

// control calls one of the simulator's control routes.
func (w *world) control(method, path string, body any) map[string]any {
	w.t.Helper()
	return w.sim.Must(200, method, "/_sim/"+path, body)
}

// eventually waits until holds reports true.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(programtest.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// stuck shows what has not come to its end.
func (w *world) stuck() {
	rows := []struct {
		ID      string  `db:"id"`
		Kind    string  `db:"kind"`
		Status  string  `db:"status"`
		Target  string  `db:"target"`
		Attempt int     `db:"attempt"`
		Worker  *string `db:"worker_id"`
		Waits   bool    `db:"waits"`
		DueIn   float64 `db:"due_in"`
	}{}
	err := w.db.Select(&rows, open+` ORDER BY due_in LIMIT 20`)
	w.t.Logf("unfinished: %+v (%v)", rows, err)
}

// freePort returns a port that no connection is given by chance: one below the range for outgoing ones.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		_ = listener.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// create makes a database from a template, "" for an empty one.
func (s *server) create(name, from string) {
	s.t.Helper()
	statement := `CREATE DATABASE ` + name
	if from != "" {
		statement += ` TEMPLATE ` + from
	}
	s.admin(statement)
}

func (s *server) drop(name string) {
	s.t.Helper()
	s.admin(`DROP DATABASE ` + name + ` WITH (FORCE)`)
}

func (s *server) admin(statement string) {
	s.t.Helper()
	db := sqlx.MustOpen("postgres", s.url("postgres"))
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(statement); err != nil {
		s.t.Fatal(err)
	}
}
