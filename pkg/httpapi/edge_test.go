package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/internal/openapitest"
	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
)

func TestEveryCodeHasOneAnswer(t *testing.T) {
	t.Parallel()
	want := map[billing.Code]int{
		billing.CodeInvalid: 422, billing.CodeMalformed: 400, billing.CodeTooLarge: 413, billing.CodeUnsupportedType: 415,
		billing.CodeUnauthenticated: 401, billing.CodeForbidden: 403, billing.CodeNotFound: 404, billing.CodeMethod: 405,
		billing.CodeConflict: 409, billing.CodeKeyReused: 422, billing.CodeKeyInProgress: 409, billing.CodeKeyRequired: 400,
		billing.CodeLeaseLost: 409, billing.CodeIntentTaken: 409, billing.CodeTokenUnreadable: 500, billing.CodeUnavailable: 503, billing.CodeInternal: 500,
		billing.CodeRateLimited: 429,
	}
	titles := map[string]billing.Code{}
	for _, code := range billing.Codes() {
		status, known := want[code]
		if !known {
			t.Errorf("%s is answered by nothing that this test knows", code)
			continue
		}
		a := newAPI()
		a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) {
			return billing.Task{}, fmt.Errorf("get: %w", &billing.Error{Code: code, Err: errors.New(canary)})
		}
		_, got := a.send(t, "GET", "/v1/tasks/"+taskID, "")
		p := wantProblem(t, got, status)
		if p.Code != string(code) || p.Type != "urn:billonce:problem:"+string(code) || strings.Contains(got.Body.String(), canary) {
			t.Errorf("%s: %s", code, got.Body)
		}
		if logged := strings.Count(a.log.String(), canary); (status >= 500) != (logged == 1) {
			t.Errorf("%s: the cause is logged %d times", code, logged)
		}
		if before, twice := titles[p.Title]; twice && status != 500 {
			t.Errorf("%s and %s share a title", code, before)
		}
		titles[p.Title] = code
	}
}

func TestErrorsThatAreNotOursAreFixedSentences(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err    error
		status int
	}{
		"unknown":        {errors.New("pq: password authentication failed for " + canary), 500},
		"internal":       {&billing.Error{Code: billing.CodeInternal, Message: canary}, 500},
		"unavailable":    {&billing.Error{Code: billing.CodeUnavailable, Message: canary, Err: io.EOF}, 503},
		"deadline":       {fmt.Errorf("query: %w", context.DeadlineExceeded), 503},
		"made by echo":   {echo.NewHTTPError(http.StatusTeapot, canary), 400},
		"echo's own 500": {echo.NewHTTPError(http.StatusBadGateway, canary), 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI()
			a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) { return billing.Task{}, tc.err }
			got := a.call(t, "GET", "/v1/tasks/"+taskID, "", "X-Request-Id: find-me")
			wantProblem(t, got, tc.status)
			if strings.Contains(got.Body.String(), canary) {
				t.Errorf("the cause is shown: %s", got.Body)
			}
			if (got.Header().Get("Retry-After") != "") != (tc.status == 503) {
				t.Errorf("Retry-After %q", got.Header().Get("Retry-After"))
			}
			if tc.status >= 500 && !regexp.MustCompile(`"request failed","request_id":"find-me"`).MatchString(a.log.String()) {
				t.Errorf("not logged under its id: %s", a.log)
			}
		})
	}
}

func TestAPanicIsA500AndLogged(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) { panic("at the disco") }
	got := a.call(t, "GET", "/v1/tasks/"+taskID, "")
	wantProblem(t, got, 500)
	if strings.Contains(got.Body.String()+a.log.String(), "disco") || !strings.Contains(a.log.String(), `"panic":"string"`) {
		t.Errorf("shown or not logged: %s\n%s", got.Body, a.log)
	}
	if n := len(regexp.MustCompile(`goroutine \d+ \[`).FindAllString(a.log.String(), -1)); n != 1 {
		t.Error("the stack of another goroutine is logged too")
	}
	if strings.Join(a.metrics.requests, ",") != "GET /v1/tasks/{id} 500" {
		t.Errorf("measured %v", a.metrics.requests)
	}
}

func TestAPanicOfTheRuntimeSaysWhatItWas(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) { return *(*billing.Task)(nil), nil } //nolint:govet // it is to panic
	wantProblem(t, a.call(t, "GET", "/v1/tasks/"+taskID, ""), 500)
	if !strings.Contains(a.log.String(), "nil pointer dereference") {
		t.Error(a.log)
	}
}

func TestARequestIDThatLooksLikeACredentialIsReplaced(t *testing.T) {
	t.Parallel()
	a := newAPI()
	got := a.call(t, "GET", "/v1/tasks/"+taskID, "", "X-Request-Id: sk_live_canary1234567890")
	if id := got.Header().Get("X-Request-Id"); id == "" || strings.Contains(id+a.log.String(), "canary") {
		t.Errorf("%q\n%s", id, a.log)
	}
}

