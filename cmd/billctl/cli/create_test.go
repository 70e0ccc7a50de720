package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"billonce/cmd/billctl/cli"
)

// inbox keeps what is sent to it, and answers.
type inbox struct {
	mu     sync.Mutex
	bodies []string
	keys   []string
}

func (i *inbox) keep(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		i.mu.Lock()
		i.bodies, i.keys = append(i.bodies, string(body)), append(i.keys, r.Header.Get("Idempotency-Key"))
		i.mu.Unlock()
		answer(w, r)
	}
}

func (i *inbox) last(t *testing.T) map[string]any {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.bodies) == 0 {
		t.Fatal("nothing was sent")
	}
	var body map[string]any
	if text := i.bodies[len(i.bodies)-1]; json.Unmarshal([]byte(text), &body) != nil {
		t.Fatalf("%q", text)
	}
	return body
}

// piped calls billctl with a standard input that is no terminal.
func piped(t *testing.T, env map[string]string, input string, args ...string) result {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	var feeding sync.WaitGroup
	feeding.Go(func() {
		_, _ = io.WriteString(writer, input)
		_ = writer.Close()
	})
	defer feeding.Wait()
	return runWith(t, env, func(streams *cli.Streams) { streams.In = reader }, args...)
}

func TestATaskIsMadeFromFlags(t *testing.T) {
	t.Parallel()
	var sent inbox
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tasks": sent.keep(answer(http.StatusCreated, "application/json", taskJSON))})
	got := run(t, api.env(), "tasks", "create", "--merchant", "m", "--kind", "payment_intent.create", "--param", "amount:=1200", "--param", "currency=eur",
		"--param", "metadata[order]=7", "--param", "payment_method_types[0]=card", "--run-at", "3d", "--metadata", "note=a=b", "--intent", "i",
		"--max-attempts", "5", "--retry-after", "24h,72h", "--stop-code", "lost_card", "--idempotency-key", "k-1")
	if got.code != 0 || got.out != "scheduled "+taskID+", to run 1m30s ago (2026-03-01 11:58:30Z)\n" {
		t.Fatalf("%+v", got)
	}
	want := map[string]any{
		"merchant_id": "m", "kind": "payment_intent.create", "run_at": "2026-03-04T12:00:00Z", "intent": "i", "max_attempts": 5.0,
		"params": map[string]any{
			"amount": 1200.0, "currency": "eur", "metadata": map[string]any{"order": "7"}, "payment_method_types": []any{"card"},
		},
		"metadata":   map[string]any{"note": "a=b"},
		"on_decline": map[string]any{"retry_after": []any{"24h", "72h"}, "stop_codes": []any{"lost_card"}},
	}
	if diff := cmp.Diff(want, sent.last(t)); diff != "" {
		t.Error(diff)
	}
	if sent.keys[0] != "k-1" {
		t.Errorf("the key is %q", sent.keys[0])
	}
}

func TestATaskIsMadeFromJSON(t *testing.T) {
	t.Parallel()
	var sent inbox
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tasks": sent.keep(answer(http.StatusCreated, "application/json", taskJSON))})
	got := piped(t, api.env(), `{"merchant_id":"m","kind":"invoice.pay","params":{"big":12345678901234567890}}`, "tasks", "create", "--from-json", "-",
		"--target", "in_1", "--json")
	if got.code != 0 || !strings.Contains(got.out, taskID) {
		t.Fatalf("%+v", got)
	}
	if !strings.Contains(sent.bodies[0], `"big":12345678901234567890`) || !strings.Contains(sent.bodies[0], `"target":"in_1"`) {
		t.Error(sent.bodies[0])
	}
	must(t, api.env(), "tasks", "create", "--merchant", "m", "--kind", "invoice.pay")
	if sent.keys[0] == sent.keys[1] || !strings.HasPrefix(sent.keys[1], "billctl-") {
		t.Errorf("the keys are %q", sent.keys)
	}
	for name, input := range map[string]string{"NoObject": "[]", "Two": "{}{}", "NoJSON": "x " + testKey, "Null": "null", "Empty": ""} {
		if got := piped(t, api.env(), input, "tasks", "create", "--from-json", "-"); got.code != 2 || strings.Contains(got.err, testKey) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestALostAnswerNamesTheKey to try again with.
func TestALostAnswerNamesTheKey(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/tasks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	})
	got := run(t, api.env(), "tasks", "create", "--merchant", "m", "--kind", "invoice.pay")
	if got.code != 1 || !strings.Contains(got.err, "--idempotency-key billctl-") {
		t.Errorf("%+v", got)
	}
}

