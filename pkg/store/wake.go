package store

import (
	"context"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// Wake-ups are a courtesy: workers find due tasks by polling, a notification only spares them the wait. So nothing here
// returns an error to the caller, and no notification is sent inside a transaction that schedules tasks, where it would
// make every commit wait for the same lock.
const (
	wakeChannel    = "billonce_due"
	wakeInterval   = 50 * time.Millisecond // at most one notification per process in this time
	pingInterval   = 20 * time.Second
	pingPatience   = 10 * time.Second
	reconnectWait  = 5 * time.Second
	notifyPatience = time.Second
)

// Wake asks [Store.RunWaker] to notify the workers that a task is due. It never blocks.
func (s *Store) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // one is pending already
	}
}

func (s *Store) wakeForDue(created []billing.CreatedTask) {
	for _, one := range created {
		if !one.Replayed && !one.Task.RunAt.After(one.Task.CreatedAt) {
			s.Wake()
			return
		}
	}
}

// RunWaker sends the notifications that [Store.Wake] asks for, until ctx ends; one that was asked for before that is still sent.
func (s *Store) RunWaker(ctx context.Context) error {
	pause := time.NewTicker(wakeInterval)
	defer pause.Stop()
	for {
		select {
		case <-s.wake:
		default:
			select {
			case <-ctx.Done():
				return nil
			case <-s.wake:
			}
		}
		s.notify(ctx)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

func (s *Store) notify(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyPatience)
	defer cancel()
	_, _ = s.db.sqlx.ExecContext(ctx, `SELECT pg_notify($1, '')`, wakeChannel)
}

// Listen calls due whenever a task may have become due, and once after every (re)connection, until ctx ends. A connection
// that is lost is made anew after a while; meanwhile the caller's polling goes on.
func (s *Store) Listen(ctx context.Context, due func()) error {
	for ctx.Err() == nil {
		s.listenOnce(ctx, due)
		select {
		case <-ctx.Done():
		case <-time.After(reconnectWait):
		}
	}
	return nil
}

// listenOnce listens on a connection of its own until it is lost or ctx ends. pq.Listener is not used: it blocks for ever
// on a dead peer (lib/pq#1178), whereas here a ping that is not answered closes the connection.
func (s *Store) listenOnce(ctx context.Context, due func()) {
	notifications := make(chan *pq.Notification, 32)
	conn, err := pq.NewListenerConn(withConnectTimeout(s.db.url, connectTimeout), notifications)
	if err != nil {
		return
	}
	closed := make(chan struct{})
	go func() { // ends when the connection is closed below
		defer close(closed)
		for range notifications {
			due()
		}
	}()
	defer func() {
		_ = conn.Close()
		<-closed
	}()
	listen := func() error {
		_, err := conn.Listen(wakeChannel)
		return err
	}
	if !answers(ctx, conn, listen) {
		return
	}
	s.marked.sweep()
	due()
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-closed:
			return
		case <-ping.C:
			if !answers(ctx, conn, conn.Ping) {
				return
			}
		}
	}
}

// answers asks something of conn, and closes it when no answer comes in time or ctx ends, which also ends the asking.
func answers(ctx context.Context, conn *pq.ListenerConn, ask func() error) bool {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		err = ask()
	}()
	select {
	case <-answered:
		return err == nil
	case <-ctx.Done():
		_ = conn.Close()
		<-answered
		return false
	}
}
