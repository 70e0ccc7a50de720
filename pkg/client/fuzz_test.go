package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// FuzzAnswer answers billctl with anything: what comes of it is a document or an error, and never the key.
func FuzzAnswer(f *testing.F) {
	const key = "bo_admin_0123456789abcdef"
	for _, body := range []string{
		"", "{}", "null", `{"data":[],"next_cursor":null}`, `{"data":[{}],"next_cursor":"x"}`, `{"title":"T","detail":"D","code":"c","request_id":"r","errors":[{"pointer":"/a","detail":"d"},{"query":"q"}]}`,
		`{"errors":[null]}`, "<html>", `{"title":7}`, "\x1b[2J", strings.Repeat("[", 10_000),
	} {
		for _, status := range []int{200, 201, 301, 404, 422, 500} {
			f.Add(status, "application/problem+json", body)
			f.Add(status, "application/json", body)
		}
	}
	var status int
	var mediaType, body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{mediaType}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	f.Cleanup(server.Close)
	api, err := client.New(server.URL, secret.New(key))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code int, kind, content string) {
		if code < 200 || code > 599 || strings.ContainsAny(kind, "\r\n\x00") || code == 204 || code == 304 {
			return
		}
		status, mediaType, body = code, kind, content // one after the other: a fuzz target's process runs one input at a time
		_, err := api.GetTask(t.Context(), "x")
		if err == nil && (code > 299 || !json.Valid([]byte(content)) || !strings.Contains(kind, "json") || len(content) < len(`{"id":0}`)) {
			t.Fatalf("%d %q is taken for a task", code, content)
		}
		var told *client.Problem
		if errors.As(err, &told) && (told.Status != code || told.Error() == "") {
			t.Fatalf("%d becomes %d", code, told.Status)
		}
		if err != nil && strings.Contains(err.Error(), key) && !strings.Contains(content, key) {
			t.Fatal("the key is shown")
		}
		list, err := api.List(t.Context(), "/v1/tasks", nil, 3)
		if err == nil && code > 299 || len(list.Data) > 3 && !strings.Contains(content, ",") {
			t.Fatalf("%d %q is taken for a list of %d", code, content, len(list.Data))
		}
	})
}
