package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	stripe "github.com/stripe/stripe-go/v76"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
)

func TestEveryKindHasASample(t *testing.T) {
	t.Parallel()
	seen := map[billing.Kind]bool{}
	for _, s := range samples() {
		seen[s.kind] = true
	}
	for _, kind := range billing.Kinds() {
		if !seen[kind] {
			t.Errorf("no sample of %s", kind)
		}
	}
}

// sentRequest is what a server saw of a request.
type sentRequest struct {
	Method, Path, Body, ContentType, Authorization, Version, Key, Account string
}

// recorder is a server that answers every request with an object and tells what it saw.
func recorder(t *testing.T) (string, <-chan sentRequest) {
	t.Helper()
	seen := make(chan sentRequest, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen <- sentRequest{
			r.Method, r.URL.RequestURI(), string(body), r.Header.Get("Content-Type"), r.Header.Get("Authorization"),
			r.Header.Get("Stripe-Version"), r.Header.Get("Idempotency-Key"), r.Header.Get("Stripe-Account"),
		}
		w.Header().Set("Request-Id", "req_1")
		_, _ = io.WriteString(w, `{"id":"obj_1","object":"thing","status":"fine"}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, seen
}

// TestFrozenRequestIsWhatStripeGoSends compares every sample with what stripe-go's own typed client sends for it.
func TestFrozenRequestIsWhatStripeGoSends(t *testing.T) {
	t.Parallel()
	base, seen := recorder(t)
	backend := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: stripe.String(base), MaxNetworkRetries: stripe.Int64(0), LeveledLogger: &stripe.LeveledLogger{}, EnableTelemetry: stripe.Bool(false),
		HTTPClient: &http.Client{},
	})
	gate := open(t, gateway.Config{BaseURL: base})
	freezer := gateway.NewFreezer(true)
	for _, s := range samples() {
		request, err := freezer.Freeze(taskID, s.kind, s.target, json.RawMessage(s.params))
		if err != nil {
			t.Errorf("%s: %v", s.kind, billing.FaultsOf(err))
			continue
		}
		common := stripe.Params{IdempotencyKey: stripe.String(taskID.IdempotencyKey())}
		if err := s.typed(backend, "sk_test_1", common); err != nil {
			t.Errorf("%s: typed call: %v", s.kind, err)
		}
		want := <-seen
		answer := gate.Execute(t.Context(), claimOf(s.kind, request), tokenCredential())
		if answer.Outcome != billing.OutcomeSucceeded {
			t.Errorf("%s: %+v", s.kind, answer)
		}
		if diff := cmp.Diff(want, <-seen); diff != "" {
			t.Errorf("%s differs from the typed client (-typed +ours):\n%s", s.kind, diff)
		}
	}
}

func TestFreezeIsAFunction(t *testing.T) {
	t.Parallel()
	freezer := gateway.NewFreezer(true)
	for _, s := range samples() {
		first, err := freezer.Freeze(taskID, s.kind, s.target, json.RawMessage(s.params))
		if err != nil {
			t.Fatal(s.kind, billing.FaultsOf(err))
		}
		fresh := gateway.NewFreezer(true)
		for range 200 {
			again, err := fresh.Freeze(taskID, s.kind, s.target, json.RawMessage(s.params))
			if err != nil || again != first {
				t.Fatalf("%s: %+v, %v, want %+v", s.kind, again, err, first)
			}
		}
	}
}

func TestCreatesCarryTheTaskID(t *testing.T) {
	t.Parallel()
	freezer := gateway.NewFreezer(true)
	for _, s := range samples() {
		request, err := freezer.Freeze(taskID, s.kind, s.target, json.RawMessage(s.params))
		if err != nil {
			t.Fatal(err)
		}
		form, err := url.ParseQuery(request.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if s.kind.Creates() {
			want = string(taskID)
		}
		if got := form.Get("metadata[billonce_task_id]"); got != want {
			t.Errorf("%s carries %q, want %q", s.kind, got, want)
		}
	}
}

func TestUnsettingParameters(t *testing.T) {
	t.Parallel()
	freezer := gateway.NewFreezer(false)
	for _, tc := range []struct {
		kind           billing.Kind
		target, params string
		want           string
	}{
		{billing.SubscriptionUpdate, "sub_1", `{"pause_collection": ""}`, "pause_collection="},
		{billing.SubscriptionUpdate, "sub_1", `{"cancel_at": "", "metadata": ""}`, "cancel_at=&metadata="},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": ""}`, "default_tax_rates="},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": []}`, "default_tax_rates="},
		{billing.SubscriptionUpdate, "sub_1", `{"items": [{"id": "si_1", "billing_thresholds": ""}]}`, "items[0][id]=si_1&items[0][billing_thresholds]="},
		{billing.SubscriptionUpdate, "sub_1", `{"items": [{"metadata": ""}]}`, "items[0][metadata]="},
		{billing.SubscriptionUpdate, "sub_1", `{"payment_settings": {"payment_method_options": {"card": ""}}}`, "payment_settings[payment_method_options][card]="},
		{billing.SubscriptionUpdate, "sub_1", `{"trial_end": "now"}`, "trial_end=now"},
		{billing.SubscriptionUpdate, "sub_1", `{"automatic_tax": {}, "metadata": {}}`, ""},
		{billing.CustomerUpdate, "cus_1", `{"shipping": "", "name": ""}`, "name=&shipping="},
		{billing.InvoiceCreate, "", `{"customer": "cus_1", "metadata": ""}`, "customer=cus_1&metadata[billonce_task_id]=" + string(taskID)},
	} {
		got, err := freezer.Freeze(taskID, tc.kind, tc.target, json.RawMessage(tc.params))
		if err != nil || got.Body != tc.want {
			t.Errorf("%s %s: got %q, %v, want %q", tc.kind, tc.params, got.Body, billing.FaultsOf(err), tc.want)
		}
	}
}

