package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"billonce/pkg/billing"
)

const (
	processing     = "payment_intent.processing"
	actionRequired = "invoice.payment_action_required"
)

// trace is what a kind of task leaves behind at Stripe, by which it is recognized later.
type trace struct {
	object string   // the type of the object that the operation makes or changes
	made   []string // types of the events that prove the effect, if their request carried the task's key
	// declined are types of the events that prove that the payment was tried under the task's key and refused.
	declined []string
	// repeats is true where the operation can happen to one object several times: an event then explains a state only if it shows
	// that state.
	repeats bool
	passing string // a type among made that many other operations leave too: under the task's key a proof, otherwise nothing
	// met reports whether the object is as the task asks for, by whatever hand; nil where its state does not tell.
	met func(object) bool
	// movedOn reports whether an object that is not as the task asks for may have been so before; nil where it never can. Events
	// alone tell then.
	movedOn   func(object) bool
	confirmed []string // types of the events that show that a payment was not refused at once
	// list is where a created object is found by its metadata, and filters are those of the request's own parameters that
	// narrow the list.
	list    string
	filters []string
}

// traceOf is the table of all kinds: https://docs.stripe.com/api/events/types, and the list filters of API 2023-10-16.
func traceOf(kind billing.Kind) trace {
	switch kind {
	case billing.SubscriptionCreate:
		return created("subscription", "customer.subscription.created", "/v1/subscriptions", "customer")
	case billing.InvoiceCreate:
		return created("invoice", "invoice.created", "/v1/invoices", "customer", "subscription")
	case billing.InvoiceItemCreate:
		return created("invoiceitem", "invoiceitem.created", "/v1/invoiceitems", "customer")
	case billing.PaymentIntentCreate:
		found := created("payment_intent", "payment_intent.created", "/v1/payment_intents", "customer")
		found.declined = []string{"payment_intent.payment_failed"}
		found.confirmed = []string{"payment_intent.requires_action", processing}
		return found
	case billing.RefundCreate:
		found := created("refund", "refund.created", "/v1/refunds", "charge", "payment_intent")
		found.made = append(found.made, "charge.refunded", "charge.refund.updated")
		return found
	case billing.CreditNoteCreate:
		return created("credit_note", "credit_note.created", "/v1/credit_notes", "invoice")
	case billing.SubscriptionScheduleCreate:
		return created("subscription_schedule", "subscription_schedule.created", "/v1/subscription_schedules", "customer")
	case billing.TransferCreate:
		return created("transfer", "transfer.created", "/v1/transfers", "destination")
	case billing.PayoutCreate:
		return created("payout", "payout.created", "/v1/payouts")
	case billing.SubscriptionUpdate, billing.SubscriptionCancel, billing.SubscriptionResume:
		return traceOfSubscription(kind)
	case billing.InvoiceFinalize, billing.InvoicePay, billing.InvoiceVoid, billing.InvoiceSend, billing.InvoiceMarkUncollectible:
		return traceOfInvoice(kind)
	case billing.PaymentIntentConfirm, billing.PaymentIntentCapture, billing.PaymentIntentCancel:
		return traceOfIntent(kind)
	case billing.ChargeCapture:
		return trace{object: "charge", made: []string{"charge.captured"}, met: func(o object) bool { return o.Captured }}
	case billing.CustomerUpdate:
		return trace{object: "customer", made: []string{"customer.updated"}}
	case billing.SubscriptionScheduleUpdate:
		return trace{object: "subscription_schedule", made: []string{"subscription_schedule.updated"}}
	case billing.SubscriptionScheduleCancel:
		return trace{object: "subscription_schedule", made: []string{"subscription_schedule.canceled"}, met: is("canceled")}
	case billing.SubscriptionScheduleRelease:
		return trace{object: "subscription_schedule", made: []string{"subscription_schedule.released"}, met: is("released")}
	}
	return trace{}
}

func created(object, event, list string, filters ...string) trace {
	return trace{object: object, made: []string{event}, list: list, filters: filters}
}

func traceOfSubscription(kind billing.Kind) trace {
	found := trace{object: "subscription", made: []string{"customer.subscription.updated"}}
	switch kind { //nolint:exhaustive // the kinds of this family
	case billing.SubscriptionCancel:
		found.made, found.met = []string{"customer.subscription.deleted"}, isEnded
	case billing.SubscriptionResume:
		found.made, found.met = []string{"customer.subscription.resumed", "customer.subscription.updated"}, is("active", "trialing")
		found.passing, found.movedOn = "customer.subscription.updated", always
	}
	return found
}

