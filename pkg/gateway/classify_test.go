package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
)

const (
	succeeded = billing.OutcomeSucceeded
	refused   = billing.OutcomeRefused
	notSent   = billing.OutcomeNotSent
	unknown   = billing.OutcomeUnknown
)

func errorBody(kind, code string) string {
	return fmt.Sprintf(`{"error":{"type":%q,"code":%q,"message":"No such customer: Jane Roe","param":"customer"}}`, kind, code)
}

const (
	invalidType = "invalid_request_error"
	paid        = `{"id":"in_1","object":"invoice","status":"paid"}`
	page        = "<html><body>Bad gateway</body></html>"
)

// TestOutcomeTable is the outcome table of the design: what each answer proves on a first send, and what on a send after an
// unknown outcome.
func TestOutcomeTable(t *testing.T) {
	t.Parallel()
	type proof struct {
		outcome billing.Outcome
		final   bool
	}
	cases := []struct {
		name          string
		seen          observation
		reason        billing.Reason
		first, resent proof
	}{
		{"2xx", observation{status: 200, body: []byte(paid)}, billing.ReasonDone, proof{succeeded, false}, proof{succeeded, false}},
		{"2xx replayed", observation{status: 200, body: []byte(paid), replayed: true}, billing.ReasonDone, proof{succeeded, false}, proof{succeeded, false}},
		{"201", observation{status: 201, body: []byte(paid)}, billing.ReasonDone, proof{succeeded, false}, proof{succeeded, false}},
		{"2xx cut", observation{status: 200, body: []byte(paid), cut: true}, billing.ReasonUnreadable, proof{unknown, false}, proof{unknown, false}},
		{"2xx half", observation{status: 200, body: []byte(paid[:20])}, billing.ReasonUnreadable, proof{unknown, false}, proof{unknown, false}},
		{"2xx garbage", observation{status: 200, body: []byte(page)}, billing.ReasonUnreadable, proof{unknown, false}, proof{unknown, false}},
		{"2xx without id", observation{status: 200, body: []byte(`{"object":"invoice"}`)}, billing.ReasonUnreadable, proof{unknown, false}, proof{unknown, false}},
		{"2xx array", observation{status: 200, body: []byte(`[]`)}, billing.ReasonUnreadable, proof{unknown, false}, proof{unknown, false}},
		{"204", observation{status: 204}, billing.ReasonUnreadable, proof{unknown, false}, proof{unknown, false}},
		{"2xx garbage replayed", observation{status: 200, replayed: true}, billing.ReasonUnreadable, proof{unknown, false}, proof{unknown, false}},

		{"no connection", observation{unsent: true}, billing.ReasonUnreachable, proof{notSent, false}, proof{unknown, false}},
		{"no answer", observation{}, billing.ReasonNoAnswer, proof{unknown, false}, proof{unknown, false}},

		{"400", stripeSays(400, invalidType, "parameter_missing"), billing.ReasonInvalid, proof{refused, false}, proof{unknown, false}},
		{"403", stripeSays(403, invalidType, ""), billing.ReasonInvalid, proof{refused, false}, proof{unknown, false}},
		{"404", stripeSays(404, invalidType, "resource_missing"), billing.ReasonInvalid, proof{refused, false}, proof{unknown, false}},
		{"400 replayed", again(stripeSays(400, invalidType, "")), billing.ReasonInvalid, proof{refused, false}, proof{refused, false}},
		{"403 replayed", again(stripeSays(403, invalidType, "")), billing.ReasonInvalid, proof{refused, false}, proof{refused, false}},
		{"404 replayed", again(stripeSays(404, invalidType, "")), billing.ReasonInvalid, proof{refused, false}, proof{refused, false}},
		{"418 of Stripe", stripeSays(418, invalidType, ""), billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},

		{"400 other request under the key", stripeSays(400, "idempotency_error", ""), billing.ReasonKeyMismatch, proof{unknown, true}, proof{unknown, true}},
		{"409 key in use", stripeSays(409, invalidType, "idempotency_key_in_use"), billing.ReasonInProgress, proof{unknown, false}, proof{unknown, false}},
		{"409 key in use, other type", stripeSays(409, "idempotency_error_", "idempotency_key_in_use"), billing.ReasonInProgress, proof{unknown, false}, proof{unknown, false}},
		{"409", stripeSays(409, invalidType, ""), billing.ReasonInProgress, proof{unknown, false}, proof{unknown, false}},

		{"401", stripeSays(401, invalidType, ""), billing.ReasonUnauthorized, proof{notSent, false}, proof{unknown, false}},
		{"401 expired", stripeSays(401, invalidType, "api_key_expired"), billing.ReasonUnauthorized, proof{notSent, false}, proof{unknown, false}},
		{"403 account_invalid", stripeSays(403, invalidType, "account_invalid"), billing.ReasonUnauthorized, proof{notSent, false}, proof{unknown, false}},
		{"403 api_key_expired", stripeSays(403, invalidType, "api_key_expired"), billing.ReasonUnauthorized, proof{notSent, false}, proof{unknown, false}},
		{"403 platform_api_key_expired", stripeSays(403, invalidType, "platform_api_key_expired"), billing.ReasonUnauthorized, proof{notSent, false}, proof{unknown, false}},

		{"402", stripeSays(402, "card_error", "card_declined"), billing.ReasonDeclined, proof{refused, false}, proof{refused, false}},
		{"402 replayed", again(stripeSays(402, "card_error", "card_declined")), billing.ReasonDeclined, proof{refused, false}, proof{refused, false}},
		{"402 of a proxy", observation{status: 402, body: []byte(page)}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},

		{"429 limiter", limited(stripeSays(429, invalidType, "rate_limit")), billing.ReasonRateLimited, proof{notSent, false}, proof{unknown, false}},
		{"429 limiter, header alone", limited(stripeSays(429, invalidType, "")), billing.ReasonRateLimited, proof{notSent, false}, proof{unknown, false}},
		{"429 lock", stripeSays(429, invalidType, "lock_timeout"), billing.ReasonLocked, proof{notSent, false}, proof{unknown, false}},
		{"429 without a word", stripeSays(429, invalidType, ""), billing.ReasonLocked, proof{notSent, false}, proof{unknown, false}},
		{"429 lock replayed", again(stripeSays(429, invalidType, "lock_timeout")), billing.ReasonLocked, proof{refused, false}, proof{refused, false}},
		{"429 of a proxy", observation{status: 429}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},

		{"424", stripeSays(424, "api_error", ""), billing.ReasonServerError, proof{unknown, false}, proof{unknown, false}},
		{"500", stripeSays(500, "api_error", ""), billing.ReasonServerError, proof{unknown, false}, proof{unknown, false}},
		{"500 replayed", again(stripeSays(500, "api_error", "")), billing.ReasonServerError, proof{unknown, true}, proof{unknown, true}},
		{"502 of a proxy", observation{status: 502, body: []byte(page)}, billing.ReasonServerError, proof{unknown, false}, proof{unknown, false}},
		{"503", observation{status: 503}, billing.ReasonServerError, proof{unknown, false}, proof{unknown, false}},
		{"504 cut", observation{status: 504, cut: true}, billing.ReasonServerError, proof{unknown, false}, proof{unknown, false}},

		{"302", observation{status: 302}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},
		{"101", observation{status: 101}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},
		{"400 of a proxy", observation{status: 400, body: []byte(`{"message":"blocked"}`)}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},
		{"401 of a proxy", observation{status: 401, body: []byte(page)}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},
		{"404 of a proxy", observation{status: 404, body: []byte(page)}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},
		{"404 with OAuth's error", observation{status: 404, body: []byte(`{"error":"invalid_grant"}`)}, billing.ReasonUnexpected, proof{unknown, false}, proof{unknown, false}},
		{"400 cut", cutShort(stripeSays(400, invalidType, "")), billing.ReasonNoAnswer, proof{unknown, false}, proof{unknown, false}},
		{"402 cut", cutShort(stripeSays(402, "card_error", "")), billing.ReasonNoAnswer, proof{unknown, false}, proof{unknown, false}},
	}
	for _, tc := range cases {
		for _, resend := range []bool{false, true} {
			want := tc.first
			if resend {
				want = tc.resent
			}
			got := classify(tc.seen, resend)
			if got.Outcome != want.outcome || got.Reason != tc.reason || got.Final != want.final {
				t.Errorf("%s, resend %v: got %s %s final %v, want %s %s final %v", tc.name, resend,
					got.Outcome, got.Reason, got.Final, want.outcome, tc.reason, want.final)
			}
			checkAnswer(t, tc.name, tc.seen, got)
		}
	}
}

