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
}

// addRoutes is the whole API on one screen.
func (s *Server) addRoutes() {
	table := []route{
		{method: "POST", path: "/v1/merchants", handle: s.createMerchant},
		{method: "GET", path: "/v1/merchants", handle: s.listMerchants, query: []string{"limit", "cursor", "stripe_connect_id"}},
		{method: "GET", path: "/v1/merchants/:id", handle: s.viewMerchant},
		{method: "PATCH", path: "/v1/merchants/:id", handle: s.updateMerchant},
		{method: "DELETE", path: "/v1/merchants/:id", handle: s.disconnectMerchant},
		{method: "POST", path: "/v1/merchants/:id/pause", handle: s.pauseMerchant},
		{method: "POST", path: "/v1/merchants/:id/resume", handle: s.resumeMerchant},

		{method: "POST", path: "/v1/tasks", handle: s.createTask},
		{method: "POST", path: "/v1/tasks/batch", handle: s.createBatch, timeout: s.config.BatchTimeout},
		{method: "GET", path: "/v1/tasks", handle: s.listTasks, query: []string{"limit", "cursor", "status", "merchant_id", "kind", "target"}},
		{method: "GET", path: "/v1/tasks/:id", handle: s.getTask},
		{method: "GET", path: "/v1/tasks/:id/attempts", handle: s.listAttempts, query: []string{"limit", "cursor"}},
		{method: "GET", path: "/v1/tasks/:id/chain", handle: s.listChain},
		{method: "POST", path: "/v1/tasks/:id/cancel", handle: s.cancelTask},
		{method: "POST", path: "/v1/tasks/:id/reschedule", handle: s.rescheduleTask},
		{method: "POST", path: "/v1/tasks/:id/retry", handle: s.retryTask},
		{method: "POST", path: "/v1/tasks/:id/resolve", handle: s.resolveTask},

		{method: "GET", path: "/healthz", handle: s.alive, open: true},
		{method: "GET", path: "/livez", handle: s.alive, open: true},
		{method: "GET", path: "/readyz", handle: s.ready, open: true},
	}
	s.templates = map[string]string{}
	for _, r := range table {
		s.templates[r.path] = strings.ReplaceAll(r.path, ":id", "{id}")
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
		request := c.Request()
		if !r.open {
			if err := s.authenticate(request); err != nil {
				return err
			}
			if err := checkQuery(request.URL.RawQuery, r.query); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(request.Context(), r.timeout)
		defer cancel()
		c.SetRequest(request.WithContext(ctx))
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
