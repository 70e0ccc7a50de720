package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
)

// TestARepeatedDELETEIsNotJudgedByClocksThatDisagree: the database's clock is five minutes ahead, so that our own cancelation seems
// to lie before our first send.
func TestARepeatedDELETEIsNotJudgedByClocksThatDisagree(t *testing.T) {
	t.Parallel()
	stripes := time.Now().Add(-5 * time.Minute)
	base := goneAlready(t, stripes.Add(-30*time.Second), stripes, "")
	claim := frozen(t, billing.SubscriptionCancel, "sub_1", `{}`)
	claim.Resend, claim.SinceSent = true, 40*time.Second
	got := open(t, gateway.Config{BaseURL: base}).Execute(t.Context(), claim, tokenCredential())
	check(t, got, billing.OutcomeUnknown, billing.ReasonUnattributed)
	if !got.Final {
		t.Error("another DELETE would bring the same")
	}
}

// TestAFirstDELETEMayBeTheSecond: a backup that is older than the cancelation was restored, and the task goes out as if for the
// first time.
func TestAFirstDELETEMayBeTheSecond(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tc := range map[string]struct {
		canceled time.Time
		stripes  time.Time
		key      string
		outcome  billing.Outcome
		reason   billing.Reason
	}{
		"CanceledBeforeItsTime":       {now.Add(-2 * time.Hour), now, "", billing.OutcomeRefused, billing.ReasonSatisfied},
		"CanceledSinceByAnotherKey":   {now.Add(-30 * time.Minute), now, "theirs", billing.OutcomeRefused, billing.ReasonSatisfied},
		"CanceledSinceByNobodyKnown":  {now.Add(-30 * time.Minute), now, "", billing.OutcomeUnknown, billing.ReasonUnattributed},
		"CanceledSinceByItself":       {now.Add(-30 * time.Minute), now, ownKey, billing.OutcomeSucceeded, billing.ReasonDone},
		"CanceledJustNowByNobody":     {now, now, "", billing.OutcomeUnknown, billing.ReasonUnattributed},
		"CanceledBeforeByAWrongClock": {now.Add(-2 * time.Hour), now.Add(-90 * time.Minute), "", billing.OutcomeUnknown, billing.ReasonUnattributed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim := frozen(t, billing.SubscriptionCancel, "sub_1", `{}`)
			claim.ScheduledFor = now.Add(-time.Hour)
			gate := open(t, gateway.Config{BaseURL: goneAlready(t, tc.canceled, tc.stripes, tc.key)})
			got := gate.Execute(t.Context(), claim, tokenCredential())
			check(t, got, tc.outcome, tc.reason)
			if got.Final != (tc.outcome == billing.OutcomeUnknown) {
				t.Errorf("final %v", got.Final)
			}
			if tc.outcome != billing.OutcomeUnknown || tc.canceled.Equal(now) {
				return
			}
			// Nor does a later look find in it what this life of the database has done.
			found := gate.Look(t.Context(), []billing.Doubt{{
				ID: claim.ID, Kind: claim.Kind, Target: "sub_1", Request: claim.Request, ScheduledFor: claim.ScheduledFor, FirstSentAt: now, StartedAt: now,
			}}, tokenCredential())[claim.ID]
			wantFinding(t, found, billing.OutcomeUnknown, billing.ReasonUnattributed, false)
		})
	}
}

// goneAlready is a Stripe at which sub_1 was canceled at a moment, by a request without a key unless it names one.
func goneAlready(t *testing.T, canceled, now time.Time, key string) string {
	t.Helper()
	quoted := "null"
	if key != "" {
		quoted = `"` + key + `"`
	}
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		answer := httptest.NewRecorder()
		switch {
		case r.Method == http.MethodDelete:
			answer.Code = http.StatusNotFound
			answer.Body.WriteString(`{"error":{"type":"invalid_request_error","code":"resource_missing"}}`)
		case strings.HasPrefix(r.URL.Path, "/v1/events"):
			fmt.Fprintf(answer, `{"data":[{"id":"evt_1","type":"customer.subscription.deleted","created":%d,"request":{"id":"req_D","idempotency_key":%s},
				"data":{"object":{"id":"sub_1","object":"subscription","status":"canceled"}}}],"has_more":false}`, canceled.Unix(), quoted)
		default:
			fmt.Fprintf(answer, `{"id":"sub_1","object":"subscription","status":"canceled","canceled_at":%d}`, canceled.Unix())
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
	return base
}
