package cli_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"billonce/cmd/billctl/cli"
)

const (
	overviewJSON = `{"now":"2026-03-01T12:00:00Z","due":{"count":10000,"capped":true,"oldest_run_at":"2026-03-01T11:50:00Z","oldest_age_seconds":600},
		"tasks":[{"status":"pending","count":12,"capped":false},{"status":"in_doubt","count":1,"capped":false}],
		"attention":{"in_doubt":1,"overdue":3,"paused_merchants":0,"capped":false},
		"outcomes":[{"at":"2026-03-01T11:50:00Z","succeeded":8,"failed":0,"in_doubt":0,"retried":1},{"at":"2026-03-01T11:55:00Z","succeeded":1,"failed":2,"in_doubt":1,"retried":0}],
		"workers":{"alive":2,"silent":1,"slots":200,"busy":7},"encryption":{"state":"ok","write_key":"3f9c0a61d2b74e58"}}`
	workersJSON = `{"data":[{"id":"w1","host":"worker-1","version":"v1","slots":32,"busy":3,"started_at":"2026-03-01T11:00:00Z",
		"heartbeat_at":"2026-03-01T11:59:58Z","alive":true,"draining":true}],"next_cursor":null}`
	encryptionJSON = `{"write_key":"new","keys":[{"id":"old","tokens":3,"unbound":1,"sealings":9,"retired_at":null,"first_used_at":"2026-02-01T12:00:00Z"},
		{"id":"new","tokens":5,"unbound":0,"sealings":5,"retired_at":null,"first_used_at":null}],"tokens":9,"unnamed":1,"unbound":2,"rotation":{"total":9,"left":4}}`
	meJSON = `{"id":null,"name":"ADMIN_API_KEY","scopes":["admin"],"merchant_id":null,"expires_at":null}`
)

func TestTheInstallationIsShown(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/overview": answerJSON(overviewJSON), "GET /v1/workers": answerJSON(workersJSON), "GET /v1/encryption": answerJSON(encryptionJSON),
		"GET /v1/me": answerJSON(meJSON), "GET /v1/tasks/counts": answerJSON(`{"data":[{"status":"pending","count":10000,"capped":true},{"status":"failed","count":2,"capped":false}]}`),
		"GET /v1/tasks/a/attempts": answerJSON(page("")),
	})
	for line, wants := range map[string][]string{
		"overview": {
			"due now     10000 or more tasks, the oldest since 10m0s", "attention   1 in doubt, 3 overdue: billctl tasks list --attention",
			"workers     2 alive, 7 of 200 slots busy, 1 silent", "encryption  ok 3f9c0a61d2b74e58", "succeeded  9  │█▁│", "failed     2  │ █│",
		},
		"overview --json":                 {`"oldest_age_seconds": 600`},
		"workers":                         {"w1  worker-1  v1       draining  3/32  1h0m ago"},
		"encryption":                      {"old  opens  3       1          9", "new  seals  5", "1 tokens name no key", "Of 9 stored tokens, 4 are not"},
		"encryption --json":               {`"write_key": "new"`},
		"me":                              {"installation  " + api.URL, "scopes        admin"},
		"me --json":                       {`"name": "ADMIN_API_KEY"`},
		"tasks counts --merchant m --q x": {"pending  10000 or more", "failed   2"},
		"tasks counts --json":             {`"capped": true`},
		"tasks attempts a":                {"No attempt has ended yet."},
		"tasks attempts a --json":         {`"data": []`},
	} {
		got := run(t, api.env(), strings.Fields(line)...)
		for _, want := range wants {
			if got.code != 0 || !strings.Contains(got.out, want) {
				t.Errorf("%s: no %q in\n%s%s", line, want, got.out, got.err)
			}
		}
	}
}

