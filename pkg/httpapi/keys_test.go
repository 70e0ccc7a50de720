package httpapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
)

// pathOf makes an address of a route's template.
func pathOf(route httpapi.Route) string {
	id := merchantID
	if strings.Contains(route.Path, "/tasks/") {
		id = taskID
	}
	return strings.ReplaceAll(route.Path, "{id}", id)
}

// TestEachRouteAsksForItsScope is made from the router: a route without a scope fails, and a key opens those of its scope alone.
func TestEachRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	a := newAPI()
	keys := map[billing.Scope]string{}
	for _, scope := range billing.Scopes() {
		keys[scope] = a.keyFor(nil, scope)
	}
	asked := map[billing.Scope]int{}
	for _, route := range a.Routes() {
		name := route.Method + " " + route.Path
		if route.Open {
			if strings.HasPrefix(route.Path, "/v1/") {
				t.Errorf("%s is open", name)
			}
			continue
		}
		if route.AnyKey {
			for scope, key := range keys {
				if got := a.with(t, key, route.Method, pathOf(route), ""); got.Code != 200 || route.Changes() || route.Scope != "" {
					t.Errorf("%s with %s: %d", name, scope, got.Code)
				}
			}
			wantProblem(t, a.call(t, route.Method, pathOf(route), "", "Authorization: "), 401)
			continue
		}
		if !route.Scope.Known() {
			t.Errorf("%s asks for no scope", name)
			continue
		}
		if writes := strings.HasSuffix(string(route.Scope), ":write"); route.Scope != billing.ScopeAdmin && writes != route.Changes() {
			t.Errorf("%s asks for %s", name, route.Scope)
		}
		asked[route.Scope]++
		methods := []string{route.Method}
		if route.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for scope, key := range keys {
			for _, method := range methods {
				got := a.with(t, key, method, pathOf(route), "")
				if allowed := scope == route.Scope || scope == billing.ScopeAdmin; allowed == (got.Code == 403) || got.Code == 401 {
					t.Errorf("%s %s with %s: %d", method, route.Path, scope, got.Code)
				}
			}
		}
		if got := a.call(t, route.Method, pathOf(route), ""); got.Code == 401 || got.Code == 403 {
			t.Errorf("%s with ADMIN_API_KEY: %d", name, got.Code)
		}
		wantProblem(t, a.call(t, route.Method, pathOf(route), "", "Authorization: "), 401)
	}
	for _, scope := range billing.Scopes() {
		if asked[scope] == 0 {
			t.Errorf("no route asks for %s", scope)
		}
	}
}

func TestARequestThatIsTurnedAwayWritesNothing(t *testing.T) {
	t.Parallel()
	a := newAPI()
	key := a.keyFor(nil, billing.ScopeTasksRead, billing.ScopeMerchantsRead)
	p := wantProblem(t, a.with(t, key, "POST", "/v1/tasks", payTask("")), 403)
	if p.Code != "forbidden" || a.writes() != 0 {
		t.Errorf("%+v, %d writes", p, a.writes())
	}
	if !strings.Contains(a.log.String(), `"actor":"`+taskID+`"`) {
		t.Errorf("the log does not say whose key it was: %s", a.log)
	}
}

func TestAMistypedKeyCostsNoRead(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.WrongKeys = 10_000 })
	key := a.keyFor(nil, billing.ScopeAdmin)
	for i := range len(key) {
		for _, other := range []byte{'_', '0', 'Z', key[i] + 1} {
			if other == key[i] {
				continue
			}
			typo := key[:i] + string(rune(other)) + key[i+1:]
			if httpapi.IsKeyText(typo) {
				t.Errorf("the checksum takes %d changed to %c", i, other)
			}
			wantProblem(t, a.with(t, typo, "GET", "/v1/tasks", ""), 401)
		}
	}
	for _, typo := range []string{key[1:], key + "0", key[:len(key)-1], strings.ToLower(key), key[:20] + key[21:22] + key[20:21] + key[22:], "bo_test_" + key[8:]} {
		if typo != key {
			wantProblem(t, a.with(t, typo, "GET", "/v1/tasks", ""), 401)
		}
	}
	if n := a.keys.finds.Load(); n != 0 {
		t.Errorf("%d reads for keys whose form is wrong", n)
	}
	wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
	if n := a.keys.finds.Load(); n != 1 {
		t.Errorf("%d reads for the right one", n)
	}
}

