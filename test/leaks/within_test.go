package leaks_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"billonce/pkg/billing"
)

// What another merchant's caller puts into tasks and names.
const (
	foreignName     = "another merchant's name"
	foreignParams   = "another merchant's params"
	foreignMetadata = "another merchant's metadata"
	foreignIntent   = "another merchant's intent"
)

// neighbour is another merchant, with two tasks.
type neighbour struct{ id, account, target, first, second string }

// within looks at everything with a key for one merchant, while something happens at another one, and wants nothing of that to be shown:
// no id, name, account, object, parameter, intent or metadata; in no answer, page, event or description.
func (w *world) within() {
	w.t.Helper()
	scopes := []string{"tasks:read", "tasks:write", "merchants:read", "merchants:write"}
	unseen := *w.api
	unseen.book = newBook()
	made := unseen.want(201, "POST", "/v1/api_keys", object{"name": "shop", "scopes": scopes, "merchant_id": w.merchants["main"]})
	text, _ := made["key"].(string)
	w.c.add("key for one merchant", "", text, text[12:34], text[34:])
	shop := w.caller(w.api.base, w.c.text("key for one merchant"))
	shop.book = newBook()
	told := w.listen(shop)

	other := w.neighbour()
	w.task("own", "main", billing.InvoicePay, object{"target": "in_own", "run_at": time.Now().Add(time.Hour).UTC()})
	w.eventually("the stream tells of the own task", func() bool { return told.has(w.tasks["own"]) })
	told.end()
	w.askAround(shop, other)
	pages := w.walkAround(shop.key, other)

	strange := map[string]canary{}
	for name, text := range map[string]string{
		"its id": other.id, "its account": other.account, "its object": other.target, "its first task": other.first, "its second task": other.second,
	} {
		strange[name] = canary{name: name, text: text, needles: []string{text}}
	}
	for _, name := range []string{foreignName, foreignParams, foreignMetadata, foreignIntent} {
		strange[name] = w.c.all[name]
	}
	look := newPatterns(strange)
	for what, pieces := range map[string][]piece{"answers": shop.book.all(), "pages": pages, "events": told.lines} {
		for _, one := range pieces {
			for _, found := range look.in(one) {
				w.t.Errorf("a key for one merchant is shown another one, in %s: %s", what, found)
			}
		}
		if !slices.ContainsFunc(pieces, func(p piece) bool { return strings.Contains(p.text, w.tasks["own"]) }) {
			w.t.Errorf("the %s do not even show its own task", what)
		}
	}
	w.book.add(shop.book.all()...)
	w.tale.add(told.lines...)
}

// neighbour connects another merchant and has something happen to its tasks.
func (w *world) neighbour() neighbour {
	w.t.Helper()
	other := neighbour{account: "acct_" + random(w.t, 20), target: "in_" + random(w.t, 20)}
	other.id = idOf(w.api.want(201, "POST", "/v1/merchants", object{"name": w.c.text(foreignName), "stripe_connect_id": other.account}))
	other.first = idOf(w.api.want(201, "POST", "/v1/tasks", object{
		"merchant_id": other.id, "kind": billing.InvoicePay, "target": other.target, "intent": w.c.text(foreignIntent),
		"params": object{"source": w.c.text(foreignParams)}, "metadata": object{"about": w.c.text(foreignMetadata)},
		"run_at": time.Now().Add(time.Hour).UTC(),
	}))
	w.api.want(200, "POST", "/v1/tasks/"+other.first+"/reschedule", object{"run_at": time.Now().Add(2 * time.Hour).UTC()})
	w.api.want(200, "POST", "/v1/tasks/"+other.first+"/cancel", nil)
	other.second = idOf(w.api.want(201, "POST", "/v1/tasks/"+other.first+"/retry", nil))
	return other
}

