package openapitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// Transport checks what passes through it. What is not as described comes back as an error of the round trip. Of a stream of events
// only the beginning is judged, and none of it is held back.
type Transport struct {
	Base http.RoundTripper // nil: a transport without proxies
}

var plain = sync.OnceValue(func() http.RoundTripper { return &http.Transport{} })

// RoundTrip implements [http.RoundTripper].
func (t Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = plain()
	}
	exchange := Exchange{Method: request.Method, URL: request.URL, Request: request.Header}
	if request.Body != nil && request.Body != http.NoBody {
		sent, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
		_ = request.Body.Close()
		request = request.Clone(request.Context())
		exchange.Sent, request.Body = sent, io.NopCloser(bytes.NewReader(sent))
	}
	response, err := base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	exchange.Status, exchange.Answer = response.StatusCode, response.Header
	if isStream(response) && request.Method == http.MethodGet {
		if err := Check(exchange); err != nil {
			_ = response.Body.Close()
			return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
		}
		response.Body = newStreamed(response.Body, request.URL.Path)
		return response, nil
	}
	exchange.Got, err = io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(exchange.Got))
	if err := Check(exchange); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return response, nil
}

// Proxy stands in front of the API at target, for callers that are other programs: curl, or billctl as a process. What passes through
// and is not as described fails the test. It returns its own URL.
func Proxy(t testing.TB, target string) string {
	t.Helper()
	address, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Transport: Transport{},
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(address) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, ErrMismatch) {
				t.Error(err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	t.Cleanup(server.Close)
	return server.URL
}

// ErrMismatch is in the chain of an error that is about the description.
var ErrMismatch = errors.New("not as openapi.yaml says")

// CheckRecorded fails the test when what a handler answered is not as described.
func CheckRecorded(t testing.TB, request *http.Request, sent string, got *httptest.ResponseRecorder) {
	t.Helper()
	err := Check(Exchange{
		Method: request.Method, URL: request.URL, Request: request.Header, Sent: []byte(sent),
		Status: got.Code, Answer: got.Result().Header, Got: got.Body.Bytes(),
	})
	if err != nil {
		t.Errorf("%v: %v", ErrMismatch, err)
	}
}
