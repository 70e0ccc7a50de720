package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"billonce/pkg/billing"
	"billonce/pkg/console"
	"billonce/pkg/secret"
)

const (
	taskID     = "019a0c3e-6c80-7d52-8e30-7b2f1a5c8b01"
	nextTaskID = "019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02"
	merchantID = "019a0c3e-5b70-7c41-9d2f-6a1e0f4b7a01"
	keyID      = "019a0c3e-4a60-7b30-8c1e-5f0d9e3a6e02"
	adminKey   = "bo_admin_0123456789abcdef"
	apiKey     = "bo_live_0123456789abcdefghij"
	updatedAt  = "2026-03-01T12:00:00.123456Z"
)

type object = map[string]any

// world is a console before an API that answers as it is told.
type world struct {
	t        *testing.T
	api      *fakeAPI
	sessions *fakeSessions
	log      *bytes.Buffer
	*console.Console
}

func newWorld(t *testing.T, change ...func(*console.Deps)) *world {
	t.Helper()
	w := &world{t: t, api: newFakeAPI(), sessions: &fakeSessions{kept: map[[32]byte]billing.Session{}}, log: &bytes.Buffer{}}
	deps := console.Deps{
		API: w.api, As: as, Sessions: w.sessions, AdminKey: secret.New(adminKey), Version: "v1.2.3",
		Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	for _, one := range change {
		one(&deps)
	}
	w.Console = console.New(deps)
	return w
}

type asKey struct{}

// as puts the session's key where the fake API finds it.
func as(ctx context.Context, session billing.Session) context.Context {
	return context.WithValue(ctx, asKey{}, session.Actor())
}

// fakeSessions keeps sessions in memory.
type fakeSessions struct {
	mu   sync.Mutex
	kept map[[32]byte]billing.Session
	down error
	hang bool     // until whoever asks gives up
	told []string // who has signed in and out

	reads, uses atomic.Int64
}

func (f *fakeSessions) OpenSession(ctx context.Context, hash [32]byte, session billing.Session) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	actor, _ := billing.ActorOf(ctx)
	f.kept[hash], f.told = session, append(f.told, "open by "+actor.ID+" from "+actor.Address)
	return f.down
}

func (f *fakeSessions) FindSession(ctx context.Context, hash [32]byte) (billing.Session, error) {
	f.reads.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hang {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return billing.Session{}, ctx.Err()
	}
	if f.down != nil {
		return billing.Session{}, f.down
	}
	session, ok := f.kept[hash]
	if !ok {
		return session, &billing.Error{Code: billing.CodeNotFound}
	}
	return session, nil
}

// UseSession finds a session, and counts that.
func (f *fakeSessions) UseSession(ctx context.Context, hash [32]byte) (billing.Session, error) {
	f.uses.Add(1)
	return f.FindSession(ctx, hash)
}

func (f *fakeSessions) CloseSession(ctx context.Context, hash [32]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	actor, _ := billing.ActorOf(ctx)
	delete(f.kept, hash)
	f.told = append(f.told, "close by "+actor.ID)
	return f.down
}

func (f *fakeSessions) stall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hang = true
}

func (f *fakeSessions) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

// fakeAPI answers calls by their method and path. What a test changes, it changes before it asks.
type fakeAPI struct {
	mu      sync.Mutex
	answers map[string]any // a document, a problem, or what makes one of a call
	calls   []call
	keys    map[string]object // bearer keys, by their text, and sessions, by their actor
	stream  io.ReadCloser     // of events
}

type call struct {
	Name string // "POST /v1/tasks/…"
	URL  *url.URL
	Body object
}

type problem struct {
	Status int
	Code   billing.Code
	Detail string
	Errors []object
}

func newFakeAPI() *fakeAPI {
	f := &fakeAPI{answers: sampleAnswers(), keys: map[string]object{}}
	admin := object{"id": nil, "name": "ADMIN_API_KEY", "scopes": []string{"admin"}, "merchant_id": nil, "expires_at": nil}
	f.keys[adminKey], f.keys[billing.ActorAdmin] = admin, admin
	return f
}

// key makes a key with scopes, for one merchant if one is named.
func (f *fakeAPI) key(merchant any, scopes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	me := object{"id": keyID, "name": "the night shift", "scopes": scopes, "merchant_id": merchant, "expires_at": "2036-01-01T00:00:00Z"}
	f.keys[apiKey], f.keys[keyID] = me, me
}

func (f *fakeAPI) set(name string, answer any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[name] = answer
}

// asked returns the calls of a name.
func (f *fakeAPI) asked(name string) []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []call
	for _, one := range f.calls {
		if one.Name == name {
			found = append(found, one)
		}
	}
	return found
}

func (f *fakeAPI) RoundTrip(request *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := request.Method + " " + request.URL.Path
	made := call{Name: name, URL: request.URL}
	if request.Body != nil {
		_ = json.NewDecoder(request.Body).Decode(&made.Body)
		_ = request.Body.Close()
	}
	f.calls = append(f.calls, made)
	who, _ := request.Context().Value(asKey{}).(string)
	if bearer, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer "); ok {
		who = bearer
	}
	me, known := f.keys[who]
	if !known {
		return respond(request, problem{Status: 401, Code: billing.CodeUnauthenticated}), nil
	}
	if name == "GET /v1/events" && f.stream != nil {
		context.AfterFunc(request.Context(), func() { _ = f.stream.Close() }) // as the API ends when its caller has gone
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: f.stream, Request: request}, nil
	}
	if name == "GET /v1/me" {
		if answer, ok := f.answers[name]; ok {
			return respond(request, answer), nil
		}
		return respond(request, me), nil
	}
	answer, ok := f.answers[name]
	if !ok {
		answer = problem{Status: 404, Code: billing.CodeNotFound, Detail: "nothing here"}
	}
	if made, ok := answer.(func(call) any); ok {
		answer = made(f.calls[len(f.calls)-1])
	}
	return respond(request, answer), nil
}

