package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// lastGrace is what requests get, once their contexts are canceled at the shutdown's deadline, to say so to their clients.
const lastGrace = 2 * time.Second

var errShutdown = errors.New("the shutdown's time is over")

// Run serves on listener until ctx is canceled, then shuts down: readiness goes off, after [Config.Delay] listening ends,
// and the requests in flight get [Config.Timeout] to be answered. It closes the listener, and returns nil when all were
// answered; when some had to be cut off, or serving broke, an error.
//
// Requests do not inherit ctx's end: a signal must not abort what is under way.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	base, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.config.ReadHeaderTimeout,
		ReadTimeout:       s.config.ReadTimeout,
		WriteTimeout:      s.config.WriteTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		MaxHeaderBytes:    s.config.MaxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	recording, stopRecording := context.WithCancel(base)
	var recorder sync.WaitGroup
	recorder.Go(func() { s.recordUses(recording) })
	defer recorder.Wait()
	defer stopRecording()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s.log.InfoContext(ctx, "api listening", slog.String("address", listener.Addr().String()))

	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.log.InfoContext(ctx, "api draining", slog.Any("cause", context.Cause(ctx)),
		slog.Duration("delay", s.config.Delay), slog.Duration("timeout", s.config.Timeout))
	delay := time.NewTimer(s.config.Delay)
	defer delay.Stop()
	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", err)
	case <-delay.C:
	}
	s.hub.close() // streams have no end of their own
	err := s.drain(base, server, abort)
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve http: %w", stopped))
	}
	return err
}

func (s *Server) drain(base context.Context, server *http.Server, abort context.CancelCauseFunc) error {
	patient, cancel := context.WithTimeout(base, s.config.Timeout)
	defer cancel()
	err := server.Shutdown(patient)
	if err == nil {
		s.log.InfoContext(base, "api drained")
		return nil
	}
	abort(errShutdown)
	last, cancelLast := context.WithTimeout(context.WithoutCancel(base), lastGrace)
	defer cancelLast()
	if server.Shutdown(last) != nil {
		_ = server.Close() // the connections that are left have had their time
	}
	return fmt.Errorf("shut down http: requests were cut off: %w", err)
}