func TestKeysAreOfOneFormAndAllDifferent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		text, hash := httpapi.MakeKey()
		if len(text) != 57 || !strings.HasPrefix(text, "bo_live_") || !httpapi.IsKeyText(text) || hash != hashOf(text) || seen[text[:16]] {
			t.Fatalf("%d characters", len(text))
		}
		seen[text[:16]] = true
	}
}

func TestAKeyIsBelievedForAWhile(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.KeyFresh = time.Hour })
	key := a.keyFor(nil, billing.ScopeTasksRead)
	var group sync.WaitGroup
	wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
	for range 16 {
		group.Go(func() {
			for range 20 {
				if got := a.with(t, key, "GET", "/v1/tasks", ""); got.Code != 200 {
					t.Errorf("%d", got.Code)
				}
			}
		})
	}
	group.Wait()
	if n := a.keys.finds.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

func TestARevokedOrExpiredKeyOpensNothing(t *testing.T) {
	t.Parallel()
	fresh := 50 * time.Millisecond
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.KeyFresh = fresh })
	key := a.keyFor(nil, billing.ScopeTasksRead)
	wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
	stored, err := a.keys.FindAPIKey(t.Context(), hashOf(key))
	if err != nil {
		t.Fatal(err)
	}
	stored.Status, stored.UsableFor = billing.APIKeyRevoked, 0 // by another process
	a.keys.put(stored.Hash, stored)
	began := time.Now()
	for a.with(t, key, "GET", "/v1/tasks", "").Code != 401 {
		if time.Since(began) > patience {
			t.Fatal("a revoked key goes on")
		}
	}
	wantProblem(t, a.with(t, key, "GET", "/v1/tasks", ""), 401)

	// No entry outlives its key, however long entries are believed.
	b := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.KeyFresh = time.Hour })
	short := b.keyFor(func(key *billing.APIKey) { key.UsableFor = 20 * time.Millisecond }, billing.ScopeTasksRead)
	wantStatus(t, b.with(t, short, "GET", "/v1/tasks", ""), 200)
	expired, err := b.keys.FindAPIKey(t.Context(), hashOf(short))
	if err != nil {
		t.Fatal(err)
	}
	expired.Status, expired.UsableFor = billing.APIKeyExpired, 0
	b.keys.put(expired.Hash, expired)
	for began = time.Now(); b.with(t, short, "GET", "/v1/tasks", "").Code != 401; {
		if time.Since(began) > patience {
			t.Fatal("an expired key goes on")
		}
	}
}

const patience = 10 * time.Second

func TestRevokingAndRotatingHereTakeEffectAtOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.KeyFresh = time.Hour })
	key := a.keyFor(nil, billing.ScopeTasksRead)
	wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
	wantStatus(t, a.call(t, "DELETE", "/v1/api_keys/"+taskID, ""), 200)
	wantProblem(t, a.with(t, key, "GET", "/v1/tasks", ""), 401)
	if n := strings.Count(a.log.String(), key); n != 0 {
		t.Errorf("the log shows the key %d times", n)
	}
	rotated := a.keyFor(func(key *billing.APIKey) { key.ID = otherID }, billing.ScopeTasksRead)
	wantStatus(t, a.with(t, rotated, "GET", "/v1/tasks", ""), 200)
	now := time.Now().UTC().Format(time.RFC3339)
	wantStatus(t, a.call(t, "POST", "/v1/api_keys/"+otherID+"/rotate", `{"old_valid_until":"`+now+`"}`), 201)
	wantProblem(t, a.with(t, rotated, "GET", "/v1/tasks", ""), 401)
}

