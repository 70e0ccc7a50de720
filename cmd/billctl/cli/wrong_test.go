package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblemsAreReadable(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a problem with faults": {
			answer(422, "application/problem+json", `{"title":"The request is not valid","status":422,"detail":"","code":"invalid","request_id":"r",
				"errors":[{"pointer":"","query":"status","code":"unknown","detail":"is not a status"},{"pointer":"/a","code":"x","detail":"is wrong"}]}`),
			"The request is not valid (HTTP 422, invalid, request r)\n  ?status: is not a status\n  /a: is wrong\n",
		},
		"one that would move the cursor": {
			answer(422, "application/problem+json", `{"title":"\u001b[2JGone","detail":"a\nb\u009b","errors":[{"pointer":"/\u001b[0m","detail":"\r!"}]}`),
			"·[2JGone: a\nb· (HTTP 422)\n  /·[0m: ·!\n",
		},
		"an answer of something else": {
			answer(http.StatusBadGateway, "text/html", "<h1>nginx</h1>"),
			"Bad Gateway: the answer is not from the billonce API (HTTP 502)\n",
		},
		"a redirect, which is not followed": {
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
			"Found: the answer is not from the billonce API (HTTP 302)\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": tc.answer})
			got := run(t, api.env(), "tasks", "list")
			if diff := cmp.Diff(result{code: 1, err: "billctl tasks list: " + tc.want}, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnUnreachableAPIIsAFailure(t *testing.T) {
	t.Parallel()
	api := newAPI(t, nil)
	api.Close()
	got := run(t, api.env(), "tasks", "list")
	if got.code != 1 || !strings.Contains(got.err, "GET /v1/tasks") || strings.Contains(got.err, testKey) {
		t.Errorf("%+v", got)
	}
}

func TestWrongCallsExitWith2(t *testing.T) {
	t.Parallel()
	env := map[string]string{"BILLONCE_API_KEY": testKey}
	for _, line := range []string{
		"", "task", "tasks", "tasks lst", "tasks list extra", "tasks list --nope", "tasks list --limit 0", "tasks list --limit x",
		"tasks list --all --limit 3", "tasks show", "tasks show a b", "tasks cancel", "merchants show", "keys", "keys init",
		"keys init --dir x --owner root", "keys show nothing --dir x", "keys show admin_api_key", "healthcheck", "healthcheck nonsense",
		"migrate", "migrate sideways", "migrate up now", "tasks list --url nonsense", "tasks list --url http://user:pw@host",
		"tasks resolve", "tasks resolve a", "tasks resolve a --as canceled --note n", "tasks resolve a --as failed", "tasks reschedule a", "tasks reschedule a --at noon",
		"tasks chain", "merchants pause", "apikeys", "apikeys create", "apikeys create --name x", "apikeys create --name x --scope y --expires soon",
		"apikeys create --name x --scope y --out / --json", "apikeys create --name x --scope y --out /", "apikeys rotate", "apikeys rotate a b",
		"apikeys rotate a --old-until soon", "apikeys revoke", "apikeys show", "audit everything",
		"dev exec", "dev --workers -1", "dev --workers 1000", "dev sideways", "version 2",
	} {
		t.Run("billctl "+line, func(t *testing.T) {
			t.Parallel()
			got := run(t, env, strings.Fields(line)...)
			if got.code != 2 || !strings.Contains(got.err, "--help'") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAKeyThatIsMissingOrAmbiguousExitsWith78(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]map[string]string{
		"none":            {},
		"an empty one":    {"BILLONCE_API_KEY": ""},
		"both forms":      {"ADMIN_API_KEY": testKey, "ADMIN_API_KEY_FILE": "/x"},
		"no such file":    {"BILLONCE_API_KEY_FILE": "/nonexistent/" + testKey},
		"nothing in file": {"ADMIN_API_KEY_FILE": empty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, env, "tasks", "list")
			if got.code != 78 || !strings.Contains(got.err, "API_KEY") || strings.Contains(got.err, testKey) {
				t.Errorf("%+v", got)
			}
		})
	}
	if got := run(t, nil, "migrate", "up"); got.code != 78 || !strings.Contains(got.err, "DATABASE_URL") {
		t.Errorf("%+v", got)
	}
	if got := run(t, map[string]string{"DATABASE_URL": "nonsense " + testKey}, "migrate", "up"); got.code != 78 || strings.Contains(got.err, testKey) {
		t.Errorf("%+v", got)
	}
}

func TestAKeyFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(testKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(page(""))})
	got := run(t, map[string]string{"ADMIN_API_KEY_FILE": path}, "tasks", "list", "--url", api.URL)
	if got.code != 0 || api.asked()[0].Header.Get("Authorization") != "Bearer "+testKey {
		t.Errorf("%+v", got)
	}
}
