package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const contextKey = "bo_live_contextcanarycontextcanarycontextcanary"

// home returns an environment with a folder for contexts, and where they are kept there.
func home(t *testing.T, more map[string]string) (env map[string]string, path string) {
	t.Helper()
	dir := t.TempDir()
	env = map[string]string{"XDG_CONFIG_HOME": dir}
	for name, value := range more {
		env[name] = value
	}
	return env, filepath.Join(dir, "billonce", "config.json")
}

// must runs billctl and fails the test unless it ends well.
func must(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	got := run(t, env, args...)
	if got.code != 0 {
		t.Fatalf("billctl %s: %+v", strings.Join(args, " "), got)
	}
	return got
}

func keyFile(t *testing.T, key string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContextsAreKeptAndNeverShowTheirKeys(t *testing.T) {
	t.Parallel()
	env, path := home(t, nil)
	must(t, env, "context", "set", "prod", "--url", "https://billing.example", "--key-from", keyFile(t, contextKey), "--production")
	must(t, env, "context", "set", "local", "--url", "http://127.0.0.1:8080", "--key-command", "echo x", "--use")
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), contextKey) {
		t.Fatalf("the key is not kept: %v", err)
	}
	var shown strings.Builder
	for line, want := range map[string]string{
		"context list":             "*  local  http://127.0.0.1:8080    command    no",
		"context list --json":      `"key": "kept here"`,
		"context show":             "name        local",
		"context show prod":        "production  true",
		"context show prod --json": `"url": "https://billing.example"`,
	} {
		got := must(t, env, strings.Fields(line)...)
		if !strings.Contains(got.out, want) {
			t.Errorf("%s: no %q in\n%s", line, want, got.out)
		}
		shown.WriteString(got.out + got.err)
	}
	if strings.Contains(shown.String(), contextKey) {
		t.Error("the key is shown")
	}
	must(t, env, "context", "set", "prod", "--url", "https://other.example")
	if got := must(t, env, "context", "show", "prod"); !strings.Contains(got.out, "environment") {
		t.Errorf("the key goes to another installation: %s", got.out)
	}
	must(t, env, "context", "use", "prod")
	must(t, env, "context", "delete", "prod")
	if got := run(t, env, "context", "show"); got.code != 2 {
		t.Errorf("what is deleted is shown: %+v", got)
	}
}

func TestWrongContextsAreRefused(t *testing.T) {
	t.Parallel()
	env, _ := home(t, nil)
	for _, line := range []string{
		"context", "context set", "context set a", "context set a/b --url https://x", "context set a --url http://far.example", "context set a --url nonsense",
		"context set a --url https://x --key-file k --no-key", "context use nobody", "context delete nobody", "context show nobody", "context show a b",
		"tasks list --context nobody", "tasks list --context a --url https://x", "context list extra",
	} {
		if got := run(t, env, strings.Fields(line)...); got.code != 2 {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if got := run(t, map[string]string{"HOME": "", "BILLONCE_CONTEXT": "x"}, "tasks", "list"); got.code != 78 {
		t.Errorf("%+v", got)
	}
	if got := run(t, nil, "context", "list"); got.code != 78 {
		t.Errorf("%+v", got)
	}
}

// TestWhoIsAskedWithWhichKey: flags before the environment before the context, and a context's key for its own URL alone.
func TestWhoIsAskedWithWhichKey(t *testing.T) {
	t.Parallel()
	routes := map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(page(""))}
	one, other := newAPI(t, routes), newAPI(t, routes)
	base, _ := home(t, nil)
	must(t, base, "context", "set", "one", "--url", one.URL, "--key-file", keyFile(t, contextKey), "--use")
	must(t, base, "context", "set", "bare", "--url", one.URL)
	for name, tc := range map[string]struct {
		env  map[string]string
		args []string
		at   *fakeAPI
		key  string
		code int
	}{
		"TheCurrentContext":             {nil, nil, one, contextKey, 0},
		"NamedByTheEnvironment":         {map[string]string{"BILLONCE_CONTEXT": "one"}, nil, one, contextKey, 0},
		"TheEnvironmentsKeyComesFirst":  {map[string]string{"BILLONCE_API_KEY": testKey}, nil, one, testKey, 0},
		"TheFlagComesBeforeIt":          {map[string]string{"BILLONCE_API_KEY": testKey, "BILLONCE_URL": other.URL}, []string{"--context", "one"}, one, contextKey, 0},
		"AContextWithoutAKey":           {map[string]string{"BILLONCE_API_KEY": testKey}, []string{"--context", "bare"}, one, testKey, 0},
		"TheEnvironmentsURLWithItsKey":  {map[string]string{"BILLONCE_API_KEY": testKey, "BILLONCE_URL": other.URL}, nil, other, testKey, 0},
		"ItsURLWithoutAKey":             {map[string]string{"BILLONCE_URL": other.URL}, nil, nil, "", 78},
		"TheURLFlagWithoutAKey":         {nil, []string{"--url", other.URL}, nil, "", 78},
		"AContextThatIsNotThere":        {map[string]string{"BILLONCE_CONTEXT": "gone"}, nil, nil, "", 78},
		"WhereNeitherIsNamedButTheFlag": {map[string]string{"BILLONCE_API_KEY": testKey}, []string{"--url", other.URL}, other, testKey, 0},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"XDG_CONFIG_HOME": base["XDG_CONFIG_HOME"]}
			for name, value := range tc.env {
				env[name] = value
			}
			before := map[*fakeAPI]int{one: len(one.asked()), other: len(other.asked())}
			got := run(t, env, append([]string{"tasks", "list"}, tc.args...)...)
			if got.code != tc.code || strings.Contains(got.out+got.err, contextKey) {
				t.Fatalf("%+v", got)
			}
			for api, n := range before {
				asked := api.asked()[n:]
				if (api == tc.at) != (len(asked) == 1) {
					t.Fatalf("asked %d times", len(asked))
				}
				if api == tc.at && asked[0].Header.Get("Authorization") != "Bearer "+tc.key {
					t.Errorf("asked with %s", asked[0].Header.Get("Authorization"))
				}
			}
		})
	}
}

