package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// sink is a Stripe that does nothing but note when each idempotency key arrived first.
type sink struct {
	server   *http.Server
	url      string
	group    sync.WaitGroup
	mu       sync.Mutex
	arrivals map[string]time.Time
}

const sinkObject = `{"id":"pi_bench","object":"payment_intent","amount":1000,"currency":"eur","status":"requires_payment_method","livemode":false}`

// startSink listens on loopback until close.
func startSink(ctx context.Context) (*sink, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for calls to Stripe: %w", err)
	}
	s := &sink{url: "http://" + listener.Addr().String(), arrivals: map[string]time.Time{}}
	s.server = &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: time.Minute}
	s.group.Go(func() { _ = s.server.Serve(listener) })
	return s, nil
}

func (s *sink) answer(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	s.mu.Lock()
	if key := r.Header.Get("Idempotency-Key"); s.arrivals[key].IsZero() {
		s.arrivals[key] = now
	}
	s.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_bench")
	_, _ = io.WriteString(w, sinkObject)
}

// sent returns how many of the tasks have arrived.
func (s *sink) sent(tasks []string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, task := range tasks {
		if _, ok := s.arrivals["task_"+task]; ok {
			n++
		}
	}
	return n
}

// at returns when a task arrived.
func (s *sink) at(task string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrivals["task_"+task]
}

func (s *sink) close() error {
	err := s.server.Close()
	s.group.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop listening for calls to Stripe: %w", err)
	}
	return nil
}
