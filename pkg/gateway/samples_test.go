package gateway_test

import (
	stripe "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/charge"
	"github.com/stripe/stripe-go/v76/creditnote"
	"github.com/stripe/stripe-go/v76/customer"
	"github.com/stripe/stripe-go/v76/invoice"
	"github.com/stripe/stripe-go/v76/invoiceitem"
	"github.com/stripe/stripe-go/v76/paymentintent"
	"github.com/stripe/stripe-go/v76/payout"
	"github.com/stripe/stripe-go/v76/refund"
	"github.com/stripe/stripe-go/v76/subscription"
	"github.com/stripe/stripe-go/v76/subscriptionschedule"
	"github.com/stripe/stripe-go/v76/transfer"

	"billonce/pkg/billing"
)

const taskID = billing.TaskID("0192f5a0-7b1c-7def-8a2b-0123456789ab")

// sample is one request, as a merchant writes it and as a program with stripe-go makes it.
type sample struct {
	kind   billing.Kind
	target string
	params string
	typed  func(backend stripe.Backend, key string, common stripe.Params) error
}

// call fits one of stripe-go's typed methods into a sample.
func call[T any](_ T, err error) error { return err }

var marked = map[string]string{"billonce_task_id": string(taskID)}

func text(s string) *string { return &s }

// samples has every kind, with parameters of every shape.
func samples() []sample {
	return append(append(subscriptionSamples(), invoiceSamples()...), paymentSamples()...)
}

