package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
)

// fakeConsole calls the API within the process, as it is told, for each request that it gets.
type fakeConsole struct {
	call func(*http.Request) *httptest.ResponseRecorder
}

func (f *fakeConsole) Paths() []string { return []string{"/", "/pages/{id}"} }

func (f *fakeConsole) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := f.call(r)
	w.WriteHeader(got.Code)
	_, _ = w.Write(got.Body.Bytes())
}

// within is an API whose pages make one call, as the admin or the key with the given hash.
func within(key [billing.APIKeyHashBytes]byte, admin bool, path string, change ...func(*httpapi.Deps, *httpapi.Config)) *api {
	console := &fakeConsole{}
	a := newAPI(append(change, func(deps *httpapi.Deps, config *httpapi.Config) {
		deps.Console = console
		config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // as net/http/httptest has it
	})...)
	console.call = func(page *http.Request) *httptest.ResponseRecorder {
		ctx := httpapi.AsKey(page.Context(), key)
		if admin {
			ctx = httpapi.AsAdmin(page.Context())
		}
		got := httptest.NewRecorder()
		a.Handler().ServeHTTP(got, httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody))
		return got
	}
	return a
}

// visit asks for a page over a proxy.
func (a *api) visit(t *testing.T, method, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	request.Header.Set("X-Forwarded-For", "203.0.113.9")
	request.Header.Set("X-Request-Id", "page-1")
	request.Header.Set("Accept", accept)
	got := httptest.NewRecorder()
	a.Handler().ServeHTTP(got, request)
	return got
}

// TestCallsOfPages are made as the key that a session stands for, and come from where the page was asked for.
func TestCallsOfPages(t *testing.T) {
	t.Parallel()
	active, revoked, none := hashOf("active"), hashOf("revoked"), hashOf("none")
	for name, c := range map[string]struct {
		hash   [billing.APIKeyHashBytes]byte
		admin  bool
		path   string
		status int
		actor  string
	}{
		"the key":            {active, false, "/v1/tasks", 200, taskID},
		"beyond the key":     {active, false, "/v1/merchants", 403, taskID},
		"a revoked key":      {revoked, false, "/v1/tasks", 401, ""},
		"a key that is none": {none, false, "/v1/tasks", 401, ""},
		"the admin":          {none, true, "/v1/merchants", 200, billing.ActorAdmin},
	} {
		a := within(c.hash, c.admin, c.path)
		key := billing.APIKey{ID: billing.APIKeyID(taskID), Scopes: []billing.Scope{billing.ScopeTasksRead}, Status: billing.APIKeyActive, UsableFor: fakeLife}
		a.keys.put(active, key)
		key.Status = billing.APIKeyRevoked
		a.keys.put(revoked, key)
		for range 50 { // nobody is taken for somebody who tries keys
			if got := a.visit(t, "GET", "/pages/1", "text/html"); got.Code != c.status {
				t.Fatalf("%s: %d %s", name, got.Code, got.Body)
			}
		}
		call, page := false, false
		for line := range strings.Lines(a.log.String()) {
			if !strings.Contains(line, `"request_id":"page-1"`) || !strings.Contains(line, `"peer":"203.0.113.9"`) {
				continue
			}
			call = call || strings.Contains(line, `"route":"`+c.path+`"`) && strings.Contains(line, `"actor":"`+c.actor+`"`)
			page = page || strings.Contains(line, `"route":"/pages/{id}"`)
		}
		if !call || !page {
			t.Errorf("%s: the log has %s", name, a.log.String())
		}
	}
	without := within(none, true, "/v1/tasks", func(deps *httpapi.Deps, _ *httpapi.Config) { deps.AdminKey = secret.Text{} })
	if got := without.visit(t, "GET", "/pages/1", "text/html"); got.Code != 401 {
		t.Errorf("without an admin key there is an admin: %d", got.Code)
	}
}

// lasting is a console with one stream, which goes on for at least as long again as it took to begin.
type lasting struct {
	asked  time.Time
	answer time.Duration // until it began
}

func (*lasting) Paths() []string { return []string{"/pages/events"} }

func (l *lasting) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	began := time.Now()
	l.answer = began.Sub(l.asked)
	for time.Since(began) <= l.answer {
		runtime.Gosched()
	}
}

// TestAPageThatGoesOnIsNoSlowAnswer: what is measured of a stream ends when it begins, or each page that somebody looks at for a while
// would be a request that took as long.
func TestAPageThatGoesOnIsNoSlowAnswer(t *testing.T) {
	t.Parallel()
	console := &lasting{}
	a := newAPI(func(deps *httpapi.Deps, _ *httpapi.Config) { deps.Console = console })
	console.asked = time.Now()
	a.visit(t, "GET", "/pages/events", "text/event-stream")
	if took := a.metrics.took; len(took) != 1 || took[0] > console.answer || took[0] <= 0 {
		t.Errorf("measured are %v, and it began within %v", took, console.answer)
	}
}

// TestPagesBesideTheAPI: pages are for browsers; what the API does not have stays a problem for programs.
func TestPagesBesideTheAPI(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"GET / text/html": "page", "HEAD /pages/1 text/html": "page", "POST /pages/1 */*": "page", "GET /nothing text/html": "page", "GET /nothing */*": "404",
		"GET /v1/nothing text/html": "404", "GET /v1 text/html": "404", "PUT /v1/tasks text/html": "405", "PUT /pages/1 */*": "405", "GET /livez text/html": "200",
	} {
		method, rest, _ := strings.Cut(line, " ")
		path, accept, _ := strings.Cut(rest, " ")
		a := within([billing.APIKeyHashBytes]byte{}, true, "/v1/tasks")
		got := a.visit(t, method, path, accept)
		page := strings.Contains(a.log.String(), `"route":"/v1/tasks","status":200`)
		if page != (want == "page") || !page && want != fmt.Sprint(got.Code) {
			t.Errorf("%s: %d, a page: %t", line, got.Code, page)
		}
	}
	for _, route := range within([billing.APIKeyHashBytes]byte{}, true, "/").Routes() {
		if strings.HasPrefix(route.Path, "/pages") {
			t.Error("a page is taken for a part of the API")
		}
	}
}
