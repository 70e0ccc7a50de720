package billing

import "slices"

// Kind names the Stripe operation that a task carries out.
type Kind string

// The kinds, in the order of the contract.
const (
	SubscriptionCreate          Kind = "subscription.create"
	SubscriptionUpdate          Kind = "subscription.update"
	SubscriptionCancel          Kind = "subscription.cancel"
	SubscriptionResume          Kind = "subscription.resume"
	InvoiceCreate               Kind = "invoice.create"
	InvoiceFinalize             Kind = "invoice.finalize"
	InvoicePay                  Kind = "invoice.pay"
	InvoiceVoid                 Kind = "invoice.void"
	InvoiceSend                 Kind = "invoice.send"
	InvoiceMarkUncollectible    Kind = "invoice.mark_uncollectible"
	InvoiceItemCreate           Kind = "invoice_item.create"
	PaymentIntentCreate         Kind = "payment_intent.create"
	PaymentIntentConfirm        Kind = "payment_intent.confirm"
	PaymentIntentCapture        Kind = "payment_intent.capture"
	PaymentIntentCancel         Kind = "payment_intent.cancel"
	ChargeCapture               Kind = "charge.capture"
	RefundCreate                Kind = "refund.create"
	CustomerUpdate              Kind = "customer.update"
	CreditNoteCreate            Kind = "credit_note.create"
	SubscriptionScheduleCreate  Kind = "subscription_schedule.create"
	SubscriptionScheduleUpdate  Kind = "subscription_schedule.update"
	SubscriptionScheduleCancel  Kind = "subscription_schedule.cancel"
	SubscriptionScheduleRelease Kind = "subscription_schedule.release"
	TransferCreate              Kind = "transfer.create"
	PayoutCreate                Kind = "payout.create"
)

var kinds = []Kind{
	SubscriptionCreate, SubscriptionUpdate, SubscriptionCancel, SubscriptionResume,
	InvoiceCreate, InvoiceFinalize, InvoicePay, InvoiceVoid, InvoiceSend, InvoiceMarkUncollectible,
	InvoiceItemCreate,
	PaymentIntentCreate, PaymentIntentConfirm, PaymentIntentCapture, PaymentIntentCancel,
	ChargeCapture, RefundCreate, CustomerUpdate, CreditNoteCreate,
	SubscriptionScheduleCreate, SubscriptionScheduleUpdate, SubscriptionScheduleCancel, SubscriptionScheduleRelease,
	TransferCreate, PayoutCreate,
}

// Kinds returns every kind, in the order of the contract. The caller owns the slice.
func Kinds() []Kind { return slices.Clone(kinds) }

// Known reports whether k is one of [Kinds].
func (k Kind) Known() bool { return slices.Contains(kinds, k) }

// Creates reports whether k makes a new object at Stripe. A creating kind takes no target; every other kind needs one.
func (k Kind) Creates() bool {
	switch k {
	case SubscriptionCreate, InvoiceCreate, InvoiceItemCreate, PaymentIntentCreate, RefundCreate, CreditNoteCreate,
		SubscriptionScheduleCreate, TransferCreate, PayoutCreate:
		return true
	case SubscriptionUpdate, SubscriptionCancel, SubscriptionResume, InvoiceFinalize, InvoicePay, InvoiceVoid, InvoiceSend,
		InvoiceMarkUncollectible, PaymentIntentConfirm, PaymentIntentCapture, PaymentIntentCancel, ChargeCapture,
		CustomerUpdate, SubscriptionScheduleUpdate, SubscriptionScheduleCancel, SubscriptionScheduleRelease:
		return false
	}
	return false
}

// MovesMoneyOut reports whether a second execution would give money away that is hard to get back. Nothing but a person
// declares such a task failed once it is in doubt.
func (k Kind) MovesMoneyOut() bool { return k.PaysOut() || k == RefundCreate || k == CreditNoteCreate }

// PaysOut reports whether k moves money out of the merchant's Stripe balance. Such kinds are refused unless the operator
// has switched them on.
func (k Kind) PaysOut() bool { return k == TransferCreate || k == PayoutCreate }
