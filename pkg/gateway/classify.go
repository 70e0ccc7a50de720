package gateway

import (
	"encoding/json"
	"net/http"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// object is the part of any of Stripe's objects that is looked at.
type object struct {
	Object     string
	ID         string
	Status     string
	CanceledAt int64 // seconds since 1970; 0 unless canceled
	Captured   bool
	Charge     string // the id of an invoice's latest charge
	Decline    string // the code of the last refusal of a payment intent, or of a charge
	Payment    string // the status of an invoice's payment intent, where it was read with it
	PaymentID  string // its id
	Tried      bool   // a payment intent, or an invoice's, was refused once, or is not shown
	TriedAt    int64  // when its latest charge was made, in seconds since 1970; 0: nobody knows
}

// readAnswer reads an answer's object. Fields that are absent, or of another type than expected, are left empty; without
// an id it is no object.
func readAnswer(body []byte) (object, bool) {
	var fields struct {
		Object, ID, Status any
		CanceledAt         any `json:"canceled_at"`
		Captured, Charge   any
		LastPaymentError   any `json:"last_payment_error"`
		PaymentIntent      any `json:"payment_intent"`
		FailureCode        any `json:"failure_code"`
		Outcome            any
	}
	if json.Unmarshal(body, &fields) != nil {
		return object{}, false
	}
	var read object
	read.Object, read.Status = plain(fields.Object), plain(fields.Status)
	if id, ok := fields.ID.(string); ok && isID(id) {
		read.ID = id
	}
	read.CanceledAt = seconds(fields.CanceledAt)
	read.Captured, _ = fields.Captured.(bool)
	read.Charge = plain(fields.Charge)
	read.Tried, read.Decline = refusedPayment(fields.LastPaymentError)
	switch intent := fields.PaymentIntent.(type) {
	case map[string]any:
		read.Payment, read.PaymentID = plain(intent["status"]), plain(intent["id"])
		if charge, ok := intent["latest_charge"].(map[string]any); ok {
			read.TriedAt = seconds(charge["created"])
		}
		read.Tried, read.Decline = refusedPayment(intent["last_payment_error"])
	case string:
		read.Tried = true
	}
	if verdict, ok := fields.Outcome.(map[string]any); ok && read.Decline == "" {
		read.Decline = declineOf(verdict["reason"], fields.FailureCode)
	}
	return read, read.ID != ""
}

// seconds are those of a moment, 0 for none.
func seconds(field any) int64 {
	number, _ := field.(float64)
	return int64(number)
}

// refusedPayment reads the last refusal of a payment intent.
func refusedPayment(last any) (tried bool, decline string) {
	refused, tried := last.(map[string]any)
	return tried, declineOf(refused["decline_code"], refused["code"])
}

// declineOf is the code that says why a payment was refused: the issuer's, or else Stripe's own. card_declined says nothing.
func declineOf(issuers, own any) string {
	if code := plain(issuers); code != "" {
		return code
	}
	if code := plain(own); code != "card_declined" {
		return code
	}
	return ""
}

// refusal is the part of Stripe's errors that is looked at.
type refusal struct{ kind, code, declineCode, param string }

// readRefusal reads an error of Stripe's. A body without one was not written by Stripe's API.
func readRefusal(body []byte) (refusal, bool) {
	var fields struct {
		Error struct {
			Type, Code, Param any
			DeclineCode       any `json:"decline_code"`
		}
	}
	if json.Unmarshal(body, &fields) != nil {
		return refusal{}, false
	}
	e := fields.Error
	read := refusal{kind: plain(e.Type), code: plain(e.Code), declineCode: plain(e.DeclineCode), param: plain(e.Param)}
	return read, read.kind != ""
}

// plain returns a short identifier as it is and "" for anything else: what is kept of an answer must not hold a
// customer's data, nor a secret that stands where an identifier should.
func plain(field any) string {
	text, ok := field.(string)
	if !ok || len(text) > 100 || !isMadeOf(text, "_-.[]") || secret.Resembles(text) {
		return ""
	}
	return text
}

// plainID is plain for the ids of objects, where they are kept. It never decides what an answer proves: merchants choose ids of
// their own for some objects, and one may look like anything.
func plainID(id string) string {
	if !isID(id) || secret.Resembles(id) {
		return ""
	}
	return id
}

// verdict is what an answer proves.
type verdict struct {
	outcome billing.Outcome
	reason  billing.Reason
	final   bool
}

// classify says what one call proves. A call that net/http made twice is its own re-send. resend is true when an earlier send of
// the task may have reached Stripe: then that send's outcome is what is asked for, and an answer given before Stripe looked at its
// record says nothing of it.
func classify(seen observation, resend bool) billing.Answer {
	if seen.status >= 200 && seen.status <= 299 && !seen.cut {
		if found, ok := readAnswer(seen.body); ok {
			return done(seen, found)
		}
	}
	refused, fromStripe := readRefusal(seen.body)
	proven := judge(seen, refused, fromStripe && !seen.cut)
	if (resend || seen.repeated) && !settlesResend(seen, proven) {
		proven.outcome = billing.OutcomeUnknown
	}
	return answer(proven, seen, refused)
}

// settlesResend is the list of what resolves an earlier unknown outcome, beside a success: a decline, which only comes from
// carrying the operation out, and Stripe's record.
func settlesResend(seen observation, proven verdict) bool {
	return proven.outcome == billing.OutcomeRefused && (proven.reason == billing.ReasonDeclined || seen.replayed)
}

// judge says what a call that did not succeed proves by itself.
func judge(seen observation, refused refusal, fromStripe bool) verdict {
	unknown := func(reason billing.Reason) verdict { return verdict{outcome: billing.OutcomeUnknown, reason: reason} }
	switch {
	case seen.status == 0 && seen.unsent:
		return verdict{outcome: billing.OutcomeNotSent, reason: billing.ReasonUnreachable}
	case seen.status == 0:
		return unknown(billing.ReasonNoAnswer)
	case seen.status >= 200 && seen.status <= 299:
		return unknown(billing.ReasonUnreadable)
	case seen.status >= 500 || seen.status == http.StatusFailedDependency:
		// A server error that Stripe has stored will be answered for as long as the key lives.
		stored := seen.replayed || seen.shouldRetry != nil && !*seen.shouldRetry
		return verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonServerError, final: stored}
	case seen.cut:
		return unknown(billing.ReasonNoAnswer)
	case seen.status < 400 || !fromStripe:
		// A refusal without Stripe's error in it was made by something on the way, which may have passed the request on.
		return unknown(billing.ReasonUnexpected)
	}
	return judgeRefusal(seen, refused)
}

