package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
)

func TestIntentAndDunningAreRead(t *testing.T) {
	t.Parallel()
	a := newAPI()
	body := `{"merchant_id":"` + merchantID + `","kind":"invoice.pay","target":"in_1","intent":"renewal:sub_1:2026-12",` +
		`"on_decline":{"retry_after":["24h","1h30m","90s"],"stop_codes":["do_not_honor"]}}`
	wantStatus(t, a.call(t, "POST", "/v1/tasks", body), 201)
	task := a.tasks.created[0]
	want := &billing.Dunning{RetryAfter: []time.Duration{24 * time.Hour, 90 * time.Minute, 90 * time.Second}, StopCodes: []string{"do_not_honor"}}
	if diff := cmp.Diff(want, task.OnDecline); diff != "" || task.Intent != "renewal:sub_1:2026-12" {
		t.Errorf("intent %q: %s", task.Intent, diff)
	}
}

func TestABadDunningPlanIsRefusedWithPointers(t *testing.T) {
	t.Parallel()
	for plan, pointer := range map[string]string{
		`7`:                                           "/on_decline",
		`{}`:                                          "/on_decline/retry_after",
		`{"retry_after":"24h"}`:                       "/on_decline/retry_after",
		`{"retry_after":[]}`:                          "/on_decline/retry_after",
		`{"retry_after":[7]}`:                         "/on_decline/retry_after/0",
		`{"retry_after":["24h","tomorrow"]}`:          "/on_decline/retry_after/1",
		`{"retry_after":["-24h"]}`:                    "/on_decline/retry_after/0",
		`{"retry_after":["1.5h"]}`:                    "/on_decline/retry_after/0",
		`{"retry_after":["59s"]}`:                     "/on_decline/retry_after/0",
		`{"retry_after":["2161h"]}`:                   "/on_decline/retry_after/0",
		`{"retry_after":["1h"],"stop_codes":7}`:       "/on_decline/stop_codes",
		`{"retry_after":["1h"],"stop_codes":[7]}`:     "/on_decline/stop_codes/0",
		`{"retry_after":["1h"],"stop_codes":["A b"]}`: "/on_decline/stop_codes/0",
		`{"retry_after":["1h"],"sooner":true}`:        "/on_decline/sooner",
		`{"retry_after":[` + strings.Repeat(`"1h",`, 20) + `"1h"]}`:                "/on_decline/retry_after",
		`{"retry_after":["1h"],"stop_codes":["` + strings.Repeat("a", 101) + `"]}`: "/on_decline/stop_codes/0",
	} {
		a := newAPI()
		got := a.call(t, "POST", "/v1/tasks", `{"merchant_id":"`+merchantID+`","kind":"invoice.pay","target":"in_1","on_decline":`+plan+`}`)
		wantProblem(t, got, 422)
		if !strings.Contains(got.Body.String(), `"pointer":"`+pointer+`"`) || a.tasks.writes.Load() != 0 {
			t.Errorf("%s: %s", plan, got.Body)
		}
	}
}

func TestTheFingerprintCoversIntentAndPlan(t *testing.T) {
	t.Parallel()
	prints := map[string]string{}
	for _, extra := range []string{
		``, `,"intent":"a"`, `,"intent":"b"`, `,"on_decline":{"retry_after":["24h"]}`, `,"on_decline":{"retry_after":["24h","24h"]}`,
		`,"on_decline":{"retry_after":["24h"],"stop_codes":["a"]}`,
	} {
		a := newAPI()
		got := a.call(t, "POST", "/v1/tasks", `{"merchant_id":"`+merchantID+`","kind":"invoice.pay","target":"in_1"`+extra+`}`, "Idempotency-Key: k")
		wantStatus(t, got, 201)
		print := string(a.tasks.created[0].Fingerprint)
		if other, twice := prints[print]; twice {
			t.Errorf("%q and %q have the same fingerprint", extra, other)
		}
		prints[print] = extra
	}
}

func TestAChainIsReadInOneCall(t *testing.T) {
	t.Parallel()
	a := newAPI()
	got := a.call(t, "GET", "/v1/tasks/"+taskID+"/chain", "")
	wantStatus(t, got, 200)
	if body := got.Body.String(); !strings.HasPrefix(body, `{"data":[{"id":"`+taskID) || !strings.HasSuffix(body, `],"next_cursor":null,"searched_to":null}`+"\n") {
		t.Error(body)
	}
	wantProblem(t, a.call(t, "GET", "/v1/tasks/nonsense/chain", ""), 404)
}
