package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
)

func TestATaskIsAnsweredAsTheContractSays(t *testing.T) {
	t.Parallel()
	a := newAPI()
	sent, done := noon.In(time.FixedZone("", 3600)), noon.Add(time.Second)
	a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) {
		task := someTask()
		task.Status, task.Attempt, task.FirstSentAt, task.FinishedAt = billing.Failed, 2, &sent, &done
		task.RetryOf = "0192f5a0-7b1c-7def-8a2b-bbbbbbbbbbbb"
		task.RetriedBy = "0192f5a0-7b1c-7def-8a2b-cccccccccccc"
		task.Intent, task.Declines = "renewal:sub_1:2026-03", 1
		task.OnDecline = &billing.Dunning{RetryAfter: []time.Duration{24 * time.Hour, 90 * time.Minute}, StopCodes: []string{"do_not_honor"}}
		task.WaitingSince, task.LookAt = &sent, &done
		task.Resolution = &billing.Resolution{Outcome: billing.Failed, Note: "asked Stripe", RequestID: "r", At: noon}
		task.Metadata = map[string]string{"order": "<7>"}
		task.Result = &billing.Result{Object: "invoice", ID: "in_1", Status: "paid", RequestID: "req_1", Replayed: true}
		task.LastError = &billing.StripeError{
			HTTPStatus: 402, Type: "card_error", Code: "card_declined",
			DeclineCode: "insufficient_funds", Param: "source", Message: "declined", RequestID: "req_0",
		}
		return task, nil
	}
	got := a.call(t, "GET", "/v1/tasks/"+strings.ToUpper(taskID), "")
	wantStatus(t, got, 200)
	want := `{"id":"` + taskID + `","merchant_id":"` + merchantID + `","kind":"invoice.pay","target":"in_1",` +
		`"params":{"a":[true],"b":1},"metadata":{"order":"<7>"},"status":"failed","run_at":"2026-03-01T12:00:00.123456Z",` +
		`"scheduled_for":"2026-03-01T12:00:00.123456Z","attempt":2,"max_attempts":100,"idempotency_key":"task_` + taskID + `",` +
		`"retry_of":"0192f5a0-7b1c-7def-8a2b-bbbbbbbbbbbb","first_sent_at":"2026-03-01T12:00:00.123456Z",` +
		`"result":{"object":"invoice","id":"in_1","status":"paid","request_id":"req_1","replayed":true},` +
		`"last_error":{"http_status":402,"type":"card_error","code":"card_declined","decline_code":"insufficient_funds",` +
		`"param":"source","message":"declined","request_id":"req_0"},"created_at":"2026-03-01T12:00:00.123456Z",` +
		`"updated_at":"2026-03-01T12:00:00.123456Z","finished_at":"2026-03-01T12:00:01.123456Z",` +
		`"retried_by":"0192f5a0-7b1c-7def-8a2b-cccccccccccc","intent":"renewal:sub_1:2026-03",` +
		`"on_decline":{"retry_after":["24h","1h30m0s"],"stop_codes":["do_not_honor"]},"declines":1,` +
		`"waiting_since":"2026-03-01T12:00:00.123456Z","look_at":"2026-03-01T12:00:01.123456Z",` +
		`"resolution":{"outcome":"failed","note":"asked Stripe","request_id":"r","resolved_at":"2026-03-01T12:00:00.123456Z"}}` + "\n"
	if diff := cmp.Diff(want, got.Body.String()); diff != "" {
		t.Error(diff)
	}
}

