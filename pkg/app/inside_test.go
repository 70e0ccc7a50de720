package app_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"billonce/pkg/app"
)

// TestCallsStayInside: what a handler writes comes as it is written, and the handler has ended when its answer is closed.
func TestCallsStayInside(t *testing.T) {
	t.Parallel()
	type key struct{}
	ended := make(chan error, 1)
	more := make(chan string)
	transport := app.Inside(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Context().Value(key{}) != "what only this process can say" {
			t.Errorf("%v, %v", err, r.Context().Value(key{}))
		}
		w.Header().Set("X-Told", r.Method+" "+r.RequestURI+" "+string(body))
		w.WriteHeader(http.StatusAccepted)
		w.Header().Set("X-Late", "x")
		control := http.NewResponseController(w)
		for {
			select {
			case line := <-more:
				_, _ = fmt.Fprintln(w, line)
				if err := control.Flush(); err != nil {
					t.Error(err)
				}
			case <-r.Context().Done():
				ended <- r.Context().Err()
				return
			}
		}
	}))
	request, err := http.NewRequestWithContext(context.WithValue(t.Context(), key{}, "what only this process can say"), http.MethodPost, "http://x/a?b=c", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusAccepted || answer.Header.Get("X-Told") != "POST /a?b=c hello" || answer.Header.Get("X-Late") != "" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	lines := bufio.NewScanner(answer.Body)
	for _, line := range []string{"one", "two"} {
		more <- line
		if !lines.Scan() || lines.Text() != line {
			t.Errorf("%q came as %q", line, lines.Text())
		}
	}
	if err := answer.Body.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	default:
		t.Error("the handler goes on after its answer was closed")
	}
}

// TestBrokenOffInside: a handler that panics takes nobody with it, and half an answer does not pass for a whole one.
func TestBrokenOffInside(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]http.HandlerFunc{
		"before": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"after": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := app.Inside(handle).RoundTrip(request)
		if name == "before" {
			if err == nil {
				t.Error("a panic is an answer")
				_ = answer.Body.Close()
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if name == "after" && (err == nil || string(text) != "half") || name == "nothing" && (err != nil || answer.StatusCode != 200) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		_ = answer.Body.Close()
	}
}
