package gateway_test

import (
	"testing"
	"time"

	"billonce/pkg/billing"
)

var ownKey = taskID.IdempotencyKey()

func intentOf(status string, refusal fields) fields {
	made := fields{"object": "payment_intent", "id": "pi_1", "status": status, "metadata": fields{"billonce_task_id": string(taskID)}}
	if refusal != nil {
		made["last_payment_error"] = refusal
	}
	return made
}

func openWith(intent any) fields {
	return fields{"object": "invoice", "id": "in_1", "status": "open", "payment_intent": intent}
}

// TestAPaymentUnderWayIsNotAbsent: a debit takes days, and the invoice stays open meanwhile.
func TestAPaymentUnderWayIsNotAbsent(t *testing.T) {
	t.Parallel()
	underWay := intentOf("processing", nil)
	begun := event("evt_1", "payment_intent.processing", ownKey, 0, underWay)
	s := &stage{t: t, events: [][]fields{{begun}}, object: state(openWith(underWay))}
	got := s.look(billing.InvoicePay, "in_1", `{}`)
	wantFinding(t, got, billing.OutcomeSucceeded, billing.ReasonReconciled, false)
	if got.Result.Object != "invoice" || got.Result.ID != "in_1" {
		t.Errorf("%+v", got.Result)
	}
	t.Run("WithoutAnEventNobodyKnowsWhose", func(t *testing.T) {
		t.Parallel()
		s := &stage{t: t, object: state(openWith(underWay))}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonUnattributed, false)
	})
	t.Run("AnothersDebitMayHaveFollowedOurs", func(t *testing.T) {
		t.Parallel()
		theirs := event("evt_1", "payment_intent.processing", "theirs", 0, underWay)
		s := &stage{t: t, events: [][]fields{{theirs}}, object: state(openWith(underWay))}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonUnattributed, false)
	})
	t.Run("ADebitThatFailedWasUnderWay", func(t *testing.T) {
		t.Parallel()
		failed := openWith(intentOf("requires_payment_method", fields{"code": "insufficient_funds"}))
		s := &stage{t: t, events: endless(), object: state(failed)}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, false)
		s = &stage{t: t, object: state(failed)} // all events were read, and none tells who tried
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, false)
		cleared := unasked("evt_2", "payment_intent.payment_failed", fields{"object": "payment_intent", "id": "pi_1"})
		s = &stage{t: t, object: state(failed), events: [][]fields{{cleared, event("evt_1", "invoice.payment_failed", "theirs", 0, openInvoice)}}}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, false)
		s = &stage{t: t, object: state(failed), events: [][]fields{{event("evt_1", "invoice.payment_failed", "theirs", 0, openInvoice)}}}
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, true)
		before := intentOf("requires_payment_method", fields{"code": "insufficient_funds"})
		before["latest_charge"] = fields{"object": "charge", "id": "ch_1", "created": firstSent.Add(-time.Hour).Unix()}
		s = &stage{t: t, events: endless(), object: state(openWith(before))} // refused before the task's time
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, true)
		s = &stage{t: t, events: endless(), object: state(openWith("pi_1"))} // not expanded, as an unknown version might
		wantFinding(t, s.look(billing.InvoicePay, "in_1", `{}`), billing.OutcomeUnknown, billing.ReasonNoTrace, false)
	})
}

// TestOnlyTheTasksOwnRefusalIsADecline: a payment intent lives on after its creation, and the customer may try it again.
func TestOnlyTheTasksOwnRefusalIsADecline(t *testing.T) {
	t.Parallel()
	const asked, only = `{"amount": 900, "currency": "usd", "payment_method": "pm_1", "confirm": true}`, `{"amount": 900, "currency": "usd"}`
	refused := intentOf("requires_payment_method", fields{"code": "card_declined", "decline_code": "do_not_honor"})
	made := event("evt_1", "payment_intent.created", ownKey, 0, refused)
	later := event("evt_2", "payment_intent.payment_failed", "client", time.Minute, refused)
	for name, tc := range map[string]struct {
		params  string
		events  []fields
		outcome billing.Outcome
		reason  billing.Reason
	}{
		"TriedByTheTask":         {asked, []fields{event("evt_2", "payment_intent.payment_failed", ownKey, 0, refused), made}, billing.OutcomeRefused, billing.ReasonDeclined},
		"TriedLaterAlone":        {only, []fields{later, made}, billing.OutcomeSucceeded, billing.ReasonReconciled},
		"WithoutAnyEvent":        {only, nil, billing.OutcomeSucceeded, billing.ReasonReconciled},
		"AuthenticatedInVain":    {asked, []fields{later, event("evt_3", "payment_intent.requires_action", ownKey, 0, intentOf("requires_action", nil)), made}, billing.OutcomeSucceeded, billing.ReasonReconciled},
		"UnderWayAndThenRefused": {asked, []fields{event("evt_3", "payment_intent.processing", ownKey, 0, intentOf("processing", nil)), made}, billing.OutcomeSucceeded, billing.ReasonReconciled},
		"ByWhomNothingTells":     {asked, []fields{later, made}, billing.OutcomeUnknown, billing.ReasonUnattributed},
		"AskedAndWithoutEvents":  {asked, nil, billing.OutcomeUnknown, billing.ReasonUnattributed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stage{t: t, list: [][]fields{{refused}}, events: [][]fields{tc.events}}
			if len(tc.events) == 0 {
				s.events = nil
			}
			wantFinding(t, s.look(billing.PaymentIntentCreate, "", tc.params), tc.outcome, tc.reason, false)
		})
	}
}

