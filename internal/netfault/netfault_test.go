package netfault_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"billonce/internal/netfault"
)

// moment is how long nothing must happen for it to count as never; patience is how long something may take.
const (
	moment   = 100 * time.Millisecond
	patience = 10 * time.Second
)

// peer is a server that answers each line with PostgreSQL's CommandComplete of that tag.
type peer struct {
	listener net.Listener
	lines    atomic.Int32
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return p
}

func (p *peer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		p.lines.Add(1)
		tag := append(lines.Bytes(), 0)
		message := binary.BigEndian.AppendUint32([]byte{'C'}, uint32(4+len(tag)))
		if _, err := conn.Write(append(message, tag...)); err != nil {
			return
		}
	}
}

// wire is a client behind a proxy before a peer.
type wire struct {
	t     *testing.T
	peer  *peer
	proxy *netfault.Proxy
	conn  net.Conn
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{t: t, peer: newPeer(t)}
	proxy, err := netfault.Start(t.Context(), w.peer.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	w.proxy = proxy
	w.dial()
	return w
}

func (w *wire) dial() {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", w.proxy.Addr())
	if err != nil {
		w.t.Fatal(err)
	}
	w.conn = conn
	w.t.Cleanup(func() { _ = conn.Close() })
}

func (w *wire) ask(line string) {
	w.t.Helper()
	if _, err := fmt.Fprintln(w.conn, line); err != nil {
		w.t.Fatal(err)
	}
}

// hear returns the tag of the next answer, or the error instead of it.
func (w *wire) hear(within time.Duration) (string, error) {
	w.t.Helper()
	if err := w.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		w.t.Fatal(err)
	}
	header := make([]byte, 5)
	if _, err := io.ReadFull(w.conn, header); err != nil {
		return "", err
	}
	rest := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	if _, err := io.ReadFull(w.conn, rest); err != nil {
		return "", err
	}
	return string(rest[:len(rest)-1]), nil
}

func (w *wire) wantAnswer(tag string) {
	w.t.Helper()
	w.ask(tag)
	if got, err := w.hear(patience); got != tag || err != nil {
		w.t.Fatalf("heard %q, %v, want %q", got, err, tag)
	}
}

func (w *wire) wantSilence() {
	w.t.Helper()
	if got, err := w.hear(moment); !isTimeout(err) {
		w.t.Fatalf("heard %q, %v, want nothing", got, err)
	}
}

func (w *wire) wantEnd(by error) {
	w.t.Helper()
	if got, err := w.hear(patience); !errors.Is(err, by) {
		w.t.Fatalf("heard %q, %v, want the connection ended by %v", got, err, by)
	}
}

// wantRefusal dials anew; the reset may come during the handshake or just after.
func (w *wire) wantRefusal() {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", w.proxy.Addr())
	if err == nil {
		defer func() { _ = conn.Close() }()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		w.t.Fatalf("%v, want a reset", err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestFaults(t *testing.T) {
	t.Parallel()
	t.Run("NoneLetsEverythingPass", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.wantAnswer("SELECT 1")
		w.wantAnswer("COMMIT")
		if n := w.proxy.Conns(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("CutIsAFIN", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.wantAnswer("SELECT 1")
		w.proxy.Cut()
		w.wantEnd(io.EOF)
		w.dial()
		w.wantAnswer("SELECT 2")
	})
	t.Run("ResetIsARST", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.wantAnswer("SELECT 1")
		w.proxy.Reset()
		w.wantEnd(syscall.ECONNRESET)
	})
	t.Run("RefuseEndsNewOnesAlone", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.wantAnswer("SELECT 1")
		w.proxy.Refuse(true)
		w.wantAnswer("SELECT 2")
		w.wantRefusal()
		w.proxy.Refuse(false)
		w.dial()
		w.wantAnswer("SELECT 3")
	})
	t.Run("ABlackHoleHoldsBothWays", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.wantAnswer("SELECT 1")
		w.proxy.BlackHole(true)
		w.ask("SELECT 2")
		w.wantSilence()
		if n := w.peer.lines.Load(); n != 1 {
			t.Errorf("the server has heard %d lines", n)
		}
		w.proxy.BlackHole(false)
		if got, err := w.hear(patience); got != "SELECT 2" || err != nil {
			t.Errorf("heard %q, %v", got, err)
		}
	})
	t.Run("ADeafOneHoldsAnswersAlone", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.wantAnswer("SELECT 1")
		w.proxy.BlackHoleAnswers(true)
		w.ask("SELECT 2")
		w.wantSilence()
		if n := w.peer.lines.Load(); n != 2 {
			t.Errorf("the server has heard %d lines", n)
		}
		w.proxy.Heal()
		if got, err := w.hear(patience); got != "SELECT 2" || err != nil {
			t.Errorf("heard %q, %v", got, err)
		}
	})
	t.Run("ADelayHoldsForAsLong", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.proxy.Delay(moment)
		began := time.Now()
		w.wantAnswer("SELECT 1")
		if took := time.Since(began); took < 2*moment {
			t.Errorf("took %s, want two delays", took)
		}
	})
	t.Run("RetargetConcernsNewOnes", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.wantAnswer("SELECT 1")
		other := newPeer(t)
		w.proxy.Retarget(other.listener.Addr().String())
		w.wantAnswer("SELECT 2")
		w.dial()
		w.wantAnswer("SELECT 3")
		if w.peer.lines.Load() != 2 || other.lines.Load() != 1 {
			t.Errorf("%d and %d lines", w.peer.lines.Load(), other.lines.Load())
		}
	})
}

// TestAnAnswerIsLostAfterTheServerGaveIt is what the proxy is for: the deed is done, and the client hears of its end instead.
func TestAnAnswerIsLostAfterTheServerGaveIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		withReset bool
		end       error
	}{"WithFIN": {false, io.EOF}, "WithRST": {true, syscall.ECONNRESET}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			w.proxy.LoseAnswer(2, tc.withReset, func(tag string) bool { return tag == "UPDATE 1" })
			w.wantAnswer("UPDATE 1")
			w.wantAnswer("UPDATE 2")
			w.ask("UPDATE 1")
			w.wantEnd(tc.end)
			if n := w.peer.lines.Load(); n != 3 {
				t.Errorf("the server has carried out %d of 3", n)
			}
			w.dial()
			w.wantAnswer("UPDATE 1") // once is enough
		})
	}
	t.Run("OfACommit", func(t *testing.T) {
		t.Parallel()
		w := newWire(t)
		w.proxy.CutAfterCommit(1)
		w.wantAnswer("BEGIN")
		w.ask("COMMIT")
		w.wantEnd(io.EOF)
	})
}

// TestCloseEndsEverything also where the wire is held.
func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.wantAnswer("SELECT 1")
	w.proxy.BlackHole(true)
	w.ask("SELECT 2")
	if err := w.proxy.Close(); err != nil {
		t.Fatal(err)
	}
	w.wantEnd(syscall.ECONNRESET)
	if n := w.proxy.Conns(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
