package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// What the hostile requests of pkg/app have found, each in its smallest form.

func TestNothingFollowsABodyInChunks(t *testing.T) {
	t.Parallel()
	hidden := fmt.Sprintf("DELETE /v1/merchants/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", merchantID, adminKey)
	const chunks = "Transfer-Encoding: chunked\r\n"
	for _, tc := range []struct {
		version, headers, body string
		status                 int
	}{
		{"1.1", chunks, "2\r\n{}\r\n0\r\n\r\n" + hidden, 200},
		{"1.1", "Content-Length: 300\r\n" + chunks, "2\r\n{}\r\n0\r\n\r\n" + hidden, 200},
		{"1.1", "Content-Length: 0\r\n" + chunks, "2\r\n{}\r\n0\r\n\r\n" + hidden, 200},
		// Of HTTP/1.0 net/http ignores the chunks: here the length covers the line with the first one's size alone.
		{"1.0", "Connection: keep-alive\r\nContent-Length: 4\r\n" + chunks, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden), 400},
		{"1.0", "Connection: keep-alive\r\nContent-Length: 0\r\n" + chunks, hidden, 200},
		{"1.0", "Connection: keep-alive\r\nContent-Length: 2\r\n", "{}" + hidden, 200},
	} {
		a := newAPI()
		server := serve(t, a.Handler())
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST /v1/tasks/%s/cancel HTTP/%s\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s\r\n%s",
			taskID, tc.version, adminKey, tc.headers, tc.body); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		rest, _ := io.ReadAll(reader)
		if response.StatusCode != tc.status || !response.Close || len(rest) > 0 || a.merchants.writes.Load() != 0 {
			t.Errorf("HTTP/%s with %q: %d, then %q, %d merchants changed", tc.version, tc.headers, response.StatusCode, rest, a.merchants.writes.Load())
		}
	}
}

func TestTimesBeyondTheYearsOfFourDigitsAreRefused(t *testing.T) {
	t.Parallel()
	for at, code := range map[string]string{
		"0000-01-01T00:00:00Z": "in_the_past", "0000-12-31T23:59:59.9Z": "in_the_past", "0001-01-01T00:00:00Z": "in_the_past", "0001-01-01T00:00:00+00:01": "in_the_past",
		"9999-12-31T23:59:59-00:01": "too_far", "9999-12-31T23:59:59-23:59": "too_far",
	} {
		a := newAPI()
		for path, body := range map[string]string{
			"/v1/tasks":                           payTask(`,"run_at":"` + at + `"`),
			"/v1/tasks/" + taskID + "/reschedule": `{"run_at":"` + at + `"}`,
		} {
			if p := wantProblem(t, a.call(t, "POST", path, body), 422); p.pointers() != "/run_at "+code {
				t.Errorf("%s at %s: %s", path, at, p.pointers())
			}
		}
		if a.writes() != 0 {
			t.Errorf("%s: written", at)
		}
	}
}

func TestALimitHasNoSign(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"%2B5", "-5", "%205"} {
		if p := wantProblem(t, newAPI().call(t, "GET", "/v1/tasks?limit="+limit, ""), 422); p.pointers() != "?limit out_of_range" {
			t.Errorf("%s: %s", limit, p.pointers())
		}
	}
}
