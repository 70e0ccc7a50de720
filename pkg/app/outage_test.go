package app_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
)

// proxy stands between the services and PostgreSQL and can be closed, which breaks every connection and refuses new ones.
type proxy struct {
	addr   string
	target string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	group    sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{addr: "127.0.0.1:0", target: target, conns: map[net.Conn]bool{}}
	p.open(t)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.addr = listener, listener.Addr().String()
	p.mu.Unlock()
	p.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.group.Go(func() { p.carry(conn) })
		}
	})
}

func (p *proxy) carry(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var group sync.WaitGroup
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		group.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
		})
	}
	group.Wait()
}

func (p *proxy) close() {
	p.mu.Lock()
	_ = p.listener.Close()
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = map[net.Conn]bool{}
	p.mu.Unlock()
	p.group.Wait()
}

// TestTheDatabaseGoesAwayAndComesBack breaks every connection to PostgreSQL while tasks are in flight.
func TestTheDatabaseGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, address.Host)
	address.Host = proxy.addr
	api, c := s.api("DATABASE_URL", address.String())
	worker := s.worker("DATABASE_URL", address.String())
	merchant := c.merchant()
	s.slowStripe(700 * time.Millisecond)
	var ids []string
	for _, invoice := range s.invoices(50) {
		ids = append(ids, idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": invoice})))
	}
	eventually(t, "calls to Stripe are in flight", func() bool {
		running, _ := c.Must(200, "GET", "/v1/tasks?status=running", nil)["data"].([]any)
		return len(running) > 0 // the first ones may be done by now
	})
	proxy.close()
	for _, path := range []string{"/v1/tasks/" + ids[0], "/readyz"} {
		eventually(t, path+" is answered with 503", func() bool {
			a, err := c.Try("GET", path, nil)
			return err == nil && a.Status == 503
		})
	}
	worker.Line("no tasks claimed")
	if a, err := c.Try("POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": "in_1"}); err != nil || a.Status != 503 {
		t.Errorf("scheduling without a database: %d, %v", a.Status, err)
	}
	proxy.open(t)
	for _, id := range ids {
		c.Await(id, "succeeded")
	}
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	effects := s.effects()
	for _, id := range ids {
		if effects["task_"+id] != 1 {
			t.Errorf("task %s has %d effects", id, effects["task_"+id])
		}
	}
	for _, p := range []*programtest.Process{api, worker} {
		select {
		case <-p.Done():
			t.Errorf("%s ended", p.Name)
		default:
		}
	}
}

func TestServicesStartBeforeTheDatabase(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, address.Host)
	address.Host = proxy.addr
	proxy.close()
	api := spawn(t, "api", s.with("DATABASE_URL", address.String()))
	worker := spawn(t, "worker", s.with("DATABASE_URL", address.String()))
	api.Line("waiting for the database")
	worker.Line("waiting for the database")
	proxy.open(t)
	c := newClient(t, "http://"+api.Attr("api listening", "address"), adminKey)
	s.pay(c, c.merchant())
}

func TestAnOlderSchemaIsNotReady(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	_, c := s.api()
	if a := c.Do("GET", "/readyz", nil); a.Status != 200 {
		t.Fatalf("readyz answers %d", a.Status)
	}
	db.MustExec(`DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	eventually(t, "the api is not ready", func() bool { return c.Do("GET", "/readyz", nil).Status == 503 })
	worker := spawn(t, "worker", s.env)
	worker.Line("waiting for the database", "needs version")
}
