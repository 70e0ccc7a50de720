package stripesim

import (
	"net/http"
	"net/url"
	"strings"
)

// endpoint is one operation of the API.
type endpoint struct {
	method   string
	op       string
	schema   schema
	required []string
	object   string // locks objects of the path under this name; "" where the path names none
	run      func(*call) (record, *refusal)
	read     func(*call) (any, *refusal) // for what changes nothing
}

// endpoints is the table of routes, by method and path with * in place of an id.
func endpoints() map[string]*endpoint {
	routes := make(map[string]*endpoint)
	texts := schemas()
	for _, m := range mutations() {
		e := &endpoint{op: m.op, run: m.run, schema: parseSchema(texts[m.op] + " expand:o"), required: required(m.op)}
		e.method, _, _ = strings.Cut(m.route, " ")
		if _, after, ok := strings.Cut(m.route, "/*"); ok {
			e.object = strings.TrimSuffix(m.route, "/*"+after)
			_, e.object, _ = strings.Cut(e.object, " ")
		}
		routes[m.route] = e
	}
	for _, r := range reads() {
		e := &endpoint{method: http.MethodGet, op: r.op, read: r.read, schema: parseSchema(r.params + " expand:o")}
		routes["GET "+r.route] = e
	}
	return routes
}

type mutation struct {
	route, op string
	run       func(*call) (record, *refusal)
}

func mutations() []mutation {
	return []mutation{
		{"POST customers", "customer.create", (*call).createCustomer},
		{"POST customers/*", "customer.update", (*call).updateCustomer},
		{"DELETE customers/*", "customer.delete", (*call).deleteCustomer},
		{"POST payment_methods", "payment_method.create", (*call).createMethod},
		{"POST payment_methods/*/attach", "payment_method.attach", (*call).attachMethod},
		{"POST prices", "price.create", (*call).createPrice},
		{"POST subscriptions", "subscription.create", (*call).createSubscription},
		{"POST subscriptions/*", "subscription.update", (*call).updateSubscription},
		{"DELETE subscriptions/*", "subscription.cancel", (*call).cancelSubscription},
		{"POST subscriptions/*/resume", "subscription.resume", (*call).resumeSubscription},
		{"POST invoices", "invoice.create", (*call).createInvoice},
		{"POST invoices/*", "invoice.update", (*call).updateInvoice},
		{"POST invoices/*/finalize", "invoice.finalize", (*call).finalizeInvoice},
		{"POST invoices/*/pay", "invoice.pay", (*call).payInvoice},
		{"POST invoices/*/void", "invoice.void", (*call).voidInvoice},
		{"POST invoices/*/send", "invoice.send", (*call).sendInvoice},
		{"POST invoices/*/mark_uncollectible", "invoice.mark_uncollectible", (*call).markUncollectible},
		{"POST invoiceitems", "invoice_item.create", (*call).createInvoiceItem},
		{"POST payment_intents", "payment_intent.create", (*call).createIntent},
		{"POST payment_intents/*/confirm", "payment_intent.confirm", (*call).confirmIntent},
		{"POST payment_intents/*/capture", "payment_intent.capture", (*call).captureIntent},
		{"POST payment_intents/*/cancel", "payment_intent.cancel", (*call).cancelIntent},
		{"POST charges/*/capture", "charge.capture", (*call).captureCharge},
		{"POST refunds", "refund.create", (*call).createRefund},
		{"POST credit_notes", "credit_note.create", (*call).createCreditNote},
		{"POST credit_notes/*/void", "credit_note.void", (*call).voidCreditNote},
		{"POST subscription_schedules", "subscription_schedule.create", (*call).createSchedule},
		{"POST subscription_schedules/*", "subscription_schedule.update", (*call).updateSchedule},
		{"POST subscription_schedules/*/cancel", "subscription_schedule.cancel", (*call).cancelSchedule},
		{"POST subscription_schedules/*/release", "subscription_schedule.release", (*call).releaseSchedule},
		{"POST transfers", "transfer.create", (*call).createTransfer},
		{"POST payouts", "payout.create", (*call).createPayout},
		{"POST payouts/*/cancel", "payout.cancel", (*call).cancelPayout},
	}
}

type reading struct {
	route, op, params string
	read              func(*call) (any, *refusal)
}

const listing = " limit:i starting_after:s ending_before:s created:o"

func reads() []reading {
	return append([]reading{
		{"balance", "balance.get", "", (*call).readBalance},
		{"events", "event.list", "type:s types:o delivery_success:b" + listing, (*call).listEvents},
		{"events/*", "event.get", "", (*call).getEvent},
	}, collections()...)
}

// locate finds the endpoint of a request and the id in its path.
func locate(routes map[string]*endpoint, method string, at *url.URL) (found *endpoint, id string) {
	path, ok := strings.CutPrefix(at.EscapedPath(), "/v1/")
	if !ok {
		return nil, ""
	}
	parts := strings.Split(path, "/")
	switch {
	case len(parts) == 1, len(parts) == 2 && parts[1] == "search":
		return routes[method+" "+path], ""
	case len(parts) > 3 || parts[1] == "":
		return nil, ""
	}
	id, err := url.PathUnescape(parts[1])
	if err != nil {
		return nil, ""
	}
	parts[1] = "*"
	return routes[method+" "+strings.Join(parts, "/")], id
}
