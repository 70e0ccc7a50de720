package stripesim

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Stripe's types of error.
const (
	invalidRequest   = "invalid_request_error"
	idempotencyError = "idempotency_error"
	cardError        = "card_error"
	apiError         = "api_error"
)

// refusal is an error in Stripe's form.
type refusal struct {
	status  int
	reason  string // Stripe-Rate-Limited-Reason
	details details
}

type details struct {
	Code          string         `json:"code,omitempty"`
	DeclineCode   string         `json:"decline_code,omitempty"`
	Charge        string         `json:"charge,omitempty"`
	Message       string         `json:"message"`
	Param         string         `json:"param,omitempty"`
	PaymentIntent *paymentIntent `json:"payment_intent,omitempty"`
	LogURL        string         `json:"request_log_url,omitempty"`
	Type          string         `json:"type"`
}

// invalid refuses with 400. code and param may be empty.
func invalid(code, param, format string, args ...any) *refusal {
	return &refusal{
		status:  http.StatusBadRequest,
		details: details{Type: invalidRequest, Code: code, Param: param, Message: fmt.Sprintf(format, args...)},
	}
}

// missing refuses with 404: the object in the path does not exist.
func missing(object, id string) *refusal {
	r := invalid("resource_missing", "id", "No such %s: '%s'", object, id)
	r.status = http.StatusNotFound
	return r
}

// noSuch refuses with 400: an object named by a parameter does not exist.
func noSuch(param, object, id string) *refusal {
	return invalid("resource_missing", param, "No such %s: '%s'", object, id)
}

// answer is what a request is answered with, before the last faults on its way back.
type answer struct {
	status   int
	body     []byte
	original string // the request that the answer first was for; "" where no key is involved
	replayed bool
	settled  bool // made by the operation itself, now or at the first send, not on the way to it
	reason   string
	retry    string // Stripe-Should-Retry
}

// answer renders the refusal for the request.
func (r *refusal) answer(requestID string) *answer {
	shown := r.details
	shown.LogURL = "https://dashboard.stripe.com/test/logs/" + requestID
	body := render(struct {
		Error details `json:"error"`
	}{shown})
	return &answer{status: r.status, body: body, reason: r.reason}
}

// render panics on what cannot be rendered: every object of the simulator can.
func render(object any) []byte {
	body, err := json.Marshal(object)
	if err != nil {
		panic(fmt.Sprintf("stripesim: render %T: %v", object, err))
	}
	return body
}
