package gateway

import (
	"bytes"
	"context"
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

// probe watches one call.
type probe struct {
	searching   atomic.Bool          // a connection was asked for
	connections atomic.Int32         // how many were handed out
	door        atomic.Pointer[lane] // where others wait while this call looks for a connection
	began       time.Time
	ended       func(status int, requestID, errorType, errorCode string) // nil unless there is a Tracer
	observation
}

func (p *probe) attach(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.searching.Store(true) },
		GotConn: func(httptrace.GotConnInfo) {
			p.connections.Add(1)
			p.through()
		},
	})
}

// readBody reads up to a byte more than is taken, into a slice of the length that is announced: io.ReadAll grows one from 512
// bytes, and copies Stripe's usual few kilobytes several times.
func readBody(response *http.Response) ([]byte, error) {
	const trusted = 64 << 10 // of an announced length, so that a wrong one costs little
	var into bytes.Buffer
	if n := response.ContentLength; n >= 0 {
		into.Grow(int(min(n, trusted)) + bytes.MinRead)
	}
	_, err := into.ReadFrom(io.LimitReader(response.Body, maxAnswerBytes+1))
	return into.Bytes(), err
}

// send makes the one round trip of a call and notes what is learned. It reads the answer whole, so that what is classified is what
// arrived. A redirect is an answer like any other: following one would make a GET of a POST.
func (w *wire) send(request *http.Request, seen *probe) {
	lane := w.enter(request.Context(), seen)
	defer w.leave(lane, seen)
	if request.Context().Err() != nil {
		seen.unsent = true
		return
	}
	response, err := lane.RoundTrip(request)
	if err != nil {
		// Proven only by a transport that reports its connections: it looked for one and never had one.
		seen.unsent = seen.searching.Load() && seen.connections.Load() == 0
		return
	}
	seen.heard = time.Now() //nolint:forbidigo // to compare clocks
	seen.repeated = seen.connections.Load() > 1
	defer response.Body.Close()
	body, err := readBody(response)
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
}
