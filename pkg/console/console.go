package console

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

const (
	base        = "http://billonce.internal" // of calls that never leave the process
	pageTimeout = 15 * time.Second
	maxForm     = 64 << 10 // bytes
)

// Sessions keep who is signed in.
type Sessions interface {
	OpenSession(ctx context.Context, hash [billing.SessionHashBytes]byte, session billing.Session) error
	// FindSession returns a session that has not ended. The error has code [billing.CodeNotFound] when there is none.
	FindSession(ctx context.Context, hash [billing.SessionHashBytes]byte) (billing.Session, error)
	// UseSession is FindSession for somebody who does something: a session that nobody uses comes to its end.
	UseSession(ctx context.Context, hash [billing.SessionHashBytes]byte) (billing.Session, error)
	CloseSession(ctx context.Context, hash [billing.SessionHashBytes]byte) error
}

// Deps are what a Console works with. API, As and Sessions must be set.
type Deps struct {
	// API carries calls to the API of this process, with their contexts.
	API http.RoundTripper
	// As returns a context under which calls through API are made as the session's key.
	As       func(ctx context.Context, session billing.Session) context.Context
	Sessions Sessions
	Guesses  Guesses      // nil: nobody who makes up sessions is slowed down
	Log      *slog.Logger // nil: nothing is logged
	AdminKey secret.Text  // sessions of another admin key than this have ended
	Version  string       // shown at the foot of each page
	Events   bool         // GET /v1/events is served
}

// Console serves the pages. Make one with [New].
type Console struct {
	deps   Deps
	log    *slog.Logger
	api    *client.Client
	mux    *http.ServeMux
	pages  map[string]*template.Template
	assets assets
	paths  []string
	parts  parts
	names  names
	known  recent // sessions that were there
	gone   recent // sessions that were not
}

// New makes a console. It panics when something that it cannot do without is missing, or when a template does not parse: both are
// faults of the build.
func New(deps Deps) *Console {
	if deps.API == nil || deps.As == nil || deps.Sessions == nil {
		panic("console: New without API, As or Sessions")
	}
	c := &Console{
		deps: deps, log: deps.Log, assets: loadAssets(),
		parts: parts{known: map[string]*partTurns{}}, names: names{now: time.Now, known: map[string]name{}},
	}
	c.known.lasts, c.gone.lasts = knownLasts, goneLasts
	if c.deps.Guesses == nil {
		c.deps.Guesses = trusting{}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.api, err = client.New(base, secret.Text{}, client.Through(deps.API)); err != nil {
		panic("console: " + err.Error())
	}
	c.pages = c.parsePages()
	c.addRoutes()
	return c
}

// Paths are the templates of all paths that are served, each once.
func (c *Console) Paths() []string { return c.paths }

// ServeHTTP answers a request for a page. The context's actor says where it comes from ([billing.WithActor]).
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "same-origin") // without it, a form says of its origin that it has none
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	c.mux.ServeHTTP(w, r)
}

// policy lets pages use what is embedded here, and nothing else at all.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
