package store_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// pooler stands between a service and PostgreSQL. When it is armed, it answers the next statement with an error and hangs up, as a
// pooler does whose server has gone: without the message that ends an answer.
type pooler struct {
	listener net.Listener
	target   string
	armed    atomic.Bool
}

func startPooler(t *testing.T, target string) *pooler {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{listener: listener, target: target}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p
}

func (p *pooler) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() { _, _ = io.Copy(client, server) }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if buffer[0] == 'P' && p.armed.CompareAndSwap(true, false) { // the first message of a statement with arguments
			_, _ = client.Write(errorResponse("SERROR\x00C08P01\x00Mserver conn crashed?\x00\x00"))
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func errorResponse(fields string) []byte {
	message := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(fields)))
	return append(message, fields...)
}

// TestAStuckConnectionIsNotHandedOn: whoever comes after a pooler's error gets a connection that works, and gets it at once.
func TestAStuckConnectionIsNotHandedOn(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	address, err := url.Parse(db.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := startPooler(t, address.Host)
	address.Host = p.listener.Addr().String()
	pool, err := store.Open(store.Options{URL: secret.New(address.String()), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	pooled, ctx := store.New(pool, db.Vault), context.Background()
	worker, id := register(t, db, time.Minute), schedule(t, db, newTask(t, db.Merchant(t).ID))[0].Task.ID
	read := func() error { _, err := pooled.GetTask(ctx, id); return err }
	for name, use := range map[string]func() error{
		"a read of the pool":  read,
		"a pinned connection": func() error { return pooled.Heartbeat(ctx, worker) },
		"a transaction":       func() error { _, err := pooled.TakeOver(ctx, 1, time.Minute); return err },
	} {
		if err := read(); err != nil {
			t.Fatalf("before %s: %v", name, err)
		}
		p.armed.Store(true)
		if err := read(); billing.CodeOf(err) != billing.CodeUnavailable || p.armed.Load() {
			t.Fatalf("before %s: the pooler was not heard: %v", name, err)
		}
		if err := use(); err != nil {
			t.Errorf("%s got a stuck connection: %v", name, err)
		}
	}
}
