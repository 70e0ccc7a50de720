package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// Deps are what a Server works with. Merchants, Tasks, Standing, Keys, Audit, Freezer and Health must be set.
type Deps struct {
	Merchants Merchants
	Tasks     Tasks
	Standing  Standing
	Keys      APIKeys
	Audit     Audit
	Events    Events // nil: nobody can watch
	Freezer   Freezer
	Health    Health
	Metrics   Metrics      // nil: nothing is counted
	Tracer    Tracer       // nil: nothing is followed
	Log       *slog.Logger // nil: nothing is logged
	Console   Console      // nil: there are no pages for operators

	// AdminKey is the bearer key with every scope, beside those of Keys. While it is empty, there are only those.
	AdminKey secret.Text
	// RequireKey refuses to schedule a task without an Idempotency-Key.
	RequireKey bool
}

// Config are the limits of a Server. Zero values stand for the defaults.
type Config struct {
	Delay   time.Duration // between readiness off and the end of listening; default none
	Timeout time.Duration // for the requests in flight at shutdown; default 30 s

	ReadHeaderTimeout time.Duration // default 5 s
	ReadTimeout       time.Duration // headers and body; default 30 s
	WriteTimeout      time.Duration // from the end of the headers to the end of the answer; default 75 s
	IdleTimeout       time.Duration // default 120 s
	MaxHeaderBytes    int           // default 16 KiB

	RequestTimeout time.Duration // for one request's work; default 15 s
	BatchTimeout   time.Duration // for one batch's work; default 60 s
	BatchSlots     int           // batches handled at once, which bounds memory; more wait; default 2

	OverviewFresh time.Duration // how long an overview, and how encryption stands, is shown again; default 1.5 s

	KeyFresh    time.Duration // how long a key is believed after it was read: within that a revocation takes effect; default 5 s
	UseInterval time.Duration // between the records of when keys were used; default 10 s
	WrongKeys   int           // that an address may present at once; default 20
	WrongEvery  time.Duration // after which an address may present one more; default 1 s

	Streams       int // of events at once; default 200
	StreamsPerKey int // of one key; default half of that

	// TrustedProxies may say in X-Forwarded-For who their client is. From anybody else the header means nothing.
	TrustedProxies []netip.Prefix
}

func (c Config) withDefaults() Config {
	for value, standard := range map[*time.Duration]time.Duration{
		&c.Timeout:           30 * time.Second,
		&c.ReadHeaderTimeout: 5 * time.Second,
		&c.ReadTimeout:       30 * time.Second,
		&c.WriteTimeout:      75 * time.Second,
		&c.IdleTimeout:       120 * time.Second,
		&c.RequestTimeout:    15 * time.Second,
		&c.BatchTimeout:      60 * time.Second,
		&c.OverviewFresh:     1500 * time.Millisecond,
		&c.KeyFresh:          5 * time.Second,
		&c.UseInterval:       10 * time.Second,
		&c.WrongEvery:        time.Second,
	} {
		if *value <= 0 {
			*value = standard
		}
	}
	if c.MaxHeaderBytes <= 0 {
		c.MaxHeaderBytes = 16 << 10
	}
	if c.BatchSlots <= 0 {
		c.BatchSlots = 2
	}
	if c.WrongKeys <= 0 {
		c.WrongKeys = 20
	}
	if c.Streams <= 0 {
		c.Streams = 200
	}
	if c.StreamsPerKey <= 0 {
		c.StreamsPerKey = max(c.Streams/2, 1)
	}
	return c
}

// Server answers the HTTP API. Make one with [New].
type Server struct {
	deps       Deps
	config     Config
	log        *slog.Logger
	echo       *echo.Echo
	templates  map[string]string // echo's path → the contract's
	routes     []Route
	adminHash  keyHash
	keys       keyCache
	overviews  shared[billing.MerchantID, billing.Overview]
	encryption shared[struct{}, []billing.EncryptionKey]
	throttle   throttle
	uses       uses
	readiness  readiness
	hub        hub
	batchSlots chan struct{}
	draining   atomic.Bool
}

// New makes a server. It panics when a dependency that it cannot do without is nil: that is a fault of the wiring.
func New(deps Deps, config Config) *Server {
	if deps.Merchants == nil || deps.Tasks == nil || deps.Standing == nil || deps.Keys == nil || deps.Audit == nil || deps.Freezer == nil ||
		deps.Health == nil {
		panic("httpapi: New without Merchants, Tasks, Standing, Keys, Audit, Freezer or Health")
	}
	if deps.Metrics == nil {
		deps.Metrics = uncounted{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{deps: deps, config: config.withDefaults(), log: deps.Log}
	s.batchSlots = make(chan struct{}, s.config.BatchSlots)
	s.adminHash = sha256.Sum256([]byte(deps.AdminKey.Reveal()))
	s.keys.read, s.keys.fresh = deps.Keys.FindAPIKey, s.config.KeyFresh
	s.overviews.read, s.overviews.fresh = deps.Standing.Overview, s.config.OverviewFresh
	s.encryption.fresh = s.config.OverviewFresh
	s.encryption.read = func(ctx context.Context, _ struct{}) ([]billing.EncryptionKey, error) {
		return deps.Standing.EncryptionKeys(ctx)
	}
	s.throttle.burst, s.throttle.every = s.config.WrongKeys, s.config.WrongEvery
	s.hub = hub{events: deps.Events, log: deps.Log, metrics: deps.Metrics, most: s.config.Streams, perKey: s.config.StreamsPerKey}
	s.echo = echo.New()
	// Echo's own habits, switched off where they would let a client in on something: its error handler shows causes, its
	// binder guesses, its RealIP believes X-Forwarded-For, its logger writes to standard output.
	s.echo.HTTPErrorHandler = func(err error, c echo.Context) { s.fail(c, err) }
	s.echo.Binder = noBinder{}
	s.echo.IPExtractor = addressInside(addressOf(s.config.TrustedProxies))
	s.echo.Logger.SetOutput(io.Discard)
	s.echo.Use(s.observe, s.guard)
	s.addRoutes()
	s.addConsole()
	return s
}

// addressOf returns how a client's address is found: the peer's own, but for peers that are trusted to name another.
func addressOf(trusted []netip.Prefix) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, network := range trusted {
		address := network.Addr()
		trust = append(trust, echo.TrustIPRange(&net.IPNet{
			IP: address.AsSlice(), Mask: net.CIDRMask(network.Bits(), address.BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// Handler serves the API without listening: for tests, and for servers that somebody else runs.
func (s *Server) Handler() http.Handler { return s.echo }

// noBinder refuses: bodies are read by this package's own strict reader.
type noBinder struct{}

func (noBinder) Bind(any, echo.Context) error {
	return errors.New("bind: bodies are read by readDocument")
}

// uncounted stands in for absent metrics.
type uncounted struct{}

func (uncounted) RequestDone(string, string, int, time.Duration) {}

func (uncounted) TasksScheduled(billing.Kind, int) {}

func (uncounted) KeyRefused(string) {}

func (uncounted) EventStreams(int) {}

func (uncounted) EventStreamEnded(string) {}
