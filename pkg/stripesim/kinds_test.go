package stripesim_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"

	"billonce/pkg/billing"
	"billonce/pkg/stripesim"
)

// oneOfEach is a call of each kind on fixtures seeded for it, and what shall be true of the result.
type oneOfEach struct {
	kind   billing.Kind
	method string
	path   string
	form   string
	amount int64  // of the effect
	status string // of the object, "" where it has none
}

func calls() []oneOfEach {
	post := http.MethodPost
	return []oneOfEach{
		{billing.SubscriptionCreate, post, "/v1/subscriptions", "customer=cus_ok&items[0][price]=price_basic&items[0][quantity]=2", 3000, "active"},
		{billing.SubscriptionUpdate, post, "/v1/subscriptions/sub_u", "cancel_at_period_end=true&metadata[a]=b", 0, "active"},
		{billing.SubscriptionCancel, http.MethodDelete, "/v1/subscriptions/sub_c", "", 0, "canceled"},
		{billing.SubscriptionResume, post, "/v1/subscriptions/sub_p/resume", "billing_cycle_anchor=now", 1500, "active"},
		{billing.InvoiceCreate, post, "/v1/invoices", "customer=cus_ok&auto_advance=false", 0, "draft"},
		{billing.InvoiceFinalize, post, "/v1/invoices/in_f/finalize", "", 700, "open"},
		{billing.InvoicePay, post, "/v1/invoices/in_p/pay", "", 2000, "paid"},
		{billing.InvoiceVoid, post, "/v1/invoices/in_v/void", "", 2000, "void"},
		{billing.InvoiceSend, post, "/v1/invoices/in_s/send", "", 2000, "open"},
		{billing.InvoiceMarkUncollectible, post, "/v1/invoices/in_m/mark_uncollectible", "", 2000, "uncollectible"},
		{billing.InvoiceItemCreate, post, "/v1/invoiceitems", "customer=cus_ok&amount=250&currency=usd&invoice=in_d", 250, ""},
		{billing.PaymentIntentCreate, post, "/v1/payment_intents", "amount=500&currency=eur&confirm=true&payment_method=pm_ok", 500, "succeeded"},
		{billing.PaymentIntentConfirm, post, "/v1/payment_intents/pi_c/confirm", "", 900, "succeeded"},
		{billing.PaymentIntentCapture, post, "/v1/payment_intents/pi_h/capture", "amount_to_capture=600", 600, "succeeded"},
		{billing.PaymentIntentCancel, post, "/v1/payment_intents/pi_x/cancel", "cancellation_reason=abandoned", 0, "canceled"},
		{billing.ChargeCapture, post, "/v1/charges/ch_h/capture", "", 800, "succeeded"},
		{billing.RefundCreate, post, "/v1/refunds", "charge=ch_1&amount=300", 300, "succeeded"},
		{billing.CustomerUpdate, post, "/v1/customers/cus_ok", "name=Other&address[city]=Bern&invoice_settings[default_payment_method]=pm_ok", 0, ""},
		{billing.CreditNoteCreate, post, "/v1/credit_notes", "invoice=in_n&amount=500", 500, "issued"},
		{billing.SubscriptionScheduleCreate, post, "/v1/subscription_schedules", "customer=cus_ok&start_date=now&phases[0][items][0][price]=price_basic&phases[0][iterations]=2", 0, "active"},
		{billing.SubscriptionScheduleUpdate, post, "/v1/subscription_schedules/sub_sched_u", "end_behavior=cancel", 0, "not_started"},
		{billing.SubscriptionScheduleCancel, post, "/v1/subscription_schedules/sub_sched_c/cancel", "", 0, "canceled"},
		{billing.SubscriptionScheduleRelease, post, "/v1/subscription_schedules/sub_sched_r/release", "", 0, "released"},
		{billing.TransferCreate, post, "/v1/transfers", "amount=400&currency=usd&destination=acct_elsewhere", 400, ""},
		{billing.PayoutCreate, post, "/v1/payouts", "amount=100&currency=usd", 100, "pending"},
	}
}

