package gateway_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/secret"
)

const paid = `{"id":"in_1","object":"invoice","status":"paid"}`

// abort ends a connection without another byte.
func abort() { panic(http.ErrAbortHandler) }

// serve starts a server whose connections are counted.
func serve(t *testing.T, handler http.HandlerFunc) (base string, connections *atomic.Int32) {
	t.Helper()
	connections = new(atomic.Int32)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, connections
}

func check(t *testing.T, got billing.Answer, outcome billing.Outcome, reason billing.Reason) {
	t.Helper()
	if got.Outcome != outcome || got.Reason != reason {
		t.Errorf("got %s %s, want %s %s", got.Outcome, got.Reason, outcome, reason)
	}
}

// pay is a claim on invoice.pay.
func pay(t *testing.T) billing.Claim {
	t.Helper()
	return frozen(t, billing.InvoicePay, "in_1", `{"payment_method": "pm_1"}`)
}

// TestTransportTraces plays each thing that can happen between here and Stripe.
func TestTransportTraces(t *testing.T) {
	t.Parallel()
	reset := func(w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		outcome billing.Outcome
		reason  billing.Reason
	}{
		"answer": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, paid) },
			billing.OutcomeSucceeded, billing.ReasonDone,
		},
		"closed before the answer": {func(http.ResponseWriter, *http.Request) { abort() }, billing.OutcomeUnknown, billing.ReasonNoAnswer},
		"reset before the answer":  {func(w http.ResponseWriter, _ *http.Request) { reset(w) }, billing.OutcomeUnknown, billing.ReasonNoAnswer},
		"half a success": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, paid)
			_ = http.NewResponseController(w).Flush()
			abort()
		}, billing.OutcomeUnknown, billing.ReasonUnreadable},
		"half a decline": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(402)
			_, _ = io.WriteString(w, `{"error":{"type":"card_error"}}`)
			_ = http.NewResponseController(w).Flush()
			abort()
		}, billing.OutcomeUnknown, billing.ReasonNoAnswer},
		"not HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH\r\n\r\n")
			_ = conn.Close()
		}, billing.OutcomeUnknown, billing.ReasonNoAnswer},
		"a page in place of an answer": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, billing.OutcomeUnknown, billing.ReasonUnreadable},
		"a page in place of an error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<html>")
		}, billing.OutcomeUnknown, billing.ReasonServerError},
		"more than an answer": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, paid+strings.Repeat(" ", 5<<20))
		}, billing.OutcomeUnknown, billing.ReasonUnreadable},
		"endless headers": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
			_, _ = io.WriteString(w, paid)
		}, billing.OutcomeUnknown, billing.ReasonNoAnswer},
		"error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"error":{"type":"invalid_request_error","message":"Jane"}}`)
		}, billing.OutcomeRefused, billing.ReasonInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var hits atomic.Int32
			base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost { // a refusal is followed by a look at the object
					hits.Add(1)
				}
				tc.handler(w, r)
			})
			gate := open(t, gateway.Config{BaseURL: base})
			check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), tc.outcome, tc.reason)
			if hits.Load() != 1 {
				t.Errorf("sent %d times", hits.Load())
			}
		})
	}
}

// TestACallThatNetHTTPRepeats kills a kept connection after the request was carried out. net/http sends it again by itself;
// what that second request is told must not pass for the outcome of the first.
func TestACallThatNetHTTPRepeats(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status  int
		header  string
		body    string
		outcome billing.Outcome
		reason  billing.Reason
	}{
		"Unauthorized": {401, "", `{"error":{"type":"invalid_request_error"}}`, billing.OutcomeUnknown, billing.ReasonUnauthorized},
		"Limited":      {429, "Stripe-Rate-Limited-Reason", `{"error":{"type":"invalid_request_error","code":"rate_limit"}}`, billing.OutcomeUnknown, billing.ReasonRateLimited},
		"Refused":      {400, "", `{"error":{"type":"invalid_request_error"}}`, billing.OutcomeUnknown, billing.ReasonInvalid},
		"Replayed":     {200, "Idempotent-Replayed", paid, billing.OutcomeSucceeded, billing.ReasonDone},
		"Declined":     {402, "Idempotent-Replayed", `{"error":{"type":"card_error"}}`, billing.OutcomeRefused, billing.ReasonDeclined},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int32
			base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				switch posts.Add(1) {
				case 1: // the connection is kept from here on
					_, _ = io.WriteString(w, paid)
				case 2:
					abort()
				default:
					if tc.header != "" {
						w.Header().Set(tc.header, "true")
					}
					w.WriteHeader(tc.status)
					_, _ = io.WriteString(w, tc.body)
				}
			})
			gate := open(t, gateway.Config{BaseURL: base})
			check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
			check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), tc.outcome, tc.reason)
			if posts.Load() != 3 {
				t.Errorf("%d requests arrived: net/http did not repeat one, and the test has shown nothing", posts.Load())
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.URL.Path == "/v1/elsewhere" {
			_, _ = io.WriteString(w, paid)
			return
		}
		status := http.StatusFound
		if r.Header.Get("Stripe-Account") != "" {
			status = http.StatusTemporaryRedirect
		}
		http.Redirect(w, r, "/v1/elsewhere", status)
	})
	gate := open(t, gateway.Config{BaseURL: base, PlatformKey: secret.New("sk_test_platform")})
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeUnknown, billing.ReasonUnexpected)
	check(t, gate.Execute(t.Context(), pay(t), billing.Credential{Auth: billing.AuthPlatform, Account: "acct_1"}), billing.OutcomeUnknown, billing.ReasonUnexpected)
	if hits.Load() != 2 {
		t.Errorf("%d requests for two calls", hits.Load())
	}
}

