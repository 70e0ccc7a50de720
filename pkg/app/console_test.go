package app_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"billonce/pkg/store/storetest"
)

// person is somebody at the console, with a browser that runs no scripts.
type person struct {
	t      *testing.T
	base   string
	cookie string
	web    *http.Client
}

func newPerson(t *testing.T, base string) *person {
	t.Helper()
	return &person{t: t, base: base, web: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: patience,
	}}
}

// shownPage is a page as it came.
type shownPage struct {
	*http.Response
	body string
}

func (p *person) get(path string, headers ...string) shownPage {
	p.t.Helper()
	return p.send(http.MethodGet, path, nil, headers...)
}

func (p *person) post(path string, form url.Values, headers ...string) shownPage {
	p.t.Helper()
	return p.send(http.MethodPost, path, form, headers...)
}

func (p *person) send(method, path string, form url.Values, headers ...string) shownPage {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html,*/*")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if p.cookie != "" {
		request.Header.Set("Cookie", "__Host-billonce="+p.cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := p.web.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return shownPage{response, string(content)}
}

// signIn signs in with a key and fails the test if that is refused.
func (p *person) signIn(key string) *person {
	p.t.Helper()
	got := p.post("/sign-in", url.Values{"key": {key}})
	if got.StatusCode != http.StatusSeeOther || len(got.Cookies()) != 1 {
		p.t.Fatalf("signing in: %d %s", got.StatusCode, got.body)
	}
	p.cookie = got.Cookies()[0].Value
	return p
}

// isIn reports whether the person is shown pages, and not the way to sign in.
func (p *person) isIn() bool {
	p.t.Helper()
	got := p.get("/tasks")
	if got.StatusCode == http.StatusSeeOther && strings.HasPrefix(got.Header.Get("Location"), "/sign-in") {
		return false
	}
	if got.StatusCode != http.StatusOK {
		p.t.Errorf("/tasks: %d %s", got.StatusCode, got.body)
	}
	return true
}

var linked = regexp.MustCompile(`href="(/[^"]*)"`)

// TestTheConsole follows every link of every page of a real installation, with tasks in every status.
func TestTheConsole(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	merchant, paused := s.anyone(), s.anyone()
	s.Must(200, "POST", "/v1/merchants/"+paused+"/pause", nil)
	for _, status := range []string{"pending", "canceled", "in_doubt", "failed", "succeeded", "running"} {
		id := s.schedule(s.client, s.anyone())
		switch status {
		case "canceled":
			s.Must(200, "POST", "/v1/tasks/"+id+"/cancel", nil)
		case "in_doubt":
			s.db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'in_doubt', first_sent_at = now(), sent_auth = 'token', sent_account = 'acct_1', attempt = 1 WHERE id = $1`, id)
		}
	}
	s.schedule(s.client, merchant)
	s.key(map[string]any{"scopes": []string{"tasks:read"}})
	p := newPerson(t, s.Base).signIn(adminKey)
	queue, visited := []string{"/"}, map[string]bool{}
	for len(queue) > 0 && len(visited) < 400 {
		path := strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(queue[0])
		queue = queue[1:]
		if visited[path] || path == "/sign-out" {
			continue
		}
		visited[path] = true
		got := p.get(path)
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
		if strings.Contains(got.Header.Get("Content-Type"), "html") && got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept", path)
		}
		for _, link := range linked.FindAllStringSubmatch(got.body, -1) {
			queue = append(queue, link[1])
		}
	}
	for _, want := range []string{"/tasks", "/attention", "/merchants/" + merchant, "/workers", "/api-keys", "/encryption", "/audit", "/merchants/" + paused + "/resume"} {
		if !visited[want] {
			t.Errorf("nothing leads to %s", want)
		}
	}
	if len(visited) < 40 {
		t.Errorf("only %d pages were found", len(visited))
	}
	for path, status := range map[string]int{"/nothing": 404, "/v1/nothing": 404, "/v1": 404, "/healthz": 200, "/docs": 200} {
		got := p.get(path)
		if page := strings.Contains(got.Header.Get("Content-Type"), "text/html"); got.StatusCode != status || page != (path == "/nothing" || path == "/docs") {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.Header.Get("Content-Type"))
		}
	}
	if got := p.get("/nothing", "Accept", "application/json"); !strings.Contains(got.body, `"code":"not_found"`) {
		t.Errorf("a program gets %s", got.body)
	}
	if log := s.log.String(); !strings.Contains(log, `"route":"/tasks/{id}"`) || !strings.Contains(log, `"route":"/v1/tasks/{id}"`) || strings.Contains(log, "panicked") {
		t.Error("the log does not name the routes")
	}
}

// TestWhatIsDoneAtTheConsole is in the audit log, with the key, the address and the request of whoever clicked, and the reason.
func TestWhatIsDoneAtTheConsole(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	key, keyID := s.key(map[string]any{"name": "the night shift", "scopes": []string{"tasks:read", "tasks:write"}})
	task := s.schedule(s.client, s.anyone())
	p := newPerson(t, s.Base).signIn(key)
	updated, _ := s.Must(200, "GET", "/v1/tasks/"+task, nil)["updated_at"].(string)
	got := p.post("/tasks/"+task+"/cancel", url.Values{"reason": {"asked for by the shop"}, "updated_at": {updated}}, "X-Request-Id", "click-1")
	if got.StatusCode != http.StatusSeeOther || s.Must(200, "GET", "/v1/tasks/"+task, nil)["status"] != "canceled" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	p.post("/sign-out", url.Values{})
	for action, object := range map[string]string{"task.cancel": task, "session.open": keyID, "session.close": keyID} {
		data, _ := s.Must(200, "GET", "/v1/audit?action="+action+"&object="+object, nil)["data"].([]any)
		if len(data) != 1 {
			t.Errorf("%d entries of %s", len(data), action)
			continue
		}
		entry, _ := data[0].(map[string]any)
		actor, _ := entry["actor"].(map[string]any)
		if actor["id"] != keyID || entry["address"] != "127.0.0.1" || action == "task.cancel" && entry["request_id"] != "click-1" {
			t.Errorf("%v", entry)
		}
		if text := fmt.Sprint(entry["detail"]); action == "task.cancel" && !strings.Contains(text, "asked for by the shop") {
			t.Errorf("without the reason: %s", text)
		}
	}
}

// TestSessionsAreNoLongerThanTheirKeys: nor than 12 hours, nor than an hour without use; and another site cannot use them.
func TestSessionsAreNoLongerThanTheirKeys(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), time.Hour) // keys are believed for long: sessions are not
	ends := func(what string, end func(keyID string)) {
		t.Helper()
		key, id := s.key(map[string]any{"scopes": []string{"tasks:read"}})
		p := newPerson(t, s.Base).signIn(key)
		if !p.isIn() {
			t.Errorf("%s: nobody is in", what)
		}
		end(id)
		if p.isIn() {
			t.Errorf("%s: the session goes on", what)
		}
	}
	ends("revoked", func(id string) { s.Must(200, "POST", "/v1/api_keys/"+id+"/revoke", nil) })
	ends("revoked elsewhere", func(id string) { s.db.SQL.MustExec(`UPDATE api_keys SET revoked_at = now() WHERE id = $1`, id) })
	ends("expired", func(id string) { s.db.SQL.MustExec(`UPDATE api_keys SET expires_at = now() WHERE id = $1`, id) })
	ends("too old", func(id string) {
		s.db.SQL.MustExec(`UPDATE console_sessions SET expires_at = now() WHERE api_key_id = $1`, id)
	})
	ends("not used", func(id string) {
		s.db.SQL.MustExec(`UPDATE console_sessions SET last_seen_at = now() - interval '61 minutes' WHERE api_key_id = $1`, id)
	})
	admin := newPerson(t, s.Base).signIn(adminKey)
	other := serveAPI(t, s.db, 0)
	p := newPerson(t, other.Base)
	if p.cookie = admin.cookie; !p.isIn() {
		t.Error("another api of the same installation does not know the session")
	}
	s.db.SQL.MustExec(`UPDATE console_sessions SET admin_check = sha256('x') WHERE api_key_id IS NULL`)
	if admin.isIn() {
		t.Error("a session of another admin key goes on")
	}
	// Whoever signs in has those deleted that have ended.
	newPerson(t, s.Base).signIn(adminKey)
	var left int
	if err := s.db.SQL.Get(&left, `SELECT count(*) FROM console_sessions WHERE api_key_id IS NOT NULL`); err != nil || left != 0 {
		t.Errorf("%d sessions are left, %v", left, err)
	}
}

// TestAnOpenPageEndsWithItsSession: it keeps itself fresh, and the session of somebody who has gone ends all the same.
func TestAnOpenPageEndsWithItsSession(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	p := newPerson(t, s.Base).signIn(adminKey)
	age := func(minutes int) {
		t.Helper()
		s.db.SQL.MustExec(`UPDATE console_sessions SET last_seen_at = now() - $1 * interval '1 minute'`, minutes)
	}
	idle := func() (minutes float64) {
		t.Helper()
		if err := s.db.SQL.Get(&minutes, `SELECT extract(epoch FROM now() - last_seen_at) / 60 FROM console_sessions`); err != nil {
			t.Fatal(err)
		}
		return minutes
	}
	age(59)
	if got := p.get("/tasks", "HX-Request", "true"); got.StatusCode != http.StatusOK || idle() < 59 {
		t.Errorf("a part of a page: %d, and the session is idle for %.1f minutes", got.StatusCode, idle())
	}
	if !p.isIn() || idle() > 1 {
		t.Errorf("a page: the session is idle for %.1f minutes", idle())
	}
	age(61)
	if got := p.get("/tasks", "HX-Request", "true"); got.StatusCode != http.StatusUnauthorized || got.Header.Get("HX-Redirect") != "/sign-in" {
		t.Errorf("after an hour: %d", got.StatusCode)
	}
}

// TestWhoMakesSessionsUpHasToWait, and nobody else at the same address.
func TestWhoMakesSessionsUpHasToWait(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	friend, stranger := newPerson(t, s.Base).signIn(adminKey), newPerson(t, s.Base)
	sent, waits, began := 0, 0, time.Now()
	for range 80 {
		token := make([]byte, 32)
		_, _ = rand.Read(token)
		stranger.cookie = base64.RawURLEncoding.EncodeToString(token)
		switch got := stranger.get("/tasks"); got.StatusCode {
		case http.StatusSeeOther:
			sent++
		case http.StatusTooManyRequests:
			if waits++; got.Header.Get("Retry-After") == "" || !strings.Contains(got.body, "Wait a minute") {
				t.Errorf("it is told %q, %s", got.Header.Get("Retry-After"), got.body)
			}
		default:
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	if most := 21 + int(time.Since(began).Seconds()); waits == 0 || sent > most {
		t.Errorf("%d of 80 were asked for, want at most %d", sent, most)
	}
	if !friend.isIn() || !newPerson(t, s.Base).signIn(adminKey).isIn() {
		t.Error("others have to wait as well")
	}
	s.Must(200, "GET", "/v1/tasks", nil) // keys are counted by themselves
}

// TestTheConsoleKeepsNothingSecret: neither a key nor what the browser has is in the database, a page or the log.
func TestTheConsoleKeepsNothingSecret(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	key, keyID := s.key(map[string]any{"scopes": []string{"admin"}})
	s.connect("acct_canary")
	p, admin := newPerson(t, s.Base).signIn(key), newPerson(t, s.Base).signIn(adminKey)
	var pages strings.Builder
	for _, path := range []string{"/", "/merchants", "/api-keys", "/audit", "/encryption", "/sign-in"} {
		pages.WriteString(p.get(path).body + admin.get(path).body)
	}
	for _, where := range []string{dump(t, s.db), pages.String(), s.log.String()} {
		for name, one := range map[string]string{"key": key, "the admin key": adminKey, "a cookie": p.cookie, "the admin's cookie": admin.cookie, "a token": "sk_test_canary_acct_canary"} {
			if strings.Contains(where, one[len(one)/3:]) {
				t.Errorf("%s is there", name)
			}
		}
	}
	if !strings.Contains(pages.String(), keyID) {
		t.Error("the search finds nothing at all")
	}
}

// TestARestrictedPerson sees one merchant, and is stopped like a program that tries keys.
func TestARestrictedPerson(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	mine, other := s.connect("acct_mine"), s.connect("acct_other")
	key, _ := s.key(map[string]any{"merchant_id": mine, "scopes": []string{"tasks:read", "tasks:write", "merchants:read", "merchants:write"}})
	own, hidden := s.schedule(s.client, mine), s.schedule(s.client, other)
	p := newPerson(t, s.Base).signIn(key)
	for path, status := range map[string]int{
		"/": 200, "/tasks": 200, "/attention": 200, "/merchants": 200, "/merchants/" + mine: 200, "/tasks/" + own: 200, "/tasks/" + own + "/cancel": 200,
		"/merchants/" + other: 404, "/tasks/" + hidden: 404, "/tasks/" + hidden + "/cancel": 404, "/merchants/" + other + "/pause": 404,
		"/workers": 403, "/api-keys": 403, "/encryption": 403, "/audit": 403,
	} {
		got := p.get(path)
		if got.StatusCode != status {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
		for _, never := range []string{"acct_other", hidden, other} {
			if strings.Contains(got.body, never) && !strings.Contains(path, never) {
				t.Errorf("%s has %s", path, never)
			}
		}
	}
	for _, verb := range []string{"/tasks/" + hidden + "/cancel", "/merchants/" + other + "/pause"} {
		if got := p.post(verb, url.Values{"reason": {"x"}, "updated_at": {"2026-01-01T00:00:00Z"}}); got.StatusCode != 404 {
			t.Errorf("%s: %d", verb, got.StatusCode)
		}
	}
	thief := newPerson(t, s.Base)
	eventually(t, "who tries keys has to wait", func() bool {
		return thief.post("/sign-in", url.Values{"key": {"bo_admin_wrong"}}).StatusCode == http.StatusTooManyRequests
	})
	if got := newClient(t, s.Base, "bo_admin_wrong").Do("GET", "/v1/me", nil); got.Status != 429 {
		t.Errorf("the API lets the same address go on: %d", got.Status)
	}
	if !p.isIn() {
		t.Error("who is signed in is stopped with the thief")
	}
}

// TestTheConsoleOverTheNetwork: a real api process, with the rights of its own role, says so while PostgreSQL is away, and goes on after.
func TestTheConsoleOverTheNetwork(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, address.Host)
	address.Host = proxy.addr
	process, c := s.api("DATABASE_URL", address.String())
	c.merchant()
	p := newPerson(t, c.Base).signIn(adminKey)
	for _, path := range []string{"/", "/tasks", "/attention", "/merchants", "/workers", "/api-keys", "/encryption", "/audit"} {
		if got := p.get(path); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	proxy.close()
	for _, path := range []string{"/", "/tasks"} {
		if got := p.get(path); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, "database") || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s without a database: %d %s", path, got.StatusCode, got.body)
		}
	}
	if got := newPerson(t, c.Base).get("/sign-in"); got.StatusCode != http.StatusOK {
		t.Errorf("the sign-in page: %d", got.StatusCode)
	}
	if got := newPerson(t, c.Base).post("/sign-in", url.Values{"key": {adminKey}}); got.StatusCode != http.StatusServiceUnavailable || len(got.Cookies()) != 0 {
		t.Errorf("signing in: %d", got.StatusCode)
	}
	proxy.open(t)
	eventually(t, "the session goes on", func() bool { return p.get("/tasks").StatusCode == http.StatusOK })
	p.post("/sign-out", url.Values{})
	if p.isIn() {
		t.Error("signed out, and in")
	}
	process.Signal(syscall.SIGTERM)
	if code := process.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