func fixturesForAll() []stripesim.Object {
	no := false
	return []stripesim.Object{
		{Object: "subscription", ID: "sub_u"},
		{Object: "subscription", ID: "sub_c"},
		{Object: "subscription", ID: "sub_p", Status: "paused"},
		{Object: "invoice", ID: "in_f", Amount: 700},
		{Object: "invoice", ID: "in_d"},
		openInvoice("in_p"),
		openInvoice("in_v"),
		openInvoice("in_s"),
		openInvoice("in_m"),
		openInvoice("in_n"),
		{Object: "payment_intent", ID: "pi_c", Status: "requires_confirmation", Amount: 900},
		{Object: "payment_intent", ID: "pi_h", Status: "requires_capture", Amount: 1000},
		{Object: "payment_intent", ID: "pi_x", Status: "requires_payment_method", Amount: 1000},
		{Object: "charge", ID: "ch_h", Amount: 800, Captured: &no},
		{Object: "charge", ID: "ch_1", Amount: 800},
		{Object: "subscription_schedule", ID: "sub_sched_u"},
		{Object: "subscription_schedule", ID: "sub_sched_c", Status: "active"},
		{Object: "subscription_schedule", ID: "sub_sched_r", Status: "active"},
	}
}

func TestEveryKindTakesEffectOnceUnderItsKey(t *testing.T) {
	t.Parallel()
	seen := make(map[billing.Kind]bool)
	for _, one := range calls() {
		seen[one.kind] = true
		t.Run(string(one.kind), func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{})
			b.seed(t, fixturesForAll()...)
			if n := len(b.Ledger()); n != 0 {
				t.Fatalf("seeding had %d effects", n)
			}
			first, err := b.send(t, one.method, one.path, one.form, "Idempotency-Key", "task_1")
			if err != nil || first.status != http.StatusOK {
				t.Fatalf("%v %d %s", err, first.status, first.body)
			}
			again, err := b.send(t, one.method, one.path, one.form, "Idempotency-Key", "task_1")
			if err != nil || one.method == http.MethodPost && again.body != first.body {
				t.Fatalf("again: %v %d %s", err, again.status, again.body)
			}
			shown := decode(t, first.body)
			decodeTyped(t, shown["object"], first.body)
			if status, _ := shown["status"].(string); status != one.status {
				t.Errorf("status %q, want %q: %s", status, one.status, first.body)
			}
			ledger := b.Ledger()
			if len(ledger) != 1 {
				t.Fatalf("%d effects: %+v", len(ledger), ledger)
			}
			got := ledger[0]
			if got.Op != string(one.kind) || got.Object != shown["id"] || got.Amount != one.amount || got.IdempotencyKey != "task_1" {
				t.Errorf("effect %+v", got)
			}
			if n := events(t, b, "task_1"); n == 0 {
				t.Error("no event names the key")
			}
		})
	}
	for _, kind := range billing.Kinds() {
		if !seen[kind] {
			t.Errorf("%s is not tried", kind)
		}
	}
}

