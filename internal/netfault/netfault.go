// Package netfault stands between a service and PostgreSQL and breaks the wire where a test says.
//
// It promises that every fault strikes where it says, that all its goroutines have ended when Close returns, and that bytes
// are never changed or reordered: they pass, wait, or are lost with their connection. It reads the server's messages to know
// where an answer ends, and never speaks for either side. It is for tests on loopback only.
package netfault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Proxy passes connections on to a target.
type Proxy struct {
	listener net.Listener
	crew     sync.WaitGroup

	mu      sync.Mutex
	target  string
	faults  faults
	changed chan struct{} // closed and replaced when faults change
	links   []*link
	closed  bool
}

// faults are what is wrong now.
type faults struct {
	refuse    bool
	hole      bool          // nothing passes
	deaf      bool          // no answers pass
	delay     time.Duration // of each piece, both ways
	losing    int           // answers to let pass until one is lost; 0: none is
	loses     func(tag string) bool
	withReset bool
}

// link is one connection of a service and its counterpart to the server.
type link struct {
	client, server *net.TCPConn
	ended          chan struct{}
	once           sync.Once
}

// Start listens on a free port of the loopback interface. target is "host:port".
func Start(ctx context.Context, target string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &Proxy{listener: listener, target: target, changed: make(chan struct{})}
	p.crew.Go(p.accept)
	return p, nil
}

// Addr is where services connect to: "127.0.0.1:port".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Retarget sends new connections elsewhere.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Conns counts the connections that are open.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close ends every connection with RST and waits for all goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true // whoever is about to add a connection ends it
	p.mu.Unlock()
	err := p.listener.Close()
	p.each(func(l *link) { l.end(true) })
	p.crew.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Cut ends every open connection with FIN, on both sides.
func (p *Proxy) Cut() { p.each(func(l *link) { l.end(false) }) }

// Reset ends every open connection with RST, on both sides.
func (p *Proxy) Reset() { p.each(func(l *link) { l.end(true) }) }

// Refuse answers new connections with RST.
func (p *Proxy) Refuse(on bool) { p.set(func(f *faults) { f.refuse = on }) }

// BlackHole lets nothing pass either way, on open and new connections, which stay open. What was held passes afterwards.
func (p *Proxy) BlackHole(on bool) { p.set(func(f *faults) { f.hole = on }) }

// BlackHoleAnswers lets requests pass and no answers, until it is ended.
func (p *Proxy) BlackHoleAnswers(on bool) { p.set(func(f *faults) { f.deaf = on }) }

// Delay holds each piece, either way, for d.
func (p *Proxy) Delay(d time.Duration) { p.set(func(f *faults) { f.delay = d }) }

// CutAfterCommit ends the connection on which the nth commit from now on is answered, before the answer passes: the server has
// committed, and the client sees the connection close.
func (p *Proxy) CutAfterCommit(nth int) {
	p.LoseAnswer(nth, false, func(tag string) bool { return tag == "COMMIT" })
}

// LoseAnswer ends the connection, with FIN or with RST, on which the nth answer from now on that matches is about to pass. The
// answer is known by its command tag, as the server reports it: "COMMIT", "UPDATE 1", "INSERT 0 1", "SELECT 3".
func (p *Proxy) LoseAnswer(nth int, withReset bool, matches func(tag string) bool) {
	p.set(func(f *faults) { f.losing, f.withReset, f.loses = nth, withReset, matches })
}

// Heal ends all faults. Connections stay as they are.
func (p *Proxy) Heal() { p.set(func(f *faults) { *f = faults{} }) }

func (p *Proxy) set(change func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.faults)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) state() (faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

func (p *Proxy) each(do func(*link)) {
	p.mu.Lock()
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		do(l)
	}
}

// answered reports whether the connection is to be ended instead of passing an answer with this tag, and how.
func (p *Proxy) answered(tag string) (lost, withReset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults.losing == 0 || !p.faults.loses(tag) {
		return false, false
	}
	p.faults.losing--
	return p.faults.losing == 0, p.faults.withReset
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		client, ok := conn.(*net.TCPConn)
		if !ok {
			_ = conn.Close()
			continue
		}
		p.mu.Lock()
		refuse, target := p.faults.refuse || p.closed, p.target
		p.mu.Unlock()
		if refuse {
			_ = client.SetLinger(0)
			_ = client.Close()
			continue
		}
		p.crew.Go(func() { p.serve(client, target) })
	}
}

func (p *Proxy) serve(client *net.TCPConn, target string) {
	const dialPatience = 5 * time.Second
	conn, err := (&net.Dialer{Timeout: dialPatience}).Dial("tcp", target)
	server, ok := conn.(*net.TCPConn)
	if err != nil || !ok {
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, ended: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.end(true)
		return
	}
	p.links = append(p.links, l)
	p.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() { p.requests(l) })
	ways.Go(func() { p.answers(l) })
	ways.Wait()
	p.mu.Lock()
	p.links = slices.DeleteFunc(p.links, func(one *link) bool { return one == l })
	p.mu.Unlock()
}

func (l *link) end(withReset bool) {
	l.once.Do(func() {
		close(l.ended)
		for _, side := range []*net.TCPConn{l.client, l.server} {
			if withReset {
				_ = side.SetLinger(0)
			}
			_ = side.Close()
		}
	})
}

// hold waits while the faults forbid that a piece passes; it reports false when the link has ended meanwhile.
func (p *Proxy) hold(l *link, isAnswer bool) bool {
	for {
		now, changed := p.state()
		held := now.hole || isAnswer && now.deaf
		var timer *time.Timer
		var over <-chan time.Time
		if !held {
			if now.delay == 0 {
				return true
			}
			timer = time.NewTimer(now.delay)
			over = timer.C
		}
		select {
		case <-changed:
			if timer != nil {
				timer.Stop()
			}
		case <-over:
			return true
		case <-l.ended:
			return false
		}
	}
}

func (p *Proxy) requests(l *link) {
	defer l.end(false)
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.client.Read(buffer)
		if n > 0 {
			if !p.hold(l, false) {
				return
			}
			if _, err := l.server.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
