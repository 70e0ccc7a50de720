package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"billonce/pkg/secret"
)

const opsShutdown = 2 * time.Second

// OpsServer serves /metrics, /livez, /readyz and /debug/pprof/ to operators.
type OpsServer struct {
	listener net.Listener
	server   *http.Server
	log      *slog.Logger
}

// NewOpsServer listens on addr at once, so that an address in use is an error of the start.
func NewOpsServer(ctx context.Context, addr string, gatherer prometheus.Gatherer, health *Health, log *slog.Logger) (*OpsServer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", health.serve)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return &OpsServer{listener: listener, log: log, server: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}, nil
}

// Addr is the address that the server listens on.
func (o *OpsServer) Addr() string { return o.listener.Addr().String() }

// Run serves until ctx ends.
func (o *OpsServer) Run(ctx context.Context) error {
	o.log.InfoContext(ctx, "ops listening", slog.String("addr", o.Addr()))
	ended := make(chan error, 1)
	go func() { ended <- o.server.Serve(o.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve operators: %w", err)
	case <-ctx.Done():
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), opsShutdown)
	defer cancel()
	if err := o.server.Shutdown(shutdown); err != nil {
		_ = o.server.Close() // a profile in progress must not hold the process
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve operators: %w", err)
	}
	return nil
}

// serve answers /readyz; with ?verbose it lists every check.
func (h *Health) serve(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, map[string]any{"status": "ready"}
	if err := h.Ready(r.Context()); err != nil {
		status, answer["status"] = http.StatusServiceUnavailable, "not ready"
		answer["reason"] = secret.Scrub(err.Error())
	}
	if r.URL.Query().Has("verbose") {
		checks, results, _ := h.look(r.Context())
		list := map[string]string{}
		for i, check := range checks {
			list[check.Name] = "ok"
			if results[i] != nil {
				list[check.Name] = secret.Scrub(results[i].Error())
			}
		}
		answer["checks"] = list
	}
	writeJSON(w, status, answer)
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client is gone if it fails
}
