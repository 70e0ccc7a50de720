package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	newKey     = "bo_live_canarycanarycanarycanarycanarycanarycanarycanary1"
	apiKeyJSON = `{"id":"019c0000-0000-7000-8000-0000000000cc","name":"shop","hint":"bo_live_cana","scopes":["tasks:read","tasks:write"],
		"merchant_id":null,"status":"active","created_at":"2026-03-01T11:59:00Z","created_by":"ADMIN_API_KEY",
		"expires_at":"2026-03-02T12:00:00Z","last_used_at":"2026-03-01T11:59:58Z","revoked_at":null,"replaced_by":null`
)

func TestAPIKeysAreMadeAndPrintedOnce(t *testing.T) {
	t.Parallel()
	var bodies []map[string]any
	made := func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		text, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(text, &body) != nil {
			t.Errorf("%s: %v", text, err)
		}
		bodies = append(bodies, body)
		answerJSON(apiKeyJSON+`,"key":"`+newKey+`"}`)(w, r)
	}
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/api_keys": made, "POST /v1/api_keys/{id}/rotate": made})

	got := run(t, api.env(), "apikeys", "create", "--name", "shop", "--scope", "tasks:read,tasks:write", "--merchant", "m", "--expires", "24h")
	if got.code != 0 || got.out != newKey+"\n" || strings.Contains(got.err, newKey) ||
		!strings.Contains(got.err, `"shop", with tasks:read, tasks:write; it ends in 1d0h (2026-03-02 12:00:00Z). It is not shown again.`) {
		t.Errorf("%+v", got)
	}
	path := filepath.Join(t.TempDir(), "key")
	got = run(t, api.env(), "apikeys", "rotate", "x", "--old-until", "2026-03-01T13:00:00Z", "--out", path)
	content, err := os.ReadFile(path)
	if err != nil || string(content) != newKey+"\n" || got.code != 0 || strings.Contains(got.out+got.err, newKey) {
		t.Errorf("%+v, %q, %v", got, content, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	want := []map[string]any{
		{"name": "shop", "scopes": []any{"tasks:read", "tasks:write"}, "merchant_id": "m", "expires_at": "2026-03-02T12:00:00Z"},
		{"old_valid_until": "2026-03-01T13:00:00Z"},
	}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Error(diff)
	}
	if got := run(t, api.env(), "apikeys", "rotate", "x", "--out", path); got.code != 2 || len(bodies) != 2 {
		t.Errorf("a key is made although it cannot be written: %+v", got)
	}
}

func TestAPIKeysAreListedShownAndRevoked(t *testing.T) {
	t.Parallel()
	key := apiKeyJSON + `}`
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/api_keys": answerJSON(page("", key)), "GET /v1/api_keys/{id}": answerJSON(key),
		"POST /v1/api_keys/{id}/revoke": answerJSON(strings.Replace(key, `"active"`, `"revoked"`, 1)),
	})
	for _, tc := range []struct{ line, want string }{
		{"list --merchant m", "shop  bo_live_cana  tasks:read,tasks:write  –         active  in 1d0h (2026-03-02 12:00:00Z)  2s ago (2026-03-01 11:59:58Z)"},
		{"show x", "created by   ADMIN_API_KEY"},
		{"revoke x y", "019c0000-0000-7000-8000-0000000000cc is revoked\n019c0000-0000-7000-8000-0000000000cc is revoked\n"},
		{"show x --json", `"hint": "bo_live_cana"`},
	} {
		if got := run(t, api.env(), append([]string{"apikeys"}, strings.Fields(tc.line)...)...); got.code != 0 || !strings.Contains(got.out, tc.want) {
			t.Errorf("apikeys %s: %+v", tc.line, got)
		}
	}
	if got := api.asked()[0].URL.Query().Get("merchant_id"); got != "m" {
		t.Errorf("asked for %q", got)
	}
}

func TestTheAuditLogIsListed(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/audit": answerJSON(page("", `{"id":"a","at":"2026-03-01T11:59:00Z",
		"actor":{"id":"ADMIN_API_KEY","name":null},"action":"merchant.update","object":{"type":"merchant","id":"m"},"merchant_id":"m",
		"address":"10.0.0.1","request_id":"r-1","detail":{"fields":["name"]}}`))})
	got := run(t, api.env(), "audit", "--object", "m", "--action", "merchant.update", "--from", "2026-01-01T00:00:00Z")
	if want := `ADMIN_API_KEY  merchant.update  m       10.0.0.1  r-1      {"fields":["name"]}`; got.code != 0 || !strings.Contains(got.out, want) {
		t.Errorf("%+v", got)
	}
	query := api.asked()[0].URL.Query()
	if query.Get("object") != "m" || query.Get("action") != "merchant.update" || query.Get("from") != "2026-01-01T00:00:00Z" || query.Has("to") {
		t.Errorf("%v", query)
	}
}
