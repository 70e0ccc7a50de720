package httpapi_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"billonce/pkg/httpapi"
)

// TestRefusalsOfKeysAreCounted, each by its reason and once.
func TestRefusalsOfKeysAreCounted(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, conf *httpapi.Config) { conf.WrongKeys, conf.WrongEvery = 1, time.Hour })
	made := decode[map[string]any](t, a.call(t, "POST", "/v1/api_keys", `{"name":"shop","scopes":["tasks:read"]}`))
	key, _ := made["key"].(string)
	id, _ := made["id"].(string)
	with := func(status int, key string) {
		t.Helper()
		wantProblem(t, a.call(t, "GET", "/v1/merchants", "", "Authorization: "+key), status)
	}
	with(401, "")
	with(403, "Bearer "+key)
	wantStatus(t, a.call(t, "POST", "/v1/api_keys/"+id+"/revoke", ""), 200)
	with(401, "Bearer "+key)
	with(401, "Bearer bo_live_nobody")
	with(429, "Bearer bo_live_nobody")
	if want := []string{"absent", "scope", "inactive", "unknown", "throttled"}; !slices.Equal(a.metrics.refused, want) {
		t.Errorf("counted %v, want %v", a.metrics.refused, want)
	}
}

type spanKey struct{}

// fakeTracer notes the requests that it was told of.
type fakeTracer struct{ begun, ended []string }

func (f *fakeTracer) StartRequest(ctx context.Context, header http.Header, method, requestID string) (context.Context, func(string, int)) {
	f.begun = append(f.begun, method+" "+header.Get("Traceparent")+" "+requestID)
	return context.WithValue(ctx, spanKey{}, "span of "+requestID), func(route string, status int) {
		f.ended = append(f.ended, method+" "+route+" "+http.StatusText(status))
	}
}

func (*fakeTracer) Context(ctx context.Context) string {
	span, _ := ctx.Value(spanKey{}).(string)
	return span
}

// TestRequestsAreFollowed from their headers to the tasks that they schedule, whatever becomes of them; probes are not.
func TestRequestsAreFollowed(t *testing.T) {
	t.Parallel()
	tracer := &fakeTracer{}
	a := newAPI(func(deps *httpapi.Deps, _ *httpapi.Config) { deps.Tracer = tracer })
	const task = `{"merchant_id":"0192f5a0-7b1c-7def-8a2b-ba9876543210","kind":"invoice.pay","target":"in_1"}`
	a.call(t, "POST", "/v1/tasks", task, "X-Request-Id: one", "Traceparent: theirs")
	a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+task+`,`+task+`]}`, "X-Request-Id: two")
	a.call(t, "GET", "/v1/tasks/nonsense", "", "X-Request-Id: three")
	a.call(t, "GET", "/livez", "")
	var scheduled []string
	for _, task := range a.tasks.created {
		scheduled = append(scheduled, task.TraceContext)
	}
	if want := []string{"span of one", "span of two", "span of two"}; !slices.Equal(scheduled, want) {
		t.Errorf("the tasks have %v, want %v", scheduled, want)
	}
	if want := []string{"POST theirs one", "POST  two", "GET  three"}; !slices.Equal(tracer.begun, want) {
		t.Errorf("begun: %v", tracer.begun)
	}
	if want := []string{"POST /v1/tasks Created", "POST /v1/tasks/batch Created", "GET /v1/tasks/{id} Not Found"}; !slices.Equal(tracer.ended, want) {
		t.Errorf("ended: %v", tracer.ended)
	}
	if strings.Contains(a.log.String(), "span of") {
		t.Error("the log shows what is stored of the request")
	}
}
