package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// serving returns a client of a server with one answer for everything, and what was asked of it.
func serving(t *testing.T, status int, header http.Header, body string) (*client.Client, *[]string) {
	t.Helper()
	asked := &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.RequestURI)
		w.Header().Set("Content-Type", "application/json")
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/below/", secret.New("bo_live_x"), client.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return c, asked
}

// TestAnIdIsOnePartOfThePath: whatever a caller takes for an id, no other route is asked.
func TestAnIdIsOnePartOfThePath(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"": "", ".": "", "..": "", "x": "x", "a/b": "a%2Fb", "%2F": "%252F", "%2e%2e": "%252e%252e", "a?b": "a%3Fb", "a#b": "a%23b", "ü": "%C3%BC",
		"../merchants": "..%2Fmerchants", "a b": "a%20b", "...": "...", "a;b=c": "a%3Bb=c",
	} {
		t.Run(fmt.Sprintf("%q", id), func(t *testing.T) {
			t.Parallel()
			c, asked := serving(t, 200, nil, `{"id":"i","data":[],"next_cursor":null}`)
			for _, call := range []struct {
				err  error
				path string
			}{
				{second(c.GetTask(t.Context(), id)), "GET /below/v1/tasks/%s"},
				{second(c.CancelTask(t.Context(), id, client.Reasoned{})), "POST /below/v1/tasks/%s/cancel"},
				{second(c.ListAttempts(t.Context(), id, client.ListAttemptsQuery{})), "GET /below/v1/tasks/%s/attempts"},
			} {
				if refused := call.err != nil; refused != (want == "") {
					t.Fatalf("%s: %v", call.path, call.err)
				}
				if want == "" {
					continue
				}
				if got, path := (*asked)[0], fmt.Sprintf(call.path, want); got != path {
					t.Errorf("asked was %s, want %s", got, path)
				}
				*asked = (*asked)[1:]
			}
			if len(*asked) > 0 {
				t.Errorf("asked was %v", *asked)
			}
		})
	}
	c, asked := serving(t, 200, nil, `{"id":"i"}`)
	for _, path := range []string{"/v1/tasks/%zz", "/v1/tasks//cancel", "/v1/tasks/%2e%2e/cancel", "/v1/tasks/", "", "/"} {
		if _, err := c.Do(t.Context(), client.Call{Method: "GET", Path: path}); err == nil {
			t.Errorf("%q was sent: %v", path, *asked)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestWhatIsNoAnswerIsAnError: a success of somebody else's is not taken for an empty task.
func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ mediaType, body, want string }{
		"Null":         {"application/json", `null`, "no JSON object"},
		"EmptyObject":  {"application/json", `{}`, "no id"},
		"List":         {"application/json", `{"data":[],"next_cursor":null}`, "no id"},
		"Array":        {"application/json", `[]`, "cannot unmarshal"},
		"Page":         {"text/html", `{"id":"x"}`, "no JSON object"},
		"Nothing":      {"application/json", ``, "unexpected end"},
		"AnotherField": {"application/json", `{"ID":"x"}`, "no id"},
		"Half":         {"application/json", `{"id":"x"`, "unexpected end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := serving(t, 200, http.Header{"Content-Type": {tc.mediaType}}, tc.body)
			task, err := c.GetTask(t.Context(), "x")
			if err == nil || !strings.Contains(err.Error(), tc.want) || task.ID != "" {
				t.Errorf("%q, %v, want %q", task.ID, err, tc.want)
			}
			var told *client.Problem
			if errors.As(err, &told) {
				t.Errorf("it is a problem: %v", told)
			}
		})
	}
	list, _ := serving(t, 200, nil, `{"id":"x"}`)
	if found, err := list.List(t.Context(), "/v1/tasks", nil, 0); err == nil {
		t.Errorf("a task is taken for a list: %v", found)
	}
	charset, _ := serving(t, 200, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, `{"id":"x"}`)
	if task, err := charset.GetTask(t.Context(), "x"); err != nil || task.ID != "x" {
		t.Errorf("%q, %v", task.ID, err)
	}
}

func TestAnAnswerHasAnEnd(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		block := bytes.Repeat([]byte(" "), 1<<20)
		for range 65 {
			_, _ = w.Write(block)
		}
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, secret.New("bo_live_x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetTask(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("got %v", err)
	}
	again, asked := serving(t, 200, nil, `{"data":[{}],"next_cursor":"c"}`)
	if _, err := again.List(t.Context(), "/v1/tasks", nil, 0); err == nil || !strings.Contains(err.Error(), "does not get on") || len(*asked) != 2 {
		t.Errorf("asked %d times: %v", len(*asked), err)
	}
}

func TestAProblemSaysWhenToTryAgain(t *testing.T) {
	t.Parallel()
	const body = `{"type":"urn:billonce:problem:unavailable","title":"T","status":503,"detail":"D","code":"unavailable","request_id":"r"}`
	for header, want := range map[string]time.Duration{"2": 2 * time.Second, "": 0, "soon": 0, "-1": 0} {
		c, _ := serving(t, 503, http.Header{"Content-Type": {"application/problem+json; charset=utf-8"}, "Retry-After": {header}}, body)
		var told *client.Problem
		if err := second(c.GetReadiness(t.Context())); !errors.As(err, &told) {
			t.Fatal(err)
		}
		if told.RetryAfter != want || told.Code != billing.CodeUnavailable || told.Status != 503 || told.RequestID != "r" {
			t.Errorf("%q: %+v", header, told)
		}
	}
}

func TestASuccessIsNoted(t *testing.T) {
	t.Parallel()
	c, _ := serving(t, 201, http.Header{"Idempotent-Replayed": {"true"}, "X-Request-Id": {"r-1"}}, `{"id":"x"}`)
	var note client.Note
	if _, err := c.CreateTask(client.Noting(t.Context(), &note), "k", client.NewTask{}); err != nil || !note.Replayed || note.RequestID != "r-1" {
		t.Errorf("%+v, %v", note, err)
	}
}

// TestNullIsNotNothing: a token can be erased, and left as it is.
func TestNullIsNotNothing(t *testing.T) {
	t.Parallel()
	name := "Acme"
	for want, change := range map[string]client.MerchantChange{
		`{}`:                      {},
		`{"name":"Acme"}`:         {Name: &name},
		`{"access_token":null}`:   {AccessToken: client.Null[string]()},
		`{"access_token":"sk_x"}`: {AccessToken: client.Value("sk_x")},
	} {
		text, err := json.Marshal(change)
		if err != nil || string(text) != want {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
		var read client.MerchantChange
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(read); err != nil || string(again) != want {
			t.Errorf("%s, %v, want %s", again, err, want)
		}
	}
}
