package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"billonce/cmd/billctl/cli"
)

// typed calls billctl as a person at a terminal does, who types the given lines.
func typed(t *testing.T, env map[string]string, lines string, args ...string) result {
	t.Helper()
	path := filepath.Join(t.TempDir(), "typed")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	return runWith(t, env, func(streams *cli.Streams) {
		streams.In, streams.IsTerminal = file, func(asked *os.File) bool { return asked == file }
	}, args...)
}

// production returns an environment whose current context is marked as production.
func production(t *testing.T, api *fakeAPI) map[string]string {
	t.Helper()
	env, _ := home(t, nil)
	must(t, env, "context", "set", "live", "--url", api.URL, "--key-file", keyFile(t, contextKey), "--production", "--use")
	return env
}

func TestChangesInProductionAreConfirmed(t *testing.T) {
	t.Parallel()
	canceled := answerJSON(strings.Replace(taskJSON, taskID, "a", 1))
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tasks/a/cancel": canceled, "GET /v1/tasks": answerJSON(page(""))})
	env := production(t, api)
	if got := run(t, env, "tasks", "list"); got.code != 0 || got.err != "" {
		t.Errorf("reading is asked about: %+v", got)
	}
	if got := run(t, env, "tasks", "cancel", "a"); got.code != 2 || !strings.Contains(got.err, "live, PRODUCTION, "+api.URL) || !strings.Contains(got.err, "--yes") {
		t.Errorf("without a terminal: %+v", got)
	}
	for name, lines := range map[string]string{"Another": "yes\n", "Nothing": "", "AnEmptyLine": "\n"} {
		got := typed(t, env, lines, "tasks", "cancel", "a")
		if got.code != 1 || !strings.Contains(got.err, "Cancel a? Type live to go on: ") || !strings.Contains(got.err, "nothing was changed") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if n := len(api.asked()); n != 1 {
		t.Fatalf("%d requests were made", n)
	}
	if got := typed(t, env, "live\n", "tasks", "cancel", "a"); got.code != 0 || got.out != "canceled a\n" {
		t.Errorf("%+v", got)
	}
	if got := run(t, env, "tasks", "cancel", "a", "--yes"); got.code != 0 || !strings.Contains(got.err, "PRODUCTION") {
		t.Errorf("%+v", got)
	}
}

// TestEveryChangeInProductionIsConfirmed walks through what changes something.
func TestEveryChangeInProductionIsConfirmed(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/tasks/bulk": answerJSON(`{"matched":3,"capped":false,"changed":0,"refused":0,"as_of":"2026-03-01T12:00:00Z","more":true}`),
	})
	env := production(t, api)
	tasks := filepath.Join(t.TempDir(), "tasks")
	if err := os.WriteFile(tasks, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"tasks create --merchant m --kind invoice.pay", "tasks batch " + tasks, "tasks cancel a", "tasks retry a", "tasks reschedule a --at 3d",
		"tasks resolve a --as failed --note n", "tasks bulk cancel --merchant m --reason r", "merchants create --name n --account acct_1",
		"merchants update m --name n", "merchants pause m", "merchants resume m", "merchants disconnect m", "apikeys create --name n --scope admin",
		"apikeys rotate k", "apikeys revoke k",
	} {
		if got := run(t, env, strings.Fields(line)...); got.code != 2 || !strings.Contains(got.err, "PRODUCTION") || got.out != "" {
			t.Errorf("%s: %+v", line, got)
		}
	}
	for _, request := range api.asked() {
		if request.URL.Path != "/v1/tasks/bulk" { // the preview
			t.Errorf("%s %s was sent", request.Method, request.URL.Path)
		}
	}
}

func TestDisconnectingIsConfirmedEverywhere(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{"DELETE /v1/merchants/m": answerJSON(strings.Replace(merchantJSON, `"paused"`, `"disconnected"`, 1))})
	if got := run(t, api.env(), "merchants", "disconnect", "m"); got.code != 2 || len(api.asked()) != 0 {
		t.Errorf("%+v", got)
	}
	if got := typed(t, api.env(), "m\n", "merchants", "disconnect", "m"); got.code != 0 || !strings.Contains(got.out, "is disconnected") {
		t.Errorf("%+v", got)
	}
}

// TestAnUnansweredQuestionEndsWithCtrlC: the question waits for a line that never comes.
func TestAnUnansweredQuestionEndsWithCtrlC(t *testing.T) {
	t.Parallel()
	api := newAPI(t, nil)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	done := make(chan result, 1)
	ctx, cancel := contextOf(t)
	go func() {
		done <- runIn(ctx, t, api.env(), func(streams *cli.Streams) {
			streams.In, streams.IsTerminal = reader, func(asked *os.File) bool {
				if asked == reader {
					cancel() // it is about to ask
				}
				return asked == reader
			}
		}, "merchants", "disconnect", "m")
	}()
	select {
	case got := <-done:
		if got.code != 1 || !strings.Contains(got.err, "interrupted") || len(api.asked()) != 0 {
			t.Errorf("%+v", got)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
}