func subscriptionSamples() []sample {
	return []sample{
		{
			billing.SubscriptionCreate, "",
			`{"customer": "cus_1", "items": [{"price": "price_1", "quantity": 2, "metadata": {"seat": "a b"}, "tax_rates": ["txr_1"]},
			  {"price_data": {"currency": "eur", "product": "prod_1", "unit_amount_decimal": "12.123456789012", "recurring": {"interval": "month"}}}],
			 "application_fee_percent": 12.25, "cancel_at_period_end": false, "trial_end": "now", "automatic_tax": {"enabled": true},
			 "days_until_due": 30, "collection_method": "send_invoice", "description": "Größe & Gewicht = 100 %",
			 "metadata": {"order": "A-1", "zone": ""}, "expand": ["latest_invoice.payment_intent"]}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscription.Client{B: backend, Key: key}.New(&stripe.SubscriptionParams{
					Params: common, Customer: text("cus_1"),
					Items: []*stripe.SubscriptionItemsParams{
						{Price: text("price_1"), Quantity: stripe.Int64(2), Metadata: map[string]string{"seat": "a b"}, TaxRates: []*string{text("txr_1")}},
						{PriceData: &stripe.SubscriptionItemPriceDataParams{
							Currency: text("eur"), Product: text("prod_1"), UnitAmountDecimal: stripe.Float64(12.123456789012),
							Recurring: &stripe.SubscriptionItemPriceDataRecurringParams{Interval: text("month")},
						}},
					},
					ApplicationFeePercent: stripe.Float64(12.25), CancelAtPeriodEnd: stripe.Bool(false), TrialEndNow: stripe.Bool(true),
					AutomaticTax: &stripe.SubscriptionAutomaticTaxParams{Enabled: stripe.Bool(true)}, DaysUntilDue: stripe.Int64(30),
					CollectionMethod: text("send_invoice"), Description: text("Größe & Gewicht = 100 %"),
					Metadata: map[string]string{"order": "A-1", "zone": "", "billonce_task_id": string(taskID)},
					Expand:   []*string{text("latest_invoice.payment_intent")},
				}))
			},
		},
		{
			billing.SubscriptionUpdate, "sub_1",
			`{"billing_cycle_anchor": "unchanged", "proration_behavior": "none", "default_tax_rates": [], "description": "", "items": [{"id": "si_1", "deleted": true}], "proration_date": 1767225600}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscription.Client{B: backend, Key: key}.Update("sub_1", &stripe.SubscriptionParams{
					Params: common, BillingCycleAnchorUnchanged: stripe.Bool(true), ProrationBehavior: text("none"), DefaultTaxRates: []*string{},
					Description: text(""), ProrationDate: stripe.Int64(1767225600),
					Items: []*stripe.SubscriptionItemsParams{{ID: text("si_1"), Deleted: stripe.Bool(true)}},
				}))
			},
		},
		{
			billing.SubscriptionCancel, "sub_1", `{"invoice_now": true, "prorate": false, "cancellation_details": {"comment": "moved"}}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscription.Client{B: backend, Key: key}.Cancel("sub_1", &stripe.SubscriptionCancelParams{
					Params: common, InvoiceNow: stripe.Bool(true), Prorate: stripe.Bool(false),
					CancellationDetails: &stripe.SubscriptionCancelCancellationDetailsParams{Comment: text("moved")},
				}))
			},
		},
		{
			billing.SubscriptionResume, "sub_1", `{"billing_cycle_anchor": "now"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscription.Client{B: backend, Key: key}.Resume("sub_1", &stripe.SubscriptionResumeParams{Params: common, BillingCycleAnchor: text("now")}))
			},
		},
		{
			billing.SubscriptionScheduleCreate, "",
			`{"customer": "cus_1", "start_date": "now", "end_behavior": "release", "phases": [{"items": [{"price": "price_1"}], "iterations": 3},
			  {"items": [{"price": "price_2"}], "end_date": 1798761600, "application_fee_percent": 1.5, "metadata": {"p": "2"}}],
			 "default_settings": {"application_fee_percent": 3.125, "collection_method": "send_invoice", "invoice_settings": {"days_until_due": 7}}}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscriptionschedule.Client{B: backend, Key: key}.New(&stripe.SubscriptionScheduleParams{
					Params: common, Customer: text("cus_1"), StartDateNow: stripe.Bool(true), EndBehavior: text("release"), Metadata: marked,
					Phases: []*stripe.SubscriptionSchedulePhaseParams{
						{Items: []*stripe.SubscriptionSchedulePhaseItemParams{{Price: text("price_1")}}, Iterations: stripe.Int64(3)},
						{Items: []*stripe.SubscriptionSchedulePhaseItemParams{{Price: text("price_2")}}, EndDate: stripe.Int64(1798761600), ApplicationFeePercent: stripe.Float64(1.5), Metadata: map[string]string{"p": "2"}},
					},
					DefaultSettings: &stripe.SubscriptionScheduleDefaultSettingsParams{
						ApplicationFeePercent: stripe.Float64(3.125), CollectionMethod: text("send_invoice"),
						InvoiceSettings: &stripe.SubscriptionScheduleDefaultSettingsInvoiceSettingsParams{DaysUntilDue: stripe.Int64(7)},
					},
				}))
			},
		},
		{
			billing.SubscriptionScheduleUpdate, "sub_sched_1", `{"phases": [{"items": [{"price": "price_1"}], "start_date": "now", "end_date": "now", "trial_end": "now"}], "proration_behavior": "none"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscriptionschedule.Client{B: backend, Key: key}.Update("sub_sched_1", &stripe.SubscriptionScheduleParams{
					Params: common, ProrationBehavior: text("none"), Phases: []*stripe.SubscriptionSchedulePhaseParams{{
						Items:        []*stripe.SubscriptionSchedulePhaseItemParams{{Price: text("price_1")}},
						StartDateNow: stripe.Bool(true), EndDateNow: stripe.Bool(true), TrialEndNow: stripe.Bool(true),
					}},
				}))
			},
		},
		{
			billing.SubscriptionScheduleCancel, "sub_sched_1", `{"invoice_now": true, "prorate": true}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscriptionschedule.Client{B: backend, Key: key}.Cancel("sub_sched_1", &stripe.SubscriptionScheduleCancelParams{Params: common, InvoiceNow: stripe.Bool(true), Prorate: stripe.Bool(true)}))
			},
		},
		{
			billing.SubscriptionScheduleRelease, "sub_sched_1", `{"preserve_cancel_date": true}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(subscriptionschedule.Client{B: backend, Key: key}.Release("sub_sched_1", &stripe.SubscriptionScheduleReleaseParams{Params: common, PreserveCancelDate: stripe.Bool(true)}))
			},
		},
	}
}

