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

		{"500 that a re-send cannot change", should(stripeSays(500, "api_error", ""), false), billing.ReasonServerError, proof{unknown, true}, proof{unknown, true}},
		{"500 to be sent again", should(stripeSays(500, "api_error", ""), true), billing.ReasonServerError, proof{unknown, false}, proof{unknown, false}},
		{"400 to be sent again", should(stripeSays(400, invalidType, ""), true), billing.ReasonInProgress, proof{unknown, false}, proof{unknown, false}},
		{"400 that a re-send cannot change", should(stripeSays(400, invalidType, ""), false), billing.ReasonInvalid, proof{refused, false}, proof{unknown, false}},
		{"402 to be sent again", should(stripeSays(402, "card_error", ""), true), billing.ReasonDeclined, proof{refused, false}, proof{refused, false}},

		{"2xx to a call that was made twice", twice(observation{status: 200, body: []byte(paid)}), billing.ReasonDone, proof{succeeded, false}, proof{succeeded, false}},
		{"400 to a call that was made twice", twice(stripeSays(400, invalidType, "")), billing.ReasonInvalid, proof{unknown, false}, proof{unknown, false}},
		{"401 to a call that was made twice", twice(stripeSays(401, invalidType, "")), billing.ReasonUnauthorized, proof{unknown, false}, proof{unknown, false}},
		{"429 to a call that was made twice", twice(limited(stripeSays(429, invalidType, ""))), billing.ReasonRateLimited, proof{unknown, false}, proof{unknown, false}},
		{"402 to a call that was made twice", twice(stripeSays(402, "card_error", "")), billing.ReasonDeclined, proof{refused, false}, proof{refused, false}},
		{"404 replayed to a call that was made twice", twice(again(stripeSays(404, invalidType, ""))), billing.ReasonInvalid, proof{refused, false}, proof{refused, false}},

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

func again(seen observation) observation { seen.replayed = true; return seen }
func twice(seen observation) observation { seen.repeated = true; return seen }
func should(seen observation, retry bool) observation {
	seen.shouldRetry = &retry
	return seen
}
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

// TestGone covers what a look at the subscription makes of a 404 to the first DELETE of a task.
func TestGone(t *testing.T) {
	t.Parallel()
	gone := stripeSays(404, invalidType, "resource_missing")
	gone.requestID = "req_of_the_delete"
	canceled := func(at string) observation {
		return observation{status: 200, body: fmt.Appendf(nil, `{"id":"sub_1","object":"subscription","status":"canceled","canceled_at":%d}`, parseTime(t, at).Unix())}
	}
	status := func(status string) observation {
		return observation{status: 200, body: fmt.Appendf(nil, `{"id":"sub_1","object":"subscription","status":%q,"canceled_at":null}`, status)}
	}
	for _, tc := range []struct {
		name    string
		looked  observation
		outcome billing.Outcome
		reason  billing.Reason
	}{
		{"canceled long ago", canceled("2026-02-01T00:00:00Z"), refused, billing.ReasonSatisfied},
		{"canceled just now by another", canceled("2026-03-01T12:00:01Z"), refused, billing.ReasonSatisfied},
		{"expired", status("incomplete_expired"), refused, billing.ReasonSatisfied},
		{"never was", gone, refused, billing.ReasonInvalid},
		{"active", status("active"), unknown, billing.ReasonUnexpected},
		{"look fails", observation{}, unknown, billing.ReasonNoAnswer},
		{"look unreachable", observation{unsent: true}, unknown, billing.ReasonUnreachable},
		{"look limited", limited(stripeSays(429, invalidType, "")), unknown, billing.ReasonRateLimited},
		{"look cut", cutShort(canceled("2026-03-01T12:00:01Z")), unknown, billing.ReasonUnreadable},
		{"look 404 of a proxy", observation{status: 404, body: []byte(page)}, unknown, billing.ReasonUnexpected},
		{"look 404 cut", cutShort(gone), unknown, billing.ReasonNoAnswer},
	} {
		got := settleGone(gone, tc.looked)
		if got.Outcome != tc.outcome || got.Reason != tc.reason || got.Final {
			t.Errorf("%s: got %s %s final %v, want %s %s", tc.name, got.Outcome, got.Reason, got.Final, tc.outcome, tc.reason)
		}
		if (got.Result != nil) != (tc.outcome == succeeded) || (got.Error != nil) == (tc.outcome == succeeded) {
			t.Errorf("%s: %+v", tc.name, got)
		}
		if got.Error.RequestID != gone.requestID {
			t.Errorf("%s: the answer to the DELETE is not on record: %+v", tc.name, got.Error)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, body := range []string{"", paid, page, errorBody(invalidType, "lock_timeout"), errorBody("idempotency_error", ""), `{"error":null}`, `{"error":[]}`, `{"id":1}`} {
		for _, status := range []int{0, 200, 302, 400, 402, 404, 409, 429, 500} {
			f.Add(status, []byte(body), false, true, false, false, false, 2, "req_1")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, unsent, replayed, rateLimited, cut, repeated bool, should int, requestID string) {
		seen := observation{status: status, body: body, unsent: unsent, replayed: replayed, rateLimited: rateLimited, cut: cut, repeated: repeated, requestID: requestID}
		if yes := should == 1; should == 0 || yes {
			seen.shouldRetry = &yes
		}
		first, resent := classify(seen, false), classify(seen, true)
		for _, got := range []billing.Answer{first, resent} {
			if (got.Result != nil) != (got.Outcome == succeeded) || (got.Error != nil) == (got.Outcome == succeeded) {
				t.Fatalf("%+v", got)
			}
			if got.Outcome == succeeded && (status < 200 || status > 299 || cut || got.Result.ID != "" && !isID(got.Result.ID)) {
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
		if repeated && (first.Outcome != resent.Outcome || first.Final != resent.Final) {
			t.Fatalf("a call that was made twice is judged as one: %+v, %+v", first, resent)
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