func TestAnAbortedHandlerIsNotAnswered(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) { panic(http.ErrAbortHandler) }
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // a recovered value
			t.Error("http.ErrAbortHandler did not reach net/http")
		}
	}()
	a.call(t, "GET", "/v1/tasks/"+taskID, "")
}

func TestOnlyTheAdminKeyOpens(t *testing.T) {
	t.Parallel()
	routes := []string{
		"GET /v1/tasks", "POST /v1/tasks", "POST /v1/tasks/batch", "GET /v1/merchants", "DELETE /v1/merchants/" + merchantID,
		"HEAD /v1/tasks", "POST /v1/tasks/" + taskID + "/cancel", "GET /v1/tasks/" + taskID + "/attempts",
	}
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + adminKey, adminKey, "Bearer " + adminKey + "x", "Bearer " + strings.ToUpper(adminKey)} {
		for _, route := range routes {
			a := newAPI()
			method, path, _ := strings.Cut(route, " ")
			got := a.call(t, method, path, "", "Authorization: "+authorization)
			if got.Code != 401 || got.Header().Get("WWW-Authenticate") != "Bearer" || a.writes() != 0 {
				t.Errorf("%s with %q: %d", route, authorization, got.Code)
			}
		}
	}
	wantStatus(t, newAPI().call(t, "GET", "/v1/tasks", "", "Authorization: bearer  "+adminKey), 200)
}

func TestWithoutAnAdminKeyNobodyGetsIn(t *testing.T) {
	t.Parallel()
	a := newAPI(func(deps *httpapi.Deps, _ *httpapi.Config) { deps.AdminKey = secret.Text{} })
	for _, authorization := range []string{"Authorization: Bearer ", "Authorization: Bearer x", "Authorization: "} {
		wantProblem(t, a.call(t, "GET", "/v1/tasks", "", authorization), 401)
	}
	wantStatus(t, a.call(t, "GET", "/livez", "", "Authorization: "), 200)
}

func TestTwoAuthorizationsAreNone(t *testing.T) {
	t.Parallel()
	a := newAPI()
	request := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/tasks", nil)
	request.Header["Authorization"] = []string{"Bearer " + adminKey, "Bearer " + adminKey}
	got := httptest.NewRecorder()
	a.Handler().ServeHTTP(got, request)
	wantProblem(t, got, 401)
}

func TestTheRouterAnswersInProblems(t *testing.T) {
	t.Parallel()
	a := newAPI()
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/v1/tasks/", "/v1/tasks/a/b/c", "/v1/tasks/batch", "/v1/tasks/%2e%2e", "/v1/tasks/" + taskID + "%00", "//v1/tasks"} {
		wantProblem(t, a.call(t, "GET", path, ""), 404)
	}
	got := a.call(t, "PUT", "/v1/tasks", "{}")
	wantProblem(t, got, 405)
	for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
		if !strings.Contains(got.Header().Get("Allow"), method) {
			t.Errorf("Allow %q lacks %s", got.Header().Get("Allow"), method)
		}
	}
	if got := a.call(t, "OPTIONS", "/v1/tasks", "", "Authorization: "); got.Code != 204 || got.Body.Len() != 0 || got.Header().Get("Allow") == "" {
		t.Errorf("OPTIONS: %d %v", got.Code, got.Header())
	}
	for _, request := range []string{"HEAD /v1/tasks", "HEAD /v1/tasks/17", "HEAD /livez"} {
		method, path, _ := strings.Cut(request, " ")
		if got := a.call(t, method, path, ""); got.Body.Len() != 0 || got.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %q", request, got.Code, got.Body)
		}
	}
}

