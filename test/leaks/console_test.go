package leaks_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"billonce/internal/programtest"
)

// visitor is somebody at the console with a browser that runs no scripts.
type visitor struct {
	w      *world
	cookie string
}

// send asks for a page and notes it under the place.
func (v *visitor) send(method, path, place string, form url.Values) (int, http.Header) {
	v.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), programtest.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, v.w.api.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.w.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.cookie != "" {
		request.Header.Set("Cookie", "__Host-billonce="+v.cookie)
	}
	response, err := (&http.Client{CheckRedirect: v.w.api.client.CheckRedirect}).Do(request) // pages are not described
	if err != nil {
		v.w.t.Fatalf("%s: no answer", method) // the error would show the path
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		v.w.t.Fatalf("%s: half an answer: %v", method, err)
	}
	v.w.pages = append(v.w.pages, piece{"console " + place, string(content)})
	for name, values := range response.Header {
		if name != "Set-Cookie" {
			v.w.pages = append(v.w.pages, piece{"console's header " + name, strings.Join(values, "\n")})
		}
	}
	return response.StatusCode, response.Header
}

// signIn signs in. What the browser gets to keep is one more thing that must be nowhere else.
func (w *world) signIn(name, key string) *visitor {
	w.t.Helper()
	v := &visitor{w: w}
	status, header := v.send(http.MethodPost, "/sign-in", "/sign-in", url.Values{"key": {key}})
	cookies := (&http.Response{Header: header}).Cookies()
	if status != http.StatusSeeOther || len(cookies) != 1 || len(cookies[0].Value) < 40 {
		w.t.Fatalf("signing in is answered %d", status)
	}
	token := cookies[0].Value
	w.c.add(name, "", token, token[:20], token[20:])
	v.cookie = w.c.text(name)
	return v
}

// console looks at every page, tries wrong keys and makes changes.
func (w *world) console() {
	w.t.Helper()
	v := w.signIn("console session", w.c.text("admin key"))
	see := func(status int, path, place string) {
		w.t.Helper()
		if got, _ := v.send(http.MethodGet, path, place, nil); got != status {
			w.t.Errorf("%s is answered %d", place, got)
		}
	}
	for _, path := range []string{"/", "/tasks", "/tasks?status=failed", "/attention", "/merchants", "/workers", "/api-keys", "/encryption", "/audit"} {
		place, _, _ := strings.Cut(path, "?")
		see(http.StatusOK, path, place)
	}
	for _, id := range w.tasks {
		see(http.StatusOK, "/tasks/"+id, "/tasks/{id}")
	}
	for _, what := range []string{"laden", "garbage", "words", "look", "later"} {
		id := w.tasks[what]
		for _, verb := range []string{"cancel", "reschedule", "retry", "resolve"} {
			see(http.StatusOK, "/tasks/"+id+"/"+verb, "/tasks/{id}/action")
		}
	}
	for _, id := range w.merchants {
		see(http.StatusOK, "/merchants/"+id, "/merchants/{id}")
		see(http.StatusOK, "/merchants/"+id+"/pause", "/merchants/{id}/action")
	}
	for _, path := range []string{"/tasks/" + w.c.text("token in a bad request"), "/merchants/" + w.c.text("value in a bad request"), "/" + w.c.text("token in a bad request")} {
		see(http.StatusNotFound, path, "not found")
	}
	for _, wrong := range []string{"wrong admin key", "access token", "wrong basic password"} {
		if got, _ := (&visitor{w: w}).send(http.MethodPost, "/sign-in", "/sign-in", url.Values{"key": {w.c.text(wrong)}}); got != http.StatusUnauthorized {
			w.t.Errorf("a wrong key is answered %d", got)
		}
	}
	other := &visitor{w: w, cookie: v.cookie[:42] + "x"}
	if got, _ := other.send(http.MethodGet, "/tasks", "/tasks", nil); got != http.StatusSeeOther {
		w.t.Errorf("a wrong cookie is answered %d", got)
	}
	form := url.Values{"reason": {w.c.text("value in a bad request")}, "updated_at": {w.c.text("token in a bad request")}}
	if got, _ := v.send(http.MethodPost, "/tasks/"+w.tasks["laden"]+"/cancel", "/tasks/{id}/action", form); got != http.StatusConflict {
		w.t.Errorf("a task that is done is canceled: %d", got)
	}
	if got, _ := v.send(http.MethodPost, "/sign-out", "/sign-out", url.Values{}); got != http.StatusSeeOther {
		w.t.Errorf("signing out is answered %d", got)
	}
	if !slices.ContainsFunc(w.pages, func(p piece) bool { return strings.Contains(p.text, w.merchants["main"]) }) {
		w.t.Error("the pages show no merchant")
	}
}
