package app_test

import (
	"testing"

	"billonce/pkg/billing"
)

// TestEveryKind carries out each kind of the contract through the real services, once with the merchant's token and once
// with the platform's key, and counts one effect for each.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, c := s.api("ALLOW_PAYOUTS", "true")
	s.worker("ALLOW_PAYOUTS", "true")
	for name, mode := range map[string]struct{ account, token string }{
		"WithTheMerchantsToken": {"acct_token", "sk_test_acct_token"}, "WithThePlatformsKey": {"acct_platform", ""},
	} {
		merchant := map[string]any{"name": name, "stripe_connect_id": mode.account}
		if mode.token != "" {
			merchant["access_token"] = mode.token
		}
		id := idOf(c.Must(201, "POST", "/v1/merchants", merchant))
		a := s.simulator().Do("POST", "/_sim/fixtures", map[string]any{"account": mode.account, "objects": kindFixtures()})
		if a.Status >= 300 {
			t.Fatalf("fixtures: %d %v", a.Status, a.Body)
		}
		for _, kind := range billing.Kinds() {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				task, ok := kindTasks()[kind]
				if !ok {
					t.Fatal("no sample")
				}
				body := map[string]any{"merchant_id": id, "kind": kind, "max_attempts": 3}
				if task.target != "" {
					body["target"] = task.target
				}
				if task.params != nil {
					body["params"] = task.params
				}
				c := newClient(t, c.Base, adminKey)
				created := idOf(c.Must(201, "POST", "/v1/tasks", body))
				done := c.Await(created, "succeeded", "failed", "in_doubt")
				if done["status"] != "succeeded" {
					t.Fatalf("%v", done)
				}
				result, _ := done["result"].(map[string]any)
				if result["object"] != task.object || result["id"] == "" || result["request_id"] == "" {
					t.Errorf("result %v", result)
				}
				if n := s.effects()["task_"+created]; n != 1 {
					t.Errorf("%d effects", n)
				}
			})
		}
	}
}

type params = map[string]any

type kindTask struct {
	target, object string
	params         params
}

func kindTasks() map[billing.Kind]kindTask {
	return map[billing.Kind]kindTask{
		billing.SubscriptionCreate:       {"", "subscription", params{"customer": "cus_ok", "items": []any{params{"price": "price_basic", "quantity": 2}}}},
		billing.SubscriptionUpdate:       {"sub_update", "subscription", params{"cancel_at_period_end": true, "metadata": params{"a": "b"}}},
		billing.SubscriptionCancel:       {"sub_cancel", "subscription", nil},
		billing.SubscriptionResume:       {"sub_resume", "subscription", params{"billing_cycle_anchor": "now"}},
		billing.InvoiceCreate:            {"", "invoice", params{"customer": "cus_ok", "auto_advance": false}},
		billing.InvoiceFinalize:          {"in_finalize", "invoice", nil},
		billing.InvoicePay:               {"in_pay", "invoice", nil},
		billing.InvoiceVoid:              {"in_void", "invoice", nil},
		billing.InvoiceSend:              {"in_send", "invoice", nil},
		billing.InvoiceMarkUncollectible: {"in_uncollectible", "invoice", nil},
		billing.InvoiceItemCreate:        {"", "invoiceitem", params{"customer": "cus_ok", "amount": 250, "currency": "usd"}},
		billing.PaymentIntentCreate:      {"", "payment_intent", params{"amount": 900, "currency": "usd", "customer": "cus_ok"}},
		billing.PaymentIntentConfirm:     {"pi_confirm", "payment_intent", params{"payment_method": "pm_ok"}},
		billing.PaymentIntentCapture:     {"pi_capture", "payment_intent", nil},
		billing.PaymentIntentCancel:      {"pi_cancel", "payment_intent", params{"cancellation_reason": "abandoned"}},
		billing.ChargeCapture:            {"ch_capture", "charge", nil},
		billing.RefundCreate:             {"", "refund", params{"charge": "ch_refund", "amount": 100}},
		billing.CustomerUpdate:           {"cus_ok", "customer", params{"name": "New name"}},
		billing.CreditNoteCreate:         {"", "credit_note", params{"invoice": "in_credit", "amount": 100}},
		billing.SubscriptionScheduleCreate: {"", "subscription_schedule", params{"customer": "cus_ok", "start_date": "now", "phases": []any{
			params{"items": []any{params{"price": "price_basic"}}, "iterations": 3},
		}}},
		billing.SubscriptionScheduleUpdate:  {"sub_sched_update", "subscription_schedule", params{"end_behavior": "cancel"}},
		billing.SubscriptionScheduleCancel:  {"sub_sched_cancel", "subscription_schedule", nil},
		billing.SubscriptionScheduleRelease: {"sub_sched_release", "subscription_schedule", nil},
		billing.TransferCreate:              {"", "transfer", params{"amount": 10, "currency": "usd", "destination": "acct_other"}},
		billing.PayoutCreate:                {"", "payout", params{"amount": 10, "currency": "usd"}},
	}
}

func kindFixtures() []params {
	fixtures := []params{{"object": "balance", "amount": 100_000, "currency": "usd"}}
	for id, status := range map[string]string{"sub_update": "active", "sub_cancel": "active", "sub_resume": "paused"} {
		fixtures = append(fixtures, params{"object": "subscription", "id": id, "status": status, "customer": "cus_ok", "price": "price_basic"})
	}
	for id, status := range map[string]string{
		"in_finalize": "draft", "in_pay": "open", "in_void": "open", "in_send": "open", "in_uncollectible": "open", "in_credit": "open",
	} {
		fixtures = append(fixtures, params{"object": "invoice", "id": id, "status": status, "customer": "cus_ok", "amount": 2000})
	}
	for id, status := range map[string]string{
		"pi_confirm": "requires_confirmation", "pi_capture": "requires_capture", "pi_cancel": "requires_payment_method",
	} {
		fixtures = append(fixtures, params{"object": "payment_intent", "id": id, "status": status, "customer": "cus_ok", "amount": 2000})
	}
	fixtures = append(fixtures, params{"object": "charge", "id": "ch_capture", "captured": false, "customer": "cus_ok", "amount": 2000},
		params{"object": "charge", "id": "ch_refund", "customer": "cus_ok", "amount": 2000})
	for _, id := range []string{"sub_sched_update", "sub_sched_cancel", "sub_sched_release"} {
		fixtures = append(fixtures, params{"object": "subscription_schedule", "id": id, "customer": "cus_ok", "price": "price_basic"})
	}
	return fixtures
}