func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.call(t, "GET", "/v1/tasks/"+taskID, "")
	a.call(t, "GET", "/"+canary, "")
	a.call(t, "PUT", "/v1/tasks/"+canary, "")
	a.call(t, "C4N4RY", "/v1/tasks", "")
	a.call(t, "GET", "/v1/tasks/"+canary+"/attempts/more", "")
	want := "GET /v1/tasks/{id} 200, GET unmatched 404, PUT /v1/tasks/{id} 405, OTHER /v1/tasks 405, GET unmatched 404"
	if got := strings.Join(a.metrics.requests, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRequestIDsAreAcceptedOnlyWhenHarmless(t *testing.T) {
	t.Parallel()
	a := newAPI()
	made := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f-]{27}$`)
	for given, kept := range map[string]bool{
		"abc-1.2_3": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a b": false, "4242424242424242": true, "378282246310005": true, "a\"b": false, "<x>": false, "ä": false,
	} {
		for _, path := range []string{"/livez", "/v1/tasks", "/nothing"} {
			got := a.call(t, "GET", path, "", "X-Request-Id: "+given).Header().Get("X-Request-Id")
			if kept && got != given || !kept && !made.MatchString(got) {
				t.Errorf("%s with %q is known as %q", path, given, got)
			}
		}
	}
}

func TestEveryAnswerForbidsStoringAndSniffing(t *testing.T) {
	t.Parallel()
	a := newAPI()
	for _, path := range []string{"/livez", "/v1/tasks", "/nothing", "/v1/tasks?x=1"} {
		header := a.call(t, "GET", path, "").Header()
		if header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestForwardedHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.call(t, "GET", "/v1/tasks", "", "X-Forwarded-For: 6.6.6.6", "X-Real-Ip: 6.6.6.6", "X-Http-Method-Override: DELETE")
	if strings.Contains(a.log.String(), "6.6.6.6") || !strings.Contains(a.log.String(), `"peer":"192.0.2.1"`) {
		t.Errorf("log: %s", a.log)
	}
}

func TestTheAccessLogTellsTheRequestAndNoMore(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.call(t, "GET", "/v1/tasks?target="+canary, "", "X-Request-Id: r-9")
	var line struct {
		Msg, Method, Route, Peer string
		RequestID                string `json:"request_id"`
		Status                   int
		DurationMS               *float64 `json:"duration_ms"`
	}
	if err := json.Unmarshal([]byte(a.log.String()), &line); err != nil {
		t.Fatalf("%v: %s", err, a.log)
	}
	if line.Msg != "http request" || line.Method != "GET" || line.Route != "/v1/tasks" || line.RequestID != "r-9" || line.Status != 200 || line.DurationMS == nil {
		t.Errorf("%+v", line)
	}
	if strings.Contains(a.log.String(), canary) || strings.Contains(a.log.String(), adminKey) {
		t.Errorf("log: %s", a.log)
	}
}

func TestHealthSaysNoDetails(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.health.ReadyFunc = func(context.Context) error { return errors.New("dial " + canary) }
	for path, status := range map[string]int{"/livez": 200, "/healthz": 200, "/readyz": 503} {
		got := a.call(t, "GET", path+"?verbose=1", "", "Authorization: ")
		if got.Code != status || strings.Contains(got.Body.String(), canary) {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	if !strings.Contains(a.log.String(), canary) {
		t.Error("why it is not ready is not logged")
	}
	for range 100 {
		a.call(t, "GET", "/readyz", "")
	}
	if n := a.health.calls.Load(); n > 3 {
		t.Errorf("100 askers made %d checks", n)
	}
}

func TestARequestHasATimeLimit(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.RequestTimeout = 20 * time.Millisecond })
	a.tasks.GetFunc = func(ctx context.Context, _ billing.TaskID) (billing.Task, error) {
		<-ctx.Done()
		return billing.Task{}, ctx.Err()
	}
	if p := wantProblem(t, a.call(t, "GET", "/v1/tasks/"+taskID, ""), 503); p.Code != "unavailable" {
		t.Errorf("%+v", p)
	}
}

func TestBatchesWaitForASlot(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) {
		config.BatchSlots, config.BatchTimeout = 1, time.Second
	})
	inside, leave := make(chan struct{}), make(chan struct{})
	a.tasks.CreateFunc = func(_ context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
		close(inside)
		<-leave
		return []billing.CreatedTask{{Task: taskOf(tasks[0])}}, nil
	}
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+payTask("")+`]}`) }()
	<-inside
	wantProblem(t, a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+payTask("")+`]}`), 503)
	close(leave)
	wantStatus(t, <-first, 201)
	if a.writes() != 1 {
		t.Errorf("%d writes", a.writes())
	}
}

// TestEchoTrapsAreClosed sends over a real connection what only a real connection can carry.
func TestEchoTrapsAreClosed(t *testing.T) {
	t.Parallel()
	a := newAPI()
	server := serve(t, a.Handler())
	send := func(t *testing.T, body io.Reader, headers ...string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/v1/tasks", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+adminKey)
		request.Header.Set("Content-Type", "application/json")
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			request.Header.Set(name, value)
		}
		response, err := (&http.Client{Transport: openapitest.Transport{Base: server.Client().Transport}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(text)
	}
	t.Run("an over-long body without a length is cut at the limit", func(t *testing.T) {
		response, text := send(t, io.MultiReader(strings.NewReader(`{"merchant_id":"`), bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20))))
		if response.StatusCode != 413 || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %s", response.StatusCode, text)
		}
	})
	t.Run("a chunked empty body is not a zero value", func(t *testing.T) {
		response, text := send(t, io.MultiReader(strings.NewReader("")))
		if response.StatusCode != 400 {
			t.Errorf("%d %s", response.StatusCode, text)
		}
	})
	t.Run("a compressed bomb is not inflated", func(t *testing.T) {
		response, _ := send(t, strings.NewReader("\x1f\x8b"), "Content-Encoding: gzip")
		if response.StatusCode != 415 {
			t.Errorf("%d", response.StatusCode)
		}
	})
	t.Run("a chunked body within the limit is read", func(t *testing.T) {
		response, text := send(t, io.MultiReader(strings.NewReader(payTask(""))))
		if response.StatusCode != 201 {
			t.Errorf("%d %s", response.StatusCode, text)
		}
	})
	if a.writes() != 1 {
		t.Errorf("%d writes", a.writes())
	}
}
