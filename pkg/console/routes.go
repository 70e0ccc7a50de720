package console

import (
	"context"
	"net/http"
	"strings"

	"billonce/pkg/billing"
)

// page is one line of the table of pages.
type page struct {
	pattern string          // of [http.ServeMux]: "GET /tasks/{id}", which stands for HEAD as well
	scopes  []billing.Scope // what the key must allow, all of it; none for any key
	all     bool            // not for keys of one merchant
	live    bool            // it has a part that changes
	handle  func(c *Console, v *visit) error
}

// table is every page that needs somebody signed in.
func table() []page {
	read, change := []billing.Scope{billing.ScopeTasksRead}, []billing.Scope{billing.ScopeTasksRead, billing.ScopeTasksWrite}
	merchants, admin := []billing.Scope{billing.ScopeMerchantsRead}, []billing.Scope{billing.ScopeAdmin}
	pages := []page{
		{pattern: "GET /{$}", live: true, handle: (*Console).home},
		{pattern: "GET /tasks", scopes: read, live: true, handle: (*Console).listTasks},
		{pattern: "GET /tasks/{id}", scopes: read, live: true, handle: (*Console).showTask},
		{pattern: "GET /tasks/bulk", scopes: change, handle: (*Console).previewBulk},
		{pattern: "POST /tasks/bulk", scopes: change, handle: (*Console).doBulk},
		{pattern: "GET /attention", scopes: read, live: true, handle: (*Console).attention},
		{pattern: "GET /merchants", scopes: merchants, handle: (*Console).listMerchants},
		{pattern: "GET /merchants/{id}", scopes: merchants, handle: (*Console).showMerchant},
		{pattern: "GET /workers", scopes: read, all: true, live: true, handle: (*Console).listWorkers},
		{pattern: "GET /api-keys", scopes: admin, all: true, handle: (*Console).listKeys},
		{pattern: "GET /encryption", scopes: admin, all: true, handle: (*Console).showEncryption},
		{pattern: "GET /audit", scopes: admin, all: true, handle: (*Console).listAudit},
		{pattern: "GET " + eventsPath, scopes: read, handle: (*Console).events},
	}
	for _, one := range actions() {
		path := "/" + one.object + "s/{id}/" + one.verb
		pages = append(pages,
			page{pattern: "GET " + path, scopes: one.scopes, handle: func(c *Console, v *visit) error { return c.confirm(v, one) }},
			page{pattern: "POST " + path, scopes: one.scopes, handle: func(c *Console, v *visit) error { return c.act(v, one) }})
	}
	return pages
}

// addRoutes registers every page, and who may come in.
func (c *Console) addRoutes() {
	c.mux = http.NewServeMux()
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(c.refuseForeign))
	add := func(pattern string, handler http.Handler) {
		c.mux.Handle(pattern, handler)
		_, path, _ := strings.Cut(pattern, " ")
		path = strings.TrimSuffix(path, "{$}")
		for _, known := range c.paths {
			if known == path {
				return
			}
		}
		c.paths = append(c.paths, path)
	}
	for _, one := range table() {
		add(one.pattern, protection.Handler(c.inTime(one, c.signedIn(one))))
	}
	add("GET /sign-in", c.inTime(page{}, http.HandlerFunc(c.signInPage)))
	add("POST /sign-in", protection.Handler(c.inTime(page{}, http.HandlerFunc(c.signIn))))
	add("POST /sign-out", protection.Handler(c.inTime(page{}, http.HandlerFunc(c.signOut))))
	add("GET /assets/{name}", http.HandlerFunc(c.asset))
	c.mux.Handle("/", c.inTime(page{}, http.HandlerFunc(c.noSuchPage)))
}

// inTime bounds what a page may take. Events go on for as long as somebody listens.
func (*Console) inTime(of page, next http.Handler) http.Handler {
	if strings.HasSuffix(of.pattern, eventsPath) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// noSuchPage answers for every path, and every method, that the table does not have. Whoever is not signed in is not told.
func (c *Console) noSuchPage(w http.ResponseWriter, r *http.Request) {
	c.signedIn(page{handle: func(c *Console, v *visit) error {
		return &fault{status: http.StatusNotFound, title: "There is no such page", text: "The address may be mistyped, or from another version."}
	}}).ServeHTTP(w, r)
}

// refuseForeign answers forms that another site has sent.
func (c *Console) refuseForeign(w http.ResponseWriter, r *http.Request) {
	c.showFault(&visit{w: w, r: r}, &fault{
		status: http.StatusForbidden, title: "This form came from another site",
		text: "Nothing was changed. Open the console's own page and do it there.",
	})
}
