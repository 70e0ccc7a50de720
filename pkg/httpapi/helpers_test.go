package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"billonce/internal/openapitest"
	"billonce/internal/programtest"
	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
)

const (
	adminKey   = "test-admin-key-3f9c"
	merchantID = "0192f5a0-7b1c-7def-8a2b-0123456789ab"
	taskID     = "0192f5a0-7b1c-7def-8a2b-aaaaaaaaaaaa"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

type fakeMerchants struct {
	writes     atomic.Int64
	mu         sync.Mutex
	created    []billing.NewMerchant
	changes    []billing.MerchantChange
	livemode   bool
	CreateFunc func(billing.NewMerchant) (billing.Merchant, error)
	ListFunc   func(billing.MerchantFilter, int, billing.MerchantID) ([]billing.Merchant, error)
}

func (f *fakeMerchants) merchant(id billing.MerchantID) billing.Merchant {
	return billing.Merchant{
		ID: id, Name: "Acme", StripeConnectID: "acct_1", Livemode: f.livemode, Status: billing.MerchantActive,
		HasAccessToken: true, AccessToken: secret.New("sk_test_never_shown"), CreatedAt: noon, UpdatedAt: noon,
	}
}

func (f *fakeMerchants) CreateMerchant(_ context.Context, m billing.NewMerchant) (billing.Merchant, error) {
	f.writes.Add(1)
	if f.CreateFunc != nil {
		return f.CreateFunc(m)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.created = append(f.created, m)
	return billing.Merchant{
		ID: m.ID, Name: m.Name, StripeConnectID: m.StripeConnectID, Livemode: m.Livemode,
		Status: billing.MerchantActive, HasAccessToken: !m.AccessToken.Empty(), HasRefreshToken: !m.RefreshToken.Empty(),
		AccessToken: m.AccessToken, CreatedAt: noon, UpdatedAt: noon,
	}, nil
}

func (f *fakeMerchants) UpdateMerchant(_ context.Context, id billing.MerchantID, change billing.MerchantChange) (billing.Merchant, error) {
	f.writes.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, change)
	return f.merchant(id), nil
}

func (f *fakeMerchants) ViewMerchant(_ context.Context, id billing.MerchantID) (billing.Merchant, error) {
	return f.merchant(id), nil
}

func (f *fakeMerchants) ListMerchants(_ context.Context, filter billing.MerchantFilter, limit int, after billing.MerchantID) ([]billing.Merchant, error) {
	if f.ListFunc != nil {
		return f.ListFunc(filter, limit, after)
	}
	return []billing.Merchant{f.merchant(merchantID)}, nil
}

func (f *fakeMerchants) DisconnectMerchant(_ context.Context, id billing.MerchantID) (billing.Merchant, error) {
	f.writes.Add(1)
	m := f.merchant(id)
	m.Status, m.HasAccessToken = billing.MerchantDisconnected, false
	return m, nil
}

func (f *fakeMerchants) PauseMerchant(_ context.Context, id billing.MerchantID, reason billing.PauseReason, _ string) (billing.Merchant, error) {
	f.writes.Add(1)
	m := f.merchant(id)
	m.Status, m.PauseReason = billing.MerchantPaused, reason
	return m, nil
}

func (f *fakeMerchants) ResumeMerchant(_ context.Context, id billing.MerchantID) (billing.Merchant, error) {
	f.writes.Add(1)
	return f.merchant(id), nil
}

// fakeFreezer refuses a missing target and a parameter called "wrong", as the gateway would.
type fakeFreezer struct{}

func (fakeFreezer) Freeze(id billing.TaskID, kind billing.Kind, target string, params json.RawMessage) (billing.Request, error) {
	var faults []billing.Fault
	if kind.Creates() != (target == "") {
		faults = append(faults, billing.Fault{Pointer: "/target", Code: "required", Detail: "is required for this kind"})
	}
	if bytes.Contains(params, []byte(`"wrong"`)) {
		faults = append(faults, billing.Fault{Pointer: "/params/wrong", Code: "unknown_parameter", Detail: "is no parameter of this call"})
	}
	if faults != nil {
		return billing.Request{}, fmt.Errorf("freeze: %w", &billing.Error{Code: billing.CodeInvalid, Faults: faults})
	}
	return billing.Request{Method: "POST", Path: "/v1/x", Body: "metadata[billonce_task_id]=" + string(id)}, nil
}

// fakeStanding counts how often it is read.
type fakeStanding struct {
	reads        atomic.Int64
	OverviewFunc func(context.Context, billing.MerchantID) (billing.Overview, error)
	keys         []billing.EncryptionKey
	workers      []billing.WorkerStanding
}

func (f *fakeStanding) Overview(ctx context.Context, merchant billing.MerchantID) (billing.Overview, error) {
	f.reads.Add(1)
	if f.OverviewFunc != nil {
		return f.OverviewFunc(ctx, merchant)
	}
	return billing.Overview{Now: noon, Workers: &billing.WorkerTotals{}, Keys: &billing.KeyState{}}, nil
}

func (f *fakeStanding) ListWorkers(context.Context, int) ([]billing.WorkerStanding, error) {
	return f.workers, nil
}

func (f *fakeStanding) EncryptionKeys(context.Context) ([]billing.EncryptionKey, error) {
	f.reads.Add(1)
	return f.keys, nil
}

type fakeHealth struct {
	calls     atomic.Int64
	ReadyFunc func(context.Context) error
}

func (f *fakeHealth) Ready(ctx context.Context) error {
	f.calls.Add(1)
	if f.ReadyFunc != nil {
		return f.ReadyFunc(ctx)
	}
	return nil
}

type fakeMetrics struct {
	mu        sync.Mutex
	requests  []string
	took      []time.Duration
	scheduled map[billing.Kind]int
	refused   []string
	streams   int
	ended     []string
}

func (f *fakeMetrics) KeyRefused(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, reason)
}

