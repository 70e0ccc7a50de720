package console_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/console"
	"billonce/pkg/secret"
)

// TestSigningIn gives the browser random bits that scripts cannot read and other sites cannot send, and keeps their hash alone.
func TestSigningIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.api.key(nil, "tasks:read")
	for key, actor := range map[string]string{adminKey: billing.ActorAdmin, apiKey: keyID, "  " + apiKey + "\n": keyID} {
		got := (&visitor{w: w}).post("/sign-in", url.Values{"key": {key}, "next": {"/tasks?status=failed"}})
		if target := got.Header.Get("Location"); got.StatusCode != http.StatusSeeOther || target != "/tasks?status=failed&welcome=1" {
			t.Errorf("answered %d, to %s", got.StatusCode, target)
		}
		cookie := got.Cookies()[0]
		token, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil || len(token) != 32 {
			t.Errorf("the cookie is %q", cookie.Value)
		}
		if cookie.Name != "__Host-billonce" || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" ||
			cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != 12*3600 {
			t.Errorf("%+v", cookie)
		}
		session, kept := w.sessions.kept[sha256.Sum256(token)]
		if !kept || session.Actor() != actor || (session.Check != nil) != (actor == billing.ActorAdmin) {
			t.Errorf("kept is %+v", session)
		}
		if last := w.sessions.told[len(w.sessions.told)-1]; last != "open by "+actor+" from 192.0.2.7" {
			t.Errorf("recorded is %s", last)
		}
		(&visitor{w: w, cookie: cookie.Value}).get("/tasks").says(t, "invoice.pay")
	}
	if text := w.log.String(); strings.Contains(text, apiKey) || strings.Contains(text, adminKey) || !strings.Contains(text, keyID) {
		t.Errorf("the log has %s", text)
	}
}

func TestWrongKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := &visitor{w: w}
	refused := func(key string, status int, says string) {
		t.Helper()
		got := v.post("/sign-in", url.Values{"key": {key}})
		if got.StatusCode != status || len(got.Cookies()) != 0 || len(w.sessions.kept) != 0 {
			t.Errorf("%d, cookies %v", got.StatusCode, got.Cookies())
		}
		got.says(t, says)
		if key != "" && strings.Contains(got.body, key) {
			t.Error("the page shows the key")
		}
	}
	for _, key := range []string{"", "bo_live_wrong_one", adminKey + "x", "a\nb", strings.Repeat("x", 5000)} {
		refused(key, http.StatusUnauthorized, "no key that is in use")
	}
	if n := len(w.api.asked("GET /v1/me")); n != 2 {
		t.Errorf("the API was asked %d times, want twice: the rest has not the form of a key", n)
	}
	w.api.set("GET /v1/me", problem{Status: 429, Code: billing.CodeRateLimited})
	refused(adminKey, http.StatusTooManyRequests, "Wait")
	w.api.set("GET /v1/me", problem{Status: 503, Code: billing.CodeUnavailable})
	refused(adminKey, http.StatusServiceUnavailable, "database")
	if got := v.post("/sign-in", url.Values{"key": {strings.Repeat("x", 100_000)}}); got.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a form that is too long is answered %d", got.StatusCode)
	}
}

// TestSessionsEnd with a sign-out, with their key, and with another admin key.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.api.key(nil, "tasks:read")
	out := func(v *visitor, what string) {
		t.Helper()
		if got := v.get("/tasks"); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/sign-in?next=%2Ftasks" {
			t.Errorf("%s: %d to %s", what, got.StatusCode, got.Header.Get("Location"))
		}
	}
	v, other := w.signIn(apiKey), w.signIn(apiKey)
	got := v.post("/sign-out", url.Values{})
	if cookies := got.Cookies(); got.StatusCode != http.StatusSeeOther || len(cookies) != 1 || cookies[0].MaxAge >= 0 || cookies[0].Value != "" {
		t.Errorf("signing out: %d %v", got.StatusCode, cookies)
	}
	out(v, "after signing out")
	other.get("/tasks").says(t, "invoice.pay")
	if got := v.post("/sign-out", url.Values{}); got.StatusCode != http.StatusSeeOther {
		t.Errorf("signing out twice: %d", got.StatusCode)
	}
	w.api.mu.Lock()
	delete(w.api.keys, keyID)
	w.api.mu.Unlock()
	out(other, "after the key has ended")

	admin := w.signIn(adminKey)
	admin.get("/tasks").says(t, "invoice.pay")
	for _, key := range []string{"another admin key", ""} {
		changed := newWorld(t, func(d *console.Deps) { d.AdminKey, d.Sessions = secret.New(key), w.sessions })
		out(&visitor{w: changed, cookie: admin.cookie}, "after the admin key was replaced")
	}
	again := admin.post("/sign-in", url.Values{"key": {adminKey}})
	out(admin, "after signing in once more")
	(&visitor{w: w, cookie: again.Cookies()[0].Value}).get("/tasks").says(t, "invoice.pay")
}

