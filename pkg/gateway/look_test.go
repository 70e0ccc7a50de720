package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
)

type fields map[string]any

// stage is a Stripe that only reads: its lists in pages, newest first, and one object.
type stage struct {
	t      *testing.T
	events [][]fields
	list   [][]fields                                          // of what was created
	object func(w http.ResponseWriter)                         // nil: there is none
	broken func(w http.ResponseWriter, page int) (spoilt bool) // what a page of events is instead
	date   time.Time                                           // zero: now
	slow   time.Duration                                       // of each answer
	time   time.Duration                                       // for the whole look; 0: enough
	queued time.Duration                                       // since the database told the time
	reads  atomic.Int32
}

var firstSent = time.Now().Add(-time.Hour).Truncate(time.Second)

func (s *stage) look(kind billing.Kind, target, params string) billing.Finding {
	s.t.Helper()
	base, _ := serve(s.t, s.answer)
	claim := frozen(s.t, kind, target, params)
	doubt := billing.Doubt{
		ID: claim.ID, Kind: kind, Target: target, Request: claim.Request, Auth: billing.AuthToken, Account: "acct_1",
		ScheduledFor: firstSent, FirstSentAt: firstSent, StartedAt: time.Now().Add(-s.queued), Looks: 1,
	}
	ctx := s.t.Context()
	if s.time > 0 {
		limited, cancel := context.WithTimeout(ctx, s.time)
		defer cancel()
		ctx = limited
	}
	found := open(s.t, gateway.Config{BaseURL: base}).Look(ctx, []billing.Doubt{doubt}, tokenCredential())
	return found[claim.ID]
}