func (f *fakeMetrics) EventStreams(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.streams = n
}

func (f *fakeMetrics) EventStreamEnded(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = append(f.ended, why)
}

func (f *fakeMetrics) RequestDone(method, route string, status int, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.took = append(f.took, took)
	f.requests = append(f.requests, fmt.Sprintf("%s %s %d", method, route, status))
}

func (f *fakeMetrics) TasksScheduled(kind billing.Kind, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scheduled[kind] += n
}

// api is a server with all its fakes at hand.
type api struct {
	*httpapi.Server
	tasks     *fakeTasks
	merchants *fakeMerchants
	keys      *fakeKeys
	standing  *fakeStanding
	health    *fakeHealth
	metrics   *fakeMetrics
	log       *programtest.Buffer
}

func newAPI(change ...func(*httpapi.Deps, *httpapi.Config)) *api {
	a := &api{
		tasks: &fakeTasks{}, merchants: &fakeMerchants{}, keys: &fakeKeys{}, standing: &fakeStanding{}, health: &fakeHealth{},
		metrics: &fakeMetrics{scheduled: map[billing.Kind]int{}}, log: &programtest.Buffer{},
	}
	deps := httpapi.Deps{
		Merchants: a.merchants, Tasks: a.tasks, Standing: a.standing, Keys: a.keys, Audit: a.keys, Freezer: fakeFreezer{}, Health: a.health, Metrics: a.metrics,
		Log:      slog.New(slog.NewJSONHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		AdminKey: secret.New(adminKey),
	}
	config := httpapi.Config{}
	for _, apply := range change {
		apply(&deps, &config)
	}
	a.Server = httpapi.New(deps, config)
	return a
}

func (a *api) writes() int64 { return a.tasks.writes.Load() + a.merchants.writes.Load() }

// call sends one request with the admin key, and holds it and its answer against openapi.yaml. headers are "Name: value"; an empty value removes what is there by default.
func (a *api) call(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	request, recorder := a.send(t, method, path, body, headers...)
	openapitest.CheckRecorded(t, request, body, recorder)
	return recorder
}

// send is call for answers that no route can give, but which the fakes bring about.
func (a *api) send(t *testing.T, method, path, body string, headers ...string) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request := httptest.NewRequestWithContext(t.Context(), method, path, reader)
	request.Header.Set("Authorization", "Bearer "+adminKey)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if value == "" {
			request.Header.Del(name)
		} else {
			request.Header.Set(name, value)
		}
	}
	recorder := httptest.NewRecorder()
	a.Handler().ServeHTTP(recorder, request)
	return request, recorder
}

// within sends a request under a context, and returns the status of its answer.
func (a *api) within(ctx context.Context, t *testing.T, path string) int {
	t.Helper()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+adminKey)
	recorder := httptest.NewRecorder()
	a.Handler().ServeHTTP(recorder, request)
	return recorder.Code
}

type fault struct{ Pointer, Query, Code, Detail string }

type problem struct {
	Type, Title, Detail, Code string
	Status                    int
	RequestID                 string `json:"request_id"`
	Errors                    []fault
}

// wantProblem checks that an answer is a whole problem document with the given status, and returns it.
func wantProblem(t *testing.T, got *httptest.ResponseRecorder, status int) problem {
	t.Helper()
	if got.Code != status {
		t.Fatalf("status %d, want %d: %s", got.Code, status, got.Body)
	}
	if mediaType := got.Header().Get("Content-Type"); mediaType != "application/problem+json" {
		t.Fatalf("Content-Type %q: %s", mediaType, got.Body)
	}
	var p problem
	decoder := json.NewDecoder(bytes.NewReader(got.Body.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	if p.Status != status || p.Type == "" || p.Title == "" || p.Detail == "" || p.Code == "" || p.RequestID != got.Header().Get("X-Request-Id") || p.RequestID == "" {
		t.Fatalf("an incomplete problem: %s", got.Body)
	}
	return p
}

func (p problem) pointers() string {
	var pointers []string
	for _, fault := range p.Errors {
		if fault.Query != "" {
			pointers = append(pointers, "?"+fault.Query+" "+fault.Code)
			continue
		}
		pointers = append(pointers, fault.Pointer+" "+fault.Code)
	}
	return strings.Join(pointers, ", ")
}

func wantStatus(t *testing.T, got *httptest.ResponseRecorder, status int) {
	t.Helper()
	if got.Code != status {
		t.Fatalf("status %d, want %d: %s", got.Code, status, got.Body)
	}
	if mediaType := got.Header().Get("Content-Type"); mediaType != "application/json" {
		t.Fatalf("Content-Type %q", mediaType)
	}
}

func decode[T any](t *testing.T, got *httptest.ResponseRecorder) T {
	t.Helper()
	var into T
	if err := json.Unmarshal(got.Body.Bytes(), &into); err != nil {
		t.Fatalf("%v: %s", err, got.Body)
	}
	return into
}

func serve(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}
