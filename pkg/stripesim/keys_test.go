package stripesim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"

	"billonce/pkg/stripesim"
)

func TestAKeyTakesEffectOnce(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, openInvoice("in_1"))

	first := b.post(t, "/v1/invoices/in_1/pay", "task_1", "")
	again := b.post(t, "/v1/invoices/in_1/pay", "task_1", "")

	if first.status != http.StatusOK || again.status != first.status || again.body != first.body {
		t.Fatalf("the replay differs:\n%d %s\n%d %s", first.status, first.body, again.status, again.body)
	}
	if first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("Idempotent-Replayed: %q then %q", first.header.Get("Idempotent-Replayed"), again.header.Get("Idempotent-Replayed"))
	}
	id := first.header.Get("Request-Id")
	if id == "" || first.header.Get("Original-Request") != id || again.header.Get("Original-Request") != id {
		t.Errorf("the first request is %q, Original-Request says %q and %q", id, first.header.Get("Original-Request"),
			again.header.Get("Original-Request"))
	}
	if again.header.Get("Request-Id") == id {
		t.Error("the replay has the first request's id")
	}
	if first.header.Get("Idempotency-Key") != "task_1" || first.header.Get("Stripe-Version") != "2023-10-16" {
		t.Errorf("headers: %v", first.header)
	}
	ledger := b.Ledger()
	if len(ledger) != 1 {
		t.Fatalf("the ledger has %d effects", len(ledger))
	}
	want := stripesim.Effect{
		Seq: 1, Account: acct, Op: "invoice.pay", Object: "in_1", Amount: 2000, Currency: "usd", IdempotencyKey: "task_1",
		RequestID: id, At: ledger[0].At,
	}
	if diff := cmp.Diff(want, ledger[0]); diff != "" {
		t.Errorf("effect (-want +got):\n%s", diff)
	}
}

func TestStripeGoSeesReplays(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	api := b.stripe(token)
	create := func(amount int64) (*stripe.PaymentIntent, error) {
		params := &stripe.PaymentIntentParams{
			Amount: stripe.Int64(amount), Currency: stripe.String("USD"), Confirm: stripe.Bool(true),
			PaymentMethod: stripe.String("pm_ok"), Customer: stripe.String("cus_ok"),
		}
		params.AddMetadata("billonce_task_id", "7")
		keyed(&params.Params, "task_7")
		return api.PaymentIntents.New(params)
	}
	first, err := create(500)
	if err != nil {
		t.Fatal(err)
	}
	again, err := create(500)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != again.ID || first.Status != stripe.PaymentIntentStatusSucceeded || first.Metadata["billonce_task_id"] != "7" ||
		first.Currency != "usd" || first.LatestCharge == nil || first.AmountReceived != 500 {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if again.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("the second is not marked as a replay")
	}
	_, err = create(600)
	refused := stripeError(t, err)
	if refused.HTTPStatusCode != http.StatusBadRequest || refused.Type != stripe.ErrorTypeIdempotency || refused.Code != "" {
		t.Errorf("other parameters: %d %s %q", refused.HTTPStatusCode, refused.Type, refused.Code)
	}
	if got := b.effects("task_7"); len(got) != 1 {
		t.Errorf("effects: %v", got)
	}
}

