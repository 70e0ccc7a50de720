package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	stripe "github.com/stripe/stripe-go/v76"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/secret"
)

// listen records the bytes of each request that arrives.
func listen(t *testing.T) (base string, next func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	heard := make(chan string, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// One request is one segment here; the answer closes the connection.
			buffer := make([]byte, 64<<10)
			n, _ := conn.Read(buffer)
			for text := string(buffer[:n]); !isWhole(text); text = string(buffer[:n]) {
				more, err := conn.Read(buffer[n:])
				if n += more; err != nil {
					break
				}
			}
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(paid), paid)
			_ = conn.Close()
			heard <- string(buffer[:n])
		}
	}()
	return "http://" + listener.Addr().String(), func() string { return <-heard }
}

// isWhole reports whether the body is as long as announced.
func isWhole(request string) bool {
	head, body, ok := strings.Cut(request, "\r\n\r\n")
	var length int
	if _, line, found := strings.Cut(head, "Content-Length: "); found {
		_, _ = fmt.Sscan(line, &length)
	}
	return ok && len(body) >= length
}

// bodyOf is the body as stripe-go's sender wants it, with its length.
func bodyOf(request *http.Request, body string) *bytes.Buffer {
	if body == "" {
		return nil
	}
	request.ContentLength = int64(len(body))
	return bytes.NewBufferString(body)
}

// TestTheWireCarriesWhatStripeGoSends holds every byte that the gateway sends against what stripe-go's own sender makes of the same
// request.
func TestTheWireCarriesWhatStripeGoSends(t *testing.T) {
	t.Parallel()
	base, next := listen(t)
	gate := open(t, gateway.Config{BaseURL: base, PlatformKey: secret.New("sk_test_platform")})
	own, ok := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(base), MaxNetworkRetries: stripe.Int64(0), EnableTelemetry: stripe.Bool(false),
		HTTPClient: &http.Client{}, LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	}).(*stripe.BackendImplementation)
	if !ok {
		t.Fatal("not stripe-go's backend")
	}
	for name, tc := range map[string]struct {
		claim      billing.Claim
		credential billing.Credential
		key        string
	}{
		"Body":     {pay(t), tokenCredential(), "sk_test_1"},
		"NoBody":   {frozen(t, billing.InvoicePay, "in_1", ""), tokenCredential(), "sk_test_1"},
		"Account":  {pay(t), billing.Credential{Auth: billing.AuthPlatform, Account: "acct_1"}, "sk_test_platform"},
		"LongBody": {frozen(t, billing.PaymentIntentCreate, "", `{"amount":1,"currency":"usd","description":"`+strings.Repeat("é", 900)+`"}`), tokenCredential(), "sk_test_1"},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, gate.Execute(t.Context(), tc.claim, tc.credential), billing.OutcomeSucceeded, billing.ReasonDone)
			got := next()
			params := &stripe.Params{
				Context: t.Context(), IdempotencyKey: stripe.String(tc.claim.ID.IdempotencyKey()),
				Headers: http.Header{"Stripe-Version": {tc.claim.Request.APIVersion}},
			}
			if tc.credential.Auth == billing.AuthPlatform {
				params.StripeAccount = stripe.String(tc.credential.Account)
			}
			request, err := own.NewRequest(tc.claim.Request.Method, tc.claim.Request.Path, tc.key, "application/x-www-form-urlencoded", params)
			if err != nil {
				t.Fatal(err)
			}
			var answer stripe.APIResource
			if err := own.Do(request, bodyOf(request, tc.claim.Request.Body), &answer); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(next(), got); diff != "" {
				t.Errorf("stripe-go (-) and the gateway (+) differ:\n%s", diff)
			}
		})
	}
}

// TestStreamsThatRunOut begins many calls at once against a server that takes few on one connection. Without lanes, and a door in each,
// most of them would dial.
func TestStreamsThatRunOut(t *testing.T) {
	t.Parallel()
	const calls, streams = 1000, 100
	var connections atomic.Int32
	arrived, release := make(chan struct{}, calls), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
		_, _ = io.WriteString(w, paid)
	}))
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew { // those count as well that net/http makes and throws away
			connections.Add(1)
		}
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	gate := open(t, gateway.Config{BaseURL: server.URL, MaxConns: calls})
	gateway.Trust(t, gate, server.Certificate())
	gateway.Patience(gate, time.Hour, time.Hour) // however slow the machine is
	claim := pay(t)
	answers := make(chan billing.Answer, calls)
	for range calls {
		go func() { answers <- gate.Execute(t.Context(), claim, tokenCredential()) }()
	}
	for range calls {
		<-arrived // all are in flight together
	}
	close(release)
	for range calls {
		check(t, <-answers, billing.OutcomeSucceeded, billing.ReasonDone)
	}
	// One for each lane, and in some lanes another: net/http hands a new connection to the call that has dialed before it shows it to the next.
	if used, lanes := int(connections.Load()), gateway.Lanes(gate); used < calls/streams || used > 3*lanes {
		t.Errorf("%d calls at once over %d connections of %d streams, in %d lanes", calls, used, streams, lanes)
	}
}

// TestADialThatHangsIsNotWaitedFor: the next call looks in its place, and the others wait for that one instead of dialing all at once.
func TestADialThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	const calls = 60
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, paid)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	gate := open(t, gateway.Config{BaseURL: server.URL, MaxConns: calls})
	gateway.Trust(t, gate, server.Certificate())
	gateway.Patience(gate, 100*time.Millisecond, time.Hour)
	var dials atomic.Int32
	over := make(chan struct{})
	gateway.Dialing(t, gate, func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) == 1 {
			<-over
			return nil, errors.New("it has hung")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	claim := pay(t)
	answers := make(chan billing.Answer, calls)
	for range calls {
		go func() { answers <- gate.Execute(t.Context(), claim, tokenCredential()) }()
	}
	for range calls { // the one that dialed as well: it gets the connection that another has made
		check(t, <-answers, billing.OutcomeSucceeded, billing.ReasonDone)
	}
	close(over)
	if n := dials.Load(); n < 2 || n > calls/2 {
		t.Errorf("%d calls dialed %d times", calls, n)
	}
}

// TestNobodyWaitsForOthersWithoutEnd: where a server speaks no HTTP/2, calls need a connection each, and do not dial one after the other.
func TestNobodyWaitsForOthersWithoutEnd(t *testing.T) {
	t.Parallel()
	const calls = 40
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, paid)
	}))
	server.StartTLS()
	t.Cleanup(server.Close)
	gate := open(t, gateway.Config{BaseURL: server.URL, MaxConns: calls})
	gateway.Trust(t, gate, server.Certificate())
	gateway.Patience(gate, time.Hour, 20*time.Millisecond)
	var dials atomic.Int32
	all := make(chan struct{})
	gateway.Dialing(t, gate, func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) == calls {
			close(all)
		}
		select { // none is done before all are there
		case <-all:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
	claim := pay(t)
	answers := make(chan billing.Answer, calls)
	for range calls {
		go func() { answers <- gate.Execute(t.Context(), claim, tokenCredential()) }()
	}
	for range calls {
		check(t, <-answers, billing.OutcomeSucceeded, billing.ReasonDone)
	}
}
