package store_test

import (
	"context"
	"testing"
	"time"
)

// TestTheListenerComesBack loses its connection in every way: the worker is woken again, and ending it never hangs.
func TestTheListenerComesBack(t *testing.T) {
	t.Parallel()
	w := openWired(t, 4, 0)
	due := make(chan struct{}, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := w.store.Listen(ctx, func() {
			select {
			case due <- struct{}{}:
			default:
			}
		}); err != nil {
			t.Error(err)
		}
	}()
	woken := func(what string) {
		t.Helper()
		select {
		case <-due:
		case <-time.After(20 * time.Second):
			t.Fatalf("not woken %s", what)
		}
	}
	woken("after it has connected")
	for range 500 { // far more than its buffer holds
		w.db.SQL.MustExec(`SELECT pg_notify('billonce_due', '')`)
	}
	woken("by notifications")
	w.proxy.Cut()
	drain(due)
	woken("after FIN")
	w.proxy.Reset()
	drain(due)
	woken("after RST")
	w.proxy.BlackHole(true)
	cancel()
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("the listener does not end while the wire is silent")
	}
}

func drain(due chan struct{}) {
	for len(due) > 0 {
		<-due
	}
}