func TestWrongTasksAreRefused(t *testing.T) {
	t.Parallel()
	env := map[string]string{"BILLONCE_API_KEY": testKey}
	for _, args := range [][]string{
		{},
		{"--param", "x"},
		{"--param", "a:={"},
		{"--param", "a[=1"},
		{"--param", "a=1", "--param", "a=2"},
		{"--param", "a[0]=1", "--param", "a[x]=2"},
		{"--param", "a[1]=1"},
		{"--param", "a=1", "--param", "a[x]=2"},
		{"--params", "[]"},
		{"--params", "x"},
		{"--metadata", "x"},
		{"--run-at", "noon"},
		{"--stop-code", "x"},
		{"--param", "a[0]=1", "--param", "a[0]=2"},
	} {
		args = append([]string{"tasks", "create", "--kind", "invoice.pay"}, args...)
		if !strings.Contains(strings.Join(args, " "), "--merchant") && len(args) > 4 {
			args = append(args, "--merchant", "m")
		}
		if got := run(t, env, args...); got.code != 2 {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestABatchIsSentOnceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	var sent inbox
	seen := map[string]bool{}
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tasks/batch": func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Tasks []struct {
				Key    string `json:"idempotency_key"`
				Target string
			}
		}
		text, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(text, &body); err != nil {
			t.Error(err)
		}
		replayed, items := true, []string{}
		for _, task := range body.Tasks {
			replayed = replayed && seen[task.Key]
			seen[task.Key] = true
			items = append(items, fmt.Sprintf(`{"id": %q}`, task.Target))
		}
		w.Header().Set("Idempotent-Replayed", fmt.Sprint(replayed))
		sent.keep(answer(http.StatusCreated, "application/json", page("", items...)))(w, r)
	}})
	path := filepath.Join(t.TempDir(), "tasks.ndjson")
	text := "{\"target\":\"a\"}\n{\"target\":\"b\"}\n\n{\"target\":\"c\"}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, api.env(), "tasks", "batch", path, "--size", "2")
	if got.code != 0 || got.out != "scheduled 3 tasks\n" || !strings.Contains(got.err, "scheduling about 3 tasks") || len(seen) != 3 {
		t.Errorf("%+v, %d", got, len(seen))
	}
	if got := run(t, api.env(), "tasks", "batch", path, "--size", "3", "--quiet"); got.out != "scheduled 0 tasks; 3 had been scheduled before\n" || got.err != "" {
		t.Errorf("%+v", got)
	}
	if got := piped(t, api.env(), text, "tasks", "batch", "-", "--json", "-q", "--series", "again"); got.out != "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n" || len(seen) != 6 {
		t.Errorf("%+v, %d", got, len(seen))
	}
	before := len(api.asked())
	if got := piped(t, api.env(), text+"nonsense "+testKey, "tasks", "batch", "-"); got.code != 2 || !strings.Contains(got.err, "line 5") || strings.Contains(got.err, testKey) {
		t.Errorf("%+v", got)
	}
	if len(api.asked()) != before {
		t.Error("something was sent before everything was read")
	}
}

func TestABatchThatIsRefusedSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	calls := 0
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tasks/batch": func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			answer(http.StatusCreated, "application/json", page("", `{}`))(w, r)
			return
		}
		answer(422, "application/problem+json", `{"title":"The request is not valid","status":422,"code":"invalid","request_id":"r-7",
			"errors":[{"pointer":"/tasks/0/kind","code":"unknown","detail":"is unknown"}]}`)(w, r)
	}})
	got := piped(t, api.env(), "{}\n\n{\"kind\":\"x\"}\n", "tasks", "batch", "-", "--size", "1", "-q")
	for _, want := range []string{"line 3, /kind: is unknown", "request r-7", "1 tasks were scheduled, up to line 1"} {
		if got.code != 1 || !strings.Contains(got.err, want) {
			t.Errorf("no %q in %+v", want, got)
		}
	}
}

