// Package kindtest has a sample task of every kind, and the objects at Stripe that the samples act on, for tests.
//
// It promises one sample for each of [billing.Kinds] that succeeds at the simulator once its fixtures are there. It is
// imported by tests only.
package kindtest

import "billonce/pkg/billing"

// Object is a JSON object.
type Object = map[string]any

// Sample is a task of one kind.
type Sample struct {
	Target, Type string // Type is the object's that Stripe answers with
	Params       Object // nil: none
}

// Samples returns a task for each kind. The caller owns the map.
func Samples() map[billing.Kind]Sample {
	return map[billing.Kind]Sample{
		billing.SubscriptionCreate:       {"", "subscription", Object{"customer": "cus_ok", "items": []any{Object{"price": "price_basic", "quantity": 2}}}},
		billing.SubscriptionUpdate:       {"sub_update", "subscription", Object{"cancel_at_period_end": true, "metadata": Object{"a": "b"}}},
		billing.SubscriptionCancel:       {"sub_cancel", "subscription", nil},
		billing.SubscriptionResume:       {"sub_resume", "subscription", Object{"billing_cycle_anchor": "now"}},
		billing.InvoiceCreate:            {"", "invoice", Object{"customer": "cus_ok", "auto_advance": false}},
		billing.InvoiceFinalize:          {"in_finalize", "invoice", nil},
		billing.InvoicePay:               {"in_pay", "invoice", nil},
		billing.InvoiceVoid:              {"in_void", "invoice", nil},
		billing.InvoiceSend:              {"in_send", "invoice", nil},
		billing.InvoiceMarkUncollectible: {"in_uncollectible", "invoice", nil},
		billing.InvoiceItemCreate:        {"", "invoiceitem", Object{"customer": "cus_ok", "amount": 250, "currency": "usd"}},
		billing.PaymentIntentCreate:      {"", "payment_intent", Object{"amount": 900, "currency": "usd", "customer": "cus_ok"}},
		billing.PaymentIntentConfirm:     {"pi_confirm", "payment_intent", Object{"payment_method": "pm_ok"}},
		billing.PaymentIntentCapture:     {"pi_capture", "payment_intent", nil},
		billing.PaymentIntentCancel:      {"pi_cancel", "payment_intent", Object{"cancellation_reason": "abandoned"}},
		billing.ChargeCapture:            {"ch_capture", "charge", nil},
		billing.RefundCreate:             {"", "refund", Object{"charge": "ch_refund", "amount": 100}},
		billing.CustomerUpdate:           {"cus_ok", "customer", Object{"name": "New name"}},
		billing.CreditNoteCreate:         {"", "credit_note", Object{"invoice": "in_credit", "amount": 100}},
		billing.SubscriptionScheduleCreate: {"", "subscription_schedule", Object{"customer": "cus_ok", "start_date": "now", "phases": []any{
			Object{"items": []any{Object{"price": "price_basic"}}, "iterations": 3},
		}}},
		billing.SubscriptionScheduleUpdate:  {"sub_sched_update", "subscription_schedule", Object{"end_behavior": "cancel"}},
		billing.SubscriptionScheduleCancel:  {"sub_sched_cancel", "subscription_schedule", nil},
		billing.SubscriptionScheduleRelease: {"sub_sched_release", "subscription_schedule", nil},
		billing.TransferCreate:              {"", "transfer", Object{"amount": 10, "currency": "usd", "destination": "acct_other"}},
		billing.PayoutCreate:                {"", "payout", Object{"amount": 10, "currency": "usd"}},
	}
}

// Fixtures returns the objects that the samples act on, as the simulator takes them. The caller owns the slice.
func Fixtures() []Object {
	fixtures := []Object{{"object": "balance", "amount": 100_000, "currency": "usd"}}
	for id, status := range map[string]string{"sub_update": "active", "sub_cancel": "active", "sub_resume": "paused"} {
		fixtures = append(fixtures, Object{"object": "subscription", "id": id, "status": status, "customer": "cus_ok", "price": "price_basic"})
	}
	for id, status := range map[string]string{
		"in_finalize": "draft", "in_pay": "open", "in_void": "open", "in_send": "open", "in_uncollectible": "open", "in_credit": "open",
	} {
		fixtures = append(fixtures, Object{"object": "invoice", "id": id, "status": status, "customer": "cus_ok", "amount": 2000})
	}
	for id, status := range map[string]string{
		"pi_confirm": "requires_confirmation", "pi_capture": "requires_capture", "pi_cancel": "requires_payment_method",
	} {
		fixtures = append(fixtures, Object{"object": "payment_intent", "id": id, "status": status, "customer": "cus_ok", "amount": 2000})
	}
	fixtures = append(fixtures, Object{"object": "charge", "id": "ch_capture", "captured": false, "customer": "cus_ok", "amount": 2000},
		Object{"object": "charge", "id": "ch_refund", "customer": "cus_ok", "amount": 2000})
	for _, id := range []string{"sub_sched_update", "sub_sched_cancel", "sub_sched_release"} {
		fixtures = append(fixtures, Object{"object": "subscription_schedule", "id": id, "customer": "cus_ok", "price": "price_basic"})
	}
	return fixtures
}
