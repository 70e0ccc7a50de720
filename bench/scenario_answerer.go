package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// answerer is the least Stripe there can be: it waits and answers every request with the same object. It keeps no books and
// judges nothing, so that the box's two cores are left to what is measured. It speaks HTTP/1.1 with kept connections.
type answerer struct {
	delay    time.Duration
	listener net.Listener
	answered atomic.Int64
	conns    sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed chan struct{}
}

const answererObject = `{"id":"ii_bench","object":"invoiceitem","amount":1000,"currency":"usd","customer":"cus_ok","livemode":false}`

// startAnswerer listens on loopback until Close.
func startAnswerer(ctx context.Context, delay time.Duration) (*answerer, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the answerer: %w", err)
	}
	a := &answerer{delay: delay, listener: listener, open: map[net.Conn]struct{}{}, closed: make(chan struct{})}
	a.conns.Go(a.accept)
	return a, nil
}

// URL is where it answers.
func (a *answerer) URL() string { return "http://" + a.listener.Addr().String() }

// Answered is how many requests have been answered.
func (a *answerer) Answered() int64 { return a.answered.Load() }

// Close cuts every connection and waits for their goroutines.
func (a *answerer) Close() error {
	err := a.listener.Close()
	a.mu.Lock()
	close(a.closed)
	for conn := range a.open {
		_ = conn.Close()
	}
	a.mu.Unlock()
	a.conns.Wait()
	if err != nil {
		return fmt.Errorf("close the answerer: %w", err)
	}
	return nil
}

func (a *answerer) accept() {
	for {
		conn, err := a.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, for a moment
			a.wait(time.NewTimer(10 * time.Millisecond))
			continue
		}
		if a.keep(conn) {
			a.conns.Go(func() { a.serve(conn) })
		}
	}
}

func (a *answerer) keep(conn net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.closed:
		_ = conn.Close()
		return false
	default:
		a.open[conn] = struct{}{}
		return true
	}
}

// wait returns when the time has come, or early with the end of the answerer.
func (a *answerer) wait(timer *time.Timer) {
	select {
	case <-timer.C:
	case <-a.closed:
		timer.Stop()
	}
}

// serve answers one connection's requests, one after the other, until either side closes it.
func (a *answerer) serve(conn net.Conn) {
	defer func() {
		_ = conn.Close()
		a.mu.Lock()
		delete(a.open, conn)
		a.mu.Unlock()
	}()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\nContent-Length: " +
		strconv.Itoa(len(answererObject)) + "\r\n\r\n" + answererObject)
	in := bufio.NewReaderSize(conn, 2<<10)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		timer.Reset(a.delay)
		a.wait(timer)
		a.answered.Add(1)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}
