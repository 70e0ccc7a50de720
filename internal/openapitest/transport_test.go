package openapitest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"billonce/internal/openapitest"
)

// TestWhatIsCheckedIsPassedOn: the one who asked gets the answer that was judged, to its end.
func TestWhatIsCheckedIsPassedOn(t *testing.T) {
	t.Parallel()
	const body = `{"type":"urn:billonce:problem:not_found","title":"Not found","status":404,"detail":"no such task","code":"not_found","request_id":"a"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("X-Request-Id", "a")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/tasks/0192f5a0-7b1c-7def-8a2b-0123456789ab", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := openapitest.Transport{}.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != body {
		t.Errorf("passed on: %q, %v", got, err)
	}
}