func TestAKeyIsBoundToItsRequest(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, openInvoice("in_1"), openInvoice("in_2"))
	first := b.post(t, "/v1/invoices/in_1/pay", "k", "off_session=true&expand[]=charge")

	t.Run("other object", func(t *testing.T) {
		got := b.post(t, "/v1/invoices/in_2/pay", "k", "off_session=true&expand[]=charge")
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"type":"idempotency_error"`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("other endpoint", func(t *testing.T) {
		if got := b.post(t, "/v1/invoices/in_1/void", "k", ""); !strings.Contains(got.body, `"type":"idempotency_error"`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	t.Run("same parameters in another order are the same", func(t *testing.T) {
		got := b.post(t, "/v1/invoices/in_1/pay", "k", "expand[]=charge&off_session=true")
		if got.body != first.body || got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	if got := len(b.Ledger()); got != 1 {
		t.Errorf("%d effects", got)
	}
}

func TestKeysOfAccountsAndModesAreApart(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	const form = "amount=100&currency=usd"
	b.post(t, "/v1/payment_intents", "k", form)
	b.post(t, "/v1/payment_intents", "k", form, "Authorization", "Bearer sk_live_acct_merchant")
	b.post(t, "/v1/payment_intents", "k", form, "Authorization", "Bearer sk_test_acct_other")
	sameAccount := b.post(t, "/v1/payment_intents", "k", form,
		"Authorization", "Bearer "+stripesim.DefaultPlatformKey, "Stripe-Account", acct)
	if sameAccount.header.Get("Idempotent-Replayed") != "true" {
		t.Error("the platform's key for the same account did not find the key")
	}
	if got := len(b.Ledger()); got != 3 {
		t.Errorf("%d effects, want 3", got)
	}
}

func TestWhatIsRefusedBeforeTheKeyLeavesItFree(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, openInvoice("in_1"))
	b.script(t, stripesim.Fault{Kind: stripesim.Reject, Nth: 1})

	steps := []struct {
		name, body string
		header     []string
		status     int
		contains   string
	}{
		{"limiter", "", nil, http.StatusTooManyRequests, "rate_limit"},
		{"unknown token", "", []string{"Authorization", "Bearer sk_test_nobody"}, http.StatusUnauthorized, "Invalid API Key provided: sk_test_"},
		{"unknown parameter", "metadata[a]=b", nil, http.StatusBadRequest, "parameter_unknown"},
		{"wrong type", "off_session=perhaps", nil, http.StatusBadRequest, "Invalid boolean"},
		{"other version", "", []string{"Stripe-Version", "2020-01-01"}, http.StatusBadRequest, "Invalid Stripe API version"},
	}
	for _, step := range steps {
		got := b.post(t, "/v1/invoices/in_1/pay", "k", step.body, step.header...)
		if got.status != step.status || !strings.Contains(got.body, step.contains) || got.header.Get("Original-Request") != "" {
			t.Errorf("%s: %d %s", step.name, got.status, got.body)
		}
		if step.status == http.StatusTooManyRequests && got.header.Get("Stripe-Rate-Limited-Reason") == "" {
			t.Error("the limiter gives no reason")
		}
	}
	if got := b.post(t, "/v1/invoices/in_1/pay", "k", ""); got.status != http.StatusOK || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}

func TestRefusalsOfTheOperationAreKept(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t,
		stripesim.Object{Object: "invoice", ID: "in_declined", Status: "open", Amount: 100, Customer: "cus_declined"},
		stripesim.Object{Object: "invoice", ID: "in_paid", Status: "paid", Amount: 100},
	)
	for _, one := range []struct {
		path     string
		status   int
		contains []string
	}{
		{"/v1/invoices/in_declined/pay", http.StatusPaymentRequired, []string{`"decline_code":"insufficient_funds"`, `"code":"card_declined"`, `"type":"card_error"`}},
		{"/v1/invoices/in_paid/pay", http.StatusBadRequest, []string{"Invoice is already paid", `"type":"invalid_request_error"`}},
		{"/v1/invoices/in_nowhere/pay", http.StatusNotFound, []string{`"code":"resource_missing"`}},
	} {
		first := b.post(t, one.path, one.path, "")
		if one.path == "/v1/invoices/in_nowhere/pay" {
			b.seed(t, openInvoice("in_nowhere")) // too late
		}
		again := b.post(t, one.path, one.path, "")
		if first.status != one.status || again.status != one.status || again.body != first.body ||
			again.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: %d %s, then %d %s", one.path, first.status, first.body, again.status, again.body)
		}
		for _, part := range one.contains {
			if !strings.Contains(first.body, part) {
				t.Errorf("%s lacks %s: %s", one.path, part, first.body)
			}
		}
	}
	if got := b.Ledger(); len(got) != 0 {
		t.Errorf("refusals had effects: %+v", got)
	}
}

func TestAForgottenKeyExecutesAgain(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	send := func() reply { return b.post(t, "/v1/payment_intents", "k", "amount=100&currency=usd") }
	send()
	b.Advance(24*time.Hour - time.Minute)
	if got := send(); got.header.Get("Idempotent-Replayed") != "true" {
		t.Error("forgotten too early")
	}
	b.Advance(time.Minute)
	if got := send(); got.header.Get("Idempotent-Replayed") != "" {
		t.Error("not forgotten after 24 hours")
	}
	if got := len(b.effects("k")); got != 2 {
		t.Errorf("%d effects, want 2", got)
	}
}

func TestAKeyInUseAnswers409(t *testing.T) {
	t.Parallel()
	for name, mismatchFirst := range map[string]bool{"in use wins over other parameters": false, "other parameters win": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{MismatchFirst: mismatchFirst})
			b.seed(t, openInvoice("in_1"))
			b.script(t, stripesim.Fault{Kind: stripesim.Stall, Hold: true})
			first := make(chan reply, 1)
			go func() { first <- b.post(t, "/v1/invoices/in_1/pay", "k", "") }()
			eventually(t, "the first is held", func() bool { return b.Held() == 1 })

			got := b.post(t, "/v1/invoices/in_1/pay", "k", "")
			if got.status != http.StatusConflict || !strings.Contains(got.body, `"code":"idempotency_key_in_use"`) ||
				!strings.Contains(got.body, `"type":"invalid_request_error"`) {
				t.Errorf("%d %s", got.status, got.body)
			}
			other := b.post(t, "/v1/invoices/in_1/pay", "k", "off_session=true")
			if want := map[bool]int{false: http.StatusConflict, true: http.StatusBadRequest}[mismatchFirst]; other.status != want {
				t.Errorf("other parameters: %d, want %d", other.status, want)
			}
			b.Release()
			if got := <-first; got.status != http.StatusOK {
				t.Errorf("the first: %d %s", got.status, got.body)
			}
			if got := b.effects("k"); len(got) != 1 {
				t.Errorf("effects: %v", got)
			}
		})
	}
}

func TestKeysOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	if got := b.post(t, "/v1/payment_intents", " ", "amount=100&currency=usd"); got.status != http.StatusBadRequest {
		t.Errorf("blank: %d %s", got.status, got.body)
	}
	if got := b.post(t, "/v1/payment_intents", strings.Repeat("k", 256), "amount=100&currency=usd"); got.status != http.StatusBadRequest {
		t.Errorf("256: %d %s", got.status, got.body)
	}
	if got := b.post(t, "/v1/payment_intents", strings.Repeat("k", 255), "amount=100&currency=usd"); got.status != http.StatusOK {
		t.Errorf("255: %d %s", got.status, got.body)
	}
}

func TestADeleteHasNoKey(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, stripesim.Object{Object: "subscription", ID: "sub_1"})
	api := b.stripe(token)
	cancel := func() error {
		params := &stripe.SubscriptionCancelParams{}
		keyed(&params.Params, "task_1")
		_, err := api.Subscriptions.Cancel("sub_1", params)
		return err
	}
	if err := cancel(); err != nil {
		t.Fatal(err)
	}
	if refused := stripeError(t, cancel()); refused.HTTPStatusCode != http.StatusNotFound || refused.Code != stripe.ErrorCodeResourceMissing {
		t.Errorf("again: %d %s", refused.HTTPStatusCode, refused.Code)
	}
	sub, err := api.Subscriptions.Get("sub_1", nil)
	if err != nil || sub.Status != stripe.SubscriptionStatusCanceled || sub.CanceledAt == 0 {
		t.Errorf("%v %+v", err, sub)
	}
	if diff := cmp.Diff([]string{"subscription.cancel sub_1"}, b.effects("task_1")); diff != "" {
		t.Error(diff)
	}
}

func TestAllSendsOfAKeyCanBeCompared(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.post(t, "/v1/payment_intents", "k", "amount=100&currency=usd")
	b.post(t, "/v1/payment_intents", "k", "amount=100&currency=usd")
	b.post(t, "/v1/payment_intents", "k", "currency=usd&amount=100")
	got := b.Requests("k")
	if len(got) != 3 {
		t.Fatalf("%d requests", len(got))
	}
	if got[0].BodyHash != got[1].BodyHash || got[0].BodyHash == got[2].BodyHash {
		t.Error("the hashes do not tell bodies apart")
	}
	if got[0].Replayed || !got[1].Replayed || !got[2].Replayed || got[1].Status != http.StatusOK ||
		got[0].AuthMode != stripesim.AuthToken || got[0].Account != acct || got[0].Op != "payment_intent.create" {
		t.Errorf("%+v", got)
	}
}
