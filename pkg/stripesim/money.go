package stripesim

// The objects that move money.

type paymentIntent struct {
	common
	Amount              int64             `json:"amount"`
	AmountCapturable    int64             `json:"amount_capturable"`
	AmountReceived      int64             `json:"amount_received"`
	CanceledAt          int64             `json:"canceled_at,omitempty"`
	CancellationReason  string            `json:"cancellation_reason,omitempty"`
	CaptureMethod       string            `json:"capture_method"`
	ClientSecret        string            `json:"client_secret"`
	ConfirmationMethod  string            `json:"confirmation_method"`
	Currency            string            `json:"currency"`
	Customer            string            `json:"customer,omitempty"`
	Description         string            `json:"description,omitempty"`
	Invoice             string            `json:"invoice,omitempty"`
	LastPaymentError    *details          `json:"last_payment_error,omitempty"`
	LatestCharge        string            `json:"latest_charge,omitempty"`
	NextAction          map[string]string `json:"next_action,omitempty"`
	PaymentMethod       string            `json:"payment_method,omitempty"`
	PaymentMethodTypes  []string          `json:"payment_method_types"`
	ReceiptEmail        string            `json:"receipt_email,omitempty"`
	SetupFutureUsage    string            `json:"setup_future_usage,omitempty"`
	StatementDescriptor string            `json:"statement_descriptor,omitempty"`
	Status              string            `json:"status"`
	TransferGroup       string            `json:"transfer_group,omitempty"`
}

type charge struct {
	common
	Amount         int64         `json:"amount"`
	AmountCaptured int64         `json:"amount_captured"`
	AmountRefunded int64         `json:"amount_refunded"`
	Captured       bool          `json:"captured"`
	Currency       string        `json:"currency"`
	Customer       string        `json:"customer,omitempty"`
	Description    string        `json:"description,omitempty"`
	FailureCode    string        `json:"failure_code,omitempty"`
	FailureMessage string        `json:"failure_message,omitempty"`
	Invoice        string        `json:"invoice,omitempty"`
	Outcome        *verdictShown `json:"outcome,omitempty"`
	Paid           bool          `json:"paid"`
	PaymentIntent  string        `json:"payment_intent,omitempty"`
	PaymentMethod  string        `json:"payment_method,omitempty"`
	Refunded       bool          `json:"refunded"`
	Status         string        `json:"status"`
	TransferGroup  string        `json:"transfer_group,omitempty"`
}

// verdictShown is what the issuer said of a charge.
type verdictShown struct {
	Reason string `json:"reason,omitempty"` // the decline code
	Type   string `json:"type"`
}

type refund struct {
	common
	Amount        int64  `json:"amount"`
	Charge        string `json:"charge"`
	Currency      string `json:"currency"`
	PaymentIntent string `json:"payment_intent,omitempty"`
	Reason        string `json:"reason,omitempty"`
	Status        string `json:"status"`
}

type creditNote struct {
	common
	Amount          int64  `json:"amount"`
	Currency        string `json:"currency"`
	Customer        string `json:"customer"`
	DiscountAmount  int64  `json:"discount_amount"`
	Invoice         string `json:"invoice"`
	Memo            string `json:"memo,omitempty"`
	Number          string `json:"number"`
	OutOfBandAmount int64  `json:"out_of_band_amount,omitempty"`
	Reason          string `json:"reason,omitempty"`
	Refund          string `json:"refund,omitempty"`
	Status          string `json:"status"`
	Subtotal        int64  `json:"subtotal"`
	Total           int64  `json:"total"`
	Type            string `json:"type"`
	VoidedAt        int64  `json:"voided_at,omitempty"`
}

type transfer struct {
	common
	Amount            int64  `json:"amount"`
	AmountReversed    int64  `json:"amount_reversed"`
	Currency          string `json:"currency"`
	Description       string `json:"description,omitempty"`
	Destination       string `json:"destination"`
	Reversed          bool   `json:"reversed"`
	SourceTransaction string `json:"source_transaction,omitempty"`
	SourceType        string `json:"source_type"`
	TransferGroup     string `json:"transfer_group,omitempty"`
}

type payout struct {
	common
	Amount              int64  `json:"amount"`
	ArrivalDate         int64  `json:"arrival_date"`
	Automatic           bool   `json:"automatic"`
	Currency            string `json:"currency"`
	Description         string `json:"description,omitempty"`
	Destination         string `json:"destination"`
	Method              string `json:"method"`
	SourceType          string `json:"source_type"`
	StatementDescriptor string `json:"statement_descriptor,omitempty"`
	Status              string `json:"status"`
	Type                string `json:"type"`
}

type schedule struct {
	common
	CanceledAt           int64          `json:"canceled_at,omitempty"`
	CompletedAt          int64          `json:"completed_at,omitempty"`
	CurrentPhase         *phaseSpan     `json:"current_phase,omitempty"`
	Customer             string         `json:"customer"`
	DefaultSettings      map[string]any `json:"default_settings"`
	EndBehavior          string         `json:"end_behavior"`
	Phases               []*phase       `json:"phases"`
	ReleasedAt           int64          `json:"released_at,omitempty"`
	ReleasedSubscription string         `json:"released_subscription,omitempty"`
	Status               string         `json:"status"`
	Subscription         string         `json:"subscription,omitempty"`
}

type phaseSpan struct {
	StartDate int64 `json:"start_date"`
	EndDate   int64 `json:"end_date"`
}

type phase struct {
	phaseSpan
	Currency          string            `json:"currency"`
	Items             []phaseItem       `json:"items"`
	Metadata          map[string]string `json:"metadata"`
	ProrationBehavior string            `json:"proration_behavior"`
}

type phaseItem struct {
	Price    string `json:"price"`
	Quantity int64  `json:"quantity"`
}

// event is rendered when it is asked for; data is the object as it was when the event happened.
type event struct {
	id, kind  string
	created   int64
	visible   int64 // not listed before
	requestID string
	key       string
	data      []byte
	account   string
	livemode  bool
}