func invoiceSamples() []sample {
	return []sample{
		{
			billing.InvoiceCreate, "",
			`{"customer": "cus_1", "auto_advance": true, "pending_invoice_items_behavior": "include", "custom_fields": [{"name": "PO", "value": "7"}],
			 "shipping_cost": {"shipping_rate_data": {"display_name": "Post", "type": "fixed_amount", "fixed_amount": {"amount": 500, "currency": "usd",
			  "currency_options": {"eur": {"amount": 450}, "chf": {"amount": 470}}}}}}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(invoice.Client{B: backend, Key: key}.New(&stripe.InvoiceParams{
					Params: common, Customer: text("cus_1"), AutoAdvance: stripe.Bool(true), PendingInvoiceItemsBehavior: text("include"), Metadata: marked,
					CustomFields: []*stripe.InvoiceCustomFieldParams{{Name: text("PO"), Value: text("7")}},
					ShippingCost: &stripe.InvoiceShippingCostParams{ShippingRateData: &stripe.InvoiceShippingCostShippingRateDataParams{
						DisplayName: text("Post"), Type: text("fixed_amount"),
						FixedAmount: &stripe.InvoiceShippingCostShippingRateDataFixedAmountParams{
							Amount: stripe.Int64(500), Currency: text("usd"),
							CurrencyOptions: map[string]*stripe.InvoiceShippingCostShippingRateDataFixedAmountCurrencyOptionsParams{
								"eur": {Amount: stripe.Int64(450)}, "chf": {Amount: stripe.Int64(470)},
							},
						},
					}},
				}))
			},
		},
		{
			billing.InvoiceFinalize, "in_1", `{"auto_advance": false}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(invoice.Client{B: backend, Key: key}.FinalizeInvoice("in_1", &stripe.InvoiceFinalizeInvoiceParams{Params: common, AutoAdvance: stripe.Bool(false)}))
			},
		},
		{
			billing.InvoicePay, "in_1", `{"off_session": true, "payment_method": "pm_1"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(invoice.Client{B: backend, Key: key}.Pay("in_1", &stripe.InvoicePayParams{Params: common, OffSession: stripe.Bool(true), PaymentMethod: text("pm_1")}))
			},
		},
		{
			billing.InvoiceVoid, "in_1", ``,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(invoice.Client{B: backend, Key: key}.VoidInvoice("in_1", &stripe.InvoiceVoidInvoiceParams{Params: common}))
			},
		},
		{
			billing.InvoiceSend, "in_1", `{}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(invoice.Client{B: backend, Key: key}.SendInvoice("in_1", &stripe.InvoiceSendInvoiceParams{Params: common}))
			},
		},
		{
			billing.InvoiceMarkUncollectible, "in_1", `{"expand": ["customer"]}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(invoice.Client{B: backend, Key: key}.MarkUncollectible("in_1", &stripe.InvoiceMarkUncollectibleParams{Params: common, Expand: []*string{text("customer")}}))
			},
		},
		{
			billing.InvoiceItemCreate, "", `{"customer": "cus_1", "unit_amount_decimal": 0.0000001, "currency": "usd", "quantity": 3, "period": {"start": 1767225600, "end": 1769904000}, "discounts": []}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(invoiceitem.Client{B: backend, Key: key}.New(&stripe.InvoiceItemParams{
					Params: common, Customer: text("cus_1"), UnitAmountDecimal: stripe.Float64(0.0000001), Currency: text("usd"), Quantity: stripe.Int64(3),
					Period: &stripe.InvoiceItemPeriodParams{Start: stripe.Int64(1767225600), End: stripe.Int64(1769904000)}, Metadata: marked,
					Discounts: []*stripe.InvoiceItemDiscountParams{},
				}))
			},
		},
		{
			billing.CreditNoteCreate, "", `{"invoice": "in_1", "lines": [{"type": "custom_line_item", "description": "Late", "quantity": 1, "unit_amount": 100}], "reason": "order_change"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(creditnote.Client{B: backend, Key: key}.New(&stripe.CreditNoteParams{
					Params: common, Invoice: text("in_1"), Reason: text("order_change"), Metadata: marked,
					Lines: []*stripe.CreditNoteLineParams{{Type: text("custom_line_item"), Description: text("Late"), Quantity: stripe.Int64(1), UnitAmount: stripe.Int64(100)}},
				}))
			},
		},
	}
}

func paymentSamples() []sample {
	return []sample{
		{
			billing.PaymentIntentCreate, "", `{"amount": 2000, "currency": "usd", "confirm": true, "off_session": true, "payment_method_types": ["card"], "payment_method": "pm_1",
			  "payment_method_options": {"card": {"request_three_d_secure": "automatic"}}}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(paymentintent.Client{B: backend, Key: key}.New(&stripe.PaymentIntentParams{
					Params: common, Amount: stripe.Int64(2000), Currency: text("usd"), Confirm: stripe.Bool(true), OffSession: stripe.Bool(true),
					PaymentMethodTypes: []*string{text("card")}, PaymentMethod: text("pm_1"), Metadata: marked,
					PaymentMethodOptions: &stripe.PaymentIntentPaymentMethodOptionsParams{Card: &stripe.PaymentIntentPaymentMethodOptionsCardParams{RequestThreeDSecure: text("automatic")}},
				}))
			},
		},
		{
			billing.PaymentIntentConfirm, "pi_1", `{"payment_method": "pm_1", "off_session": true, "error_on_requires_action": true}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(paymentintent.Client{B: backend, Key: key}.Confirm("pi_1", &stripe.PaymentIntentConfirmParams{
					Params: common, PaymentMethod: text("pm_1"), OffSession: stripe.Bool(true), ErrorOnRequiresAction: stripe.Bool(true),
				}))
			},
		},
		{
			billing.PaymentIntentCapture, "pi_1", `{"amount_to_capture": 1500, "metadata": {"a": "b"}}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(paymentintent.Client{B: backend, Key: key}.Capture("pi_1", &stripe.PaymentIntentCaptureParams{Params: common, AmountToCapture: stripe.Int64(1500), Metadata: map[string]string{"a": "b"}}))
			},
		},
		{
			billing.PaymentIntentCancel, "pi_1", `{"cancellation_reason": "abandoned"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(paymentintent.Client{B: backend, Key: key}.Cancel("pi_1", &stripe.PaymentIntentCancelParams{Params: common, CancellationReason: text("abandoned")}))
			},
		},
		{
			billing.ChargeCapture, "ch_1", `{"amount": 700, "statement_descriptor": "SHOP"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(charge.Client{B: backend, Key: key}.Capture("ch_1", &stripe.ChargeCaptureParams{Params: common, Amount: stripe.Int64(700), StatementDescriptor: text("SHOP")}))
			},
		},
		{
			billing.RefundCreate, "", `{"charge": "ch_1", "amount": 300, "reason": "requested_by_customer", "metadata": {"ticket": "9"}}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(refund.Client{B: backend, Key: key}.New(&stripe.RefundParams{
					Params: common, Charge: text("ch_1"), Amount: stripe.Int64(300), Reason: text("requested_by_customer"),
					Metadata: map[string]string{"ticket": "9", "billonce_task_id": string(taskID)},
				}))
			},
		},
		{
			billing.CustomerUpdate, "cus_1", `{"email": "a+b@example.com", "invoice_settings": {"default_payment_method": "pm_1"}, "address": {"line1": "1 Way", "country": "CH"}, "balance": -500}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(customer.Client{B: backend, Key: key}.Update("cus_1", &stripe.CustomerParams{
					Params: common, Email: text("a+b@example.com"), InvoiceSettings: &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: text("pm_1")},
					Address: &stripe.AddressParams{Line1: text("1 Way"), Country: text("CH")}, Balance: stripe.Int64(-500),
				}))
			},
		},
		{
			billing.TransferCreate, "", `{"amount": 100, "currency": "usd", "destination": "acct_2"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(transfer.Client{B: backend, Key: key}.New(&stripe.TransferParams{Params: common, Amount: stripe.Int64(100), Currency: text("usd"), Destination: text("acct_2"), Metadata: marked}))
			},
		},
		{
			billing.PayoutCreate, "", `{"amount": 100, "currency": "usd", "method": "standard"}`,
			func(backend stripe.Backend, key string, common stripe.Params) error {
				return call(payout.Client{B: backend, Key: key}.New(&stripe.PayoutParams{Params: common, Amount: stripe.Int64(100), Currency: text("usd"), Method: text("standard"), Metadata: marked}))
			},
		},
	}
}