func stripeSays(status int, kind, code string) observation {
	return observation{status: status, body: []byte(errorBody(kind, code)), requestID: "req_1"}
}

func again(seen observation) observation    { seen.replayed = true; return seen }
func limited(seen observation) observation  { seen.rateLimited = true; return seen }
func cutShort(seen observation) observation { seen.cut = true; return seen }

// checkAnswer holds what must be true of every answer.
func checkAnswer(t *testing.T, name string, seen observation, got billing.Answer) {
	t.Helper()
	if (got.Result != nil) != (got.Outcome == succeeded) || (got.Error != nil) == (got.Outcome == succeeded) {
		t.Errorf("%s: %s with result %v and error %v", name, got.Outcome, got.Result, got.Error)
	}
	if got.Error != nil && (got.Error.Message == "" || got.Error.HTTPStatus != seen.status) {
		t.Errorf("%s: %+v", name, got.Error)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if strings.Contains(string(text), "Jane") {
		t.Errorf("%s: the answer holds Stripe's sentence: %s", name, text)
	}
}

func TestAnswerKeepsIdentifiersOnly(t *testing.T) {
	t.Parallel()
	got := classify(observation{status: 402, requestID: "req_A1", body: []byte(`{"error":{"type":"card_error","code":"card_declined",
		"decline_code":"insufficient_funds","param":"items[0][price]","message":"Jane Roe's card","payment_intent":{"client_secret":"pi_1_secret_2"}}}`)}, false)
	want := &billing.StripeError{
		HTTPStatus: 402, Type: "card_error", Code: "card_declined", DeclineCode: "insufficient_funds", Param: "items[0][price]",
		Message: "The payment was declined.", RequestID: "req_A1",
	}
	if diff := cmp.Diff(want, got.Error); diff != "" {
		t.Error(diff)
	}
	got = classify(observation{status: 402, requestID: "req 1", body: []byte(`{"error":{"type":"card_error","code":"Jane Roe","decline_code":7,"param":"` +
		strings.Repeat("a", 101) + `"}}`)}, false)
	want = &billing.StripeError{HTTPStatus: 402, Type: "card_error", Message: "The payment was declined."}
	if diff := cmp.Diff(want, got.Error); diff != "" {
		t.Error(diff)
	}
	result := classify(observation{status: 200, requestID: "req_2", replayed: true, body: []byte(`{"id":"cus_1","object":"customer","status":{"a":1},"email":"jane@example.com"}`)}, true).Result
	if diff := cmp.Diff(&billing.Result{Object: "customer", ID: "cus_1", RequestID: "req_2", Replayed: true}, result); diff != "" {
		t.Error(diff)
	}
}

func TestEveryReasonHasASentence(t *testing.T) {
	t.Parallel()
	for _, reason := range billing.Reasons() {
		for _, outcome := range billing.Outcomes() {
			if sentence(verdict{outcome: outcome, reason: reason}) == "" {
				t.Errorf("%s has no sentence", reason)
			}
		}
	}
}

// TestGone covers what a look at the subscription makes of a 404 to a DELETE.
func TestGone(t *testing.T) {
	t.Parallel()
	claimed := parseTime(t, "2026-03-01T12:00:00Z")
	first := billing.Claim{ClaimedAt: claimed}
	resend := billing.Claim{ClaimedAt: claimed, Resend: true, SinceSent: 10 * 60 * 1e9} // first sent at 11:50
	gone := stripeSays(404, invalidType, "resource_missing")
	canceled := func(at string) observation {
		return observation{status: 200, body: fmt.Appendf(nil, `{"id":"sub_1","object":"subscription","status":"canceled","canceled_at":%d}`, parseTime(t, at).Unix())}
	}
	status := func(status string) observation {
		return observation{status: 200, body: fmt.Appendf(nil, `{"id":"sub_1","object":"subscription","status":%q,"canceled_at":null}`, status)}
	}
	for _, tc := range []struct {
		name    string
		claim   billing.Claim
		looked  observation
		outcome billing.Outcome
		reason  billing.Reason
		final   bool
	}{
		{"first send, canceled long ago", first, canceled("2026-02-01T00:00:00Z"), refused, billing.ReasonSatisfied, false},
		{"first send, canceled just now by another", first, canceled("2026-03-01T12:00:01Z"), refused, billing.ReasonSatisfied, false},
		{"first send, expired", first, status("incomplete_expired"), refused, billing.ReasonSatisfied, false},
		{"first send, never was", first, gone, refused, billing.ReasonInvalid, false},
		{"first send, active", first, status("active"), unknown, billing.ReasonUnexpected, false},
		{"first send, look fails", first, observation{}, unknown, billing.ReasonNoAnswer, false},
		{"first send, look unreachable", first, observation{unsent: true}, unknown, billing.ReasonUnreachable, false},
		{"first send, look limited", first, limited(stripeSays(429, invalidType, "")), unknown, billing.ReasonRateLimited, false},
		{"first send, look cut", first, cutShort(canceled("2026-03-01T12:00:01Z")), unknown, billing.ReasonUnreadable, false},
		{"first send, look 404 of a proxy", first, observation{status: 404, body: []byte(page)}, unknown, billing.ReasonUnexpected, false},
		{"first send, look 404 cut", first, cutShort(gone), unknown, billing.ReasonNoAnswer, false},
		{"re-send, canceled since", resend, canceled("2026-03-01T11:50:02Z"), succeeded, billing.ReasonDone, false},
		{"re-send, canceled since by a slow clock", resend, canceled("2026-03-01T11:49:01Z"), succeeded, billing.ReasonDone, false},
		{"re-send, canceled before", resend, canceled("2026-03-01T11:48:59Z"), refused, billing.ReasonSatisfied, false},
		{"re-send, ended at an unknown time", resend, status("canceled"), unknown, billing.ReasonUnexpected, true},
		{"re-send, never was", resend, gone, unknown, billing.ReasonInvalid, true},
		{"re-send, active", resend, status("active"), unknown, billing.ReasonUnexpected, false},
		{"re-send, look fails", resend, observation{status: 500}, unknown, billing.ReasonServerError, false},
	} {
		got := settleGone(tc.claim, gone, tc.looked)
		if got.Outcome != tc.outcome || got.Reason != tc.reason || got.Final != tc.final {
			t.Errorf("%s: got %s %s final %v, want %s %s final %v", tc.name, got.Outcome, got.Reason, got.Final, tc.outcome, tc.reason, tc.final)
		}
		if (got.Result != nil) != (tc.outcome == succeeded) || (got.Error != nil) == (tc.outcome == succeeded) {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, body := range []string{"", paid, page, errorBody(invalidType, "lock_timeout"), errorBody("idempotency_error", ""), `{"error":null}`, `{"error":[]}`, `{"id":1}`} {
		for _, status := range []int{0, 200, 302, 400, 402, 404, 409, 429, 500} {
			f.Add(status, []byte(body), false, true, false, false, "req_1")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, unsent, replayed, rateLimited, cut bool, requestID string) {
		seen := observation{status: status, body: body, unsent: unsent, replayed: replayed, rateLimited: rateLimited, cut: cut, requestID: requestID}
		first, resent := classify(seen, false), classify(seen, true)
		for _, got := range []billing.Answer{first, resent} {
			if (got.Result != nil) != (got.Outcome == succeeded) || (got.Error != nil) == (got.Outcome == succeeded) {
				t.Fatalf("%+v", got)
			}
			if got.Outcome == succeeded && (status < 200 || status > 299 || cut || !isID(got.Result.ID)) {
				t.Fatalf("success out of status %d", status)
			}
			if got.Outcome == refused && !json.Valid(body) {
				t.Fatalf("a refusal that Stripe did not write: %q", body)
			}
			if got.Error != nil {
				for _, kept := range []string{got.Error.Type, got.Error.Code, got.Error.DeclineCode, got.Error.Param, got.Error.RequestID} {
					if kept != "" && !isMadeOf(kept, "_-.[]") || len(kept) > 100 {
						t.Fatalf("kept %q", kept)
					}
				}
			}
		}
		if resent.Outcome == notSent || resent.Outcome == refused && status != 402 && !replayed {
			t.Fatalf("the answer %d to a re-send settles the task: %+v", status, resent)
		}
		if first.Outcome == unknown && resent.Outcome != unknown || first.Reason != resent.Reason {
			t.Fatalf("first %+v, re-sent %+v", first, resent)
		}
	})
}

func parseTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
