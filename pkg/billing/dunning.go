package billing

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Bounds of a dunning plan.
const (
	MaxDunningSteps = 20
	MinDunningDelay = time.Minute
	MaxDunningDelay = 90 * 24 * time.Hour
	MaxStopCodes    = 50
)

// Dunning says how a decline is followed up: after each, the operation is scheduled once more, as a new task with a key of
// its own. It never concerns answers other than declines.
type Dunning struct {
	RetryAfter []time.Duration // after the first decline, the second, …; after the last, nothing
	StopCodes  []string        // decline codes that end it at once, besides those that are always final
}

// hardDeclines are the decline codes after which asking again is useless or forbidden by the card networks:
// https://docs.stripe.com/declines/codes
var hardDeclines = []string{
	"authentication_required", "authentication_not_handled", "card_not_supported", "currency_not_supported",
	"expired_card", "fraudulent", "incorrect_address", "incorrect_cvc", "incorrect_number", "incorrect_zip", "invalid_account",
	"invalid_cvc", "invalid_expiry_month", "invalid_expiry_year", "invalid_number", "lost_card", "merchant_blacklist",
	"mobile_device_authentication_required", "new_account_information_available", "no_action_taken", "not_permitted",
	"pickup_card", "restricted_card", "revocation_of_all_authorizations", "revocation_of_authorization",
	"security_violation", "stolen_card", "stop_payment_order", "testmode_decline", "transaction_not_allowed",
}

// HardDeclines returns the decline codes that always end dunning. The caller owns the slice.
func HardDeclines() []string { return slices.Clone(hardDeclines) }

// Next returns how long after a decline with the given code the operation is tried again, when declines declines have been
// answered before. It reports false when it is not.
func (d Dunning) Next(declines int, code string) (time.Duration, bool) {
	if declines < 0 || declines >= len(d.RetryAfter) || slices.Contains(hardDeclines, code) || slices.Contains(d.StopCodes, code) {
		return 0, false
	}
	return d.RetryAfter[declines], true
}

type dunningDocument struct {
	RetryAfter []string `json:"retry_after"`
	StopCodes  []string `json:"stop_codes"`
}

// MarshalJSON writes durations as Go does: "24h0m0s" is shortened to "24h".
func (d Dunning) MarshalJSON() ([]byte, error) {
	document := dunningDocument{RetryAfter: []string{}, StopCodes: []string{}}
	for _, after := range d.RetryAfter {
		document.RetryAfter = append(document.RetryAfter, shortDuration(after))
	}
	document.StopCodes = append(document.StopCodes, d.StopCodes...)
	return json.Marshal(document)
}

// UnmarshalJSON reads what MarshalJSON wrote. It does not check the bounds.
func (d *Dunning) UnmarshalJSON(text []byte) error {
	var document dunningDocument
	if err := json.Unmarshal(text, &document); err != nil {
		return fmt.Errorf("read a dunning plan: %w", err)
	}
	read := Dunning{StopCodes: document.StopCodes}
	for _, after := range document.RetryAfter {
		parsed, err := time.ParseDuration(after)
		if err != nil {
			return fmt.Errorf("read a dunning plan: %w", err)
		}
		read.RetryAfter = append(read.RetryAfter, parsed)
	}
	*d = read
	return nil
}

// shortDuration renders a duration without the units that are zero at its end.
func shortDuration(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0 && d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