const otherID = "01890a5d-ac96-774b-bcce-b302099a8057"

// TestAnAnswerThatCannotBeEncodedIsA500, with a line in the log, and not a success without a body.
func TestAnAnswerThatCannotBeEncodedIsA500(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.keyFor(func(key *billing.APIKey) {
		late := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		key.ExpiresAt = &late
	}, billing.ScopeTasksRead)
	for _, method := range []string{"GET", "HEAD"} {
		got := a.call(t, method, "/v1/api_keys/"+taskID, "")
		if got.Code != 500 {
			t.Errorf("%s: %d", method, got.Code)
		}
		if method == "GET" {
			wantProblem(t, got, 500)
		}
	}
	if !strings.Contains(a.log.String(), "encode the answer") {
		t.Errorf("%s", a.log)
	}
}

func TestWithoutTheDatabaseTheAnswerIs503(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.keys.FindFunc = func() error { return &billing.Error{Code: billing.CodeUnavailable, Err: errors.New(canary)} }
	key := a.keyFor(nil, billing.ScopeAdmin)
	for range 50 { // nothing wrong was presented, so nobody has to wait
		got := a.with(t, key, "GET", "/v1/tasks", "")
		if wantProblem(t, got, 503); got.Header().Get("Retry-After") == "" || strings.Contains(got.Body.String(), canary) {
			t.Fatalf("%v %s", got.Header(), got.Body)
		}
	}
	wantStatus(t, a.call(t, "GET", "/v1/tasks", ""), 200) // the admin key needs no database
	a.keys.FindFunc = nil
	wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
}

func TestUsesAreWrittenBesideTheRequests(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.UseInterval = 20 * time.Millisecond })
	failed := make(chan struct{})
	var once sync.Once
	a.keys.UseFunc = func() (err error) {
		once.Do(func() {
			close(failed)
			err = errors.New("down")
		})
		return err
	}
	key := a.keyFor(nil, billing.ScopeTasksRead)
	for range 100 {
		wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
	}
	server := start(t, a)
	<-failed
	for began := time.Now(); ; {
		a.keys.mu.Lock()
		used := len(a.keys.used)
		a.keys.mu.Unlock()
		if used == 1 { // a hundred requests, one record, and not lost by the failure
			break
		}
		if time.Since(began) > patience || used > 1 {
			t.Fatalf("%d records", used)
		}
	}
	wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
	server.stop()
	if err := server.wait(t); err != nil {
		t.Error(err)
	}
	if len(a.keys.used) < 2 || a.keys.used[1].ID != taskID {
		t.Errorf("what was used last is not recorded at the end: %v", a.keys.used)
	}
}

func TestAKeyIsShownOnceAndNeverLogged(t *testing.T) {
	t.Parallel()
	a := newAPI()
	created := a.call(t, "POST", "/v1/api_keys", `{"name":"shop","scopes":["tasks:read"]}`)
	wantStatus(t, created, 201)
	answer := decode[map[string]any](t, created)
	key, _ := answer["key"].(string)
	id, _ := answer["id"].(string)
	if !httpapi.IsKeyText(key) || answer["hint"] != key[:12] || created.Header().Get("Location") != "/v1/api_keys/"+id {
		t.Fatalf("%v", answer)
	}
	rotated := decode[map[string]any](t, a.call(t, "POST", "/v1/api_keys/"+id+"/rotate", ""))
	next, _ := rotated["key"].(string)
	if !httpapi.IsKeyText(next) || next == key {
		t.Fatalf("%v", rotated)
	}
	wantStatus(t, a.with(t, key, "GET", "/v1/tasks", ""), 200)
	wantStatus(t, a.with(t, next, "GET", "/v1/tasks", ""), 200)
	for _, got := range []*httptest.ResponseRecorder{
		a.call(t, "GET", "/v1/api_keys/"+id, ""), a.call(t, "POST", "/v1/api_keys/"+id+"/revoke", ""), a.call(t, "GET", "/v1/api_keys", ""),
	} {
		if wantStatus(t, got, 200); strings.Contains(got.Body.String(), key[12:]) || strings.Contains(got.Body.String(), `"key"`) {
			t.Errorf("shown again: %s", got.Body)
		}
	}
	if log := a.log.String(); strings.Contains(log, key[12:]) || strings.Contains(log, next[12:]) {
		t.Error("logged")
	}
}

