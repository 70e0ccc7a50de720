package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"
)

// h2Streams is how many calls the answerer takes on one connection, as load balancers do.
const h2Streams = 100

// h2Answerer is the answerer over TLS and HTTP/2, which is what Stripe speaks. It costs more of the box than the minimal one.
type h2Answerer struct {
	*httptest.Server
	dir string // holds its certificate
}

func startH2Answerer(delay time.Duration) (*h2Answerer, error) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = io.WriteString(w, answererObject)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: h2Streams}
	server.EnableHTTP2 = true
	dir, err := os.MkdirTemp("", "billonce-bench-h2-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the answerer's certificate: %w", err)
	}
	server.StartTLS()
	a := &h2Answerer{Server: server, dir: dir}
	if err := os.WriteFile(a.roots(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		_ = a.end()
		return nil, fmt.Errorf("write the answerer's certificate: %w", err)
	}
	return a, nil
}

// roots is the file that SSL_CERT_FILE names.
func (a *h2Answerer) roots() string { return filepath.Join(a.dir, "roots.pem") }

func (a *h2Answerer) end() error {
	a.CloseClientConnections()
	a.Close()
	if err := os.RemoveAll(a.dir); err != nil {
		return fmt.Errorf("remove the answerer's certificate: %w", err)
	}
	return nil
}

// slowH2Answerer stands in this process, as the minimal one does.
func (s *slotsRun) slowH2Answerer(context.Context) (*slotsStripe, error) {
	answerer, err := startH2Answerer(slowLatency)
	if err != nil {
		return nil, err
	}
	return &slotsStripe{
		name: slowH2Name, latency: slowLatency, url: answerer.URL, roots: answerer.roots(), used: ownUsage, end: answerer.end,
	}, nil
}