// askAround asks the API for everything, for all at once and for the other merchant's by all that names it.
func (w *world) askAround(shop *caller, other neighbour) {
	w.t.Helper()
	for _, path := range []string{
		"/v1/me", "/v1/overview", "/v1/tasks?limit=200", "/v1/tasks?status=pending,canceled", "/v1/tasks?attention=true", "/v1/tasks/counts",
		"/v1/tasks/" + w.tasks["own"], "/v1/tasks/" + w.tasks["own"] + "/attempts", "/v1/tasks/" + w.tasks["own"] + "/chain", "/v1/merchants?limit=200",
		"/v1/merchants?stripe_connect_id=" + other.account, "/v1/tasks?target=" + other.target, "/v1/tasks?retry_of=" + other.first,
		"/v1/tasks?merchant_id=" + other.id, "/v1/tasks/counts?merchant_id=" + other.id,
	} {
		shop.want(200, "GET", path, nil)
	}
	for _, told := range []string{
		other.id, other.first, "task_" + other.second, other.account, other.target, w.c.text(foreignIntent), w.c.text(foreignMetadata), w.c.text(foreignName),
	} {
		for _, list := range []string{"/v1/tasks", "/v1/tasks/counts"} {
			shop.want(200, "GET", list+"?q="+url.QueryEscape(told), nil)
		}
	}
	for _, path := range []string{
		"/v1/merchants/" + other.id, "/v1/tasks/" + other.first, "/v1/tasks/" + other.first + "/attempts", "/v1/tasks/" + other.second + "/chain",
	} {
		shop.want(404, "GET", path, nil)
	}
	for path, body := range map[string]any{
		"/v1/tasks/" + other.second + "/cancel": nil, "/v1/tasks/" + other.second + "/reschedule": object{"run_at": time.Now().Add(3 * time.Hour).UTC()},
		"/v1/tasks/" + other.first + "/retry": nil, "/v1/tasks/" + other.second + "/resolve": object{"outcome": "failed", "note": "n"},
		"/v1/merchants/" + other.id + "/pause": nil,
	} {
		shop.want(404, "POST", path, body)
	}
	for _, path := range []string{"/v1/workers", "/v1/encryption", "/v1/audit", "/v1/api_keys"} {
		shop.want(403, "GET", path, nil)
	}
	for _, filter := range []object{{"merchant_id": other.id}, {"target": other.target}} {
		shop.want(200, "POST", "/v1/tasks/bulk", object{"action": "cancel", "filter": filter, "reason": "r", "dry_run": true})
	}
	for _, path := range []string{"/openapi.yaml", "/docs"} {
		if status, _ := shop.send("GET", path, ""); status != http.StatusOK {
			w.t.Errorf("%s is answered %d", path, status)
		}
	}
}

// walkAround looks at every page of the console, and returns them. A page repeats in its form what its address asks for, so that no address
// here asks for what is the other's.
func (w *world) walkAround(key string, other neighbour) []piece {
	w.t.Helper()
	began := len(w.pages)
	v := w.signIn("session for one merchant", key)
	for _, one := range []struct {
		path   string
		status int
		place  string
	}{
		{"/", 200, "/"},
		{"/tasks", 200, "/tasks"},
		{"/tasks?status=canceled", 200, "/tasks"},
		{"/tasks?attention=true", 200, "/tasks"},
		{"/attention", 200, "/attention"},
		{"/merchants", 200, "/merchants"},
		{"/merchants/" + w.merchants["main"], 200, "/merchants/{id}"},
		{"/tasks/" + w.tasks["own"], 200, "/tasks/{id}"},
		{"/tasks/" + w.tasks["own"] + "/cancel", 200, "/tasks/{id}/action"},
		{"/tasks/bulk?action=cancel&status=pending", 200, "/tasks/bulk"},
		{"/tasks/bulk?action=retry&status=canceled", 200, "/tasks/bulk"},
		{"/workers", 403, "forbidden"},
		{"/api-keys", 403, "forbidden"},
		{"/encryption", 403, "forbidden"},
		{"/audit", 403, "forbidden"},
		{"/merchants/" + other.id, 404, "not found"},
		{"/merchants/" + other.id + "/pause", 404, "not found"},
		{"/tasks/" + other.first, 404, "not found"},
		{"/tasks/" + other.first + "/retry", 404, "not found"},
		{"/tasks/" + other.second + "/cancel", 404, "not found"},
	} {
		if got, _ := v.send(http.MethodGet, one.path, one.place, nil); got != one.status {
			w.t.Errorf("%s is answered %d to a key for one merchant", one.place, got)
		}
	}
	for _, path := range []string{"/tasks/" + other.second + "/cancel", "/merchants/" + other.id + "/pause"} {
		form := url.Values{"reason": {"r"}, "updated_at": {time.Now().UTC().Format(time.RFC3339Nano)}}
		if got, _ := v.send(http.MethodPost, path, "not found", form); got != http.StatusNotFound {
			w.t.Errorf("an action on what is another's is answered %d", got)
		}
	}
	if got, _ := v.send(http.MethodPost, "/sign-out", "/sign-out", url.Values{}); got != http.StatusSeeOther {
		w.t.Errorf("signing out is answered %d", got)
	}
	return slices.Clone(w.pages[began:])
}