func TestAKeyIsAskedForInTheRightForm(t *testing.T) {
	t.Parallel()
	a := newAPI()
	for body, want := range map[string]string{
		`{}`: "/name required, /scopes required",
		`{"name":"a\nb","scopes":["tasks:read"]}`:                                "/name bad_character",
		`{"name":"a","scopes":[]}`:                                               "/scopes bad_length",
		`{"name":"a","scopes":"admin"}`:                                          "/scopes wrong_type",
		`{"name":"a","scopes":["canary"]}`:                                       "/scopes/0 unknown_value",
		`{"name":"a","scopes":["admin","admin"]}`:                                "/scopes/1 duplicate_field",
		`{"name":"a","scopes":["admin"],"key":""}`:                               "/key unknown_field",
		`{"name":"a","scopes":["admin"],"merchant_id":"` + merchantID + `"}`:     "/scopes unfit_scope",
		`{"name":"a","scopes":["tasks:read"],"merchant_id":"canary"}`:            "/merchant_id bad_format",
		`{"name":"a","scopes":["tasks:read"],"expires_at":"tomorrow"}`:           "/expires_at bad_format",
		`{"name":"a","scopes":["tasks:read"],"expires_at":"2030-01-01T00:00Z"} `: "/expires_at bad_format",
	} {
		p := wantProblem(t, a.call(t, "POST", "/v1/api_keys", body), 422)
		if p.pointers() != want {
			t.Errorf("%s: %s, want %s", body, p.pointers(), want)
		}
	}
	if p := wantProblem(t, a.call(t, "POST", "/v1/api_keys/"+taskID+"/rotate", `{"old_valid_until":"x","overlap":"1h"}`), 422); p.pointers() != "/old_valid_until bad_format, /overlap unknown_field" {
		t.Error(p.pointers())
	}
	for _, path := range []string{"/v1/api_keys/17", "/v1/api_keys/" + merchantID} {
		wantProblem(t, a.call(t, "GET", path, ""), 404)
	}
	p := wantProblem(t, a.call(t, "GET", "/v1/audit?action=canary&from=x&limit=0&cursor=x&object=%20", ""), 422)
	if want := "?limit out_of_range, ?cursor bad_format, ?object bad_format, ?from bad_format, ?action unknown_value"; p.pointers() != want {
		t.Errorf("%s", p.pointers())
	}
	wantStatus(t, a.call(t, "GET", "/v1/audit?action=task.cancel&actor=ADMIN_API_KEY&to=2030-01-01T00:00:00Z&object="+strings.ToUpper(taskID), ""), 200)
	want := billing.AuditFilter{Object: taskID, Actor: billing.ActorAdmin, Action: billing.ActionTaskCancel, To: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	if len(a.keys.filters) != 1 || a.keys.filters[0] != want {
		t.Errorf("%+v", a.keys.filters)
	}
}

func TestAKeyWorksWithoutAnAdminKey(t *testing.T) {
	t.Parallel()
	a := newAPI(func(deps *httpapi.Deps, _ *httpapi.Config) { deps.AdminKey = secret.Text{} })
	wantStatus(t, a.with(t, a.keyFor(nil, billing.ScopeTasksRead), "GET", "/v1/tasks", ""), 200)
}