func TestEveryFilterReachesTheAPI(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(`{"data":[],"next_cursor":null,"searched_to":null}`), "GET /v1/audit": answerJSON(page(""))})
	must(t, api.env(), "tasks", "list", "--status", "failed,in_doubt", "--merchant", "m", "--kind", "invoice.pay", "--target", "in_1", "--q", "req_9", "--from", "-2h",
		"--to", "2026-03-02", "--attention", "--retry-of", "t")
	query := api.asked()[0].URL.Query()
	for name, want := range map[string]string{
		"status": "failed,in_doubt", "merchant_id": "m", "kind": "invoice.pay", "target": "in_1", "q": "req_9", "from": "2026-03-01T10:00:00Z",
		"to": "2026-03-02T00:00:00Z", "attention": "true", "retry_of": "t", "limit": "50",
	} {
		if got := query.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	must(t, api.env(), "audit", "--from", "-1d", "--to", "now")
	if query := api.asked()[1].URL.Query(); query.Get("from") != "2026-02-28T12:00:00Z" || query.Get("to") != "2026-03-01T12:00:00Z" {
		t.Errorf("%v", query)
	}
	for _, line := range []string{"tasks list --status lost", "tasks list --from 2h", "tasks list --to noon", "audit --from noon"} {
		if got := run(t, api.env(), strings.Fields(line)...); got.code != 2 {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

// TestASearchGoesOnOverEmptyPages, and says how far it came when it is not to go on.
func TestASearchGoesOnOverEmptyPages(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": func(w http.ResponseWriter, r *http.Request) {
		answerJSON(map[string]string{
			"":  `{"data":[],"next_cursor":"a","searched_to":"2026-02-01T12:00:00Z"}`,
			"a": page("b", taskJSON),
			"b": `{"data":[],"next_cursor":"c","searched_to":"2026-01-01T12:00:00Z"}`,
			"c": page("c", taskJSON), // it does not get on
		}[r.URL.Query().Get("cursor")])(w, r)
	}})
	if got := run(t, api.env(), "tasks", "list", "--q", "x", "--limit", "1"); got.code != 0 || !strings.Contains(got.out, taskID) || len(api.asked()) != 2 {
		t.Errorf("%+v", got)
	}
	if got := run(t, api.env(), "tasks", "list", "--q", "x", "--all"); got.code != 1 || !strings.Contains(got.err, "does not get on") {
		t.Errorf("%+v", got)
	}
}

func TestReasonsAreSent(t *testing.T) {
	t.Parallel()
	var sent inbox
	api := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/tasks/a/cancel": sent.keep(answerJSON(taskJSON)), "POST /v1/merchants/m/pause": sent.keep(answerJSON(merchantJSON)),
		"POST /v1/tasks/a/reschedule": sent.keep(answerJSON(taskJSON)), "POST /v1/tasks/a/resolve": sent.keep(answerJSON(taskJSON)),
	})
	for line, want := range map[string]string{
		"tasks cancel a --reason r": `{"reason":"r"}`, "merchants pause m --reason r": `{"reason":"r"}`, "tasks cancel a": ``,
		"tasks reschedule a --at +1h --reason r": `{"reason":"r","run_at":"2026-03-01T13:00:00Z"}`,
		"tasks resolve a --as failed --reason r": `{"note":"r","outcome":"failed"}`,
	} {
		must(t, api.env(), strings.Fields(line)...)
		if got := sent.bodies[len(sent.bodies)-1]; got != want {
			t.Errorf("%s sends %s, want %s", line, got, want)
		}
	}
}

func TestEventsArePrintedAsTheyCome(t *testing.T) {
	t.Parallel()
	const task = `{"id":"t","merchant_id":"m","kind":"invoice.pay","target":"in_1","status":"running","attempt":2,"run_at":"2026-03-01T12:00:00Z","at":"2026-03-01T12:00:01Z"}`
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/events": func(w http.ResponseWriter, r *http.Request) {
		if query := r.URL.Query(); query.Get("status") != "running,failed" || query.Get("kind") != "invoice.pay" {
			t.Errorf("%v", query)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte("id: 1\nevent: reset\ndata: {\"reason\":\"begin\"}\n\nid: 2\nevent: task\ndata: " + task + "\n\n"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}})
	for flag, want := range map[string]string{
		"--quiet": "2026-03-01T12:00:01Z  t  running  invoice.pay  in_1  m  attempt 2  run at 2026-03-01T12:00:00Z\n",
		"--json":  `{"event":"task","event_id":"2","task":{"id":"t",`,
	} {
		ctx, cancel := contextOf(t)
		var out *os.File
		ready, done := make(chan struct{}), make(chan result, 1)
		go func() {
			done <- runIn(ctx, t, api.env(), func(streams *cli.Streams) { out = streams.Out; close(ready) },
				"events", "watch", "--status", "running,failed", "--kind", "invoice.pay", flag)
		}()
		<-ready
		await(t, func() bool {
			content, err := os.ReadFile(out.Name())
			return err == nil && strings.Contains(string(content), want)
		})
		cancel()
		if got := <-done; got.code != 0 || !strings.Contains(got.out, "reset") || strings.Count(got.out, "\n") != 2 {
			t.Errorf("%+v", got)
		}
	}
}
