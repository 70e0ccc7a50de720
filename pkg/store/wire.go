package store

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/secret"
)

// wire dials connections to PostgreSQL on which no read and no write takes longer than patience: lib/pq waits for the kernel to
// give up on a peer that no longer answers, which takes a quarter of an hour, whatever the context says (lib/pq#620).
type wire struct {
	patience time.Duration
	dialer   net.Dialer
}

func newWire(patience time.Duration) *wire {
	return &wire{patience: patience, dialer: net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}}
}

var (
	_ pq.Dialer        = (*wire)(nil)
	_ pq.DialerContext = (*wire)(nil)
)

// Dial implements pq.Dialer.
func (w *wire) Dial(network, address string) (net.Conn, error) {
	return w.DialContext(context.Background(), network, address)
}

// DialTimeout implements pq.Dialer.
func (w *wire) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return w.DialContext(ctx, network, address)
}

// DialContext implements pq.DialerContext.
func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &impatient{Conn: conn, patience: w.patience}, nil
}

// wireBuffer is how much is read at once: lib/pq asks for 4 KiB, and a claim's answer has a third of a megabyte.
const (
	wireBuffer    = 32 << 10
	leastBuffered = 512 // a read for less is for a byte of the handshake
)

// impatient is a connection whose every read and write has a deadline of its own. One goroutine reads at a time.
type impatient struct {
	net.Conn
	patience time.Duration
	buffer   []byte // nil until the first large read
	unread   []byte // what buffer holds that was not asked for yet
}

// Read implements net.Conn. The driver reads only while it waits for an answer, so that an idle connection has no deadline.
func (c *impatient) Read(b []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(b, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	if err := c.SetReadDeadline(time.Now().Add(c.patience)); err != nil { //nolint:forbidigo // of the wire, not of a task
		return 0, err
	}
	if len(b) < leastBuffered || len(b) >= wireBuffer {
		return c.Conn.Read(b)
	}
	if c.buffer == nil {
		c.buffer = make([]byte, wireBuffer)
	}
	n, err := c.Conn.Read(c.buffer)
	copied := copy(b, c.buffer[:n])
	c.unread = c.buffer[copied:n]
	if copied < n {
		err = nil // it comes again with the next read that finds nothing
	}
	return copied, err
}

// Write implements net.Conn.
func (c *impatient) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.patience)); err != nil { //nolint:forbidigo // as above
		return 0, err
	}
	return c.Conn.Write(b)
}

// withConnectTimeout returns the URL or DSN with a time-out for making the connection, unless it names one: pq.NewListenerConn
// takes nothing else, and would otherwise wait for a silent peer without end.
func withConnectTimeout(dsn secret.Text, timeout time.Duration) string {
	const name = "connect_timeout"
	text, seconds := dsn.Reveal(), strconv.Itoa(int(timeout.Seconds()))
	if strings.Contains(text, name) {
		return text
	}
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return text + " " + name + "=" + seconds
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return text
	}
	query := parsed.Query()
	query.Set(name, seconds)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}