func TestABulkChangeIsPreviewedConfirmedAndRepeated(t *testing.T) {
	t.Parallel()
	var sent inbox
	left := 2500
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tasks/bulk": func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Limit  int
			DryRun bool `json:"dry_run"`
		}
		text, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(text, &body); err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(strings.NewReader(string(text)))
		matched, changed := left, 0
		if !body.DryRun {
			changed = min(body.Limit, left)
			left -= changed
		}
		sent.keep(answerJSON(fmt.Sprintf(`{"matched":%d,"capped":false,"changed":%d,"refused":0,"as_of":"2026-03-01T11:59:59.5Z","more":%t}`,
			matched, changed, left > 0)))(w, r)
	}})
	args := strings.Fields("tasks bulk cancel --merchant m --status pending --from -2h --reason ended")
	if got := run(t, api.env(), append(args, "--dry-run")...); got.code != 0 || got.out != "2500 tasks fit\n" {
		t.Errorf("%+v", got)
	}
	if got := run(t, api.env(), args...); got.code != 2 || !strings.Contains(got.err, "cancel 2500 tasks") {
		t.Errorf("without a terminal: %+v", got)
	}
	if got := typed(t, api.env(), "2400\n", args...); got.code != 1 || left != 2500 {
		t.Errorf("another number: %+v", got)
	}
	got := typed(t, api.env(), "2500\n", args...)
	if got.code != 0 || got.out != "cancel: 2500 tasks changed\n" || left != 0 {
		t.Errorf("%+v, %d left", got, left)
	}
	want := map[string]any{
		"action": "cancel", "reason": "ended", "dry_run": false, "limit": 1000.0,
		"filter": map[string]any{"merchant_id": "m", "status": "pending", "from": "2026-03-01T10:00:00Z", "created_before": "2026-03-01T11:59:59.5Z"},
	}
	if diff := cmp.Diff(want, sent.last(t)); diff != "" {
		t.Error(diff)
	}
	left = 2500
	if got := run(t, api.env(), append(args, "--yes", "--limit", "1200", "--json")...); got.code != 0 || left != 1300 || !strings.Contains(got.out, `"changed": 1200`) {
		t.Errorf("%+v, %d left", got, left)
	}
	left = 0
	if got := run(t, api.env(), append(args, "--yes")...); got.out != "0 tasks fit\n" {
		t.Errorf("%+v", got)
	}
	for _, line := range []string{
		"bulk", "bulk cancel", "bulk cancel --merchant m", "bulk cancel --reason r", "bulk reschedule --merchant m --reason r", "bulk retry --status lost --reason r",
		"bulk retry --merchant m --reason r --limit -1", "bulk cancel --merchant m --reason r --from noon",
	} {
		if got := run(t, api.env(), append([]string{"tasks"}, strings.Fields(line)...)...); got.code != 2 {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

const (
	accessToken  = "sk_test_accesscanaryaccesscanary"
	refreshToken = "rt_refreshcanaryrefreshcanary"
)

func TestTokensAreReadAndNeverShown(t *testing.T) {
	t.Parallel()
	var sent inbox
	api := newAPI(t, map[string]http.HandlerFunc{
		"POST /v1/merchants": sent.keep(answer(http.StatusCreated, "application/json", merchantJSON)), "PATCH /v1/merchants/m": sent.keep(answerJSON(merchantJSON)),
	})
	got := piped(t, api.env(), accessToken+"\n", "merchants", "create", "--name", "Alma", "--account", "acct_1", "--access-token-from", "-",
		"--refresh-token-from", keyFile(t, refreshToken), "--live")
	if got.code != 0 || strings.Contains(got.out+got.err, "canary") || !strings.Contains(got.out, "connected 019c") {
		t.Errorf("%+v", got)
	}
	want := map[string]any{"name": "Alma", "stripe_connect_id": "acct_1", "access_token": accessToken, "refresh_token": refreshToken, "livemode": true}
	if diff := cmp.Diff(want, sent.last(t)); diff != "" {
		t.Error(diff)
	}
	if got := typed(t, api.env(), accessToken+"\n", "merchants", "update", "m", "--access-token-from", "ask"); got.code != 0 || strings.Contains(got.out+got.err, "canary") {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(map[string]any{"access_token": accessToken}, sent.last(t)); diff != "" {
		t.Error(diff)
	}
	must(t, api.env(), "merchants", "update", "m", "--no-access-token", "--no-refresh-token", "--name", "B")
	if diff := cmp.Diff(map[string]any{"name": "B", "access_token": nil, "refresh_token": nil}, sent.last(t)); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{
		"create", "create --name n", "update m", "update m --no-access-token --access-token-from x", "create --name n --account a --access-token-from - --refresh-token-from -",
		"update m --access-token-from ask", "disconnect", "update",
	} {
		if got := run(t, api.env(), append([]string{"merchants"}, strings.Fields(line)...)...); got.code != 2 {
			t.Errorf("%s: %+v", line, got)
		}
	}
	// A token by mistake where a file's name belongs.
	if got := run(t, api.env(), "merchants", "update", "m", "--access-token-from", accessToken); got.code != 1 || strings.Contains(got.err, "canary") {
		t.Errorf("%+v", got)
	}
}