// decodeTyped reads the object as stripe-go does.
func decodeTyped(t *testing.T, object any, body string) {
	t.Helper()
	into := map[any]any{
		"subscription": new(stripe.Subscription), "invoice": new(stripe.Invoice), "invoiceitem": new(stripe.InvoiceItem),
		"payment_intent": new(stripe.PaymentIntent), "charge": new(stripe.Charge), "refund": new(stripe.Refund),
		"customer": new(stripe.Customer), "credit_note": new(stripe.CreditNote),
		"subscription_schedule": new(stripe.SubscriptionSchedule), "transfer": new(stripe.Transfer), "payout": new(stripe.Payout),
	}[object]
	if into == nil {
		t.Fatalf("object %v: %s", object, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Errorf("stripe-go cannot read %v: %v", object, err)
	}
}

// events counts the events that the request with the key caused.
func events(t *testing.T, b *bench, key string) int {
	t.Helper()
	params := &stripe.EventListParams{}
	params.Context = t.Context()
	list := b.stripe(token).Events.List(params)
	n := 0
	for list.Next() {
		if e := list.Event(); e.Request != nil && e.Request.IdempotencyKey == key {
			n++
		}
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	return n
}

func TestASecondIntentIsRefusedWhereStripeRefusesIt(t *testing.T) {
	t.Parallel()
	type second struct {
		path, form string
		status     int
		message    string
		code       string
	}
	for name, one := range map[string]struct {
		first, form string
		then        second
	}{
		"pay":      {"/v1/invoices/in_p/pay", "", second{status: 400, message: "Invoice is already paid"}},
		"finalize": {"/v1/invoices/in_f/finalize", "", second{status: 400, message: "This invoice is already finalized, you can't re-finalize a non-draft invoice."}},
		"void":     {"/v1/invoices/in_v/void", "", second{status: 400, message: "You can only pass in open invoices. This invoice isn't open."}},
		"void paid": {"/v1/invoices/in_p/pay", "", second{
			path: "/v1/invoices/in_p/void", status: 400, message: "Invoices with `paid` payments cannot be voided.",
		}},
		"uncollectible":     {"/v1/invoices/in_m/mark_uncollectible", "", second{status: 400, message: "This invoice has already been marked uncollectible."}},
		"confirm":           {"/v1/payment_intents/pi_c/confirm", "", second{status: 400, code: "payment_intent_unexpected_state"}},
		"capture":           {"/v1/payment_intents/pi_h/capture", "", second{status: 400, code: "payment_intent_unexpected_state"}},
		"cancel intent":     {"/v1/payment_intents/pi_x/cancel", "", second{status: 400, code: "payment_intent_unexpected_state"}},
		"charge":            {"/v1/charges/ch_h/capture", "", second{status: 400, code: "charge_already_captured"}},
		"refund":            {"/v1/refunds", "charge=ch_1", second{status: 400, code: "charge_already_refunded"}},
		"over-credit":       {"/v1/credit_notes", "invoice=in_n&amount=1500", second{status: 400}},
		"schedule":          {"/v1/subscription_schedules/sub_sched_c/cancel", "", second{status: 400}},
		"from_subscription": {"/v1/subscription_schedules", "from_subscription=sub_u", second{status: 400}},
		"update canceled":   {"/v1/subscriptions/sub_u/resume", "", second{status: 400}},
		"item on an open invoice": {"/v1/invoices/in_f/finalize", "", second{
			path: "/v1/invoiceitems", form: "customer=cus_ok&amount=1&currency=usd&invoice=in_f", status: 400, code: "invoice_not_editable",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{})
			b.seed(t, fixturesForAll()...)
			first := b.post(t, one.first, "task_1", one.form)
			if name == "update canceled" {
				if _, err := b.send(t, http.MethodDelete, "/v1/subscriptions/sub_u", ""); err != nil {
					t.Fatal(err)
				}
				one.then.path, one.then.form = "/v1/subscriptions/sub_u", "cancel_at_period_end=true"
				one.then.message = "A canceled subscription can only update its cancellation_details and metadata."
			} else if first.status != http.StatusOK {
				t.Fatalf("%d %s", first.status, first.body)
			}
			if one.then.path == "" {
				one.then.path, one.then.form = one.first, one.form
			}
			before := len(b.Ledger())
			got := b.post(t, one.then.path, "task_2", one.then.form)
			shown, _ := decode(t, got.body)["error"].(map[string]any)
			code, _ := shown["code"].(string)
			if got.status != one.then.status || code != one.then.code || one.then.message != "" && shown["message"] != one.then.message {
				t.Errorf("%d %s", got.status, got.body)
			}
			if n := len(b.Ledger()) - before; n != 0 {
				t.Errorf("%d more effects", n)
			}
		})
	}
}

// What Stripe repeats without a murmur under a second key is what must never get one.
func TestASecondKeyRepeatsWhatIsNotNaturallyOnce(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, fixturesForAll()...)
	for _, one := range []struct{ path, form string }{
		{"/v1/subscriptions", "customer=cus_ok&items[0][price]=price_basic"},
		{"/v1/payment_intents", "amount=500&currency=usd&confirm=true&payment_method=pm_ok"},
		{"/v1/refunds", "charge=ch_1&amount=100"},
		{"/v1/invoices/in_s/send", ""},
		{"/v1/subscriptions/sub_u", "proration_behavior=always_invoice"},
		{"/v1/payouts", "amount=100&currency=usd"},
	} {
		for _, key := range []string{"one", "two"} {
			if got := b.post(t, one.path, one.path+key, one.form); got.status != http.StatusOK {
				t.Errorf("%s under %s: %d %s", one.path, key, got.status, got.body)
			}
		}
	}
	if n := len(b.Ledger()); n != 12 {
		t.Errorf("%d effects, want 12", n)
	}
}