func TestNotSentOnlyWhenProven(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	plain, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") })
	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }))
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		base string
	}{
		"refused":                   {t.Context(), closed},
		"no such host":              {t.Context(), "http://no-such-host.invalid"},
		"no TLS at the other end":   {t.Context(), strings.Replace(plain, "http:", "https:", 1)},
		"certificate of a stranger": {t.Context(), stranger.URL},
		"context ended before":      {ended, plain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := open(t, gateway.Config{BaseURL: tc.base})
			for _, claim := range []billing.Claim{pay(t), frozen(t, billing.SubscriptionCancel, "sub_1", "")} {
				check(t, gate.Execute(tc.ctx, claim, tokenCredential()), billing.OutcomeNotSent, billing.ReasonUnreachable)
				claim.Resend = true
				check(t, gate.Execute(tc.ctx, claim, tokenCredential()), billing.OutcomeUnknown, billing.ReasonUnreachable)
			}
		})
	}
	t.Run("a transport that proves nothing", func(t *testing.T) {
		t.Parallel()
		gate := open(t, gateway.Config{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("lost") })})
		check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeUnknown, billing.ReasonNoAnswer)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestContextAndTimeoutEndACall(t *testing.T) {
	t.Parallel()
	silent := func(t *testing.T) (string, <-chan struct{}) {
		t.Helper()
		arrived := make(chan struct{}, 1)
		base, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			arrived <- struct{}{}
			<-r.Context().Done()
		})
		return base, arrived
	}
	t.Run("canceled while waiting", func(t *testing.T) {
		t.Parallel()
		base, arrived := silent(t)
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan billing.Answer, 1)
		gate := open(t, gateway.Config{BaseURL: base})
		claim := pay(t)
		go func() { answers <- gate.Execute(ctx, claim, tokenCredential()) }()
		<-arrived
		cancel()
		check(t, <-answers, billing.OutcomeUnknown, billing.ReasonNoAnswer)
	})
	t.Run("timed out", func(t *testing.T) {
		t.Parallel()
		base, _ := silent(t)
		gate := open(t, gateway.Config{BaseURL: base, Timeout: 500 * time.Millisecond})
		check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeUnknown, billing.ReasonNoAnswer)
	})
}

func TestConnectionsAreShared(t *testing.T) {
	t.Parallel()
	base, connections := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && (r.ContentLength <= 0 || len(r.TransferEncoding) > 0) {
			t.Errorf("sent in chunks: length %d", r.ContentLength)
		}
		_, _ = io.WriteString(w, paid)
	})
	gate := open(t, gateway.Config{BaseURL: base})
	for range 10 {
		check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("ten calls over %d connections", n)
	}
	for range 3 {
		claim := frozen(t, billing.SubscriptionCancel, "sub_1", "")
		check(t, gate.Execute(t.Context(), claim, tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	}
	if n := connections.Load(); n != 4 {
		t.Errorf("three DELETEs did not each take a connection of their own: %d in all", n)
	}
}

// TestDeadConnection kills a kept connection while a request is on it. net/http may send a POST again by itself, under the
// same key; a DELETE must not be.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	keys := map[string][]string{} // by method
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		keys[r.Method] = append(keys[r.Method], r.Header.Get("Idempotency-Key"))
		seen := len(keys[r.Method])
		mu.Unlock()
		if seen == 2 {
			abort()
		}
		_, _ = io.WriteString(w, paid)
	})
	gate := open(t, gateway.Config{BaseURL: base})
	cancel := frozen(t, billing.SubscriptionCancel, "sub_1", "")
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	check(t, gate.Execute(t.Context(), cancel, tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	check(t, gate.Execute(t.Context(), cancel, tokenCredential()), billing.OutcomeUnknown, billing.ReasonNoAnswer)
	mu.Lock()
	defer mu.Unlock()
	if len(keys[http.MethodPost]) != 3 || len(keys[http.MethodDelete]) != 2 {
		t.Errorf("the server saw %d POSTs and %d DELETEs", len(keys[http.MethodPost]), len(keys[http.MethodDelete]))
	}
	for method, seen := range keys {
		for _, key := range seen {
			if key != taskID.IdempotencyKey() {
				t.Errorf("%s under key %q", method, key)
			}
		}
	}
}

// TestDeadConnectionAndNoOther kills a kept connection with a request on it, and refuses the one that net/http then asks
// for: that nothing was sent over the second connection says nothing of the first.
func TestDeadConnectionAndNoOther(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if hits.Add(1) == 2 {
			_ = server.Listener.Close()
			abort()
		}
		_, _ = io.WriteString(w, paid)
	}))
	t.Cleanup(server.Close)
	gate := open(t, gateway.Config{BaseURL: server.URL})
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeUnknown, billing.ReasonNoAnswer)
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeNotSent, billing.ReasonUnreachable)
	if hits.Load() != 2 {
		t.Errorf("%d requests", hits.Load())
	}
}

// TestHTTP2 plays the traces whose form differs there.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("spoke %s", r.Proto)
		}
		if hits.Add(1) == 2 {
			abort()
		}
		_, _ = io.WriteString(w, paid)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	gate := open(t, gateway.Config{BaseURL: server.URL, Transport: server.Client().Transport})
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeUnknown, billing.ReasonNoAnswer)
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	if hits.Load() != 3 {
		t.Errorf("%d requests for three calls", hits.Load())
	}
	server.Close()
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeNotSent, billing.ReasonUnreachable)
}
