package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	stripe "github.com/stripe/stripe-go/v76"

	"billonce/pkg/secret"
)

// Config says how Stripe is reached. Zero values take the defaults.
type Config struct {
	BaseURL     string            // scheme and host; Stripe's own by default
	PlatformKey secret.Text       // the platform's secret key; without one, merchants without a token cannot be served
	Timeout     time.Duration     // one HTTP call from its beginning to the last byte of the answer; 80s by default
	MaxConns    int               // idle connections kept, for all merchants together; 100 by default
	Transport   http.RoundTripper // in place of the gateway's own transports: for tests
	Metrics     Metrics           // nil: nothing is counted
	Tracer      Tracer            // nil: nothing is followed
}

// Metrics counts HTTP calls.
type Metrics interface {
	// CallDone: operation is the kind of the task that was sent, or "look" for what only reads; status is 0 without an answer; limited says
	// that Stripe's rate limiter answered.
	CallDone(operation string, status int, limited bool, took time.Duration)
}

// Tracer follows HTTP calls. Stripe is not told: no header says that anybody does.
type Tracer interface {
	StartCall(ctx context.Context, operation, method, host string) (within context.Context, end func(status int, requestID, errorType, errorCode string))
}

const (
	defaultTimeout  = 80 * time.Second // as stripe-go: a shorter wait makes unknown outcomes out of slow answers
	defaultMaxConns = 100
	dialTimeout     = 10 * time.Second
	tlsTimeout      = 10 * time.Second
	idleTimeout     = 50 * time.Second // below the minute after which load balancers commonly hang up
	pingAfter       = 15 * time.Second
	pingTimeout     = 15 * time.Second
	maxHeaderBytes  = 64 << 10
	bufferBytes     = 512 // each way, for each connection over HTTP/1.1: headers fit, and a body that does not goes around it
)

// Gateway sends frozen requests to Stripe. All merchants share its connections; whose token a call carries is decided by
// the call. It may be used from any number of goroutines.
type Gateway struct {
	// keyed carries what an idempotency key protects, and reads. There, net/http may send a request again by itself when a
	// kept connection turns out to be dead: harmless, because it is the same request under the same key.
	keyed *wire
	// unkeyed carries DELETE, on which Stripe ignores the key: each on a connection of its own over HTTP/1.1, where
	// net/http never sends a request twice.
	unkeyed     *wire
	platformKey secret.Text
	timeout     time.Duration
	metrics     Metrics
	tracer      Tracer
}

// New makes a gateway; it does not connect. The error never holds the platform's key.
func New(config Config) (*Gateway, error) {
	base := config.BaseURL
	if base == "" {
		base = stripe.APIURL
	}
	if err := checkBase(base); err != nil {
		return nil, err
	}
	if config.Timeout < 0 || config.MaxConns < 0 {
		return nil, errors.New("gateway: negative limits")
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	if config.MaxConns == 0 {
		config.MaxConns = defaultMaxConns
	}
	builder, err := newBuilder(base)
	if err != nil {
		return nil, err
	}
	host := hostOf(base)
	keyed, unkeyed := &wire{builder: builder, host: host, calls: config.MaxConns}, &wire{builder: builder, host: host}
	keyed.patience, keyed.limit = doorPatience, doorLimit
	switch {
	case config.Transport != nil:
		keyed.add(config.Transport, 0)
		unkeyed.add(config.Transport, 0)
	case strings.HasPrefix(strings.ToLower(base), "https:"):
		unkeyed.add(freshTransport(), 0)
		keyed.calls = laneCalls
		for room := 0; room < config.MaxConns; room += laneCalls {
			keyed.add(transport(min(config.MaxConns, laneCalls)), laneDoors)
		}
	default:
		unkeyed.add(freshTransport(), 0)
		keyed.add(transport(config.MaxConns), plainDoors)
	}
	return &Gateway{
		platformKey: config.PlatformKey, timeout: config.Timeout, keyed: keyed, unkeyed: unkeyed, metrics: config.Metrics, tracer: config.Tracer,
	}, nil
}

// Close gives up the idle connections. Calls in flight are not disturbed.
func (g *Gateway) Close() { g.keyed.closeIdle() }

func checkBase(base string) error {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Host == "" || parsed.User != nil ||
		parsed.Path != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return errors.New("gateway: the base URL must be scheme and host only")
	}
	return nil
}

// hostOf returns the host of a base URL that was checked.
func hostOf(base string) string {
	parsed, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}

func transport(maxConns int) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: pingAfter}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		TLSHandshakeTimeout:    tlsTimeout,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         bufferBytes,
		WriteBufferSize:        bufferBytes,
	}
}

func freshTransport() *http.Transport {
	fresh := transport(1)
	fresh.DisableKeepAlives = true
	fresh.ForceAttemptHTTP2, fresh.HTTP2 = false, nil
	fresh.Protocols = new(http.Protocols)
	fresh.Protocols.SetHTTP1(true)
	return fresh
}

var errBuilderOnly = errors.New("gateway: requests are built here, not sent")

// newBuilder makes stripe-go's backend, of which only the builder of requests is used. Should anything ever send by it: no
// retries, no telemetry (it would tell Stripe of one merchant's request under another merchant's token), no logging (it
// writes whole answers), and no connection.
func newBuilder(base string) (*stripe.BackendImplementation, error) {
	made := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL:               stripe.String(base),
		HTTPClient:        &http.Client{Transport: nowhere{}},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	implementation, ok := made.(*stripe.BackendImplementation)
	if !ok {
		return nil, fmt.Errorf("gateway: stripe-go gave a backend of type %T", made)
	}
	return implementation, nil
}

type nowhere struct{}

// RoundTrip implements http.RoundTripper.
func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, errBuilderOnly }
