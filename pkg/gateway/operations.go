package gateway

import (
	"net/http"
	"reflect"

	stripe "github.com/stripe/stripe-go/v76"

	"billonce/pkg/billing"
)

// taskIDMetadata is the metadata key by which an object created by a task can be found again.
const taskIDMetadata = "billonce_task_id"

// metadataName is the parameter in which it stands.
const metadataName = "metadata"

// operation is how a kind of task is carried out at Stripe.
type operation struct {
	method string
	path   string       // "%s" stands for the target
	params reflect.Type // stripe-go's parameters of the call
	family string       // what the target is, a key of prefixes; "" for kinds without a target
	// required lists what Stripe does not do without: of each group one parameter must be present.
	required [][]string
	// emptyable lists the parameters, beside texts, that Stripe unsets on an empty value, which most of stripe-go's types
	// cannot express. A star stands for an array's element or for any name.
	emptyable []string
	plain     plainFields // nil: the parameters are never written plainly
}

func post[Params any](path, family string, required ...[]string) operation {
	return operation{method: http.MethodPost, path: path, family: family, params: reflect.TypeFor[Params](), required: required}
}

func (o operation) empties(paths ...[]string) operation {
	for _, group := range paths {
		o.emptyable = append(o.emptyable, group...)
	}
	return o
}

func all(names ...string) [][]string {
	groups := make([][]string, len(names))
	for i, name := range names {
		groups[i] = []string{name}
	}
	return groups
}

// operations is the table of all kinds. Methods, paths and parameter structs are those of stripe-go's typed clients;
// required and emptyable parameters are those of Stripe's OpenAPI description of API version 2023-10-16, and what Stripe
// is known to refuse beyond it.
func operations() map[billing.Kind]operation {
	cancel := post[stripe.SubscriptionCancelParams]("/v1/subscriptions/%s", subscription)
	cancel.method = http.MethodDelete
	return map[billing.Kind]operation{
		billing.SubscriptionCreate: post[stripe.SubscriptionParams]("/v1/subscriptions", "", all("customer")...).empties(subscriptionEmpties()),
		billing.SubscriptionUpdate: post[stripe.SubscriptionParams]("/v1/subscriptions/%s", subscription).empties(subscriptionEmpties(),
			[]string{"cancel_at", "items/*/metadata", "pause_collection", "transfer_data"}),
		billing.SubscriptionCancel: cancel,
		billing.SubscriptionResume: post[stripe.SubscriptionResumeParams]("/v1/subscriptions/%s/resume", subscription),

		billing.InvoiceCreate: post[stripe.InvoiceParams]("/v1/invoices", "", []string{"customer", "subscription", "from_invoice"}).
			empties(settingsEmpties(), []string{
				"account_tax_ids", "custom_fields", "discounts", "metadata", "payment_settings/payment_method_options/card/installments/plan",
			}),
		billing.InvoiceFinalize:          post[stripe.InvoiceFinalizeInvoiceParams]("/v1/invoices/%s/finalize", invoice),
		billing.InvoicePay:               post[stripe.InvoicePayParams]("/v1/invoices/%s/pay", invoice),
		billing.InvoiceVoid:              post[stripe.InvoiceVoidInvoiceParams]("/v1/invoices/%s/void", invoice),
		billing.InvoiceSend:              post[stripe.InvoiceSendInvoiceParams]("/v1/invoices/%s/send", invoice),
		billing.InvoiceMarkUncollectible: post[stripe.InvoiceMarkUncollectibleParams]("/v1/invoices/%s/mark_uncollectible", invoice),
		billing.InvoiceItemCreate: post[stripe.InvoiceItemParams]("/v1/invoiceitems", "", []string{"customer"},
			[]string{"amount", "price", "price_data", "unit_amount", "unit_amount_decimal"}).empties([]string{"discounts", "metadata"}),

		billing.PaymentIntentCreate: post[stripe.PaymentIntentParams]("/v1/payment_intents", "", all("amount", "currency")...).
			empties(intentEmpties()),
		billing.PaymentIntentConfirm: post[stripe.PaymentIntentConfirmParams]("/v1/payment_intents/%s/confirm", paymentIntent).
			empties(intentEmpties(), []string{"shipping"}),
		billing.PaymentIntentCapture: post[stripe.PaymentIntentCaptureParams]("/v1/payment_intents/%s/capture", paymentIntent).
			empties([]string{"metadata"}),
		billing.PaymentIntentCancel: post[stripe.PaymentIntentCancelParams]("/v1/payment_intents/%s/cancel", paymentIntent),

		billing.ChargeCapture: post[stripe.ChargeCaptureParams]("/v1/charges/%s/capture", charge),
		billing.RefundCreate: post[stripe.RefundParams]("/v1/refunds", "", []string{"charge", "payment_intent", "origin"}).
			empties([]string{"metadata"}),
		billing.CustomerUpdate: post[stripe.CustomerParams]("/v1/customers/%s", customer).
			empties([]string{"address", "invoice_settings/custom_fields", "invoice_settings/rendering_options", "metadata", "shipping"}),
		billing.CreditNoteCreate: post[stripe.CreditNoteParams]("/v1/credit_notes", "", all("invoice")...).
			empties([]string{"lines/*/tax_amounts", "lines/*/tax_rates"}),

		billing.SubscriptionScheduleCreate: post[stripe.SubscriptionScheduleParams]("/v1/subscription_schedules", "",
			[]string{"customer", "from_subscription"}).empties(scheduleEmpties()),
		billing.SubscriptionScheduleUpdate:  post[stripe.SubscriptionScheduleParams]("/v1/subscription_schedules/%s", schedule).empties(scheduleEmpties()),
		billing.SubscriptionScheduleCancel:  post[stripe.SubscriptionScheduleCancelParams]("/v1/subscription_schedules/%s/cancel", schedule),
		billing.SubscriptionScheduleRelease: post[stripe.SubscriptionScheduleReleaseParams]("/v1/subscription_schedules/%s/release", schedule),

		billing.TransferCreate: post[stripe.TransferParams]("/v1/transfers", "", all("currency", "destination")...),
		billing.PayoutCreate:   post[stripe.PayoutParams]("/v1/payouts", "", all("amount", "currency")...),
	}
}

