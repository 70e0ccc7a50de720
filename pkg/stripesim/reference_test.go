package stripesim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"billonce/pkg/stripesim"
)

// TestEveryFaultOfTheReference goes through the table of faults F1 to F18 in section 9 of the research on Stripe, by name:
// what stripe-go's caller sees, and what the ledger has. Each is played with a client that opens a connection for each
// request and with one that keeps them alive, to which net/http hides some.
func TestEveryFaultOfTheReference(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, one := range append(faultsOfRequests(), faultsOfStateAndEvents()...) {
		number, _, _ := strings.Cut(one.name, " ")
		named[number] = true
		for _, alive := range []bool{false, true} {
			want, mode := one.want, ", fresh connections"
			if alive {
				mode = ", kept alive"
				if one.alive != nil {
					want = one.alive
				}
			}
			t.Run(one.name+mode, func(t *testing.T) {
				t.Parallel()
				p := newPlay(t, one.cfg, alive)
				one.steps(p)
				if diff := cmp.Diff(want, p.told); diff != "" {
					t.Error(diff)
				}
				eventually(t, "nothing is under way", func() bool { return p.b.Active() == 0 })
			})
		}
	}
	for n := 1; n <= 18; n++ {
		if !named[fmt.Sprint("F", n)] {
			t.Errorf("F%d is not played", n)
		}
	}
}

// referenceRow is one way to play a fault. Each send tells "what was seen | the effects of its key so far".
type referenceRow struct {
	name  string
	cfg   stripesim.Config
	steps func(*play)
	want  []string
	alive []string // what a client with kept-alive connections sees; nil: the same
}

// play is a client at work, and what it tells.
type play struct {
	t     *testing.T
	b     *bench
	api   *client.API
	last  int // status of the last answer; 0: none
	inner http.RoundTripper
	told  []string
}

func newPlay(t *testing.T, cfg stripesim.Config, alive bool) *play {
	t.Helper()
	cfg.Seed = 1
	b := start(t, cfg)
	b.seed(t, openInvoice("in_1"), openInvoice("in_2"), stripesim.Object{Object: "subscription", ID: "sub_1", Price: "price_basic"})
	transport := &http.Transport{DisableKeepAlives: !alive}
	t.Cleanup(transport.CloseIdleConnections)
	p := &play{t: t, b: b, inner: transport}
	p.authenticate(token)
	warm := &stripe.InvoiceParams{}
	warm.Context = t.Context()
	if _, err := p.api.Invoices.Get("in_1", warm); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *play) authenticate(token string) {
	p.api = p.b.stripeOver(token, &http.Client{
		Transport: p, CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirected },
	})
}

var errRedirected = errors.New("redirected")

// RoundTrip notes the status: stripe-go forgets those of pages.
func (p *play) RoundTrip(r *http.Request) (*http.Response, error) {
	p.last = 0
	answer, err := p.inner.RoundTrip(r)
	if err == nil {
		p.last = answer.StatusCode
	}
	return answer, err
}

const patience = 10 * time.Second

func (p *play) fault(f stripesim.Fault) { p.b.script(p.t, f) }

// pay pays in_1 under the key k.
func (p *play) pay() { p.payAs("") }

// payAs speaks for the account that on names; "": for the token's own.
func (p *play) payAs(on string) {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	p.payIn(ctx, on)
}

// payUntilStruck pays as a client does that gives up, here as soon as a fault has met the request.
func (p *play) payUntilStruck(kind stripesim.FaultKind) {
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		p.payIn(ctx, "")
	}()
	eventually(p.t, "the fault strikes", func() bool { return p.b.met(kind) })
	cancel()
	<-gone
}

func (p *play) payIn(ctx context.Context, on string) {
	params := &stripe.InvoicePayParams{}
	keyed(&params.Params, "k")
	params.Context = ctx
	if on != "" {
		params.SetStripeAccount(on)
	}
	got, err := p.api.Invoices.Pay("in_1", params)
	var answer *stripe.APIResponse
	if got != nil {
		answer = got.LastResponse
	}
	p.tell(answer, err)
}

// create makes a payment intent under the key k.
func (p *play) create() {
	params := &stripe.PaymentIntentParams{Amount: stripe.Int64(700), Currency: stripe.String("usd")}
	keyed(&params.Params, "k")
	got, err := p.api.PaymentIntents.New(params)
	var answer *stripe.APIResponse
	if got != nil {
		answer = got.LastResponse
	}
	p.tell(answer, err)
}

// tell puts what the client saw and the effects of its key into words.
func (p *play) tell(answer *stripe.APIResponse, err error) {
	var refused *stripe.Error
	var network net.Error
	var seen string
	switch {
	case err == nil:
		seen = fmt.Sprint(p.last, " ok", replayedMark(answer))
	case errors.As(err, &refused):
		seen = strings.TrimSpace(fmt.Sprint(p.last, " ", refused.Code)) + replayedMark(refused.LastResponse)
	case errors.Is(err, errRedirected):
		seen = "redirected"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		seen = "timeout"
	case errors.Is(err, context.Canceled):
		seen = "given up"
	case strings.Contains(err.Error(), "deserialize JSON"):
		seen = fmt.Sprint(p.last, " undecodable")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET),
		strings.Contains(err.Error(), "malformed HTTP"):
		seen = "broken off"
	default:
		seen = err.Error()
	}
	p.told = append(p.told, fmt.Sprint(seen, " | ", len(p.b.effects("k"))))
}

func replayedMark(answer *stripe.APIResponse) string {
	if answer != nil && answer.Header.Get("Idempotent-Replayed") == "true" {
		return " replayed"
	}
	return ""
}

// note adds any other finding.
func (p *play) note(what string, value any) { p.told = append(p.told, fmt.Sprint(what, " ", value)) }

// events counts the listed events that name the key k.
func (p *play) events() {
	body := p.b.get(p.t, "/v1/events?limit=100").body
	p.note("events", strings.Count(body, `"idempotency_key":"k"`))
}

func (p *play) external(op, id, params string) {
	if err := p.b.External(acct, false, op, id, params); err != nil {
		p.t.Fatal(err)
	}
}

// meanwhile sends a payment of in_1 under the key k that is held, does what is asked, and lets it finish.
func (p *play) meanwhile(do func()) {
	p.fault(stripesim.Fault{Kind: stripesim.Stall, Hold: true})
	first := make(chan reply, 1)
	go func() { first <- p.b.post(p.t, "/v1/invoices/in_1/pay", "k", "") }()
	eventually(p.t, "the first is held", func() bool { return p.b.Held() == 1 })
	do()
	p.b.Release()
	p.note("the first", (<-first).status)
}