func traceOfInvoice(kind billing.Kind) trace {
	found := trace{object: "invoice"}
	switch kind { //nolint:exhaustive // the kinds of this family
	case billing.InvoiceFinalize:
		found.made, found.met = []string{"invoice.finalized"}, is("open", "paid", "void", "uncollectible")
	case billing.InvoicePay:
		// A debit is under way for days, with the invoice open, and may fail in the end.
		found.made, found.met = []string{"invoice.paid", "invoice.payment_succeeded", processing}, isCollected
		found.declined = []string{"invoice.payment_failed", actionRequired, "payment_intent.payment_failed"}
		found.passing, found.movedOn = processing, func(o object) bool { return o.Tried || o.Payment == "requires_action" }
	case billing.InvoiceVoid:
		found.made, found.met = []string{"invoice.voided"}, is("void")
	case billing.InvoiceSend:
		found.made = []string{"invoice.sent"}
	case billing.InvoiceMarkUncollectible:
		found.made, found.met = []string{"invoice.marked_uncollectible"}, is("uncollectible")
		found.movedOn = is("paid", "void")
	}
	return found
}

func traceOfIntent(kind billing.Kind) trace {
	found := trace{object: "payment_intent"}
	switch kind { //nolint:exhaustive // the kinds of this family
	case billing.PaymentIntentConfirm:
		found.made = []string{
			"payment_intent.succeeded", "payment_intent.amount_capturable_updated", processing, "payment_intent.requires_action",
		}
		found.movedOn = always
		found.met = is("succeeded", "processing", "requires_capture", "requires_action")
		found.declined, found.repeats = []string{"payment_intent.payment_failed"}, true
	case billing.PaymentIntentCapture:
		found.made, found.met = []string{"payment_intent.succeeded", "charge.captured"}, is("succeeded")
	case billing.PaymentIntentCancel:
		found.made, found.met = []string{"payment_intent.canceled"}, is("canceled")
	}
	return found
}

// explains reports whether another request's event tells how the object came to be as it is found.
func (t trace) explains(event entry, doubt billing.Doubt, found object) bool {
	return event.Data.Object.ID == doubt.Target && slices.Contains(t.made, event.Type) && event.Type != t.passing &&
		event.Request.key != doubt.ID.IdempotencyKey() && (!t.repeats || event.Data.Object.Status == found.Status)
}

func is(statuses ...string) func(object) bool {
	return func(o object) bool { return slices.Contains(statuses, o.Status) }
}

func always(object) bool { return true }

// isCollected reports whether an invoice is paid, or is being paid.
func isCollected(o object) bool {
	return o.Status == "paid" || slices.Contains([]string{"processing", "succeeded", "requires_capture"}, o.Payment)
}

// isEnded reports whether a subscription is over.
func isEnded(o object) bool { return o.Status == "canceled" || o.Status == "incomplete_expired" }

// objectPath is where the object of a request is read: "/v1/invoices/in_1/pay" → "/v1/invoices/in_1".
func objectPath(path string) string {
	parts := strings.Split(path, "/")
	return strings.Join(parts[:min(len(parts), 4)], "/")
}

// readingObject reads the object of a request, and with an invoice the payment that collects it.
func readingObject(kind billing.Kind, request billing.Request) billing.Request {
	path := objectPath(request.Path)
	if kind == billing.InvoicePay {
		path += "?" + url.Values{"expand[]": {"payment_intent.latest_charge"}}.Encode()
	}
	return reading(path, request.APIVersion)
}

func reading(path, version string) billing.Request {
	return billing.Request{Method: http.MethodGet, Path: path, APIVersion: version}
}

// listPath is the list in which what a request creates must stand, narrowed by what the request says of it.
func (t trace) listPath(body string, since int64) string {
	query := url.Values{}
	sent, err := url.ParseQuery(body)
	if err == nil {
		for _, filter := range t.filters {
			if value := sent.Get(filter); value != "" {
				query.Set(filter, value)
			}
		}
	}
	if t.object == "subscription" {
		query.Set("status", "all") // canceled ones too
	}
	return t.list + "?" + sinceQuery(query, since)
}