func respond(request *http.Request, answer any) *http.Response {
	status, media := 200, "application/json"
	if wrong, ok := answer.(problem); ok {
		status, media = wrong.Status, "application/problem+json"
		answer = object{
			"type": "urn:billonce:problem:" + string(wrong.Code), "title": "No", "status": wrong.Status, "detail": wrong.Detail,
			"code": wrong.Code, "request_id": "r", "errors": wrong.Errors,
		}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(bytes.NewReader(body)), Request: request,
		ContentLength: int64(len(body)),
	}
}

// visitor is a browser without scripts.
type visitor struct {
	w      *world
	cookie string
}

// answer is a page as the visitor got it.
type answer struct {
	*http.Response
	body string
	root *html.Node
}

// signIn returns a visitor with a session for the key.
func (w *world) signIn(key string) *visitor {
	w.t.Helper()
	v := &visitor{w: w}
	got := v.post("/sign-in", url.Values{"key": {key}})
	if got.StatusCode != http.StatusSeeOther || len(got.Cookies()) != 1 {
		w.t.Fatalf("signing in: %d %v", got.StatusCode, got.Cookies())
	}
	v.cookie = got.Cookies()[0].Value
	return v
}

func (v *visitor) get(path string, headers ...string) answer {
	v.w.t.Helper()
	return v.send(http.MethodGet, path, nil, headers...)
}

func (v *visitor) post(path string, form url.Values, headers ...string) answer {
	v.w.t.Helper()
	return v.send(http.MethodPost, path, form, headers...)
}

func (v *visitor) send(method, path string, form url.Values, headers ...string) answer {
	v.w.t.Helper()
	return v.sendWhile(v.w.t.Context(), method, path, form, headers...)
}

// sendWhile sends a request for whose answer the visitor waits until the context ends.
func (v *visitor) sendWhile(ctx context.Context, method, path string, form url.Values, headers ...string) answer {
	v.w.t.Helper()
	recorder := httptest.NewRecorder()
	v.w.ServeHTTP(recorder, v.request(ctx, method, path, form, headers...))
	response := recorder.Result()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		v.w.t.Fatal(err)
	}
	_ = response.Body.Close()
	root, err := html.Parse(bytes.NewReader(content))
	if err != nil {
		v.w.t.Fatal(err)
	}
	return answer{response, string(content), root}
}

func (v *visitor) request(ctx context.Context, method, path string, form url.Values, headers ...string) *http.Request {
	request := httptest.NewRequestWithContext(
		billing.WithActor(ctx, billing.Actor{Address: "192.0.2.7", RequestID: "req-1"}), method, path, strings.NewReader(form.Encode()))
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if v.cookie != "" {
		request.AddCookie(&http.Cookie{Name: "__Host-billonce", Value: v.cookie})
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return request
}

// all returns the elements for which is reports true, in the order of the page.
func (a answer) all(is func(*html.Node) bool) []*html.Node {
	var found []*html.Node
	for node := range a.root.Descendants() {
		if node.Type == html.ElementNode && is(node) {
			found = append(found, node)
		}
	}
	return found
}

func (a answer) tags(name string) []*html.Node {
	return a.all(func(n *html.Node) bool { return n.Data == name })
}

// links are the targets of all links, without a place on the page, and of all forms that only ask.
func (a answer) links() []string {
	var found []string
	for _, node := range a.all(func(n *html.Node) bool { return n.Data == "a" || n.Data == "form" && attr(n, "method") == "get" }) {
		target, _, _ := strings.Cut(attr(node, "href")+attr(node, "action"), "#")
		if target != "" {
			found = append(found, target)
		}
	}
	return found
}

// field returns the value of a form's field, "(none)" when there is no such field.
func (a answer) field(name string) string {
	for _, node := range a.all(func(n *html.Node) bool { return n.Data == "input" || n.Data == "textarea" }) {
		if attr(node, "name") == name {
			return attr(node, "value") + words(node)
		}
	}
	return "(none)"
}

func attr(node *html.Node, name string) string {
	for _, one := range node.Attr {
		if one.Key == name {
			return one.Val
		}
	}
	return ""
}

// words is all text below a node, with single spaces.
func words(node *html.Node) string {
	var text strings.Builder
	for one := range node.Descendants() {
		if one.Type == html.TextNode {
			text.WriteString(one.Data + " ")
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}

// says fails the test unless the page's main part has all texts.
func (a answer) says(t *testing.T, texts ...string) {
	t.Helper()
	mains := a.tags("main")
	if len(mains) != 1 {
		t.Fatalf("%d main parts: %.300s", len(mains), a.body)
	}
	said := words(mains[0])
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("the page does not say %q but: %s", text, said)
		}
	}
}

func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339Nano) }