func TestCardsFollowTheirScript(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	api := b.stripe(token)
	pay := func(method string, offSession bool) (*stripe.PaymentIntent, error) {
		params := &stripe.PaymentIntentParams{
			Amount: stripe.Int64(100), Currency: stripe.String("usd"), Confirm: stripe.Bool(true),
			PaymentMethod: stripe.String(method), OffSession: stripe.Bool(offSession),
		}
		params.Context = t.Context()
		return api.PaymentIntents.New(params)
	}
	for method, want := range map[string]stripe.PaymentIntentStatus{
		"pm_ok": "succeeded", "pm_card_visa": "succeeded", "pm_action": "requires_action", "pm_processing": "processing",
	} {
		if got, err := pay(method, false); err != nil || got.Status != want {
			t.Errorf("%s: %v %+v", method, err, got)
		}
	}
	_, err := pay("pm_decline_lost_card", true)
	if e := stripeError(t, err); e.HTTPStatusCode != 402 || e.Code != stripe.ErrorCodeCardDeclined || e.DeclineCode != "lost_card" ||
		e.Type != stripe.ErrorTypeCard || e.PaymentIntent == nil || e.ChargeID == "" {
		t.Errorf("declined: %+v", e)
	}
	_, err = pay("pm_decline_expired_card", true)
	if e := stripeError(t, err); e.Code != stripe.ErrorCodeExpiredCard {
		t.Errorf("expired: %+v", e)
	}
	_, err = pay("pm_action", true)
	if e := stripeError(t, err); e.Code != stripe.ErrorCodeAuthenticationRequired {
		t.Errorf("off session: %+v", e)
	}
	_, err = pay("pm_nothing", true)
	if e := stripeError(t, err); e.HTTPStatusCode != 400 || e.Code != stripe.ErrorCodeResourceMissing || e.Param != "payment_method" {
		t.Errorf("unknown: %+v", e)
	}
}

func TestASubscriptionStartsAsItsCardAllows(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	api := b.stripe(token)
	subscribe := func(customer, behavior string) (*stripe.Subscription, error) {
		params := &stripe.SubscriptionParams{
			Customer: stripe.String(customer), Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String("price_basic")}},
		}
		if behavior != "" {
			params.PaymentBehavior = stripe.String(behavior)
		}
		params.AddExpand("latest_invoice.payment_intent")
		params.Context = t.Context()
		return api.Subscriptions.New(params)
	}
	sub, err := subscribe("cus_ok", "")
	if err != nil || sub.Status != stripe.SubscriptionStatusActive || sub.LatestInvoice == nil || !sub.LatestInvoice.Paid ||
		sub.LatestInvoice.PaymentIntent == nil || sub.LatestInvoice.PaymentIntent.Status != stripe.PaymentIntentStatusSucceeded ||
		sub.Items.Data[0].Price.UnitAmount != 1500 || sub.CurrentPeriodEnd <= sub.CurrentPeriodStart {
		t.Errorf("paid: %v %+v", err, sub)
	}
	for _, customer := range []string{"cus_declined", "cus_action"} {
		if sub, err := subscribe(customer, ""); err != nil || sub.Status != stripe.SubscriptionStatusIncomplete || sub.LatestInvoice.Paid {
			t.Errorf("%s: %v %+v", customer, err, sub)
		}
		if _, err := subscribe(customer, "error_if_incomplete"); stripeError(t, err).HTTPStatusCode != 402 {
			t.Errorf("%s, error_if_incomplete: %v", customer, err)
		}
	}
	if _, err := subscribe("cus_nobody", ""); stripeError(t, err).Param != "customer" {
		t.Error(err)
	}
	var got []string
	for _, e := range b.Ledger() {
		got = append(got, e.Op)
	}
	if diff := cmp.Diff([]string{"subscription.create", "subscription.create", "subscription.create"}, got); diff != "" {
		t.Error(diff)
	}
}
