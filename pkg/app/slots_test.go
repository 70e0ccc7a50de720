package app_test

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

const (
	manySlots        = 4000
	manySlotsLimit   = 120 << 20 // bytes resident
	streamsPerServer = 100       // that the answerer takes on one connection
	// A connection from each call that waits would be thousands. One for each lane of 80 calls is enough, but a lane tries another for
	// each second that dialing takes on this machine. TestStreamsThatRunOut of pkg/gateway counts without that.
	connectionsAtMost = manySlots / 4
)

// gatedStripe speaks HTTP/2 over TLS, as Stripe does, and answers no call before as many are in flight as there are slots.
type gatedStripe struct {
	*httptest.Server
	connections, arrived atomic.Int32
	full                 chan struct{} // closed then
	hold                 chan struct{} // closed by the test: answer
}

func newGatedStripe(t *testing.T) *gatedStripe {
	t.Helper()
	s := &gatedStripe{full: make(chan struct{}), hold: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streamsPerServer}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP implements http.Handler.
func (s *gatedStripe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 {
		panic("the worker spoke " + r.Proto)
	}
	if s.arrived.Add(1) == manySlots {
		close(s.full)
	}
	select {
	case <-s.hold:
	case <-r.Context().Done():
	}
	_, _ = io.WriteString(w, `{"id":"ii_1","object":"invoiceitem"}`)
}

// trust writes the server's certificate to a file for SSL_CERT_FILE.
func (s *gatedStripe) trust(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFourThousandCallsInFlight fills 4,000 slots of the worker, built as it is shipped, with calls that Stripe does not answer
// for a while, over HTTP/2 connections of 100 streams. It holds the memory, and that streams running out is no reason for
// a connection from each call that waits.
func TestFourThousandCallsInFlight(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "billonce/cmd/worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	stripe := newGatedStripe(t)
	s := newStack(t)
	_, c := s.api()
	merchant := c.merchant()
	batch := make([]map[string]any, manySlots)
	for i := range batch {
		batch[i] = map[string]any{
			"merchant_id": merchant, "kind": "invoice_item.create", "idempotency_key": fmt.Sprintf("slots-%d", i),
			"params": map[string]any{"customer": "cus_ok", "amount": 100, "currency": "usd", "description": "an item of the slots test"},
		}
	}
	c.Must(201, "POST", "/v1/tasks/batch", map[string]any{"tasks": batch})
	worker := programtest.SpawnAt(t, filepath.Join(dir, "worker"), storetest.EnvironOf(t, "worker", s.with(
		"STRIPE_API_URL", stripe.URL, "SSL_CERT_FILE", stripe.trust(t),
		"WORKER_CONCURRENCY", strconv.Itoa(manySlots), "MERCHANT_RATE", "0", "MERCHANT_CONCURRENCY", "0",
		"STRIPE_TIMEOUT", "2m", "WORKER_LEASE", "30s")))
	select {
	case <-stripe.full:
	case <-time.After(2 * time.Minute):
		t.Fatalf("%d calls arrived", stripe.arrived.Load())
	}
	close(stripe.hold)
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	within(t, 2*time.Minute, "every task is done", func() bool {
		var open int
		err := db.Get(&open, `SELECT count(*) FROM scheduled_tasks WHERE status <> 'succeeded'`)
		return err == nil && open == 0
	})
	peak := peakResident(t, worker)
	t.Logf("the worker had at most %d MiB resident, over %d connections", peak>>20, stripe.connections.Load())
	if peak > manySlotsLimit {
		t.Errorf("the worker had %d MiB resident, the limit is %d MiB", peak>>20, manySlotsLimit>>20)
	}
	if n := stripe.connections.Load(); n > connectionsAtMost {
		t.Errorf("%d connections", n)
	}
	if n := stripe.arrived.Load(); n != manySlots {
		t.Errorf("%d calls for %d tasks", n, manySlots)
	}
}