// TestFaults lists wrong inputs with all that must be said about each: "pointer code".
func TestFaults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 70)
	for _, tc := range []struct {
		name           string
		kind           billing.Kind
		target, params string
		want           []string
	}{
		{"unknown kind", "invoice.burn", "in_1", `{}`, []string{"/kind unknown_kind"}},
		{"empty kind", "", "", ``, []string{"/kind unknown_kind"}},
		{"payout not enabled, and more", billing.PayoutCreate, "po_1", `{"amount": "5"}`, []string{"/kind not_enabled", "/target forbidden", "/params/amount wrong_type", "/params/currency required"}},
		{"no target", billing.InvoicePay, "", `{}`, []string{"/target required"}},
		{"target on create", billing.InvoiceCreate, "in_1", `{"customer": "cus_1"}`, []string{"/target forbidden"}},
		{"target with slash", billing.InvoicePay, "in_1/void", `{}`, []string{"/target invalid"}},
		{"target too long", billing.InvoicePay, "in_" + strings.Repeat("1", 253), `{}`, []string{"/target invalid"}},
		{"target of another family", billing.InvoicePay, "sub_1", `{}`, []string{"/target wrong_object"}},
		{"schedule for a subscription", billing.SubscriptionCancel, "sub_sched_1", `{}`, []string{"/target wrong_object"}},
		{"subscription for a schedule", billing.SubscriptionScheduleCancel, "sub_1", `{}`, []string{"/target wrong_object"}},
		{"payment intent for a charge", billing.ChargeCapture, "pi_1", `{}`, []string{"/target wrong_object"}},

		{"required", billing.PaymentIntentCreate, "", `{}`, []string{"/params/amount required", "/params/currency required"}},
		{"required but empty", billing.SubscriptionCreate, "", `{"customer": ""}`, []string{"/params/customer required"}},
		{"one of", billing.RefundCreate, "", `{"amount": 5}`, []string{"/params required"}},

		{"unknown parameter", billing.InvoicePay, "in_1", `{"payment_metod": "pm_1"}`, []string{"/params/payment_metod unknown_parameter"}},
		{"unknown nested", billing.SubscriptionUpdate, "sub_1", `{"items": [{"price": "price_1"}, {"pirce": "x", "a/b~c": 1}]}`, []string{"/params/items/1/pirce unknown_parameter", "/params/items/1/a~1b~0c unknown_parameter"}},
		{"unknown and very long", billing.InvoicePay, "in_1", `{"` + long + `": 1}`, []string{"/params unknown_parameter"}},
		{"header fields", billing.InvoicePay, "in_1", `{"idempotency_key": "k", "stripe_account": "acct_1", "IdempotencyKey": "k", "headers": {}, "Extra": {}, "*": {}, "-": {}}`, []string{
			"/params/idempotency_key unknown_parameter", "/params/stripe_account unknown_parameter", "/params/IdempotencyKey unknown_parameter",
			"/params/headers unknown_parameter", "/params/Extra unknown_parameter", "/params/* unknown_parameter", "/params/- unknown_parameter",
		}},
		{"metadata where there is none", billing.InvoicePay, "in_1", `{"metadata": {"a": "b"}}`, []string{"/params/metadata unknown_parameter"}},
		{"flags of stripe-go", billing.SubscriptionUpdate, "sub_1", `{"trial_end_now": true, "billing_cycle_anchor_now": true}`, []string{"/params/trial_end_now unknown_parameter", "/params/billing_cycle_anchor_now unknown_parameter"}},

		{"wrong types", billing.SubscriptionUpdate, "sub_1", `{"cancel_at_period_end": "true", "days_until_due": "7", "description": 7, "items": {"price": "p"}, "automatic_tax": true, "metadata": ["a"], "default_tax_rates": [1]}`, []string{
			"/params/cancel_at_period_end wrong_type", "/params/days_until_due wrong_type", "/params/description wrong_type", "/params/items wrong_type",
			"/params/automatic_tax wrong_type", "/params/metadata wrong_type", "/params/default_tax_rates/0 wrong_type",
		}},
		{"word in place of a number", billing.SubscriptionUpdate, "sub_1", `{"trial_end": "later", "billing_cycle_anchor": "Now", "cancel_at": "now"}`, []string{"/params/trial_end wrong_type", "/params/billing_cycle_anchor wrong_type", "/params/cancel_at wrong_type"}},
		{"empty where nothing can be unset", billing.PaymentIntentCreate, "", `{"amount": "", "currency": "usd", "shipping": "", "confirm": ""}`, []string{"/params/amount wrong_type", "/params/shipping wrong_type", "/params/confirm wrong_type", "/params/amount required"}},
		{"null", billing.SubscriptionUpdate, "sub_1", `{"description": null, "items": [null], "metadata": {"a": null}}`, []string{"/params/description null", "/params/items/0 null", "/params/metadata/a null"}},
		{"fractions", billing.PaymentIntentCreate, "", `{"amount": 10.5, "currency": "usd"}`, []string{"/params/amount wrong_type"}},
		{"exponent", billing.PaymentIntentCreate, "", `{"amount": 1e3, "currency": "usd"}`, []string{"/params/amount wrong_type"}},
		{"65 bits", billing.PaymentIntentCreate, "", `{"amount": 9223372036854775808, "currency": "usd"}`, []string{"/params/amount out_of_range"}},
		{"too fine a fee", billing.SubscriptionUpdate, "sub_1", `{"application_fee_percent": 1.00001}`, []string{"/params/application_fee_percent inexact"}},
		{"too fine a price", billing.InvoiceItemCreate, "", `{"customer": "cus_1", "unit_amount_decimal": "0.12345678901234567890123"}`, []string{"/params/unit_amount_decimal inexact"}},
		{"absurd exponents", billing.InvoiceItemCreate, "", `{"customer": "cus_1", "unit_amount_decimal": 1e999999999, "price_data": {"unit_amount_decimal": 1e-999999999}}`, []string{"/params/unit_amount_decimal out_of_range", "/params/price_data/unit_amount_decimal out_of_range"}},
		{"decimal in words", billing.InvoiceItemCreate, "", `{"customer": "cus_1", "unit_amount_decimal": "1/3", "price_data": {"unit_amount_decimal": "ten"}}`, []string{"/params/unit_amount_decimal out_of_range", "/params/price_data/unit_amount_decimal out_of_range"}},
		{"decimal of another type", billing.InvoiceItemCreate, "", `{"customer": "cus_1", "unit_amount_decimal": true}`, []string{"/params/unit_amount_decimal wrong_type"}},
		{"lists that cannot be emptied", billing.CustomerUpdate, "cus_1", `{"preferred_locales": [], "expand": []}`, []string{"/params/preferred_locales required", "/params/expand required"}},
		{"entry that says nothing", billing.SubscriptionUpdate, "sub_1", `{"items": [{}, {"price_data": {}}]}`, []string{"/params/items/0 required", "/params/items/1 required"}},
		{"duplicate", billing.SubscriptionUpdate, "sub_1", `{"description": "a", "description": "b", "metadata": {"k": "1", "k": "2"}}`, []string{"/params/description duplicate", "/params/metadata/k duplicate"}},

		{"reserved metadata", billing.InvoiceCreate, "", `{"customer": "cus_1", "metadata": {"billonce_task_id": "x"}}`, []string{"/params/metadata/billonce_task_id reserved"}},
		{"reserved metadata deep", billing.SubscriptionScheduleUpdate, "sub_sched_1", `{"phases": [{"metadata": {"billonce_task_id": "x"}}]}`, []string{"/params/phases/0/metadata/billonce_task_id reserved"}},
		{"metadata names", billing.CustomerUpdate, "cus_1", `{"metadata": {"": "a", "a[b]": "c", "` + strings.Repeat("ü", 41) + `": "d", "` + strings.Repeat("ü", 40) + `": "fine", "\u0000": "e"}}`, []string{"/params/metadata/ invalid", "/params/metadata/a[b] invalid", "/params/metadata invalid", "/params/metadata/\x00 invalid"}},
		{"metadata values", billing.CustomerUpdate, "cus_1", `{"metadata": {"a": "` + strings.Repeat("ü", 501) + `", "b": "` + strings.Repeat("ü", 500) + `", "c": 1}}`, []string{"/params/metadata/a too_long", "/params/metadata/c wrong_type"}},
		{"too much metadata on update", billing.CustomerUpdate, "cus_1", `{"metadata": ` + manyNames(51) + `}`, []string{"/params/metadata too_long"}},
		{"too much metadata on create", billing.InvoiceCreate, "", `{"customer": "cus_1", "metadata": ` + manyNames(50) + `}`, []string{"/params/metadata too_long"}},

		{"not JSON", billing.InvoicePay, "in_1", `{"a":`, []string{"/params malformed"}},
		{"trailing", billing.InvoicePay, "in_1", `{} {}`, []string{"/params malformed"}},
		{"array", billing.InvoicePay, "in_1", `[]`, []string{"/params wrong_type"}},
		{"null document", billing.InvoicePay, "in_1", `null`, []string{"/params null"}},
		{"NUL", billing.CustomerUpdate, "cus_1", `{"name": "a\u0000b"}`, []string{"/params/name encoding"}},
		{"invalid UTF-8", billing.CustomerUpdate, "cus_1", "{\"name\": \"a\xff\"}", []string{"/params encoding"}},
		{"half a surrogate pair", billing.CustomerUpdate, "cus_1", `{"name": "\ud83d!"}`, []string{"/params encoding"}},
		{"the other half", billing.CustomerUpdate, "cus_1", `{"name": "\\\ude00"}`, []string{"/params encoding"}},
		{"too long", billing.CustomerUpdate, "cus_1", `{"name": "` + strings.Repeat("a", 64<<10) + `"}`, []string{"/params too_long"}},
		{"too deep", billing.CustomerUpdate, "cus_1", `{"address": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, []string{"/params/address" + strings.Repeat("/0", 16) + " too_deep"}},
		{"too many", billing.CustomerUpdate, "cus_1", `{"expand": [` + strings.Repeat(`"a",`, 1000) + `"a"]}`, []string{"/params/expand too_long"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			request, err := gateway.NewFreezer(false).Freeze(taskID, tc.kind, tc.target, json.RawMessage(tc.params))
			if billing.CodeOf(err) != billing.CodeInvalid || request != (billing.Request{}) {
				t.Fatalf("got %+v, %v", request, err)
			}
			var got []string
			for _, fault := range billing.FaultsOf(err) {
				got = append(got, fault.Pointer+" "+fault.Code)
				if fault.Detail == "" {
					t.Errorf("%s %s says nothing", fault.Pointer, fault.Code)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func manyNames(n int) string {
	names := make(map[string]string, n)
	for i := range n {
		names[fmt.Sprintf("k%d", i)] = "v"
	}
	text, err := json.Marshal(names)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestAcceptedAtTheLimits(t *testing.T) {
	t.Parallel()
	freezer := gateway.NewFreezer(false)
	for _, tc := range []struct {
		kind           billing.Kind
		target, params string
		want           string
	}{
		{billing.CustomerUpdate, "cus_1", `{"metadata": ` + manyNames(50) + `}`, ""},
		{billing.InvoiceCreate, "", `{"subscription": "sub_1", "metadata": ` + manyNames(49) + `}`, ""},
		{billing.InvoicePay, "legacy-Invoice_7", `{}`, ""},
		{billing.CustomerUpdate, strings.Repeat("c", 255), ``, ""},
		{billing.PaymentIntentCreate, "", `{"amount": 9223372036854775807, "currency": "usd"}`, "amount=9223372036854775807&"},
		{billing.CustomerUpdate, "cus_1", `{"balance": -9223372036854775808}`, "balance=-9223372036854775808"},
		{billing.InvoiceItemCreate, "", `{"customer": "cus_1", "unit_amount_decimal": "0.000000000001"}`, "unit_amount_decimal=0.000000000001"},
		{billing.SubscriptionUpdate, "sub_1", `{"application_fee_percent": 0}`, "application_fee_percent=0.0000"},
		{billing.CustomerUpdate, "cus_1", `{"name": "\ud83d\ude00 \\ud83d \"q\""}`, "name=%F0%9F%98%80+%5Cud83d+%22q%22"},
		{billing.SubscriptionUpdate, "sub_1", `{"items": [{"deleted": false}]}`, "items[0][deleted]=false"},
		{billing.PaymentIntentConfirm, "pi_1", `{"payment_method_data": {"type": "klarna", "klarna": {}}}`, "payment_method_data[type]=klarna"},
	} {
		got, err := freezer.Freeze(taskID, tc.kind, tc.target, json.RawMessage(tc.params))
		if err != nil || !strings.Contains(got.Body, tc.want) {
			t.Errorf("%s %.80s: got %q, %v, want %q", tc.kind, tc.params, got.Body, billing.FaultsOf(err), tc.want)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	var params strings.Builder
	params.WriteString(`{"a": 1`)
	for i := range 2000 {
		fmt.Fprintf(&params, `, "a%d": 1`, i)
	}
	params.WriteString("}")
	_, err := gateway.NewFreezer(false).Freeze(taskID, billing.InvoicePay, "in_1", json.RawMessage(params.String()))
	if n := len(billing.FaultsOf(err)); n != 100 {
		t.Errorf("%d faults", n)
	}
}

// FuzzFreeze holds that a refusal says why without repeating a value, and that what is accepted is a request which says what
// the parameters say.
func FuzzFreeze(f *testing.F) {
	kinds := billing.Kinds()
	for i, kind := range kinds {
		for _, s := range samples() {
			if s.kind == kind {
				f.Add(i, s.target, []byte(s.params))
			}
		}
	}
	f.Add(1, "sub_1", []byte(`{"pause_collection": "", "trial_end": "now", "items": [{"quantity": 1.5}], "metadata": {"a": "\ud800"}}`))
	freezer := gateway.NewFreezer(true)
	f.Fuzz(func(t *testing.T, index int, target string, params []byte) {
		kind := kinds[uint(index)%uint(len(kinds))]
		agree(t, freezer, kind, target, params)
		request, err := freezer.Freeze(taskID, kind, target, params)
		if err != nil {
			if len(billing.FaultsOf(err)) == 0 || billing.CodeOf(err) != billing.CodeInvalid {
				t.Fatalf("%v", err)
			}
			return
		}
		form, err := url.ParseQuery(request.Body)
		if err != nil || !utf8.ValidString(request.Body) {
			t.Fatalf("%q: %v", request.Body, err)
		}
		if kind.Creates() != (form.Get("metadata[billonce_task_id]") == string(taskID)) {
			t.Fatalf("%s: %q", kind, request.Body)
		}
		if target != "" && !strings.Contains(request.Path+"/", "/"+target+"/") {
			t.Fatalf("%s: %q", kind, request.Path)
		}
		if again, err := freezer.Freeze(taskID, kind, target, params); err != nil || again != request {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}

func BenchmarkFreeze(b *testing.B) {
	freezer := gateway.NewFreezer(true)
	ordinary := sample{kind: billing.PaymentIntentCreate, params: `{"amount":1234,"currency":"eur","customer":"cus_ok","description":"Renewal 00000001 ` + strings.Repeat("x", 124) + `"}`}
	for _, s := range append(samples()[:3], ordinary) {
		b.Run(string(s.kind), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := freezer.Freeze(taskID, s.kind, s.target, json.RawMessage(s.params)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
