package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"billonce/pkg/billing"
)

// everyPath is each page that can be asked for.
func everyPath() []string {
	paths := []string{
		"/", "/tasks", "/tasks?status=pending&kind=invoice.pay", "/tasks/" + taskID, "/attention", "/merchants", "/merchants/" + merchantID,
		"/workers", "/api-keys", "/encryption", "/audit", "/tasks/bulk?action=cancel&status=pending", "/tasks/bulk?action=reschedule&status=pending",
	}
	for _, verb := range []string{"cancel", "reschedule", "retry", "resolve"} {
		paths = append(paths, "/tasks/"+taskID+"/"+verb)
	}
	for _, verb := range []string{"pause", "resume"} {
		paths = append(paths, "/merchants/"+merchantID+"/"+verb)
	}
	return paths
}

// variants has the world's task and merchant be in each state that a page shows in its own way.
func variants(w *world, visit func()) {
	task, merchant := "GET /v1/tasks/"+taskID, "GET /v1/merchants/"+merchantID
	for _, state := range []object{
		sampleTask(), failedTask(), doubtfulTask(),
		sampleTask(object{
			"status": "succeeded", "attempt": 2, "finished_at": updatedAt, "target": nil, "retried_by": nextTaskID, "retry_of": nextTaskID, "intent": "renewal",
			"result":     object{"object": "invoice", "id": "in_1abc", "status": "paid", "request_id": "req_1abc", "replayed": true},
			"on_decline": object{"retry_after": []string{"24h", "72h"}, "stop_codes": []string{"do_not_honor"}}, "declines": 1,
			"metadata": object{"order": "4711"}, "params": object{"amount": 2000, "currency": "eur"}, "waiting_since": updatedAt,
			"resolution": object{"outcome": "succeeded", "note": "the bank says so", "request_id": "r", "resolved_at": updatedAt},
		}),
	} {
		w.api.set(task, state)
		w.api.set("GET /v1/tasks/"+taskID+"/chain", page(state, sampleTask(object{"id": nextTaskID})))
		w.api.set("GET /v1/tasks", page(state))
		visit()
	}
	w.api.set(merchant, sampleMerchant(object{"status": "paused", "pause_reason": "needs_reauth", "pause_detail": "connect it anew"}))
	w.api.set("GET /v1/merchants", page(sampleMerchant(object{"status": "paused", "pause_reason": "requested", "pause_detail": "asked for"})))
	visit()
	for _, list := range []string{"tasks", "merchants", "workers", "api_keys", "audit"} {
		w.api.set("GET /v1/"+list, page())
	}
	visit()
}

// TestEveryAnswerHasItsHeaders holds for pages, for what is not there, for forms and for what pages are made of.
func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	check := func(name string, got answer) {
		t.Helper()
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if value := got.Header.Get(header); value != want {
				t.Errorf("%s: %s is %q", name, header, value)
			}
		}
		wantCache := "no-store"
		if strings.HasPrefix(name, "/assets/") && got.StatusCode == http.StatusOK {
			wantCache = "public, max-age=31536000, immutable"
		}
		if cache := got.Header.Get("Cache-Control"); cache != wantCache {
			t.Errorf("%s: may be kept: %q", name, cache)
		}
	}
	for _, path := range append(everyPath(), "/nothing", "/sign-in", "/assets/none.css", "/console/events", "/tasks/none") {
		got := v.get(path)
		check(path, got)
		if path == "/sign-in" || got.StatusCode == http.StatusSeeOther {
			got = (&visitor{w: w}).get(path)
			check(path, got)
		}
		head := v.send(http.MethodHead, path, nil)
		check(path+", HEAD", head)
		if head.body != "" {
			t.Errorf("HEAD %s has a body", path)
		}
		for _, node := range got.all(func(n *html.Node) bool { return n.Data == "script" || n.Data == "link" }) {
			asset := attr(node, "src") + attr(node, "href")
			served := v.get(asset)
			check(asset, served)
			if served.StatusCode != http.StatusOK || !regexp.MustCompile(`^/assets/[a-z.]+\.[0-9a-f]{16}\.(css|js|svg)$`).MatchString(asset) {
				t.Errorf("%s: %d", asset, served.StatusCode)
			}
		}
	}
	check("an action", v.post("/tasks/"+taskID+"/cancel", url.Values{"reason": {"x"}, "updated_at": {updatedAt}}))
	check("signing out", v.post("/sign-out", url.Values{}))
	check("a method that nobody uses", v.send("BREW", "/tasks", nil))
}

// TestPagesAreWellMade: a language, a title, landmarks, headings in order, a label for each field, captions and headers for tables, and
// nothing that the policy would stop.
func TestPagesAreWellMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	wellMade(t, "/sign-in", (&visitor{w: w}).get("/sign-in"))
	wellMade(t, "/nothing", v.get("/nothing"))
	variants(w, func() {
		for _, path := range everyPath() {
			got := v.get(path)
			if got.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", path, got.StatusCode)
			}
			wellMade(t, path, got)
		}
	})
}

