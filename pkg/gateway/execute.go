package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	stripe "github.com/stripe/stripe-go/v76"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// Execute sends the task's frozen request once and says what the answer proves. It returns when the answer is there, the
// time-out is over or ctx ends; a context that ends after the request may have been written leaves the outcome unknown.
//
// The idempotency key is made of the task's id here, so that no caller can forget or change it.
func (g *Gateway) Execute(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
	who, refused := g.check(ctx, &claim, &credential)
	if refused != nil {
		return *refused
	}
	if claim.Request.Method == http.MethodDelete {
		return g.cancel(ctx, &claim, who)
	}
	return g.conclude(ctx, &claim, who, g.mutate(ctx, g.keyed, &claim, who))
}

// check says as whom a claim is sent, or gives the answer to one that must not be.
func (g *Gateway) check(ctx context.Context, claim *billing.Claim, credential *billing.Credential) (identity, *billing.Answer) {
	refuse := func(reason billing.Reason, final bool) (identity, *billing.Answer) {
		given := unsent(*claim, reason, final)
		return identity{}, &given
	}
	if hash := claim.Request.Hash(); !bytes.Equal(hash[:], claim.RequestHash) || !isFrozen(claim.Request) {
		return refuse(billing.ReasonRequestChanged, true)
	}
	if claim.Auth != "" && (claim.Auth != credential.Auth || claim.Account != credential.Account) {
		// The same key under another account or authentication may be another key to Stripe.
		return refuse(billing.ReasonCredentialChanged, claim.Resend)
	}
	who, ok := g.identify(*credential)
	if !ok {
		return refuse(billing.ReasonUnauthorized, false)
	}
	if ctx.Err() != nil {
		return refuse(billing.ReasonUnreachable, false)
	}
	return who, nil
}

// cancel and conclude keep copies of the claim off the stack on which a call waits.
func (g *Gateway) cancel(ctx context.Context, claim *billing.Claim, who identity) billing.Answer {
	return g.executeUnkeyed(ctx, *claim, who)
}

func (g *Gateway) conclude(ctx context.Context, claim *billing.Claim, who identity, seen observation) billing.Answer {
	return g.attribute(ctx, *claim, who, classify(seen, claim.Resend))
}

// attribute tells a refusal because of the object's state from one because somebody else has done already what the task asks
// for. The object decides, not the refusal's words. Either way the task itself had no effect.
func (g *Gateway) attribute(ctx context.Context, claim billing.Claim, who identity, given billing.Answer) billing.Answer {
	met := traceOf(claim.Kind).met
	if given.Outcome != billing.OutcomeRefused || given.Reason != billing.ReasonInvalid || met == nil {
		return given
	}
	looked := g.read(ctx, readingObject(claim.Kind, claim.Request), who)
	if found, ok := readAnswer(looked.body); ok && looked.status == http.StatusOK && !looked.cut && met(found) {
		given.Reason = billing.ReasonSatisfied
		given.Error.Message = sentence(verdict{outcome: given.Outcome, reason: given.Reason})
	}
	return given
}

// identity is as whom a call is made.
type identity struct {
	key     secret.Text
	account string // for the Stripe-Account header; "" when the key is the merchant's own
}

// identify chooses the key of a call. It reports false when there is none that could be sent.
func (g *Gateway) identify(credential billing.Credential) (identity, bool) {
	switch credential.Auth {
	case billing.AuthToken:
		return identity{key: credential.Token}, isToken(credential.Token)
	case billing.AuthPlatform:
		return identity{key: g.platformKey, account: credential.Account}, isToken(g.platformKey) && isID(credential.Account)
	}
	return identity{}, false
}

// isToken reports whether a token can stand in a header.
func isToken(token secret.Text) bool {
	for _, c := range []byte(token.Reveal()) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return !token.Empty()
}

// mutate makes the one mutating call of an attempt.
func (g *Gateway) mutate(ctx context.Context, over *wire, claim *billing.Claim, who identity) observation {
	return g.call(ctx, over, string(claim.Kind), claim.Request, who, stripe.String(claim.ID.IdempotencyKey()))
}

// read makes a call that changes nothing.
func (g *Gateway) read(ctx context.Context, request billing.Request, who identity) observation {
	return g.call(ctx, g.keyed, operationLook, request, who, nil)
}

// operationLook is what calls that only read are counted as.
const operationLook = "look"

// call makes one HTTP call of a request that stripe-go builds, with the bytes that are given: its typed clients would encode the
// parameters anew, and a newer version of it perhaps in another way.
//
// The request goes to the wire from here. Between it and stripe-go's builder would stand only what must not happen (retries,
// telemetry, redirects) and what nobody looks at (the answer decoded, or an error that holds the whole body), for a third of
// the memory of a call that waits.
func (g *Gateway) call(ctx context.Context, over *wire, operation string, request billing.Request, who identity, key *string) observation {
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	var seen probe
	ctx = g.begin(ctx, operation, request.Method, over, &seen)
	params := &stripe.Params{
		Context:        seen.attach(ctx),
		IdempotencyKey: key,
		Headers:        http.Header{"Stripe-Version": {request.APIVersion}},
	}
	if who.account != "" {
		params.StripeAccount = stripe.String(who.account)
	}
	prepared, err := over.builder.NewRequest(request.Method, request.Path, who.key.Reveal(), "application/x-www-form-urlencoded", params)
	if err != nil {
		seen.unsent = true
		g.end(operation, &seen)
		return seen.observation
	}
	carry(prepared, request.Body)
	over.send(prepared, &seen)
	g.end(operation, &seen)
	return seen.observation
}

// begin and end tell of a call whoever wants to know of it. What they need meanwhile is in the probe, off the stack.
func (g *Gateway) begin(ctx context.Context, operation, method string, over *wire, seen *probe) context.Context {
	seen.began = time.Now() //nolint:forbidigo // how long a call takes
	if g.tracer != nil {
		ctx, seen.ended = g.tracer.StartCall(ctx, operation, method, over.host)
	}
	return ctx
}

func (g *Gateway) end(operation string, seen *probe) {
	refused := refusal{}
	if seen.status == http.StatusTooManyRequests || seen.status >= http.StatusBadRequest && seen.ended != nil {
		refused, _ = readRefusal(seen.body)
	}
	if g.metrics != nil {
		limited := seen.status == http.StatusTooManyRequests && (seen.rateLimited || refused.code == "rate_limit")
		g.metrics.CallDone(operation, seen.status, limited, time.Since(seen.began))
	}
	if seen.ended != nil {
		seen.ended(seen.status, plain(seen.requestID), refused.kind, refused.code)
	}
}

// carry gives a request its body as stripe-go does, and makes its length known: otherwise it would be sent in chunks. GetBody
// is for net/http, which sends a request once more when a kept connection turns out to be dead.
func carry(prepared *http.Request, body string) {
	if body == "" {
		return
	}
	prepared.ContentLength = int64(len(body))
	prepared.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	prepared.Body = io.NopCloser(strings.NewReader(body))
}

// unsent is the answer to a claim of which nothing was sent in this attempt.
func unsent(claim billing.Claim, reason billing.Reason, final bool) billing.Answer {
	proven := verdict{outcome: billing.OutcomeNotSent, reason: reason, final: final}
	if claim.Resend {
		proven.outcome = billing.OutcomeUnknown
	}
	return answer(proven, observation{}, refusal{})
}
