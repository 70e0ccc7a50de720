package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

// maxAnswerBytes bounds how much of an answer is read. Stripe's largest objects, expanded, are a tenth of it.
const maxAnswerBytes = 4 << 20

// observation is what is known of one HTTP call, apart from what stripe-go makes of it.
type observation struct {
	unsent      bool // it is proven that no byte of the request was written
	status      int  // 0: no answer
	requestID   string
	at          time.Time // when it was answered, by Stripe's clock; zero if it does not say
	heard       time.Time // the same by this process's
	rateLimited bool      // Stripe's limiter gave a reason
	replayed    bool      // Stripe answered from its record of an earlier send
	shouldRetry *bool     // what Stripe says of sending this again, if it says anything
	// repeated: an earlier connection of this very call may have carried the request. net/http sends a request that has an
	// idempotency key once more, unasked, when a kept connection dies without a byte of an answer.
	repeated bool
	body     []byte
	cut      bool // the body could not be read to its end, or is longer than maxAnswerBytes
}

// probe watches one call, which travels in the call's context.
type probe struct {
	searching   atomic.Bool  // a connection was asked for
	connections atomic.Int32 // how many were handed out
	sent        atomic.Bool  // the one round trip of the call has begun
	observation
}

type probeKey struct{}

func (p *probe) attach(ctx context.Context) context.Context {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.searching.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { p.connections.Add(1) },
	})
	return context.WithValue(ctx, probeKey{}, p)
}

// observer is a RoundTripper that fills the probe of the call, and makes sure that a call is one round trip.
type observer struct{ next http.RoundTripper }

var errOneRoundTrip = errors.New("gateway: a call is one round trip")

// RoundTrip implements http.RoundTripper. It reads the answer whole, so that what is classified is what arrived.
func (o observer) RoundTrip(request *http.Request) (*http.Response, error) {
	seen, ok := request.Context().Value(probeKey{}).(*probe)
	if !ok || seen.sent.Swap(true) {
		return nil, errOneRoundTrip
	}
	if err := request.Context().Err(); err != nil {
		seen.unsent = true
		return nil, err
	}
	response, err := o.next.RoundTrip(request)
	if err != nil {
		// Proven only by a transport that reports its connections: it looked for one and never had one.
		seen.unsent = seen.searching.Load() && seen.connections.Load() == 0
		return nil, err
	}
	seen.heard = time.Now() //nolint:forbidigo // to compare clocks
	seen.repeated = seen.connections.Load() > 1
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	seen.cut = err != nil || len(body) > maxAnswerBytes
	seen.body = body[:min(len(body), maxAnswerBytes)]
	seen.status = response.StatusCode
	seen.requestID = response.Header.Get("Request-Id")
	seen.at, _ = http.ParseTime(response.Header.Get("Date"))
	seen.rateLimited = response.Header.Get("Stripe-Rate-Limited-Reason") != ""
	if word := response.Header.Get("Stripe-Should-Retry"); word == "true" || word == "false" {
		yes := word == "true"
		seen.shouldRetry = &yes
	}
	seen.replayed = strings.EqualFold(response.Header.Get("Idempotent-Replayed"), "true")
	response.Body = io.NopCloser(bytes.NewReader(seen.body))
	return response, nil
}
