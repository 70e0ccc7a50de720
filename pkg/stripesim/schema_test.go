package stripesim

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v76"

	"billonce/pkg/billing"
)

// The simulator takes the parameters that stripe-go v76 can send, no more and no fewer.
func TestSchemasAgreeWithStripeGo(t *testing.T) {
	t.Parallel()
	structs := map[string]any{
		"customer.create": stripe.CustomerParams{}, "customer.update": stripe.CustomerParams{},
		"price.create": stripe.PriceParams{}, "payment_method.create": stripe.PaymentMethodParams{},
		"payment_method.attach": stripe.PaymentMethodAttachParams{},
		"subscription.create":   stripe.SubscriptionParams{}, "subscription.update": stripe.SubscriptionParams{},
		"subscription.cancel": stripe.SubscriptionCancelParams{}, "subscription.resume": stripe.SubscriptionResumeParams{},
		"invoice.create": stripe.InvoiceParams{}, "invoice.update": stripe.InvoiceParams{},
		"invoice.finalize": stripe.InvoiceFinalizeInvoiceParams{}, "invoice.pay": stripe.InvoicePayParams{},
		"invoice.void": stripe.InvoiceVoidInvoiceParams{}, "invoice.send": stripe.InvoiceSendInvoiceParams{},
		"invoice.mark_uncollectible": stripe.InvoiceMarkUncollectibleParams{}, "invoice_item.create": stripe.InvoiceItemParams{},
		"payment_intent.create": stripe.PaymentIntentParams{}, "payment_intent.confirm": stripe.PaymentIntentConfirmParams{},
		"payment_intent.capture": stripe.PaymentIntentCaptureParams{}, "payment_intent.cancel": stripe.PaymentIntentCancelParams{},
		"charge.capture": stripe.ChargeCaptureParams{}, "refund.create": stripe.RefundParams{},
		"credit_note.create": stripe.CreditNoteParams{}, "subscription_schedule.create": stripe.SubscriptionScheduleParams{},
		"subscription_schedule.update":  stripe.SubscriptionScheduleParams{},
		"subscription_schedule.cancel":  stripe.SubscriptionScheduleCancelParams{},
		"subscription_schedule.release": stripe.SubscriptionScheduleReleaseParams{},
		"transfer.create":               stripe.TransferParams{}, "payout.create": stripe.PayoutParams{},
	}
	got := schemas()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(structs)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("operations (-compared +known):\n%s", diff)
	}
	for op, params := range structs {
		if diff := cmp.Diff(schemaOf(reflect.TypeOf(params)), parseSchema(got[op])); diff != "" {
			t.Errorf("%s (-stripe-go +simulator):\n%s", op, diff)
		}
	}
}

func schemaOf(params reflect.Type) schema {
	found := make(schema)
	for i := range params.NumField() {
		field := params.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("form"), ",")
		if name == "" || name == "-" || name == "*" {
			continue
		}
		kind := field.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		_, now := params.FieldByName(field.Name + "Now")
		switch {
		case kind.Kind() == reflect.Int64 && now:
			found[name] = 't'
		case kind.Kind() == reflect.Int64:
			found[name] = 'i'
		case kind.Kind() == reflect.String:
			found[name] = 's'
		case kind.Kind() == reflect.Bool:
			found[name] = 'b'
		case kind.Kind() == reflect.Float64:
			found[name] = 'f'
		default:
			found[name] = 'o'
		}
	}
	return found
}

func TestEveryKindHasAnEndpoint(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for _, m := range mutations() {
		known[m.op] = true
	}
	for _, kind := range billing.Kinds() {
		if !known[string(kind)] {
			t.Errorf("%s is not served", kind)
		}
	}
}
