package stripesim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"billonce/pkg/stripesim"
)

const (
	acct  = "acct_merchant"
	token = "sk_test_acct_merchant"
)

// bench is a simulator behind a real listener, with clients for it.
type bench struct {
	*stripesim.Simulator
	url  string
	http *http.Client
}

func start(t *testing.T, cfg stripesim.Config) *bench {
	t.Helper()
	sim := stripesim.New(cfg)
	server := httptest.NewServer(sim.Handler())
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(func() {
		sim.Close()
		transport.CloseIdleConnections()
		server.Close()
	})
	httpClient := &http.Client{
		Transport:     transport,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected") },
	}
	return &bench{Simulator: sim, url: server.URL, http: httpClient}
}

// stripe is a stripe-go client that neither retries nor tells.
func (b *bench) stripe(token string) *client.API {
	return b.stripeOver(token, b.http)
}

func (b *bench) stripeOver(token string, over *http.Client) *client.API {
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		HTTPClient: over, URL: stripe.String(b.url), MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry: stripe.Bool(false), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return client.New(token, &stripe.Backends{API: backend, Connect: backend, Uploads: backend})
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes one raw request. header holds names and values in turn.
func (b *bench) send(t *testing.T, method, path, body string, header ...string) (reply, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := b.http.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Header, string(read)}, err
}

// post sends a form under a key and expects an answer.
func (b *bench) post(t *testing.T, path, key, body string, header ...string) reply {
	t.Helper()
	if key != "" {
		header = append([]string{"Idempotency-Key", key}, header...)
	}
	got, err := b.send(t, http.MethodPost, path, body, header...)
	if err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
	return got
}

func (b *bench) get(t *testing.T, path string, header ...string) reply {
	t.Helper()
	got, err := b.send(t, http.MethodGet, path, "", header...)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return got
}

// direct sends to the handler without a network.
func (b *bench) direct(method, path, key, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	answer := httptest.NewRecorder()
	b.Handler().ServeHTTP(answer, request)
	return answer
}

func (b *bench) seed(t *testing.T, objects ...stripesim.Object) {
	t.Helper()
	if err := b.Seed(acct, false, objects...); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) script(t *testing.T, faults ...stripesim.Fault) {
	t.Helper()
	if err := b.Script(faults...); err != nil {
		t.Fatal(err)
	}
}

// effects are the operations in the ledger under the key.
func (b *bench) effects(key string) []string {
	ops := []string{}
	for _, e := range b.Ledger() {
		if e.IdempotencyKey == key {
			ops = append(ops, e.Op+" "+e.Object)
		}
	}
	return ops
}

// met reports whether the fault has struck some request, and holds it if it is one that holds.
func (b *bench) met(kind stripesim.FaultKind) bool {
	return slices.ContainsFunc(b.Requests(""), func(r stripesim.Request) bool { return r.Fault == kind }) &&
		(kind != stripesim.Stall || b.Held() > 0)
}

func openInvoice(id string) stripesim.Object {
	return stripesim.Object{Object: "invoice", ID: id, Status: "open", Amount: 2000}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		}
	}
}

func keyed(p *stripe.Params, key string) {
	p.SetIdempotencyKey(key)
	p.Context = context.Background()
}

// stripeError is stripe-go's error.
func stripeError(t *testing.T, err error) *stripe.Error {
	t.Helper()
	var e *stripe.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error of Stripe's", err)
	}
	return e
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(body), &object); err != nil {
		t.Fatalf("%v: %.200s", err, body)
	}
	return object
}
