package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	taskID   = "019c0000-0000-7000-8000-000000000001"
	taskJSON = `{"id":"019c0000-0000-7000-8000-000000000001","merchant_id":"019c0000-0000-7000-8000-0000000000aa",
		"kind":"invoice.pay","target":"in_1","params":{"paid_out_of_band":true},"metadata":{"b":"2","a":"1"},"status":"failed",
		"run_at":"2026-03-01T11:58:30Z","scheduled_for":"2026-03-01T11:00:00Z","attempt":2,"max_attempts":100,
		"idempotency_key":"task_019c0000-0000-7000-8000-000000000001","retry_of":null,"first_sent_at":"2026-03-01T11:58:31Z",
		"result":null,"last_error":{"http_status":402,"type":"card_error","code":"card_declined","decline_code":"generic_decline",
		"param":"","message":"The card was refused.","request_id":"req_9"},
		"created_at":"2026-02-27T09:00:00Z","updated_at":"2026-03-01T11:58:32Z","finished_at":"2026-03-01T11:58:32Z"}`
	merchantJSON = `{"id":"019c0000-0000-7000-8000-0000000000aa","name":"Alma's Bakery","stripe_connect_id":"acct_alma",
		"livemode":false,"status":"paused","pause_reason":"requested","pause_detail":"Somebody asked.","has_access_token":true,"has_refresh_token":false,
		"created_at":"2026-03-01T11:59:00Z","updated_at":"2026-03-01T12:00:00Z"}`
	conflict = `{"type":"about:blank","title":"The present state does not allow it","status":409,
		"detail":"the task is running","code":"conflict","request_id":"r-1"}`
)

func page(next string, items ...string) string {
	cursor := "null"
	if next != "" {
		cursor = `"` + next + `"`
	}
	return fmt.Sprintf(`{"data":[%s],"next_cursor":%s}`, strings.Join(items, ","), cursor)
}