// judgeRefusal says what a 4xx of Stripe's API proves by itself.
func judgeRefusal(seen observation, refused refusal) verdict {
	switch {
	case refused.kind == "idempotency_error":
		return verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonKeyMismatch, final: true}
	case refused.code == "idempotency_key_in_use":
		return verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonInProgress}
	case seen.status == http.StatusPaymentRequired:
		return verdict{outcome: billing.OutcomeRefused, reason: billing.ReasonDeclined}
	case seen.status == http.StatusTooManyRequests:
		return judgeTooMany(seen, refused)
	case seen.replayed:
		return verdict{outcome: billing.OutcomeRefused, reason: billing.ReasonInvalid}
	case seen.status == http.StatusConflict:
		return verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonInProgress}
	case seen.shouldRetry != nil && *seen.shouldRetry:
		// Whatever this was, Stripe does not mean it as its last word.
		return verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonInProgress}
	case seen.status == http.StatusUnauthorized, speaksOfConnection(refused.code):
		return verdict{outcome: billing.OutcomeNotSent, reason: billing.ReasonUnauthorized}
	case seen.status == http.StatusBadRequest, seen.status == http.StatusForbidden, seen.status == http.StatusNotFound:
		return verdict{outcome: billing.OutcomeRefused, reason: billing.ReasonInvalid}
	}
	return verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonUnexpected}
}

// judgeTooMany tells Stripe's limiter, which stands before everything, from a lock that another request held. The latter
// has been seen stored and replayed; the operation then was never begun and never will be under this key.
func judgeTooMany(seen observation, refused refusal) verdict {
	reason := billing.ReasonLocked
	if seen.rateLimited || refused.code == "rate_limit" {
		reason = billing.ReasonRateLimited
	}
	if seen.replayed {
		return verdict{outcome: billing.OutcomeRefused, reason: reason}
	}
	return verdict{outcome: billing.OutcomeNotSent, reason: reason}
}

// speaksOfConnection reports whether an error code is about the credential or the connected account, not about the task.
func speaksOfConnection(code string) bool {
	return code == "account_invalid" || code == "api_key_expired" || code == "platform_api_key_expired"
}

func done(seen observation, found object) billing.Answer {
	return billing.Answer{
		Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone,
		Result: &billing.Result{
			Object: found.Object, ID: plainID(found.ID), Status: found.Status, RequestID: plain(seen.requestID), Replayed: seen.replayed,
		},
	}
}

func answer(proven verdict, seen observation, refused refusal) billing.Answer {
	return billing.Answer{
		Outcome: proven.outcome, Reason: proven.reason, Final: proven.final,
		Error: &billing.StripeError{
			HTTPStatus: seen.status, Type: refused.kind, Code: refused.code, DeclineCode: refused.declineCode, Param: refused.param,
			Message: sentence(proven), RequestID: plain(seen.requestID),
		},
	}
}