func wellMade(t *testing.T, path string, got answer) {
	t.Helper()
	fault := func(format string, args ...any) {
		t.Helper()
		t.Errorf(path+": "+format, args...)
	}
	for _, name := range []string{"title", "main", "h1", "header", "footer"} {
		if n := len(got.all(func(n *html.Node) bool { return n.Data == name && n.Namespace == "" })); n != 1 {
			fault("%d elements %s", n, name)
		}
	}
	if attr(got.tags("html")[0], "lang") != "en" || !strings.Contains(words(got.tags("title")[0]), "billonce") {
		fault("no language or title")
	}
	level, ids := 0, map[string]bool{}
	for _, node := range got.all(func(*html.Node) bool { return true }) {
		if id := attr(node, "id"); id != "" {
			if ids[id] {
				fault("the id %s stands twice", id)
			}
			ids[id] = true
		}
		for _, one := range node.Attr {
			if one.Key == "style" || strings.HasPrefix(one.Key, "on") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(one.Val)), "javascript:") {
				fault("%s has %s=%q", node.Data, one.Key, one.Val)
			}
		}
		switch node.Data {
		case "h1", "h2", "h3", "h4":
			next := int(node.Data[1] - '0')
			if next > level+1 || words(node) == "" {
				fault("the heading %q of level %d follows one of level %d", words(node), next, level)
			}
			level = next
		case "style":
			fault("there is a style element")
		case "script":
			if node.FirstChild != nil || attr(node, "src") == "" {
				fault("there is an inline script")
			}
		case "input", "select", "textarea":
			labelled(fault, got, node)
		case "table":
			tableMade(fault, node)
		case "th":
			if scope := attr(node, "scope"); scope != "col" && scope != "row" {
				fault("the header %q has no scope", words(node))
			}
		case "time":
			if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`).MatchString(attr(node, "datetime")) {
				fault("the time %q is not in UTC", attr(node, "datetime"))
			}
		case "svg":
			if attr(node, "aria-hidden") != "true" && attr(node, "role") != "img" {
				fault("a picture is neither named nor hidden")
			}
		case "form":
			if method := attr(node, "method"); method != "get" && method != "post" {
				fault("a form has the method %q", method)
			}
		}
	}
	for _, node := range got.all(func(n *html.Node) bool { return true }) {
		for _, ref := range strings.Fields(attr(node, "aria-labelledby") + " " + attr(node, "aria-describedby") + " " + attr(node, "for")) {
			if !ids[ref] {
				fault("nothing has the id %s", ref)
			}
		}
	}
}

func labelled(fault func(string, ...any), got answer, field *html.Node) {
	if attr(field, "type") == "hidden" || field.Parent.Data == "label" {
		return
	}
	id := attr(field, "id")
	if !slices.ContainsFunc(got.tags("label"), func(n *html.Node) bool { return id != "" && attr(n, "for") == id }) {
		fault("the field %s has no label", attr(field, "name"))
	}
}

func tableMade(fault func(string, ...any), table *html.Node) {
	caption, heads := false, 0
	for node := range table.Descendants() {
		caption = caption || node.Data == "caption" && words(node) != ""
		if node.Data == "thead" {
			heads++
		}
	}
	if !caption || heads != 1 {
		fault("a table has no caption, or %d heads", heads)
	}
}

// TestEveryLinkAnswers follows every link of every page, as far as they go.
func TestEveryLinkAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := "a-cursor"
	paged := page(sampleTask())
	paged["next_cursor"] = next
	w.api.set("GET /v1/tasks", paged)
	v := w.signIn(adminKey)
	for id, of := range map[string]object{nextTaskID: sampleTask(object{"id": nextTaskID})} {
		w.api.set("GET /v1/tasks/"+id, of)
		w.api.set("GET /v1/tasks/"+id+"/attempts", sampleAttempts())
		w.api.set("GET /v1/tasks/"+id+"/chain", page(of))
	}
	seen := map[string]bool{}
	variants(w, func() {
		w.api.set("GET /v1/tasks", paged)
		queue := everyPath()
		visited := map[string]bool{}
		for len(queue) > 0 {
			path := queue[0]
			queue = queue[1:]
			if visited[path] {
				continue
			}
			visited[path], seen[path] = true, true
			got := v.get(path)
			if got.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", path, got.StatusCode)
				continue
			}
			for _, link := range got.links() {
				if strings.HasPrefix(link, "/") {
					queue = append(queue, link)
				} else if !strings.HasPrefix(link, "https://dashboard.stripe.com/acct_1Alma/test/") {
					t.Errorf("%s leads to %s", path, link)
				}
			}
		}
	})
	if len(seen) < 30 {
		t.Errorf("only %d pages were found", len(seen))
	}
}

// TestEveryPathIsNamed: what serves the pages is told of each.
func TestEveryPathIsNamed(t *testing.T) {
	t.Parallel()
	paths := newWorld(t).Paths()
	for _, want := range []string{"/", "/tasks", "/tasks/{id}", "/tasks/{id}/cancel", "/tasks/bulk", "/merchants/{id}/pause", "/sign-in", "/sign-out", "/assets/{name}", "/console/events"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if sorted := slices.Sorted(slices.Values(paths)); len(slices.Compact(sorted)) != len(paths) {
		t.Errorf("some stand twice: %v", paths)
	}
}

// TestScopesRuleWhatIsShown: a key that only reads is led to no action, and is refused those it makes up.
func TestScopesRuleWhatIsShown(t *testing.T) {
	t.Parallel()
	needs := map[string][]billing.Scope{ // what a page needs, all of it
		"/": {"tasks:read"}, "/tasks": {"tasks:read"}, "/tasks/" + taskID: {"tasks:read"}, "/attention": {"tasks:read"}, "/workers": {"tasks:read"},
		"/merchants": {"merchants:read"}, "/merchants/" + merchantID: {"merchants:read"}, "/api-keys": {"admin"}, "/encryption": {"admin"}, "/audit": {"admin"},
		"/tasks/" + taskID + "/cancel": {"tasks:read", "tasks:write"}, "/tasks/" + taskID + "/reschedule": {"tasks:read", "tasks:write"},
		"/tasks/" + taskID + "/retry": {"tasks:read", "tasks:write"}, "/tasks/" + taskID + "/resolve": {"tasks:read", "tasks:write"},
		"/tasks/bulk?action=cancel&status=pending": {"tasks:read", "tasks:write"},
		"/merchants/" + merchantID + "/pause":      {"merchants:read", "merchants:write"}, "/merchants/" + merchantID + "/resume": {"merchants:read", "merchants:write"},
	}
	all := billing.Scopes()
	for set := range 1 << len(all) {
		var scopes []billing.Scope
		for i, scope := range all {
			if set&(1<<i) != 0 {
				scopes = append(scopes, scope)
			}
		}
		if len(scopes) == 0 {
			continue
		}
		shutOut(t, needs, scopes, nil)
		if !slices.Contains(scopes, billing.ScopeAdmin) { // there is no such key
			shutOut(t, needs, scopes, merchantID)
		}
	}
}

// shutOut visits every page with a key that has some scopes.
func shutOut(t *testing.T, needs map[string][]billing.Scope, scopes []billing.Scope, merchant any) {
	t.Helper()
	w := newWorld(t)
	var names []string
	for _, scope := range scopes {
		names = append(names, string(scope))
	}
	w.api.key(merchant, names...)
	v := w.signIn(apiKey)
	allowed := func(path string) bool {
		if slices.Contains(scopes, billing.ScopeAdmin) {
			return true
		}
		for _, need := range needs[path] {
			if !slices.Contains(scopes, need) {
				return false
			}
		}
		return merchant == nil || path != "/workers"
	}
	for path := range needs {
		got := v.get(path)
		if path == "/" && !allowed(path) && allowed("/merchants") {
			if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/merchants" {
				t.Errorf("/ with %s: %d", scopes, got.StatusCode)
			}
			continue
		}
		if (got.StatusCode == http.StatusOK) != allowed(path) || !allowed(path) && got.StatusCode != http.StatusForbidden {
			t.Errorf("%s with %s for %v: %d", path, scopes, merchant, got.StatusCode)
		}
		if strings.Count(path, "/") == 3 && !allowed(path) {
			if form := v.post(path, url.Values{"reason": {"x"}, "updated_at": {updatedAt}}); form.StatusCode != http.StatusForbidden {
				t.Errorf("POST %s with %s: %d", path, scopes, form.StatusCode)
			}
		}
		for _, link := range got.links() {
			if _, known := needs[link]; known && link != "/" && !allowed(link) {
				t.Errorf("%s leads a key with %s to %s", path, scopes, link)
			}
			if strings.HasPrefix(link, "/tasks/bulk") && !allowed("/tasks/bulk?action=cancel&status=pending") {
				t.Errorf("%s leads a key with %s to %s", path, scopes, link)
			}
		}
	}
}

// TestOnlyThePartThatChanges is sent to a script that asks for it.
func TestOnlyThePartThatChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	for path, live := range map[string]bool{
		"/": true, "/tasks?status=pending": true, "/tasks/" + taskID: true, "/attention": true, "/workers": true, "/tasks?cursor=x": false, "/merchants": false,
	} {
		whole, part := v.get(path), v.get(path, "HX-Request", "true")
		regions := whole.all(func(n *html.Node) bool { return attr(n, "id") == "live" })
		asks := len(regions) == 1 && attr(regions[0], "hx-get") == path
		if asks != live {
			t.Errorf("%s asks for itself: %t", path, asks)
		}
		if got := strings.Contains(part.body, "<html"); live && got || !strings.Contains(whole.body, "<html") {
			t.Errorf("%s: the part is the whole: %t", path, got)
		}
		if scripts := len(whole.tags("script")); (scripts == 2) != live {
			t.Errorf("%s has %d scripts", path, scripts)
		}
	}
	w.api.set("GET /v1/tasks/"+taskID, failedTask())
	got := v.get("/tasks/"+taskID, "HX-Request", "true")
	if strings.Contains(got.body, "hx-get") {
		t.Error("a page of a task that has ended goes on asking")
	}
	if strings.Contains(got.body, "<html") { // it would be put within the page that asks
		t.Error("the last part of a task that has ended is the whole page")
	}
}