func TestTasksList(t *testing.T) {
	t.Parallel()
	t.Run("a table of what the filters let through", func(t *testing.T) {
		t.Parallel()
		api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(page("", taskJSON))})
		args := []string{"tasks", "list", "--status", "failed", "--merchant", "m", "--kind", "invoice.pay", "--target", "in_1", "--limit", "7"}
		got := run(t, api.env(), args...)
		want := "ID                                    STATUS  KIND         OBJECT  DUE        ERROR\n" +
			taskID + "  failed  invoice.pay  in_1    1m30s ago  generic_decline\n"
		if diff := cmp.Diff(result{out: want}, got, cmp.AllowUnexported(result{})); diff != "" {
			t.Error(diff)
		}
		got = run(t, api.env(), append(args, "--wide")...)
		want = "ID                                    STATUS  KIND         TARGET  MERCHANT                              RUN AT                            ATTEMPT  RESULT\n" +
			taskID + "  failed  invoice.pay  in_1    019c0000-0000-7000-8000-0000000000aa  1m30s ago (2026-03-01 11:58:30Z)  2/100    402 card_declined generic_decline\n"
		if diff := cmp.Diff(result{out: want}, got, cmp.AllowUnexported(result{})); diff != "" {
			t.Error(diff)
		}
		asked := api.asked()[0]
		wantQuery := url.Values{"status": {"failed"}, "merchant_id": {"m"}, "kind": {"invoice.pay"}, "target": {"in_1"}, "limit": {"7"}}
		if diff := cmp.Diff(wantQuery, asked.URL.Query()); diff != "" {
			t.Error(diff)
		}
		if got := asked.Header.Get("Authorization"); got != "Bearer "+testKey {
			t.Errorf("Authorization: %s", got)
		}
	})
	t.Run("every page with --all", func(t *testing.T) {
		t.Parallel()
		api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": func(w http.ResponseWriter, r *http.Request) {
			next := map[string]string{"": "two", "two": "three"}[r.URL.Query().Get("cursor")]
			answerJSON(page(next, taskJSON))(w, r)
		}})
		got := run(t, api.env(), "tasks", "list", "--all", "--json")
		var printed struct {
			Data []struct{ ID string }
			Next *string `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(got.out), &printed); err != nil {
			t.Fatalf("%v\n%s%s", err, got.out, got.err)
		}
		if len(printed.Data) != 3 || printed.Next != nil || got.code != 0 {
			t.Errorf("%d tasks, next %v, code %d", len(printed.Data), printed.Next, got.code)
		}
	})
	t.Run("says that there are more", func(t *testing.T) {
		t.Parallel()
		api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(page("more", taskJSON))})
		got := run(t, api.env(), "tasks", "list", "--limit", "1")
		if len(api.asked()) != 1 || !strings.Contains(got.err, "There are more") {
			t.Errorf("asked %d times; %q", len(api.asked()), got.err)
		}
	})
	t.Run("nothing that moves the terminal's cursor", func(t *testing.T) {
		t.Parallel()
		evil := strings.Replace(taskJSON, `"in_1"`, `"in_\u001b[2J"`, 1)
		api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": answerJSON(page("", evil))})
		if got := run(t, api.env(), "tasks", "list"); strings.Contains(got.out, "\x1b") || !strings.Contains(got.out, "in_·[2J") {
			t.Errorf("%q", got.out)
		}
	})
}

func TestTasksShow(t *testing.T) {
	t.Parallel()
	attempt := `{"attempt":1,"kind":"send","worker_id":"w","started_at":"2026-03-01T11:58:31Z","finished_at":"2026-03-01T11:58:31.25Z",
		"outcome":"refused","reason":"declined","replayed":true,"request_id":"req_9","error":{"http_status":402,"code":"card_declined"}}`
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/tasks/" + taskID:               answerJSON(taskJSON),
		"GET /v1/tasks/" + taskID + "/attempts": answerJSON(page("", attempt)),
	})
	got := run(t, api.env(), "tasks", "show", taskID)
	for _, want := range []string{
		"stripe key     task_" + taskID, "scheduled for  1h0m ago (2026-03-01 11:00:00Z)", "attempts       2 of 100",
		"created        2d3h ago", "last error     402 card_declined generic_decline", "metadata       a = 1\nmetadata       b = 2",
		`params         {"paid_out_of_band":true}`, "1        send  1m29s ago (2026-03-01 11:58:31Z)  250ms  refused (replayed)  declined  req_9    402 card_declined",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in\n%s%s", want, got.out, got.err)
		}
	}
	inJSON := run(t, api.env(), "tasks", "show", taskID, "--json")
	var printed struct {
		Task     struct{ ID string }
		Attempts []struct{ Outcome string }
	}
	if err := json.Unmarshal([]byte(inJSON.out), &printed); err != nil {
		t.Fatal(err)
	}
	if printed.Task.ID != taskID || len(printed.Attempts) != 1 || printed.Attempts[0].Outcome != "refused" {
		t.Errorf("%+v", printed)
	}
}

func TestTasksCancelAndRetry(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/tasks/a/cancel": answerJSON(strings.Replace(taskJSON, taskID, "a", 1)),
		"POST /v1/tasks/b/cancel": answer(http.StatusConflict, "application/problem+json", conflict),
		"POST /v1/tasks/a/retry":  answer(http.StatusCreated, "application/json", strings.Replace(taskJSON, taskID, "new", 1)),
	})
	got := run(t, api.env(), "tasks", "cancel", "a", "b", "a")
	want := result{code: 1, out: "canceled a\n", err: "billctl tasks cancel: cancel b: The present state does not allow it: " +
		"the task is running (HTTP 409, conflict, request r-1)\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Error(diff)
	}
	if got := run(t, api.env(), "tasks", "retry", "a"); got.code != 0 || got.out != "scheduled new, to run 1m30s ago (2026-03-01 11:58:30Z)\n" {
		t.Errorf("%+v", got)
	}
}

// TestADoubtIsShownWithAllThatIsKnown: what a person needs to decide, in one call.
func TestADoubtIsShownWithAllThatIsKnown(t *testing.T) {
	t.Parallel()
	doubt := strings.NewReplacer(`"status":"failed"`, `"status":"in_doubt","intent":"renewal:1","declines":1,"retried_by":"t-2","waiting_since":"2026-03-01T11:59:00Z",
		"on_decline":{"retry_after":["24h","72h"],"stop_codes":["lost"]},"resolution":{"outcome":"failed","note":"saw it","resolved_at":"2026-03-01T12:00:00Z"}`).Replace(taskJSON)
	look := `{"attempt":2,"kind":"look","worker_id":"w","started_at":"2026-03-01T11:59:31Z","finished_at":"2026-03-01T11:59:32Z",
		"outcome":"unknown","reason":"no_trace","replayed":false,"request_id":null,"error":{"message":"No trace."},
		"evidence":[{"source":"object","http_status":200,"object":"invoice","id":"in_1","status":"open","event_id":"","request_id":"req_r","at":null,"note":"The object is not as the task asks for."}]}`
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/tasks/" + taskID:               answerJSON(doubt),
		"GET /v1/tasks/" + taskID + "/attempts": answerJSON(page("", look)),
		"GET /v1/tasks/" + taskID + "/chain":    answerJSON(page("", doubt, doubt)),
	})
	got := run(t, api.env(), "tasks", "show", taskID)
	for _, want := range []string{
		"waits since    1m0s ago (2026-03-01 11:59:00Z), for another task at the same object",
		"next look      never again by itself: a person decides, with billctl tasks resolve",
		"intent         renewal:1", "retried by     t-2", "on decline     again after 1d0h, 3d0h; declines before this task: 1; not after lost",
		"resolved       failed, now (2026-03-01 12:00:00Z): saw it", "2        look  29s ago (2026-03-01 11:59:31Z)  1s    unknown  no_trace",
		"2        object  invoice in_1 open  –     req_r       The object is not as the task asks for.",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in\n%s%s", want, got.out, got.err)
		}
	}
	if chain := run(t, api.env(), "tasks", "chain", taskID); strings.Count(chain.out, taskID) != 2 {
		t.Errorf("%+v", chain)
	}
}

func TestChangesAreToldAsTheyAre(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{}
	keep := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies[r.URL.Path] = string(body)
			answerJSON(answer)(w, r)
		}
	}
	repeated := strings.NewReplacer(taskID, "new", `"failed"`, `"canceled"`).Replace(taskJSON)
	api := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/tasks/a/retry": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Idempotent-Replayed", "true")
			answerJSON(repeated)(w, r)
		},
		"POST /v1/tasks/a/resolve":    keep(strings.Replace(taskJSON, taskID, "a", 1)),
		"POST /v1/tasks/a/reschedule": keep(strings.Replace(taskJSON, taskID, "a", 1)),
		"POST /v1/merchants/m/resume": keep(strings.Replace(merchantJSON, `"paused"`, `"active"`, 1)),
	})
	for line, want := range map[string]string{
		"tasks retry a": "a has been repeated before, by new: canceled, to run 1m30s ago (2026-03-01 11:58:30Z)\n",
		"tasks resolve a --as failed --note seen":      "a is failed\n",
		"tasks reschedule a --at 2030-01-31T09:00:00Z": "a runs 1m30s ago (2026-03-01 11:58:30Z)\n",
		"merchants resume m":                           "019c0000-0000-7000-8000-0000000000aa is active (requested)\n",
	} {
		if got := run(t, api.env(), strings.Fields(line)...); got.code != 0 || got.out != want {
			t.Errorf("%s: %+v", line, got)
		}
	}
	want := map[string]string{
		"/v1/tasks/a/resolve": `{"note":"seen","outcome":"failed"}`, "/v1/tasks/a/reschedule": `{"run_at":"2030-01-31T09:00:00Z"}`,
		"/v1/merchants/m/resume": "",
	}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Error(diff)
	}
}

func TestMerchants(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/merchants":      answerJSON(page("", merchantJSON)),
		"GET /v1/merchants/{id}": answerJSON(merchantJSON),
	})
	list := run(t, api.env(), "merchants", "list", "--account", "acct_alma")
	if !strings.Contains(list.out, "Alma's Bakery  acct_alma  test  paused (requested)  its own token  1m0s ago") {
		t.Errorf("%s%s", list.out, list.err)
	}
	if got := api.asked()[0].URL.Query().Get("stripe_connect_id"); got != "acct_alma" {
		t.Errorf("asked for the account %q", got)
	}
	if show := run(t, api.env(), "merchants", "show", "x"); !strings.Contains(show.out, "updated      now (2026-03-01 12:00:00Z)") || !strings.Contains(show.out, "Somebody asked.") {
		t.Errorf("%s%s", show.out, show.err)
	}
}

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /ok":    answer(http.StatusNoContent, "", ""),
		"GET /down":  answer(http.StatusServiceUnavailable, "", ""),
		"GET /moved": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) },
	})
	for path, want := range map[string]int{"/ok": 0, "/down": 1, "/moved": 1, "/missing": 1} {
		if got := run(t, nil, "healthcheck", api.URL+path); got.code != want {
			t.Errorf("%s: %+v, want code %d", path, got, want)
		}
	}
	address := api.URL
	api.Close()
	if got := run(t, nil, "healthcheck", address+"/ok"); got.code != 1 {
		t.Errorf("nobody there: %+v", got)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := run(t, nil, "keys", "generate"); got.code != 0 || len(got.out) != 65 {
		t.Errorf("%+v", got)
	}
	out := filepath.Join(dir, "key")
	if got := run(t, nil, "keys", "generate", "--out", out); got.code != 0 || got.out != "" {
		t.Errorf("%+v", got)
	}
	if got := run(t, nil, "keys", "generate", "--out", out); got.code != 1 {
		t.Errorf("over an existing key: %+v", got)
	}
	keys := filepath.Join(dir, "keys")
	owner := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	first := run(t, nil, "keys", "init", "--dir", keys, "--owner", owner, "--database-host", "db:1", "--database-user", "u", "--database-name", "n")
	if first.code != 0 || strings.Count(first.out, "made ") != 4 {
		t.Errorf("%+v", first)
	}
	if again := run(t, nil, "keys", "init", "--dir", keys, "--owner", owner); strings.Count(again.out, "kept ") != 4 {
		t.Errorf("%+v", again)
	}
	shown := run(t, nil, "keys", "show", "database_url", "--dir", keys)
	if !strings.HasPrefix(shown.out, "postgres://u:") || !strings.HasSuffix(shown.out, "@db:1/n?sslmode=disable\n") {
		t.Errorf("%+v", shown)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := run(t, nil, "version"); got.code != 0 || !strings.HasPrefix(got.out, "billctl ") {
		t.Errorf("%+v", got)
	}
}

// TestATableKeepsItsColumns: whatever row has nothing to say in the last one.
func TestATableKeepsItsColumns(t *testing.T) {
	t.Parallel()
	const request = "11111111-2222-4333-8444-555555555555"
	entry := func(detail string) string {
		return `{"id":"01a2171f-e470-7da6-88f4-e27093ac3be2","at":"2026-03-01T11:00:00Z","actor":{"id":"ADMIN_API_KEY","name":null},` +
			`"action":"task.cancel","object":{"type":"task","id":"x"},"merchant_id":null,"address":"127.0.0.1","request_id":"` + request + `","detail":` + detail + `}`
	}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/audit": answerJSON(
		`{"data":[` + entry(`{}`) + `,` + entry(`{"outcome":"succeeded"}`) + `],"next_cursor":null}`)})
	got := run(t, api.env(), "audit")
	lines := strings.Split(got.out, "\n")
	if got.code != 0 || len(lines) != 4 {
		t.Fatalf("%+v", got)
	}
	if at := strings.Index(lines[0], "DETAIL"); at < 0 || at != strings.Index(lines[2], "{") {
		t.Errorf("the columns stand apart:\n%s", got.out)
	}
	for _, line := range lines {
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%q ends with spaces", line)
		}
	}
}

// TestErrorsSayWhereToLook: where nobody answers, where a key does not open, and where a text is given for a number.
func TestErrorsSayWhereToLook(t *testing.T) {
	t.Parallel()
	problem := func(status int, more string) http.HandlerFunc {
		return answer(status, "application/problem+json", fmt.Sprintf(`{"title":"No","status":%d%s}`, status, more))
	}
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/tasks":  problem(http.StatusUnauthorized, ""),
		"POST /v1/tasks": problem(http.StatusUnprocessableEntity, `,"errors":[{"pointer":"/params/amount","code":"invalid","detail":"must be a whole number"}]`),
	})
	nobody := api.env()
	nobody["BILLONCE_URL"] = "http://127.0.0.1:1"
	for want, got := range map[string]result{
		"Nothing answers there": run(t, nobody, "tasks", "list"),
		"The key is wrong":      run(t, api.env(), "tasks", "list"),
		"name:=JSON":            run(t, api.env(), "tasks", "create", "--merchant", "m", "--kind", "payment_intent.create", "--param", "amount=1"),
	} {
		if got.code != 1 || !strings.Contains(got.err, want) {
			t.Errorf("%q is not said: %+v", want, got)
		}
	}
}
