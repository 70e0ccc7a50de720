package stripesim

// The objects are kept as they are shown. Fields that Stripe shows as null while they are empty are left out instead: no
// client sees a difference between the two, and a stored answer is half as long.

// common is what every object has.
type common struct {
	ID       string            `json:"id"`
	Object   string            `json:"object"`
	Created  int64             `json:"created"`
	Livemode bool              `json:"livemode"`
	Metadata map[string]string `json:"metadata"`
}

func (c *common) base() *common { return c }

// record is any object.
type record interface{ base() *common }

// page is Stripe's list. Embedded lists of an object are pages too.
type page[T any] struct {
	Object  string `json:"object"`
	Data    []T    `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

type customer struct {
	common
	Address          any             `json:"address,omitempty"`
	Balance          int64           `json:"balance"`
	Currency         string          `json:"currency,omitempty"`
	DefaultSource    string          `json:"default_source,omitempty"`
	Deleted          bool            `json:"deleted,omitempty"`
	Delinquent       bool            `json:"delinquent"`
	Description      string          `json:"description,omitempty"`
	Email            string          `json:"email,omitempty"`
	InvoicePrefix    string          `json:"invoice_prefix"`
	InvoiceSettings  invoiceSettings `json:"invoice_settings"`
	Name             string          `json:"name,omitempty"`
	Phone            string          `json:"phone,omitempty"`
	PreferredLocales []string        `json:"preferred_locales"`
	Shipping         any             `json:"shipping,omitempty"`
	TaxExempt        string          `json:"tax_exempt"`
}

type invoiceSettings struct {
	DefaultPaymentMethod string `json:"default_payment_method,omitempty"`
	Footer               string `json:"footer,omitempty"`
}

type paymentMethod struct {
	common
	BillingDetails map[string]string `json:"billing_details"`
	Card           card              `json:"card"`
	Customer       string            `json:"customer,omitempty"`
	Type           string            `json:"type"`

	script cardScript
}

type card struct {
	Brand    string `json:"brand"`
	Country  string `json:"country"`
	ExpMonth int64  `json:"exp_month"`
	ExpYear  int64  `json:"exp_year"`
	Funding  string `json:"funding"`
	Last4    string `json:"last4"`
}

type price struct {
	common
	Active        bool       `json:"active"`
	BillingScheme string     `json:"billing_scheme"`
	Currency      string     `json:"currency"`
	LookupKey     string     `json:"lookup_key,omitempty"`
	Nickname      string     `json:"nickname,omitempty"`
	Product       string     `json:"product"`
	Recurring     *recurring `json:"recurring,omitempty"`
	TaxBehavior   string     `json:"tax_behavior"`
	Type          string     `json:"type"`
	UnitAmount    int64      `json:"unit_amount"`
	UnitDecimal   string     `json:"unit_amount_decimal"`
}

type recurring struct {
	Interval      string `json:"interval"`
	IntervalCount int64  `json:"interval_count"`
	UsageType     string `json:"usage_type"`
}

type subscription struct {
	common
	BillingCycleAnchor   int64                    `json:"billing_cycle_anchor"`
	CancelAt             int64                    `json:"cancel_at,omitempty"`
	CancelAtPeriodEnd    bool                     `json:"cancel_at_period_end"`
	CanceledAt           int64                    `json:"canceled_at,omitempty"`
	CancellationDetails  map[string]string        `json:"cancellation_details,omitempty"`
	CollectionMethod     string                   `json:"collection_method"`
	Currency             string                   `json:"currency"`
	CurrentPeriodEnd     int64                    `json:"current_period_end"`
	CurrentPeriodStart   int64                    `json:"current_period_start"`
	Customer             string                   `json:"customer"`
	DaysUntilDue         int64                    `json:"days_until_due,omitempty"`
	DefaultPaymentMethod string                   `json:"default_payment_method,omitempty"`
	Description          string                   `json:"description,omitempty"`
	EndedAt              int64                    `json:"ended_at,omitempty"`
	Items                *page[*subscriptionItem] `json:"items"`
	LatestInvoice        string                   `json:"latest_invoice,omitempty"`
	PauseCollection      *pauseCollection         `json:"pause_collection,omitempty"`
	Schedule             string                   `json:"schedule,omitempty"`
	StartDate            int64                    `json:"start_date"`
	Status               string                   `json:"status"`
	TrialEnd             int64                    `json:"trial_end,omitempty"`
	TrialStart           int64                    `json:"trial_start,omitempty"`
}

type pauseCollection struct {
	Behavior  string `json:"behavior"`
	ResumesAt int64  `json:"resumes_at,omitempty"`
}

type subscriptionItem struct {
	common
	Price        *price `json:"price"`
	Quantity     int64  `json:"quantity"`
	Subscription string `json:"subscription"`
}

type invoice struct {
	common
	AmountDue            int64             `json:"amount_due"`
	AmountPaid           int64             `json:"amount_paid"`
	AmountRemaining      int64             `json:"amount_remaining"`
	AttemptCount         int64             `json:"attempt_count"`
	Attempted            bool              `json:"attempted"`
	AutoAdvance          bool              `json:"auto_advance"`
	BillingReason        string            `json:"billing_reason"`
	Charge               string            `json:"charge,omitempty"`
	CollectionMethod     string            `json:"collection_method"`
	Currency             string            `json:"currency"`
	Customer             string            `json:"customer"`
	DefaultPaymentMethod string            `json:"default_payment_method,omitempty"`
	Deleted              bool              `json:"deleted,omitempty"`
	Description          string            `json:"description,omitempty"`
	DueDate              int64             `json:"due_date,omitempty"`
	HostedInvoiceURL     string            `json:"hosted_invoice_url,omitempty"`
	Lines                *page[*line]      `json:"lines"`
	Number               string            `json:"number,omitempty"`
	Paid                 bool              `json:"paid"`
	PaidOutOfBand        bool              `json:"paid_out_of_band"`
	PaymentIntent        string            `json:"payment_intent,omitempty"`
	PeriodEnd            int64             `json:"period_end"`
	PeriodStart          int64             `json:"period_start"`
	PostPaymentCredit    int64             `json:"post_payment_credit_notes_amount"`
	PrePaymentCredit     int64             `json:"pre_payment_credit_notes_amount"`
	Status               string            `json:"status"`
	StatusTransitions    statusTransitions `json:"status_transitions"`
	Subscription         string            `json:"subscription,omitempty"`
	Subtotal             int64             `json:"subtotal"`
	Total                int64             `json:"total"`
}

type statusTransitions struct {
	FinalizedAt           int64 `json:"finalized_at,omitempty"`
	MarkedUncollectibleAt int64 `json:"marked_uncollectible_at,omitempty"`
	PaidAt                int64 `json:"paid_at,omitempty"`
	VoidedAt              int64 `json:"voided_at,omitempty"`
}

type line struct {
	ID           string            `json:"id"`
	Object       string            `json:"object"`
	Amount       int64             `json:"amount"`
	Currency     string            `json:"currency"`
	Description  string            `json:"description,omitempty"`
	InvoiceItem  string            `json:"invoice_item,omitempty"`
	Metadata     map[string]string `json:"metadata"`
	Price        *price            `json:"price,omitempty"`
	Quantity     int64             `json:"quantity"`
	Subscription string            `json:"subscription,omitempty"`
	Type         string            `json:"type"`
}

type invoiceItem struct {
	common
	Amount       int64  `json:"amount"`
	Currency     string `json:"currency"`
	Customer     string `json:"customer"`
	Date         int64  `json:"date"`
	Description  string `json:"description,omitempty"`
	Discountable bool   `json:"discountable"`
	Invoice      string `json:"invoice,omitempty"`
	Price        *price `json:"price,omitempty"`
	Proration    bool   `json:"proration"`
	Quantity     int64  `json:"quantity"`
	Subscription string `json:"subscription,omitempty"`
	UnitAmount   int64  `json:"unit_amount"`
}