func TestAKeyDoesNotLeaveTheMachineInTheClear(t *testing.T) {
	t.Parallel()
	key := map[string]string{"BILLONCE_API_KEY": testKey}
	with := func(name, value string) map[string]string {
		return map[string]string{"BILLONCE_API_KEY": testKey, name: value}
	}
	if got := run(t, key, "tasks", "list", "--url", "http://billing.invalid"); got.code != 2 || !strings.Contains(got.err, "without TLS") {
		t.Errorf("%+v", got)
	}
	if got := run(t, with("BILLONCE_URL", "http://billing.invalid"), "tasks", "list"); got.code != 78 || !strings.Contains(got.err, "without TLS") {
		t.Errorf("%+v", got)
	}
	for name, got := range map[string]result{
		"AllowedByTheFlag":        run(t, key, "tasks", "list", "--url", "http://billing.invalid", "--allow-plaintext"),
		"AllowedByTheEnvironment": run(t, with("BILLONCE_ALLOW_PLAINTEXT", "true"), "tasks", "list", "--url", "http://billing.invalid"),
	} {
		if got.code != 1 || strings.Contains(got.err, "TLS") { // the name leads nowhere
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := run(t, with("BILLONCE_ALLOW_PLAINTEXT", "perhaps"), "tasks", "list"); got.code != 78 {
		t.Errorf("%+v", got)
	}
}

// TestALeaveToGoWithoutTLSIsForOneURL, as is a key.
func TestALeaveToGoWithoutTLSIsForOneURL(t *testing.T) {
	t.Parallel()
	env := map[string]string{"XDG_CONFIG_HOME": t.TempDir()}
	must(t, env, "context", "set", "lab", "--url", "http://lab.invalid", "--allow-plaintext")
	must(t, env, "context", "set", "lab", "--production")
	if got := run(t, env, "context", "set", "lab", "--url", "http://other.invalid"); got.code != 2 || !strings.Contains(got.err, "without TLS") {
		t.Errorf("%+v", got)
	}
	must(t, env, "context", "set", "lab", "--url", "https://other.invalid")
	if got := must(t, env, "context", "show", "lab", "--json"); !strings.Contains(got.out, `"allow_plaintext": false`) {
		t.Error(got.out)
	}
}

// TestAnOpenKeyFileIsWarnedOf once, without a word of the key, and works all the same.
func TestAnOpenKeyFileIsWarnedOf(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(page("")), "POST /v1/tasks/a/cancel": answerJSON(taskJSON), "POST /v1/tasks/b/cancel": answerJSON(taskJSON)})
	env, _ := home(t, nil)
	path := keyFile(t, contextKey)
	if got := must(t, env, "context", "set", "one", "--url", api.URL, "--key-file", path, "--use"); strings.Contains(got.err, "warning") {
		t.Errorf("of a file for its owner alone: %s", got.err)
	}
	if got := must(t, env, "tasks", "list"); got.err != "" {
		t.Errorf("of a file for its owner alone: %s", got.err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	want := "warning: others may use the key's file, whose mode is 0644: chmod 600 " + path + "\n"
	for _, line := range []string{"tasks list", "tasks list --json", "tasks cancel a b"} {
		got := must(t, env, strings.Fields(line)...)
		if got.err != want || strings.Contains(got.out, "warning") || strings.Contains(got.out+got.err, contextKey) {
			t.Errorf("%s: %+v", line, got)
		}
	}
	if got := must(t, env, "context", "set", "two", "--url", api.URL, "--key-file", path); !strings.HasSuffix(got.err, want) {
		t.Errorf("keeping it: %+v", got)
	}
	if got := must(t, env, "tasks", "list", "--quiet"); got.err != "" {
		t.Errorf("quietly: %+v", got)
	}
	if sent := api.asked()[1].Header.Get("Authorization"); sent != "Bearer "+contextKey {
		t.Error("the key is not used")
	}
}
