package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
)

// agree compares what is frozen with what stripe-go's structures make of the same parameters.
func agree(t *testing.T, freezer gateway.Freezer, kind billing.Kind, target string, params []byte) {
	t.Helper()
	got, gotErr := freezer.Freeze(taskID, kind, target, params)
	want, wantErr := freezer.Carefully().Freeze(taskID, kind, target, params)
	if got != want {
		t.Errorf("%s %.300s:\ngot  %+v\nwant %+v", kind, params, got, want)
	}
	if diff := cmp.Diff(billing.FaultsOf(wantErr), billing.FaultsOf(gotErr)); diff != "" {
		t.Errorf("%s %.300s: faults differ (-want +got):\n%s", kind, params, diff)
	}
}

// required are the parameters without which a kind is refused.
func required(kind billing.Kind) string {
	return map[billing.Kind]string{
		billing.SubscriptionCreate: `"customer": "cus_1"`, billing.InvoiceCreate: `"customer": "cus_1"`,
		billing.InvoiceItemCreate: `"customer": "cus_1", "amount": 7`, billing.PaymentIntentCreate: `"amount": 7, "currency": "eur"`,
		billing.RefundCreate: `"charge": "ch_1"`, billing.CreditNoteCreate: `"invoice": "in_1"`,
		billing.SubscriptionScheduleCreate: `"customer": "cus_1"`, billing.TransferCreate: `"currency": "eur", "destination": "acct_1"`,
		billing.PayoutCreate: `"amount": 7, "currency": "eur"`,
	}[kind]
}

// TestEveryPlainParameter writes every parameter of every kind plainly, alone and among all others.
func TestEveryPlainParameter(t *testing.T) {
	t.Parallel()
	freezer := gateway.NewFreezer(true)
	for _, kind := range billing.Kinds() {
		target := ""
		if !kind.Creates() {
			target = "obj_1"
		}
		whole, single := freezer.Whole(kind, 5)
		if len(single) == 0 || !freezer.WritesPlainly(taskID, kind, whole) {
			t.Errorf("%s is not written plainly: %s", kind, whole)
		}
		agree(t, freezer, kind, target, []byte(whole))
		for _, params := range single {
			if more := required(kind); more != "" && !sharesName(params, "{"+more+"}") {
				params = "{" + more + ", " + params[1:]
			}
			agree(t, freezer, kind, target, []byte(params))
		}
	}
}

// sharesName reports whether two objects have a member of one name.
func sharesName(a, b string) bool {
	var one, other map[string]json.RawMessage
	if json.Unmarshal([]byte(a), &one) != nil || json.Unmarshal([]byte(b), &other) != nil {
		panic("not an object")
	}
	for name := range one {
		if _, ok := other[name]; ok {
			return true
		}
	}
	return false
}

// TestPlainOrNot holds what is unusual against stripe-go's structures, and looks that the usual does go the short way.
func TestPlainOrNot(t *testing.T) {
	t.Parallel()
	freezer := gateway.NewFreezer(true)
	for _, tc := range []struct {
		kind   billing.Kind
		target string
		params string
		plain  bool
	}{
		{billing.InvoicePay, "in_1", ` { } `, true},
		{billing.InvoicePay, "in_1", `{"expand": ["charge"], "forgive": true}`, true},
		{billing.PaymentIntentCreate, "", "{\"amount\" :\t1,\r\n\"currency\":\"eur\", \"description\": \"Größe\"}", true},
		{billing.PaymentIntentCreate, "", `{"amount": -0, "currency": "eur", "metadata": {"zz": "1", "aa": "2"}}`, true},
		{billing.SubscriptionUpdate, "sub_1", `{"application_fee_percent": 0.0, "items": [{"price": "price_1"}, {"metadata": {"a": "b"}}]}`, true},
		{billing.SubscriptionUpdate, "sub_1", `{"automatic_tax": {}, "metadata": {}, "trial_end": 5}`, true},
		{billing.CustomerUpdate, "cus_1", `{"metadata": ` + manyNames(50) + `}`, true},
		{billing.InvoiceCreate, "", `{"customer": "c", "metadata": ` + manyNames(49) + `}`, true},
		{billing.InvoiceCreate, "", `{"customer": "c", "metadata": ` + manyNames(50) + `}`, false},
		{billing.CustomerUpdate, "cus_1", `{"metadata": {"` + strings.Repeat("k", 40) + `": "` + strings.Repeat("ü", 500) + `"}}`, true},
		{billing.CustomerUpdate, "cus_1", `{"metadata": {"` + strings.Repeat("k", 41) + `": "v"}}`, false},
		{billing.CustomerUpdate, "cus_1", `{"metadata": {"k": "` + strings.Repeat("v", 501) + `"}}`, false},
		{billing.CustomerUpdate, "cus_1", `{"metadata": {"": "v"}}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": ["a"` + strings.Repeat(`, "a"`, 999) + `]}`, true},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": ["a"` + strings.Repeat(`, "a"`, 1000) + `]}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": ` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": ` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": ` + strings.Repeat("[", 60_000) + `}`, false},
		{billing.CustomerUpdate, "cus_1", `{"name": "` + strings.Repeat("n", 64<<10) + `"}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"trial_end": "now"}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"items": [{"price": "a"}, {}]}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"description": ""}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"description": "a", "description": "a"}`, false},
		{billing.SubscriptionUpdate, "sub_1", `{"default_tax_rates": []}`, false},
		{billing.CustomerUpdate, "cus_1", `{"metadata": {"a": "1", "a": "1"}}`, false},
		{billing.CustomerUpdate, "cus_1", `{"metadata": {"a b": "1", "c": "\u00fc"}}`, false},
		{billing.CustomerUpdate, "cus_1", `{"metadata": {"billonce_task_id": "1"}}`, false},
		{billing.CustomerUpdate, "cus_1", `{"balance": 01}`, false},
		{billing.CustomerUpdate, "cus_1", `{"balance": 1.0}`, false},
		{billing.CustomerUpdate, "cus_1", `{"balance": -}`, false},
		{billing.CustomerUpdate, "cus_1", `{"balance": 1,}`, false},
		{billing.CustomerUpdate, "cus_1", `{"name": null}`, false},
		{billing.CustomerUpdate, "cus_1", `{"name": tru}`, false},
		{billing.CustomerUpdate, "cus_1", `{"name": "a"} {}`, false},
		{billing.CustomerUpdate, "cus_1", `{"name" "a"}`, false},
		{billing.CustomerUpdate, "cus_1", `{"name": "a" "b": 1}`, false},
		{billing.CustomerUpdate, "cus_1", `{"name": "a`, false},
		{billing.CustomerUpdate, "cus_1", "{\"name\": \"a\n\"}", false},
		{billing.CustomerUpdate, "cus_1", "{\"name\": \"\xff\"}", false},
		{billing.CustomerUpdate, "cus_1", `["name"]`, false},
		{billing.CustomerUpdate, "cus_1", ``, false},
		{billing.PaymentIntentCreate, "", `{"amount": 1}`, false},
	} {
		if plain := freezer.WritesPlainly(taskID, tc.kind, tc.params); plain != tc.plain {
			t.Errorf("%s %.100s: plain is %v", tc.kind, tc.params, plain)
		}
		agree(t, freezer, tc.kind, tc.target, []byte(tc.params))
	}
}