func TestATaskIsScheduledWithAllItsFields(t *testing.T) {
	t.Parallel()
	a := newAPI()
	got := a.call(t, "POST", "/v1/tasks", `{ "max_attempts" : 7, "metadata":{"a":"b"}, "run_at":"2030-01-31T10:00:00.1234567+01:00",
		"params":{"items" : [{"price":"p\u00e9"}], "n": 1.50e1}, "target":null, "kind":"subscription.create",
		"merchant_id":"`+strings.ToUpper(merchantID)+`"}`, "Idempotency-Key: my key", "Content-Type: application/json; charset=UTF-8", "X-Request-Id: r1")
	wantStatus(t, got, 201)
	answer := decode[map[string]any](t, got)
	task := a.tasks.created[0]
	if task.Request.Body != "metadata[billonce_task_id]="+string(task.ID) || len(task.Fingerprint) != 32 {
		t.Errorf("not frozen under its id: %+v", task)
	}
	if answer["id"] != string(task.ID) || got.Header().Get("Location") != "/v1/tasks/"+string(task.ID) || answer["target"] != nil {
		t.Errorf("answer %v", answer)
	}
	task.ID, task.Request, task.Fingerprint = "", billing.Request{}, nil
	want := billing.NewTask{
		MerchantID: merchantID, Kind: billing.SubscriptionCreate, Params: json.RawMessage(`{"items" : [{"price":"p\u00e9"}], "n": 1.50e1}`),
		Metadata: map[string]string{"a": "b"}, RunAt: time.Date(2030, 1, 31, 9, 0, 0, 123456000, time.UTC), MaxAttempts: 7, Key: "my key",
		CreatedBy: "ADMIN_API_KEY 192.0.2.1 r1",
	}
	if diff := cmp.Diff(want, task); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(got.Body.String(), `"params":{"items":[{"price":"pé"}],"n":15.0}`) {
		t.Errorf("params are not canonical: %s", got.Body)
	}
	if a.metrics.scheduled[billing.SubscriptionCreate] != 1 || got.Header().Get("Idempotent-Replayed") != "" {
		t.Error("not counted, or marked as replayed")
	}
}

