package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// route is one line of the table: a method and path, who answers, which query parameters are known.
type route struct {
	method  string
	path    string
	handle  echo.HandlerFunc
	query   []string
	timeout time.Duration // zero: Config.RequestTimeout
	open    bool          // no API key needed
	stream  bool          // the answer has no end, and so no time limit
	scope   billing.Scope // what the key must allow, unless open; a route without one lets nobody in
	anyKey  bool          // whatever the key allows
}

// Route is what a route demands of its caller.
type Route struct {
	Method, Path string // Path as in the contract: /v1/tasks/{id}
	Open         bool
	AnyKey       bool
	Scope        billing.Scope
	Query        []string // the parameters that it knows
}

// Changes reports whether the route may change something, and so writes to the audit log.
func (r Route) Changes() bool { return !r.Open && r.Method != http.MethodGet }

// Routes returns the whole table. HEAD is answered wherever GET is. The caller owns the slice.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// addRoutes is the whole API on one screen.
func (s *Server) addRoutes() {
	table := []route{
		{method: "GET", path: "/v1/overview", scope: billing.ScopeTasksRead, handle: s.getOverview},
		{method: "GET", path: "/v1/workers", scope: billing.ScopeTasksRead, handle: s.listWorkers},
		{method: "GET", path: "/v1/encryption", scope: billing.ScopeAdmin, handle: s.getEncryption},

		{method: "POST", path: "/v1/merchants", scope: billing.ScopeMerchantsWrite, handle: s.createMerchant},
		{method: "GET", path: "/v1/merchants", scope: billing.ScopeMerchantsRead, handle: s.listMerchants, query: []string{"limit", "cursor", "stripe_connect_id", "status"}},
		{method: "GET", path: "/v1/merchants/:id", scope: billing.ScopeMerchantsRead, handle: s.viewMerchant},
		{method: "PATCH", path: "/v1/merchants/:id", scope: billing.ScopeMerchantsWrite, handle: s.updateMerchant},
		{method: "DELETE", path: "/v1/merchants/:id", scope: billing.ScopeMerchantsWrite, handle: s.disconnectMerchant},
		{method: "POST", path: "/v1/merchants/:id/pause", scope: billing.ScopeMerchantsWrite, handle: s.pauseMerchant},
		{method: "POST", path: "/v1/merchants/:id/resume", scope: billing.ScopeMerchantsWrite, handle: s.resumeMerchant},

		{method: "POST", path: "/v1/tasks", scope: billing.ScopeTasksWrite, handle: s.createTask},
		{method: "POST", path: "/v1/tasks/batch", scope: billing.ScopeTasksWrite, handle: s.createBatch, timeout: s.config.BatchTimeout},
		{method: "GET", path: "/v1/tasks", scope: billing.ScopeTasksRead, handle: s.listTasks, query: taskFilters("limit", "cursor", "status")},
		{method: "GET", path: "/v1/tasks/counts", scope: billing.ScopeTasksRead, handle: s.countTasks, query: taskFilters()},
		{method: "POST", path: "/v1/tasks/bulk", scope: billing.ScopeTasksWrite, handle: s.changeTasks, timeout: s.config.BatchTimeout},
		{method: "GET", path: "/v1/tasks/:id", scope: billing.ScopeTasksRead, handle: s.getTask},
		{method: "GET", path: "/v1/tasks/:id/attempts", scope: billing.ScopeTasksRead, handle: s.listAttempts, query: []string{"limit", "cursor"}},
		{method: "GET", path: "/v1/tasks/:id/chain", scope: billing.ScopeTasksRead, handle: s.listChain},
		{method: "POST", path: "/v1/tasks/:id/cancel", scope: billing.ScopeTasksWrite, handle: s.cancelTask},
		{method: "POST", path: "/v1/tasks/:id/reschedule", scope: billing.ScopeTasksWrite, handle: s.rescheduleTask},
		{method: "POST", path: "/v1/tasks/:id/retry", scope: billing.ScopeTasksWrite, handle: s.retryTask},
		{method: "POST", path: "/v1/tasks/:id/resolve", scope: billing.ScopeTasksWrite, handle: s.resolveTask},

		{method: "GET", path: "/v1/me", anyKey: true, handle: s.getMe},
		{method: "GET", path: "/v1/events", scope: billing.ScopeTasksRead, handle: s.streamEvents, stream: true, query: []string{"after", "merchant_id", "status", "kind"}},
		{method: "POST", path: "/v1/api_keys", scope: billing.ScopeAdmin, handle: s.createAPIKey},
		{method: "GET", path: "/v1/api_keys", scope: billing.ScopeAdmin, handle: s.listAPIKeys, query: []string{"limit", "cursor", "merchant_id"}},
		{method: "GET", path: "/v1/api_keys/:id", scope: billing.ScopeAdmin, handle: s.getAPIKey},
		{method: "DELETE", path: "/v1/api_keys/:id", scope: billing.ScopeAdmin, handle: s.revokeAPIKey},
		{method: "POST", path: "/v1/api_keys/:id/revoke", scope: billing.ScopeAdmin, handle: s.revokeAPIKey},
		{method: "POST", path: "/v1/api_keys/:id/rotate", scope: billing.ScopeAdmin, handle: s.rotateAPIKey},

		{method: "GET", path: "/v1/audit", scope: billing.ScopeAdmin, handle: s.listAudit, query: []string{"limit", "cursor", "object", "actor", "action", "from", "to"}},

		{method: "GET", path: "/healthz", handle: s.alive, open: true},
		{method: "GET", path: "/livez", handle: s.alive, open: true},
		{method: "GET", path: "/readyz", handle: s.ready, open: true},

		{method: "GET", path: "/openapi.yaml", handle: fixed(description, "application/yaml", ""), open: true},
		{method: "GET", path: "/docs", handle: fixed(docs, "text/html; charset=utf-8", docsPolicy(docs)), open: true},
	}
	s.templates = map[string]string{}
	for _, r := range table {
		s.templates[r.path] = strings.ReplaceAll(r.path, ":id", "{id}")
		s.routes = append(s.routes, Route{Method: r.method, Path: s.templates[r.path], Open: r.open, AnyKey: r.anyKey, Scope: r.scope, Query: r.query})
		if r.timeout == 0 {
			r.timeout = s.config.RequestTimeout
		}
		s.echo.Add(r.method, r.path, s.enter(r))
		if r.method == http.MethodGet {
			s.echo.Add(http.MethodHead, r.path, s.enter(r))
		}
	}
}

// enter does what every route needs first: the key, the time limit, the query. The key is asked for here, at the route
// itself, and not by a prefix of the path, which a router and a guard may read differently.
func (s *Server) enter(r route) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		if !r.open {
			var err error
			if ctx, err = s.admit(c, r); err != nil {
				return err
			}
			if err := checkQuery(c.Request().URL.RawQuery, r.query); err != nil {
				return err
			}
		}
		if !r.stream {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, r.timeout)
			defer cancel()
		}
		c.SetRequest(c.Request().WithContext(ctx))
		return r.handle(c)
	}
}

// checkQuery refuses parameters that the route does not know, and those given twice.
func checkQuery(raw string, known []string) error {
	values, err := url.ParseQuery(raw) // URL.Query would drop what it cannot read
	if err != nil {
		return malformed("the query cannot be read")
	}
	var found faults
	unknown := false
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			unknown = true
		case len(given) > 1:
			found.add(atQuery(name), faultDuplicate, "is given more than once")
		}
	}
	if unknown {
		found.add("", faultUnknownField, "the query has a parameter that this route does not know")
	}
	slices.SortFunc(found, func(a, b billing.Fault) int { return strings.Compare(a.Pointer, b.Pointer) })
	return found.err()
}