// TestADeclineSaysWhy: dunning must know a stolen card, however the decline became known.
func TestADeclineSaysWhy(t *testing.T) {
	t.Parallel()
	why := fields{"code": "card_declined", "decline_code": "stolen_card"}
	invoice := fields{"object": "invoice", "id": "in_1", "status": "open", "charge": "ch_1"}
	charge := fields{"object": "charge", "id": "ch_1", "failure_code": "card_declined", "outcome": fields{"reason": "lost_card"}}
	failed := event("evt_1", "invoice.payment_failed", ownKey, 0, invoice)
	for name, tc := range map[string]struct {
		events []fields
		object fields
		want   string
	}{
		"ByTheIntent":               {[]fields{failed, event("evt_2", "payment_intent.payment_failed", ownKey, 0, intentOf("requires_payment_method", why))}, nil, "stolen_card"},
		"ByTheCharge":               {[]fields{failed}, charge, "lost_card"},
		"ByTheChargesOwnCode":       {[]fields{failed}, fields{"object": "charge", "id": "ch_1", "failure_code": "expired_card", "outcome": fields{}}, "expired_card"},
		"ByAnActionThatIsNeeded":    {[]fields{failed, event("evt_2", "invoice.payment_action_required", ownKey, 0, invoice)}, nil, "authentication_required"},
		"NotByAWordThatSaysNothing": {[]fields{failed}, fields{"object": "charge", "id": "ch_1", "failure_code": "card_declined", "outcome": fields{}}, ""},
		"NotByAnotherCharge":        {[]fields{failed}, fields{"object": "charge", "id": "ch_2", "outcome": fields{"reason": "lost_card"}}, ""},
		"NotWithoutTheCharge":       {[]fields{failed}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stage{t: t, events: [][]fields{tc.events}}
			if tc.object != nil {
				s.object = state(tc.object)
			}
			got := s.look(billing.InvoicePay, "in_1", `{}`)
			wantFinding(t, got, billing.OutcomeRefused, billing.ReasonDeclined, false)
			if got.Error.DeclineCode != tc.want {
				t.Errorf("%q, want %q", got.Error.DeclineCode, tc.want)
			}
		})
	}
}

func endless() [][]fields {
	var pages [][]fields
	for page := range 60 {
		pages = append(pages, noise(page, 2))
	}
	return pages
}

// TestAStateThatMovedOnIsNoAbsence: what the task did may have been followed by something else. Only events that were read whole
// can tell.
func TestAStateThatMovedOnIsNoAbsence(t *testing.T) {
	t.Parallel()
	intent := func(status string) fields { return fields{"object": "payment_intent", "id": "pi_1", "status": status} }
	subscription := fields{"object": "subscription", "id": "sub_1", "status": "canceled"}
	for name, tc := range map[string]struct {
		kind   billing.Kind
		target string
		object fields
		still  bool // the state tells all the same
	}{
		"UncollectibleAndThenPaid": {billing.InvoiceMarkUncollectible, "in_1", paidInvoice, false},
		"NeverUncollectible":       {billing.InvoiceMarkUncollectible, "in_1", openInvoice, true},
		"ConfirmedAndThenCanceled": {billing.PaymentIntentConfirm, "pi_1", intent("canceled"), false},
		"ConfirmedAndThenRefused":  {billing.PaymentIntentConfirm, "pi_1", intent("requires_payment_method"), false},
		"ResumedAndThenCanceled":   {billing.SubscriptionResume, "sub_1", subscription, false},
		"NeverCaptured":            {billing.PaymentIntentCapture, "pi_1", intent("requires_capture"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, s := range map[string]*stage{
				"read whole":    {},
				"too long":      {events: endless()},
				"other clocks":  {date: time.Now().Add(-20 * time.Minute)},
				"a silent peer": {date: time.Unix(0, 0)},
			} {
				s.t, s.object = t, state(tc.object)
				got := s.look(tc.kind, tc.target, `{}`)
				want := how == "read whole" || tc.still
				if got.Outcome != billing.OutcomeUnknown || got.Reason != billing.ReasonNoTrace || got.Absent != want || got.Clean != want {
					t.Errorf("%s: %s absent %v clean %v", how, got.Reason, got.Absent, got.Clean)
				}
			}
		})
	}
}

// TestTimeInTheQueueIsNotClockDrift: a look may begin long after the database told the time, and pages take theirs.
func TestTimeInTheQueueIsNotClockDrift(t *testing.T) {
	t.Parallel()
	ended := fields{"object": "subscription", "id": "sub_1", "status": "canceled", "canceled_at": firstSent.Add(-5 * time.Minute).Unix()}
	s := &stage{t: t, object: state(ended), date: time.Now().Add(-3 * time.Minute), queued: 150 * time.Second}
	wantFinding(t, s.look(billing.SubscriptionCancel, "sub_1", `{}`), billing.OutcomeRefused, billing.ReasonSatisfied, false)
	s = &stage{t: t, object: state(ended), date: time.Now().Add(-3 * time.Minute)}
	wantFinding(t, s.look(billing.SubscriptionCancel, "sub_1", `{}`), billing.OutcomeUnknown, billing.ReasonUnattributed, false)
}

// TestAnEventThatIsNotBelievedHidesNoOther: a cancelation that lies too early, by a clock that may be wrong, leaves the one that
// another's key explains.
func TestAnEventThatIsNotBelievedHidesNoOther(t *testing.T) {
	t.Parallel()
	ended := fields{"object": "subscription", "id": "sub_1", "status": "canceled"}
	s := &stage{t: t, object: state(ended), events: [][]fields{{
		event("evt_2", "customer.subscription.deleted", "", -5*time.Minute, ended),
		event("evt_1", "customer.subscription.deleted", "theirs", -5*time.Minute, ended),
	}}}
	wantFinding(t, s.look(billing.SubscriptionCancel, "sub_1", `{}`), billing.OutcomeRefused, billing.ReasonSatisfied, false)
}