func (s *stage) answer(w http.ResponseWriter, r *http.Request) {
	s.reads.Add(1)
	<-time.After(s.slow)
	if r.Method != http.MethodGet {
		s.t.Errorf("a look sent %s %s", r.Method, r.URL)
	}
	if !s.date.IsZero() {
		w.Header().Set("Date", s.date.UTC().Format(http.TimeFormat))
	}
	w.Header().Set("Request-Id", fmt.Sprintf("req_read_%d", s.reads.Load()))
	switch {
	case r.URL.Path == "/v1/events":
		s.page(w, r, s.events)
	case strings.Count(r.URL.Path, "/") == 2:
		s.page(w, r, s.list)
	case s.object == nil:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"resource_missing"}}`)
	default:
		s.object(w)
	}
}

// page answers with the page after the one whose last entry is named.
func (s *stage) page(w http.ResponseWriter, r *http.Request, pages [][]fields) {
	n := 0
	if after := r.URL.Query().Get("starting_after"); after != "" {
		for i, page := range pages {
			if page[len(page)-1]["id"] == after {
				n = i + 1
			}
		}
		if n == 0 {
			s.t.Errorf("no page ends with %s", after)
		}
	}
	if r.URL.Path == "/v1/events" && s.broken != nil && s.broken(w, n) {
		return
	}
	data := []fields{}
	if n < len(pages) {
		data = pages[n]
	}
	if err := json.NewEncoder(w).Encode(fields{"object": "list", "data": data, "has_more": n+1 < len(pages)}); err != nil {
		s.t.Error(err)
	}
}

func state(of fields) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(of) }
}

// event is one that a request with the given key caused a while after the first send.
func event(id, kind, key string, after time.Duration, object fields) fields {
	return fields{
		"id": id, "type": kind, "created": firstSent.Add(after).Unix(), "data": fields{"object": object},
		"request": fields{"id": "req_" + id, "idempotency_key": key},
	}
}

// unasked is an event that no request caused.
func unasked(id, kind string, object fields) fields {
	made := event(id, kind, "", time.Minute, object)
	made["request"] = fields{"id": nil, "idempotency_key": nil}
	return made
}

func noise(page, n int) []fields {
	entries := make([]fields, n)
	for i := range entries {
		entries[i] = event(fmt.Sprintf("evt_%d_%d", page, i), "invoice.paid", "somebody", time.Minute, fields{"object": "invoice", "id": "in_other"})
	}
	return entries
}

var (
	paidInvoice = fields{"object": "invoice", "id": "in_1", "status": "paid"}
	openInvoice = fields{"object": "invoice", "id": "in_1", "status": "open"}
)

func wantFinding(t *testing.T, got billing.Finding, outcome billing.Outcome, reason billing.Reason, absent bool) {
	t.Helper()
	if got.Outcome != outcome || got.Reason != reason || got.Absent != absent {
		t.Errorf("%s %s absent %v, want %s %s %v; evidence %+v", got.Outcome, got.Reason, got.Absent, outcome, reason, absent, got.Evidence)
	}
	if len(got.Evidence) == 0 || (got.Result != nil) != (outcome == billing.OutcomeSucceeded) || (got.Error != nil) == (outcome == billing.OutcomeSucceeded) {
		t.Errorf("%+v", got)
	}
}

func TestALookReadsEveryPage(t *testing.T) {
	t.Parallel()
	s := &stage{t: t, events: [][]fields{noise(0, 100), noise(1, 100), {event("evt_own", "invoice.paid", taskID.IdempotencyKey(), 0, paidInvoice)}}}
	got := s.look(billing.InvoicePay, "in_1", `{}`)
	wantFinding(t, got, billing.OutcomeSucceeded, billing.ReasonReconciled, false)
	if s.reads.Load() != 3 || got.Result.RequestID != "req_evt_own" || got.Result.Status != "paid" {
		t.Errorf("%d reads, %+v", s.reads.Load(), got.Result)
	}
}

// TestAPageThatCannotBeReadProvesNothing: whatever becomes of the second page, the look has failed.
func TestAPageThatCannotBeReadProvesNothing(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		status int
		body   string
		reason billing.Reason
	}{
		"500":                    {500, `{"error":{"type":"api_error"}}`, billing.ReasonLookFailed},
		"429":                    {429, `{"error":{"type":"invalid_request_error","code":"rate_limit"}}`, billing.ReasonLookFailed},
		"401":                    {401, `{"error":{"type":"invalid_request_error"}}`, billing.ReasonUnauthorized},
		"403 account_invalid":    {403, `{"error":{"type":"invalid_request_error","code":"account_invalid"}}`, billing.ReasonUnauthorized},
		"a proxy's page":         {200, `<html>`, billing.ReasonLookFailed},
		"half a page":            {200, `{"object":"list","data":[{"id":"evt_1"`, billing.ReasonLookFailed},
		"no data":                {200, `{"object":"list"}`, billing.ReasonLookFailed},
		"an entry without an id": {200, `{"data":[{"object":"event"}],"has_more":false}`, billing.ReasonLookFailed},
		"an endless empty page":  {200, `{"data":[],"has_more":true}`, billing.ReasonLookFailed},
	}
	for name, tc := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stage{t: t, events: [][]fields{noise(0, 100), noise(1, 1)}, object: state(openInvoice), broken: func(w http.ResponseWriter, page int) bool {
				if page == 1 {
					w.WriteHeader(tc.status)
					fmt.Fprint(w, tc.body)
				}
				return page == 1
			}}
			wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, tc.reason, false)
			if s.reads.Load() != 2 {
				t.Errorf("%d reads: it went on after the failure", s.reads.Load())
			}
		})
	}
}

// TestAListThatIsTooLongProvesOnlyWhatIsFound: a busy merchant's events do not end.
func TestAListThatIsTooLongProvesOnlyWhatIsFound(t *testing.T) {
	t.Parallel()
	var endless [][]fields
	for page := range 60 {
		endless = append(endless, noise(page, 2))
	}
	mine := fields{"object": "refund", "id": "re_1", "status": "succeeded", "metadata": fields{"billonce_task_id": string(taskID)}}
	t.Run("TheStateStillTells", func(t *testing.T) {
		t.Parallel()
		s := &stage{t: t, events: endless, object: state(openInvoice)}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, true)
		s = &stage{t: t, events: endless, object: state(paidInvoice)}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonUnattributed, false)
	})
	t.Run("SoDoesTheListOfWhatWasMade", func(t *testing.T) {
		t.Parallel()
		s := &stage{t: t, events: endless, list: [][]fields{{mine}}}
		wantFinding(t, s.look(billing.RefundCreate, "", `{"charge": "ch_1"}`), billing.OutcomeSucceeded, billing.ReasonReconciled, false)
		s = &stage{t: t, events: endless}
		wantFinding(t, s.look(billing.RefundCreate, "", `{"charge": "ch_1"}`), billing.OutcomeUnknown, billing.ReasonNoTrace, true)
	})
	t.Run("WhereOnlyTimeIsShort", func(t *testing.T) {
		t.Parallel()
		s := &stage{t: t, events: endless, object: state(openInvoice), slow: 20 * time.Millisecond, time: time.Second}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, true)
		if n := s.reads.Load(); n > 40 {
			t.Errorf("%d reads: the list took more than its half of the time", n)
		}
	})
	t.Run("ButNotIfItIsTooLongItself", func(t *testing.T) {
		t.Parallel()
		s := &stage{t: t, list: endless}
		wantFinding(t, s.look(billing.RefundCreate, "", `{"charge": "ch_1"}`), billing.OutcomeUnknown, billing.ReasonNoTrace, false)
	})
	t.Run("AndNothingTellsWhereOnlyEventsCould", func(t *testing.T) {
		t.Parallel()
		s := &stage{t: t, events: endless}
		wantFinding(t, s.look(billing.CustomerUpdate, "cus_1", `{"name": "A"}`), billing.OutcomeUnknown, billing.ReasonNoTrace, false)
	})
}

// TestClocksThatDisagreeProveNothing: lists are read from the first send on, by Stripe's clock. If that is behind, what happened
// may stand before the beginning of the list.
func TestClocksThatDisagreeProveNothing(t *testing.T) {
	t.Parallel()
	behind := time.Now().Add(-5 * time.Minute)
	t.Run("AbsenceInAList", func(t *testing.T) {
		t.Parallel()
		s := &stage{t: t, date: behind}
		got := s.look(billing.RefundCreate, "", `{"charge": "ch_1"}`)
		wantFinding(t, got, billing.OutcomeUnknown, billing.ReasonNoTrace, false)
		if got.Evidence[1].Source != "clock" {
			t.Errorf("the evidence does not say so: %+v", got.Evidence)
		}
		s = &stage{t: t, date: time.Now().Add(5 * time.Minute)} // ahead does no harm
		wantFinding(t, s.look(billing.RefundCreate, "", `{"charge": "ch_1"}`), billing.OutcomeUnknown, billing.ReasonNoTrace, true)
	})
	t.Run("WhoCanceled", func(t *testing.T) {
		t.Parallel()
		ended := fields{"object": "subscription", "id": "sub_1", "status": "canceled", "canceled_at": firstSent.Add(-5 * time.Minute).Unix()}
		s := &stage{t: t, object: state(ended)}
		wantFinding(t, s.look(billing.SubscriptionCancel, "sub_1", `{}`), billing.OutcomeRefused, billing.ReasonSatisfied, false)
		s = &stage{t: t, object: state(ended), date: behind}
		wantFinding(t, s.look(billing.SubscriptionCancel, "sub_1", `{}`), billing.OutcomeUnknown, billing.ReasonUnattributed, false)
	})
}

// TestWhatAnotherHandExplains: only an event that shows how the object came to be as it is makes another hand's deed of it.
func TestWhatAnotherHandExplains(t *testing.T) {
	t.Parallel()
	subscription := func(status string) fields { return fields{"object": "subscription", "id": "sub_1", "status": status} }
	intent := func(status string) fields { return fields{"object": "payment_intent", "id": "pi_1", "status": status} }
	type want struct {
		outcome billing.Outcome
		reason  billing.Reason
	}
	satisfied, unclear := want{billing.OutcomeRefused, billing.ReasonSatisfied}, want{billing.OutcomeUnknown, billing.ReasonUnattributed}
	cases := map[string]struct {
		kind   billing.Kind
		target string
		object fields
		event  fields
		want   want
	}{
		"PaidByAnother": {billing.InvoicePay, "in_1", paidInvoice, event("evt_1", "invoice.paid", "theirs", time.Minute, paidInvoice), satisfied},
		"AnotherInvoice": {
			billing.InvoicePay, "in_1", paidInvoice,
			event("evt_1", "invoice.paid", "theirs", time.Minute, fields{"object": "invoice", "id": "in_2", "status": "paid"}), unclear,
		},
		"ResumedByAnother": {
			billing.SubscriptionResume, "sub_1", subscription("active"),
			event("evt_1", "customer.subscription.resumed", "theirs", time.Minute, subscription("active")), satisfied,
		},
		"UpdatedByAnotherAfterwards": {
			billing.SubscriptionResume, "sub_1", subscription("active"),
			event("evt_1", "customer.subscription.updated", "theirs", time.Minute, subscription("active")), unclear,
		},
		"ConfirmedByAnother": {
			billing.PaymentIntentConfirm, "pi_1", intent("succeeded"),
			event("evt_1", "payment_intent.succeeded", "theirs", time.Minute, intent("succeeded")), satisfied,
		},
		"TriedByAnotherBefore": {
			billing.PaymentIntentConfirm, "pi_1", intent("succeeded"),
			event("evt_1", "payment_intent.requires_action", "theirs", 0, intent("requires_action")), unclear,
		},
		"CanceledWithoutAKeyAfterwards": {
			billing.SubscriptionCancel, "sub_1", subscription("canceled"),
			event("evt_1", "customer.subscription.deleted", "", time.Second, subscription("canceled")),
			want{billing.OutcomeSucceeded, billing.ReasonReconciled},
		},
		"CanceledWithoutAKeyBefore": {
			billing.SubscriptionCancel, "sub_1", subscription("canceled"),
			event("evt_1", "customer.subscription.deleted", "", -5*time.Minute, subscription("canceled")), unclear,
		},
		"PaidByADebitThatCleared": {billing.InvoicePay, "in_1", paidInvoice, unasked("evt_1", "invoice.paid", paidInvoice), unclear},
		"CanceledByStripeItself": {
			billing.SubscriptionCancel, "sub_1", subscription("canceled"),
			unasked("evt_1", "customer.subscription.deleted", subscription("canceled")), unclear,
		},
		"CanceledWithAnotherKey": {
			billing.SubscriptionCancel, "sub_1", subscription("canceled"),
			event("evt_1", "customer.subscription.deleted", "theirs", time.Second, subscription("canceled")), satisfied,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stage{t: t, events: [][]fields{{tc.event}}, object: state(tc.object)}
			wantFinding(t, s.look(tc.kind, tc.target, `{}`), tc.want.outcome, tc.want.reason, false)
		})
	}
}

// TestALookWithoutAKeyIsUnauthorized: nothing is read in nobody's name.
func TestALookWithoutAKeyIsUnauthorized(t *testing.T) {
	t.Parallel()
	base, connections := serve(t, func(http.ResponseWriter, *http.Request) {})
	claim := pay(t)
	doubt := billing.Doubt{ID: claim.ID, Kind: claim.Kind, Target: "in_1", Request: claim.Request, FirstSentAt: firstSent}
	found := open(t, gateway.Config{BaseURL: base}).Look(t.Context(), []billing.Doubt{doubt}, billing.Credential{Auth: billing.AuthPlatform, Account: "acct_1"})
	if got := found[claim.ID]; got.Outcome != billing.OutcomeUnknown || got.Reason != billing.ReasonUnauthorized || connections.Load() != 0 {
		t.Errorf("%+v, %d connections", got, connections.Load())
	}
}

// TestManyKindsAreLookedAtAtOnce: Stripe takes no more than twenty event types in one request.
func TestManyKindsAreLookedAtAtOnce(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data := []fields{}
		switch types := r.URL.Query()["types[]"]; {
		case r.URL.Path != "/v1/events":
		case len(types) == 0 || len(types) > 20:
			t.Errorf("asked for %d types", len(types))
		default:
			asked.Add(int32(len(types)))
			if slices.Contains(types, "transfer.created") {
				made := fields{"object": "transfer", "id": "tr_1"}
				data = append(data, event("evt_1", "transfer.created", taskID.IdempotencyKey(), 0, made))
			}
		}
		_ = json.NewEncoder(w).Encode(fields{"data": data, "has_more": false})
	})
	var doubts []billing.Doubt
	for i, kind := range billing.Kinds() {
		id := billing.TaskID(fmt.Sprintf("0192f5a0-7b1c-7def-8a2b-%012d", i))
		if kind == billing.TransferCreate {
			id = taskID
		}
		doubts = append(doubts, billing.Doubt{ID: id, Kind: kind, FirstSentAt: firstSent, Request: billing.Request{Method: "POST", Path: "/v1/things/x", APIVersion: "2023-10-16"}})
	}
	found := open(t, gateway.Config{BaseURL: base}).Look(t.Context(), doubts, tokenCredential())
	if len(found) != len(doubts) || found[taskID].Outcome != billing.OutcomeSucceeded || asked.Load() <= 20 {
		t.Errorf("%d findings, %d types, %+v", len(found), asked.Load(), found[taskID])
	}
}
