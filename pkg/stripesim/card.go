package stripesim

import (
	"net/http"
	"strings"
)

// cardScript is how a payment method behaves whenever it is charged.
type cardScript struct {
	verdict verdict
	decline string // the code, for a declined one
}

type verdict int

const (
	approves verdict = iota
	declines
	needsAction
	staysProcessing
)

// scriptOf reads a payment method's behaviour from its name: pm_ok, pm_decline_CODE, pm_action, pm_processing, and the
// names that Stripe itself gives to test cards.
func scriptOf(id string) (cardScript, bool) {
	if code, ok := strings.CutPrefix(id, "pm_decline_"); ok && code != "" {
		return cardScript{declines, code}, true
	}
	switch id {
	case "pm_ok", "pm_card_visa", "pm_card_mastercard", "pm_card_amex":
		return cardScript{}, true
	case "pm_action", "pm_card_authenticationRequired", "pm_card_threeDSecure2Required":
		return cardScript{verdict: needsAction}, true
	case "pm_processing":
		return cardScript{verdict: staysProcessing}, true
	case "pm_card_chargeDeclined", "pm_card_visa_chargeDeclined":
		return cardScript{declines, "generic_decline"}, true
	case "pm_card_chargeDeclinedInsufficientFunds", "pm_card_visa_chargeDeclinedInsufficientFunds":
		return cardScript{declines, "insufficient_funds"}, true
	case "pm_card_chargeDeclinedExpiredCard":
		return cardScript{declines, "expired_card"}, true
	}
	return cardScript{}, false
}

// scriptOfNumber is the same for the number of a test card.
func scriptOfNumber(number string) cardScript {
	switch strings.ReplaceAll(number, " ", "") {
	case "4000000000000002":
		return cardScript{declines, "generic_decline"}
	case "4000000000009995":
		return cardScript{declines, "insufficient_funds"}
	case "4000000000000069":
		return cardScript{declines, "expired_card"}
	case "4000002500003155", "4000002760003184":
		return cardScript{verdict: needsAction}
	}
	return cardScript{}
}

// method finds a payment method. One whose name is a script exists as soon as it is named.
func (a *account) method(id string, now int64) (*paymentMethod, bool) {
	if m, ok := a.methods.get(id); ok {
		return m, true
	}
	script, ok := scriptOf(id)
	if !ok {
		return nil, false
	}
	m := newMethod(a.header(id, "payment_method", now), script)
	a.methods.put(m)
	return m, true
}

func newMethod(h common, script cardScript) *paymentMethod {
	return &paymentMethod{
		common: h, script: script, BillingDetails: map[string]string{}, Type: "card",
		Card: card{Brand: "visa", Country: "US", ExpMonth: 12, ExpYear: 2040, Funding: "credit", Last4: "4242"},
	}
}

// declined is Stripe's answer to a card that said no. Some codes are errors of their own, the others reasons of
// card_declined.
func declined(code, chargeID string, intent *paymentIntent) *refusal {
	r := &refusal{status: http.StatusPaymentRequired, details: details{
		Type: cardError, Code: "card_declined", DeclineCode: code, Charge: chargeID,
		Message: "Your card was declined.", PaymentIntent: intent,
	}}
	switch code {
	case "insufficient_funds":
		r.details.Message = "Your card has insufficient funds."
	case "expired_card":
		r.details.Code, r.details.Message = code, "Your card has expired."
	case "incorrect_cvc":
		r.details.Code, r.details.Message = code, "Your card's security code is incorrect."
	case "processing_error":
		r.details.Code, r.details.Message = code, "An error occurred while processing your card. Try again in a little bit."
	}
	return r
}

// authenticationRequired is Stripe's answer where the customer would have to act and cannot.
func authenticationRequired(code string, intent *paymentIntent) *refusal {
	return &refusal{status: http.StatusPaymentRequired, details: details{
		Type: cardError, Code: code, DeclineCode: "authentication_required", PaymentIntent: intent,
		Message: "Your card was declined. This transaction requires authentication.",
	}}
}