// TestNobodySeesAnything who is not signed in, whatever is asked for and whatever stands in the cookie.
func TestNobodySeesAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, cookie := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 42), adminKey} {
		v := &visitor{w: w, cookie: cookie}
		for _, path := range append(everyPath(), "/nothing", "/tasks/x/y/z", "/console/events") {
			got := v.get(path)
			want := "/sign-in"
			if path != "/" {
				want += "?" + url.Values{"next": {path}}.Encode()
			}
			if strings.HasSuffix(path, "/events") {
				if got.StatusCode != http.StatusUnauthorized || got.body != "" {
					t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
				}
				continue
			}
			if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != want || strings.Contains(got.body, "Alma") {
				t.Errorf("%s: %d to %s", path, got.StatusCode, got.Header.Get("Location"))
			}
			if live := v.get(path, "HX-Request", "true"); live.StatusCode != http.StatusUnauthorized || live.Header.Get("HX-Redirect") != "/sign-in" {
				t.Errorf("%s, live: %d", path, live.StatusCode)
			}
		}
		if got := v.post("/tasks/"+taskID+"/cancel", url.Values{"reason": {"x"}}); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/sign-in" {
			t.Errorf("an action: %d to %s", got.StatusCode, got.Header.Get("Location"))
		}
	}
	if n := len(w.api.calls); n != 0 {
		t.Errorf("the API was called %d times", n)
	}
	(&visitor{w: w}).get("/sign-in?lost=1&next=https://example.com/").says(t, "HTTPS")
	if got := (&visitor{w: w}).get("/tasks?welcome=1"); got.Header.Get("Location") != "/sign-in?lost=1" {
		t.Errorf("a browser that keeps no cookie is sent to %s", got.Header.Get("Location"))
	}
	if v := w.signIn(adminKey); v.get("/sign-in").Header.Get("Location") != "/" {
		t.Error("who is signed in is asked to sign in")
	}
}

// TestFormsOfOtherSitesAreRefused whether or not somebody is signed in.
func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	before := len(w.api.calls)
	for _, path := range []string{"/sign-in", "/sign-out", "/tasks/" + taskID + "/cancel", "/tasks/bulk", "/merchants/" + merchantID + "/pause"} {
		for _, headers := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://elsewhere.example"}, {"Sec-Fetch-Site", "", "Origin", "null"},
		} {
			got := v.post(path, url.Values{"key": {adminKey}, "reason": {"x"}, "updated_at": {updatedAt}}, headers...)
			if got.StatusCode != http.StatusForbidden || len(got.Cookies()) != 0 {
				t.Errorf("%s from elsewhere (%v): %d", path, headers, got.StatusCode)
			}
		}
	}
	if after := len(w.api.calls); after != before || len(w.sessions.kept) != 1 {
		t.Errorf("%d calls were made", after-before)
	}
}

// TestTheDatabaseIsAway: every page says so, and nothing is lost of who is signed in.
func TestTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	for what, down := range map[string]error{"unavailable": &billing.Error{Code: billing.CodeUnavailable}, "too slow": t.Context().Err()} {
		w.sessions.fail(down)
		for _, path := range everyPath() {
			if down == nil {
				w.api.set("GET /v1/me", problem{Status: 503, Code: billing.CodeUnavailable, Detail: "secret cause"})
			}
			got := v.get(path)
			if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || len(got.Cookies()) != 0 {
				t.Errorf("%s, %s: %d", what, path, got.StatusCode)
			}
			got.says(t, "database", "Try again")
		}
		if down == nil {
			continue
		}
		if got := v.post("/sign-out", url.Values{}); got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("signing out: %d", got.StatusCode)
		}
	}
	w.sessions.fail(nil)
	w.api.mu.Lock()
	delete(w.api.answers, "GET /v1/me")
	w.api.mu.Unlock()
	v.get("/tasks").says(t, "invoice.pay")
}