func subscriptionEmpties() []string {
	return append(settingsEmpties(), "add_invoice_items/*/tax_rates", "application_fee_percent", "billing_thresholds",
		"default_tax_rates", "discounts", "invoice_settings/account_tax_ids", "items/*/billing_thresholds", "items/*/discounts",
		"items/*/tax_rates", "metadata", "pending_invoice_item_interval")
}

func settingsEmpties() []string {
	return []string{"payment_settings/payment_method_options/*", "payment_settings/payment_method_types"}
}

func intentEmpties() []string {
	return []string{
		"mandate_data", "payment_method_data/billing_details/address", "payment_method_options/*",
		"payment_method_options/card/installments/plan", "payment_method_options/konbini/expires_after_days",
		"payment_method_options/konbini/expires_at",
	}
}

func scheduleEmpties() []string {
	return []string{
		"default_settings/billing_thresholds", "default_settings/invoice_settings/account_tax_ids", "default_settings/transfer_data",
		"metadata", "phases/*/add_invoice_items/*/tax_rates", "phases/*/billing_thresholds", "phases/*/default_tax_rates",
		"phases/*/discounts", "phases/*/invoice_settings/account_tax_ids", "phases/*/items/*/billing_thresholds",
		"phases/*/items/*/discounts", "phases/*/items/*/tax_rates",
	}
}

// The families of objects that a task acts on.
const (
	subscription  = "subscription"
	invoice       = "invoice"
	paymentIntent = "payment intent"
	charge        = "charge"
	customer      = "customer"
	schedule      = "subscription schedule"
)

// familyOf names the family that an id certainly belongs to, or "" if its prefix tells nothing: objects that were imported,
// or are older than Stripe's prefixes, have ids of any shape.
func familyOf(id string) string {
	for _, known := range []struct{ prefix, family string }{
		{"sub_sched_", schedule}, // before sub_
		{"sub_", subscription},
		{"in_", invoice},
		{"pi_", paymentIntent},
		{"ch_", charge},
		{"py_", charge},
		{"cus_", customer},
		{"re_", "refund"},
		{"cn_", "credit note"},
		{"ii_", "invoice item"},
		{"tr_", "transfer"},
		{"po_", "payout"},
		{"pm_", "payment method"},
		{"price_", "price"},
		{"prod_", "product"},
		{"acct_", "account"},
		{"evt_", "event"},
	} {
		if len(id) > len(known.prefix) && id[:len(known.prefix)] == known.prefix {
			return known.family
		}
	}
	return ""
}