func TestBothSpellingsOfAKeyAreOneKey(t *testing.T) {
	t.Parallel()
	a := newAPI()
	for header, want := range map[string]string{`k-1`: `k-1`, `"k-1"`: `k-1`, `"a\"b\\c"`: `a"b\c`, `a"b`: `a"b`, `k, 2`: `k, 2`} {
		wantStatus(t, a.call(t, "POST", "/v1/tasks", payTask(""), "Idempotency-Key: "+header), 201)
		if got := a.tasks.created[len(a.tasks.created)-1].Key; got != want {
			t.Errorf("%s is read as %q", header, got)
		}
	}
	for _, bad := range []string{`"a`, `"a"b`, `"a\b"`, `"`, `""`, `"a\`} {
		wantProblem(t, a.call(t, "POST", "/v1/tasks", payTask(""), "Idempotency-Key: "+bad), 400)
	}
}

func TestAFingerprintCoversWhatWasAskedAndNotHowItWasSpelt(t *testing.T) {
	t.Parallel()
	a := newAPI()
	print := func(body string) string {
		wantStatus(t, a.call(t, "POST", "/v1/tasks", body, "Idempotency-Key: k"), 201)
		return string(a.tasks.created[len(a.tasks.created)-1].Fingerprint)
	}
	one := print(payTask(`,"params":{"a":1,"b":["x"]},"run_at":"2030-01-01T00:00:00Z"`))
	for _, same := range []string{
		`{"run_at":"2030-01-01T01:00:00+01:00","params":{ "b":["\u0078"],"a":1e0 },"target":"in_1","kind":"invoice.pay","merchant_id":"` + merchantID + `"}`,
		payTask(`,"params":{"a":1,"b":["x"]},"run_at":"2030-01-01T00:00:00Z","max_attempts":100,"metadata":{}`),
	} {
		if print(same) != one {
			t.Errorf("another print for %s", same)
		}
	}
	for _, other := range []string{
		payTask(`,"params":{"a":1,"b":["x"]}`),
		payTask(`,"params":{"a":1,"b":["x"]},"run_at":"2030-01-01T00:00:01Z"`),
		payTask(`,"params":{"a":"1","b":["x"]},"run_at":"2030-01-01T00:00:00Z"`),
		payTask(`,"params":{"a":1,"b":["x"]},"run_at":"2030-01-01T00:00:00Z","metadata":{"a":"b"}`),
		payTask(`,"params":{"a":1,"b":["x"]},"run_at":"2030-01-01T00:00:00Z","max_attempts":99`),
	} {
		if print(other) == one {
			t.Errorf("the same print for %s", other)
		}
	}
	if print(payTask("")) != print(payTask(`,"params":{}`)) {
		t.Error("an absent run_at does not equal an absent run_at")
	}
	wantStatus(t, a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+payTask(`,"idempotency_key":"k"`)+`]}`), 201)
	if string(a.tasks.created[len(a.tasks.created)-1].Fingerprint) != print(payTask("")) {
		t.Error("a task has another print in a batch")
	}
}

func TestAReplayIsMarkedAndNotCounted(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.CreateFunc = func(_ context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
		created := make([]billing.CreatedTask, len(tasks))
		for i, task := range tasks {
			created[i] = billing.CreatedTask{Task: taskOf(task), Replayed: task.Key != "new"}
		}
		return created, nil
	}
	for _, tc := range []struct{ path, body, want string }{
		{"/v1/tasks", payTask(""), "true"},
		{"/v1/tasks/batch", `{"tasks":[` + payTask(`,"idempotency_key":"a"`) + `,` + payTask(`,"idempotency_key":"b"`) + `]}`, "true"},
		{"/v1/tasks/batch", `{"tasks":[` + payTask(`,"idempotency_key":"a"`) + `,` + payTask(`,"idempotency_key":"new"`) + `]}`, ""},
	} {
		got := a.call(t, "POST", tc.path, tc.body, "Idempotency-Key: k")
		wantStatus(t, got, 201)
		if replayed := got.Header().Get("Idempotent-Replayed"); replayed != tc.want {
			t.Errorf("%s: Idempotent-Replayed is %q, want %q", tc.path, replayed, tc.want)
		}
	}
	if n := a.metrics.scheduled[billing.InvoicePay]; n != 1 {
		t.Errorf("%d tasks counted, want the new one", n)
	}
}

func TestFaultsOfTheStoreGetTheClientsPointers(t *testing.T) {
	t.Parallel()
	a := newAPI()
	code := billing.CodeInvalid
	a.tasks.CreateFunc = func(context.Context, []billing.NewTask) ([]billing.CreatedTask, error) {
		return nil, fmt.Errorf("create tasks: %w", &billing.Error{Code: code, Faults: []billing.Fault{
			{Pointer: "/0/merchant_id", Code: "unknown_merchant", Detail: "d"}, {Pointer: "/0/idempotency_key", Code: "key_reused", Detail: "d"},
		}})
	}
	a.tasks.RescheduleFunc = func(billing.TaskID, time.Time) (billing.Task, error) {
		return billing.Task{}, &billing.Error{Code: code, Faults: []billing.Fault{{Pointer: "/0/run_at", Code: "in_the_past", Detail: "d"}}}
	}
	one, many := payTask(""), `{"tasks":[`+payTask(`,"idempotency_key":"k"`)+`]}`
	if got := wantProblem(t, a.call(t, "POST", "/v1/tasks", one), 422).pointers(); got != "/merchant_id unknown_merchant, /idempotency_key key_reused" {
		t.Error(got)
	}
	if got := wantProblem(t, a.call(t, "POST", "/v1/tasks/batch", many), 422).pointers(); got != "/tasks/0/merchant_id unknown_merchant, /tasks/0/idempotency_key key_reused" {
		t.Error(got)
	}
	if got := wantProblem(t, a.call(t, "POST", "/v1/tasks/"+taskID+"/reschedule", `{"run_at":"2020-01-01T00:00:00Z"}`), 422).pointers(); got != "/run_at in_the_past" {
		t.Error(got)
	}
	code = billing.CodeKeyReused
	if p := wantProblem(t, a.call(t, "POST", "/v1/tasks", one, "Idempotency-Key: k"), 422); p.Code != "key_reused" || p.Errors != nil {
		t.Errorf("%+v", p)
	}
	if p := wantProblem(t, a.call(t, "POST", "/v1/tasks/batch", many), 422); p.Code != "key_reused" || !strings.Contains(p.pointers(), "/tasks/0/idempotency_key") {
		t.Errorf("%+v", p)
	}
	code = billing.CodeKeyInProgress
	got := a.call(t, "POST", "/v1/tasks", one, "Idempotency-Key: k")
	if wantProblem(t, got, 409); got.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestABatchIsAnsweredInOrder(t *testing.T) {
	t.Parallel()
	a := newAPI()
	const n = 10_000
	var body bytes.Buffer
	body.WriteString(`{"tasks":[`)
	for i := range n {
		if i > 0 {
			body.WriteByte(',')
		}
		body.WriteString(payTask(fmt.Sprintf(`,"idempotency_key":"k%d","params":{"off_session":true}`, i)))
	}
	body.WriteString(`]}`)
	got := a.call(t, "POST", "/v1/tasks/batch", body.String())
	wantStatus(t, got, 201)
	answer := decode[struct{ Data []struct{ ID billing.TaskID } }](t, got)
	if len(answer.Data) != n || len(a.tasks.created) != n || a.tasks.writes.Load() != 1 {
		t.Fatalf("%d answers, %d tasks, %d calls", len(answer.Data), len(a.tasks.created), a.tasks.writes.Load())
	}
	for i, task := range a.tasks.created {
		if task.Key != fmt.Sprintf("k%d", i) || answer.Data[i].ID != task.ID {
			t.Fatalf("task %d is out of order", i)
		}
	}
	if a.metrics.scheduled[billing.InvoicePay] != n {
		t.Error("not counted")
	}
}

func TestAKeyOfTheWholeBatchProtectsEachTask(t *testing.T) {
	t.Parallel()
	a := newAPI()
	send := func(header string, tasks ...string) []billing.NewTask {
		before := len(a.tasks.created)
		wantStatus(t, a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+strings.Join(tasks, ",")+`]}`, "Idempotency-Key: "+header), 201)
		return a.tasks.created[before:]
	}
	first, again := send("k", payTask(""), payTask("")), send("k", payTask(""), payTask(""))
	longer, other := send("k", payTask(""), payTask(""), payTask("")), send("l", payTask(""))
	mixed := send("k", payTask(""), payTask(`,"idempotency_key":"mine"`))
	if first[0].Key == first[1].Key || first[0].Key == other[0].Key || first[0].Key != again[0].Key {
		t.Error("keys are not one per task and batch")
	}
	if !bytes.Equal(first[1].Fingerprint, again[1].Fingerprint) || bytes.Equal(first[0].Fingerprint, longer[0].Fingerprint) {
		t.Error("the print does not tell a batch of another length")
	}
	if mixed[1].Key != "mine" || mixed[0].Key != first[0].Key {
		t.Errorf("mixed keys %q, %q", mixed[0].Key, mixed[1].Key)
	}
}

func TestListsPage(t *testing.T) {
	t.Parallel()
	a := newAPI()
	ids := []billing.TaskID{}
	for i := range 5 {
		ids = append(ids, billing.TaskID(fmt.Sprintf("0192f5a0-7b1c-7def-8a2b-00000000000%d", 9-i)))
	}
	var filters []billing.TaskFilter
	a.tasks.ListFunc = func(filter billing.TaskFilter, limit int, after billing.TaskID) ([]billing.Task, error) {
		filters = append(filters, filter)
		var tasks []billing.Task
		for _, id := range ids {
			if (after == "" || id < after) && len(tasks) < limit {
				task := someTask()
				task.ID = id
				tasks = append(tasks, task)
			}
		}
		return tasks, nil
	}
	type answer struct {
		Data       []struct{ ID billing.TaskID }
		NextCursor *string `json:"next_cursor"`
	}
	query := "?limit=2&status=pending&kind=invoice.pay&target=in_1&merchant_id=" + merchantID
	var seen []billing.TaskID
	cursor := ""
	for range 3 {
		got := decode[answer](t, a.call(t, "GET", "/v1/tasks"+query+"&cursor="+cursor, ""))
		for _, task := range got.Data {
			seen = append(seen, task.ID)
		}
		if got.NextCursor == nil {
			break
		}
		cursor = *got.NextCursor
	}
	if diff := cmp.Diff(ids, seen); diff != "" {
		t.Error(diff)
	}
	want := billing.TaskFilter{Statuses: []billing.Status{billing.Pending}, Kind: billing.InvoicePay, Target: "in_1", MerchantID: merchantID}
	if diff := cmp.Diff([]billing.TaskFilter{want, want, want}, filters); diff != "" {
		t.Error(diff)
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	older := append([]byte{9}, raw[1:]...)
	for name, path := range map[string]string{
		"of other filters":  "/v1/tasks?status=failed&cursor=" + cursor,
		"of another list":   "/v1/merchants?cursor=" + cursor,
		"of another object": "/v1/tasks/" + taskID + "/attempts?cursor=" + cursor,
		"cut short":         "/v1/tasks" + query + "&cursor=" + cursor[:20],
		"of another id":     "/v1/tasks" + query + "&cursor=" + base64.RawURLEncoding.EncodeToString(append(raw[:9:9], "' OR 1=1"...)),
		"of another age":    "/v1/tasks" + query + "&cursor=" + base64.RawURLEncoding.EncodeToString(older),
		"padded":            "/v1/tasks" + query + "&cursor=" + cursor + "==",
	} {
		if p := wantProblem(t, a.call(t, "GET", path, ""), 422); p.pointers() != "?cursor bad_format" {
			t.Errorf("a cursor %s: %s", name, p.pointers())
		}
	}
	if got := a.call(t, "GET", "/v1/tasks?status=&cursor=&limit=", ""); got.Code != 200 || !strings.Contains(got.Body.String(), `"next_cursor":null,`) {
		t.Errorf("empty parameters: %d %s", got.Code, got.Body)
	}
	if got := a.call(t, "GET", "/v1/tasks?target=in_2", ""); got.Code != 200 {
		t.Errorf("status %d", got.Code)
	}
}

func TestChangesReachTheirPorts(t *testing.T) {
	t.Parallel()
	a := newAPI()
	var resolution billing.Resolution
	var moved time.Time
	a.tasks.ResolveFunc = func(_ billing.TaskID, r billing.Resolution) (billing.Task, error) {
		resolution = r
		return someTask(), nil
	}
	a.tasks.RescheduleFunc = func(_ billing.TaskID, at time.Time) (billing.Task, error) {
		moved = at
		return someTask(), nil
	}
	wantStatus(t, a.call(t, "POST", "/v1/tasks/"+taskID+"/resolve", `{"outcome":"succeeded","note":"seen at Stripe"}`, "X-Request-Id: r-1"), 200)
	if diff := cmp.Diff(billing.Resolution{Outcome: billing.Succeeded, Note: "seen at Stripe", RequestID: "r-1"}, resolution); diff != "" {
		t.Error(diff)
	}
	wantStatus(t, a.call(t, "POST", "/v1/tasks/"+taskID+"/reschedule", `{"run_at":"2030-01-01T01:00:00+01:00"}`), 200)
	if !moved.Equal(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("moved to %s", moved)
	}
	wantStatus(t, a.call(t, "POST", "/v1/tasks/"+taskID+"/cancel", ""), 200)
	wantStatus(t, a.call(t, "POST", "/v1/tasks/"+taskID+"/cancel", "{}"), 200)
	a.tasks.CancelFunc = func(billing.TaskID) (billing.Task, error) {
		return billing.Task{}, &billing.Error{Code: billing.CodeConflict, Message: "the task is running"}
	}
	if p := wantProblem(t, a.call(t, "POST", "/v1/tasks/"+taskID+"/cancel", ""), 409); p.Detail != "the task is running" {
		t.Errorf("%+v", p)
	}
}

func TestARetryIsANewTaskWithANewKey(t *testing.T) {
	t.Parallel()
	a := newAPI()
	old := someTask()
	old.Status, old.Metadata, old.MaxAttempts = billing.Failed, map[string]string{"a": "b"}, 3
	a.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) { return old, nil }
	var next billing.NewTask
	a.tasks.RetryFunc = func(of billing.TaskID, task billing.NewTask) (billing.CreatedTask, error) {
		next = task
		return billing.CreatedTask{Task: taskOf(task)}, nil
	}
	got := a.call(t, "POST", "/v1/tasks/"+taskID+"/retry", "", "X-Request-Id: r1")
	wantStatus(t, got, 201)
	answer := decode[map[string]any](t, got)
	if answer["retry_of"] != taskID || answer["id"] == taskID || answer["idempotency_key"] != "task_"+string(next.ID) {
		t.Errorf("%v", answer)
	}
	if next.Request.Body != "metadata[billonce_task_id]="+string(next.ID) {
		t.Errorf("not frozen anew: %+v", next.Request)
	}
	next.ID, next.Request = "", billing.Request{}
	want := billing.NewTask{
		MerchantID: merchantID, Kind: billing.InvoicePay, Target: "in_1", Params: old.Params,
		Metadata: old.Metadata, MaxAttempts: 3, RetryOf: taskID, CreatedBy: "ADMIN_API_KEY 192.0.2.1 r1",
	}
	if diff := cmp.Diff(want, next); diff != "" {
		t.Error(diff)
	}
	a.tasks.RetryFunc = func(_ billing.TaskID, task billing.NewTask) (billing.CreatedTask, error) {
		return billing.CreatedTask{Task: taskOf(task), Replayed: true}, nil
	}
	if got := a.call(t, "POST", "/v1/tasks/"+taskID+"/retry", ""); got.Code != 201 || got.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("a second retry: %d %v", got.Code, got.Header())
	}
	for _, status := range []billing.Status{billing.Pending, billing.Running, billing.Succeeded, billing.InDoubt} {
		old.Status = status
		before := a.writes()
		if wantProblem(t, a.call(t, "POST", "/v1/tasks/"+taskID+"/retry", ""), 409); a.writes() != before {
			t.Errorf("%s was retried", status)
		}
	}
}
