package doctor

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Stripe is where Stripe is.
type Stripe struct {
	URL string
	// Through sends the one request; nil makes a transport as the worker's: it obeys HTTPS_PROXY.
	Through http.RoundTripper
}

var clockAdvice = advice{ //nolint:gochecknoglobals // a constant
	do:   "set the clock that is wrong right (chronyc tracking, timedatectl): due times, leases and the age of idempotency keys depend on it",
	page: "docs/billctl.md#clocks",
}

// stripe makes one request without a key: any answer shows that the way is open. It returns Stripe's clock, if it told it.
func (e *examination) stripe(ctx context.Context) *reading {
	what := advice{
		do:   "look at name resolution, firewall, proxy (HTTPS_PROXY) and certificates of this machine; tasks wait and run when Stripe is back",
		page: "docs/runbook.md#stripe-is-away",
	}
	through := e.Stripe.Through
	if through == nil {
		transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: patience, DisableKeepAlives: true}
		defer transport.CloseIdleConnections()
		through = transport
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Stripe.URL, http.NoBody)
	if err != nil || request.URL.Host == "" || request.URL.User != nil {
		e.fail(advice{do: "set STRIPE_API_URL right, or leave it out"}, "STRIPE_API_URL is no URL")
		return nil
	}
	client := &http.Client{Transport: through, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	before := e.Now()
	answer, err := client.Do(request)
	after := e.Now()
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		e.fail(what, "%s does not answer: %v", request.URL.Host, err)
		return nil
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // only that it answers matters
	_ = answer.Body.Close()
	if answer.StatusCode >= http.StatusInternalServerError {
		e.warn(what, "%s answers with %d: it can be reached, and is not well", request.URL.Host, answer.StatusCode)
	} else {
		secured := "without TLS"
		if answer.TLS != nil {
			secured = "over TLS"
		}
		e.ok("%s answers %s within %s", request.URL.Host, secured, after.Sub(before).Round(time.Millisecond))
	}
	shown, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return nil
	}
	return &reading{before, after, shown, time.Second}
}

// ownClock compares this machine's clock with Stripe's.
func (e *examination) ownClock(stripe reading) {
	distance, doubt := stripe.ahead()
	e.compare("this machine's clock", "Stripe's", -distance, doubt, clockAdvice)
}
