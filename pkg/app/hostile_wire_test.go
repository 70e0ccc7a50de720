package app_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"billonce/internal/openapitest"
)

// oneAnswer bounds how long one hostile request may take, from its first byte to the end of its answer.
const oneAnswer = 20 * time.Second

// message is an HTTP request that is written out by hand: http.Client sends nothing that is wrong.
type message struct {
	method, target string
	headers        []string // whole lines; Host, Authorization and the body's are added unless bare
	body           string
	bare           bool
}

func (m message) bytes() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\n", m.method, m.target)
	given := strings.ToLower("\n" + strings.Join(m.headers, "\n"))
	add := func(name, value string) {
		if !m.bare && !strings.Contains(given, "\n"+strings.ToLower(name)+":") {
			fmt.Fprintf(&out, "%s: %s\r\n", name, value)
		}
	}
	add("Host", "billonce.test")
	add("Authorization", "Bearer "+adminKey)
	if m.body != "" {
		add("Content-Type", "application/json")
		if !strings.Contains(given, "\ntransfer-encoding") {
			add("Content-Length", fmt.Sprint(len(m.body)))
		}
	}
	for _, line := range m.headers {
		out.WriteString(line + "\r\n")
	}
	out.WriteString("\r\n" + m.body)
	return out.Bytes()
}

// reply is what came back: nothing but cut when the server ended the connection instead.
type reply struct {
	status int
	header http.Header
	body   []byte
	raw    []byte // all of the above as it came
	after  []byte // what followed the answer on a connection that is read to its end
	cut    bool
	last   bool // the server ends the connection after it
	took   time.Duration
}

// wire is one client's connection, opened anew whenever it was closed.
type wire struct {
	address, from string // from: the loopback address that it comes from
	conn          net.Conn
	reader        *bufio.Reader
	seen          bytes.Buffer // what was read since the last request
}

func (w *wire) open() error {
	if w.conn != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: oneAnswer, LocalAddr: &net.TCPAddr{IP: net.ParseIP(w.from)}}
	conn, err := dialer.Dial("tcp", w.address)
	if err != nil {
		return err
	}
	w.conn, w.reader = conn, bufio.NewReader(io.TeeReader(conn, &w.seen))
	return nil
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// send writes a request and reads its answer. An error is a hang, or an answer that is not HTTP.
func (w *wire) send(h hostile) (reply, error) {
	reused := w.conn != nil
	if h.wire {
		w.close()
		reused = false
	}
	r, err := w.once(h)
	if r.cut && reused { // the server may have closed the connection since the last answer, as it may at any time
		w.close()
		return w.once(h)
	}
	return r, err
}

func (w *wire) once(h hostile) (reply, error) {
	if err := w.open(); err != nil {
		return reply{}, err
	}
	began := time.Now()
	w.seen.Reset()
	if err := w.conn.SetDeadline(began.Add(oneAnswer)); err != nil {
		return reply{}, err
	}
	_, wrote := w.conn.Write(h.raw) // when this fails the server has refused already: the answer says how
	if h.half {
		if tcp, ok := w.conn.(*net.TCPConn); ok && wrote == nil {
			_ = tcp.CloseWrite()
		}
	}
	r, ends, err := w.read(h)
	r.took = time.Since(began)
	if ends || err != nil || r.cut {
		w.close()
	}
	return r, err
}

// read returns the final answer, and whether the connection ends with it.
func (w *wire) read(h hostile) (r reply, ends bool, err error) {
	for r.status/100 <= 1 {
		response, err := http.ReadResponse(w.reader, &http.Request{Method: h.method})
		if isTimeout(err) {
			return r, true, fmt.Errorf("no answer within %s", oneAnswer)
		}
		if err != nil {
			r.cut = w.seen.Len() == 0 || isReset(err)
			if r.cut {
				err = nil
			}
			return r, true, err
		}
		if strings.HasPrefix(response.Header.Get("Content-Type"), openapitest.EventStream) && h.method != http.MethodHead { // it has no end
			r.status, r.header, r.last = response.StatusCode, response.Header, true
			r.body, err = openapitest.FirstBlock(response.Body)
			r.raw = bytes.Clone(w.seen.Bytes())
			return r, true, err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if h.wire && isReset(err) { // a long answer, at the end of which net/http hangs up on what it has not read
			r.cut = true
			return r, true, nil
		}
		if err != nil {
			return r, true, fmt.Errorf("the answer breaks off after %q: %w", body, err)
		}
		r.status, r.header, r.body, r.last = response.StatusCode, response.Header, body, response.Close
	}
	r.raw = bytes.Clone(w.seen.Bytes()[:w.seen.Len()-w.reader.Buffered()])
	if !h.wire {
		return r, r.last, nil
	}
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	r.after, err = io.ReadAll(w.reader)
	if isReset(err) {
		err = nil
	}
	return r, true, err
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isReset reports whether a connection was cut while data was under way: net/http does so to who goes on after a refusal.
func isReset(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "connection reset") || strings.Contains(err.Error(), "broken pipe"))
}
