package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"billonce/pkg/httpapi"
	"billonce/pkg/store/storetest"
)

// slowServer listens with limits that a test can wait for, and stops when the test ends.
type slowServer struct {
	t       *testing.T
	db      *storetest.DB
	address string
}

func newSlowServer(t *testing.T, db *storetest.DB, config httpapi.Config) *slowServer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- inProcess(t, db, config).Run(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("a connection was not ended: %v", err)
		}
	})
	return &slowServer{t: t, db: db, address: listener.Addr().String()}
}

func (s *slowServer) dial() net.Conn {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// dribble sends a text, and then the same byte again and again, as long as the server lets it. It returns what was answered.
func (s *slowServer) dribble(text string, again byte) string {
	s.t.Helper()
	conn := s.dial()
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := conn.Write([]byte{again}); err != nil {
				return
			}
		}
	}()
	answer, err := io.ReadAll(conn)
	if isTimeout(err) {
		s.t.Errorf("%.40q was never cut off", text)
	}
	_ = conn.Close()
	<-ended
	return string(answer)
}

func (s *slowServer) client() *client { return newClient(s.t, "http://"+s.address, adminKey) }

// TestSlowAndEndlessClientsAreCutOff keeps sending, so that no connection is ever idle, and is cut off all the same.
func TestSlowAndEndlessClientsAreCutOff(t *testing.T) {
	t.Parallel()
	s := newSlowServer(t, storetest.Open(t), httpapi.Config{ReadHeaderTimeout: 300 * time.Millisecond, ReadTimeout: time.Second, IdleTimeout: 300 * time.Millisecond, BatchSlots: 1})
	before := len(allIDs(t, s.db))
	head := func(path, length string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + adminKey + "\r\nContent-Type: application/json\r\n" + length + "\r\n\r\n"
	}
	for name, text := range map[string]string{"nothing yet": "", "a method": "GET ", "a header": "GET /v1/tasks HTTP/1.1\r\nHost: x\r\nX-Slow: "} {
		if answer := s.dribble(text, 'a'); strings.Contains(answer, " 200 ") {
			t.Errorf("%s: answered %q", name, answer)
		}
	}
	for _, path := range []string{"/v1/tasks", "/v1/tasks/batch", "/v1/merchants"} {
		if answer := s.dribble(head(path, "Content-Length: 60000")+`{"name":"`, 'a'); !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("a slow body of %s: answered %q", path, answer)
		}
		if answer := s.dribble(head(path, "Transfer-Encoding: chunked")+"ffff\r\n{", ' '); !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("slow chunks of %s: answered %q", path, answer)
		}
	}
	if after := len(allIDs(t, s.db)); after != before {
		t.Errorf("%d rows were added", after-before)
	}
}

// TestFloodsDoNotKeepOthersOut holds hundreds of connections open, and floods one with headers, while a good client works.
func TestFloodsDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	s := newSlowServer(t, storetest.Open(t), httpapi.Config{ReadHeaderTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, BatchSlots: 1})
	var silent []net.Conn
	for range 300 {
		silent = append(silent, s.dial())
	}
	// A batch whose body never comes has the only slot; it is given back when the body's time is over.
	holder := s.dial()
	_, err := fmt.Fprintf(holder, "POST /v1/tasks/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n", adminKey)
	if err != nil {
		t.Fatal(err)
	}
	c := s.client()
	merchant := c.merchant()
	c.Must(201, "POST", "/v1/tasks/batch", map[string]any{"tasks": []any{map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": "in_1"}}})

	flood := s.dial()
	response := make(chan *http.Response, 1)
	go func() {
		answer, err := http.ReadResponse(bufio.NewReader(flood), nil)
		if err != nil {
			t.Errorf("a flood of headers: %v", err)
		}
		response <- answer
	}()
	_, err = io.WriteString(flood, "GET /livez HTTP/1.1\r\nHost: x\r\n")
	for i := 0; err == nil && i < 1_000_000; i++ {
		_, err = fmt.Fprintf(flood, "X-%d: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", i)
	}
	if err == nil || isTimeout(err) {
		t.Errorf("a flood of headers was read to its end: %v", err)
	}
	if answer := <-response; answer != nil {
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("a flood of headers: %d", answer.StatusCode)
		}
	}
	for _, conn := range append(silent, holder) {
		if _, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Fatal("a silent connection stays open")
		}
	}
}

// TestWhoDoesNotReadIsCutOff asks for more than the system's buffers hold, and reads none of it.
func TestWhoDoesNotReadIsCutOff(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	c := newSlowServer(t, db, httpapi.Config{}).client()
	merchant := c.merchant()
	notes := map[string]string{}
	for i := range 50 {
		notes[fmt.Sprint(i)] = strings.Repeat("n", 500)
	}
	many := make([]any, 100)
	for i := range many {
		many[i] = map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": fmt.Sprintf("in_%d", i), "metadata": notes}
	}
	c.Must(201, "POST", "/v1/tasks/batch", map[string]any{"tasks": many})

	conn := newSlowServer(t, db, httpapi.Config{WriteTimeout: time.Second}).dial()
	ask := fmt.Sprintf("GET /v1/tasks?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", adminKey)
	var err error
	if _, err = io.WriteString(conn, strings.Repeat(ask, 20)); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err == nil {
		<-tick.C
		_, err = io.WriteString(conn, "\r\n")
	}
	if isTimeout(err) {
		t.Error("the server waits for a client that reads nothing")
	}
}

// TestPipelinedRequestsAreAnsweredInOrder shows that a right use of one connection goes on working.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	s := newSlowServer(t, storetest.Open(t), httpapi.Config{})
	conn := s.dial()
	for i := range 20 {
		if _, err := fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: n-%d\r\n\r\n", i); err != nil {
			t.Fatal(err)
		}
	}
	reader := bufio.NewReader(conn)
	for i := range 20 {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if got, want := response.Header.Get("X-Request-Id"), fmt.Sprintf("n-%d", i); got != want || response.StatusCode != 200 {
			t.Errorf("answer %d is %d %s", i, response.StatusCode, got)
		}
	}
}
