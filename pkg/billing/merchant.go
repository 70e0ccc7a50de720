package billing

import (
	"slices"
	"time"

	"billonce/pkg/secret"
)

// MerchantStatus is whether a merchant's tasks are carried out.
type MerchantStatus string

// The statuses of a merchant.
const (
	// MerchantActive: tasks run.
	MerchantActive MerchantStatus = "active"
	// MerchantPaused: tasks are held where they are.
	MerchantPaused MerchantStatus = "paused"
	// MerchantDisconnected: the tokens are erased; tasks are held, history is kept.
	MerchantDisconnected MerchantStatus = "disconnected"
)

// MerchantStatuses returns every status of a merchant. The caller owns the slice.
func MerchantStatuses() []MerchantStatus {
	return []MerchantStatus{MerchantActive, MerchantPaused, MerchantDisconnected}
}

// Known reports whether s is one of [MerchantStatuses].
func (s MerchantStatus) Known() bool { return slices.Contains(MerchantStatuses(), s) }

// PauseReason says who or what paused a merchant.
type PauseReason string

// The reasons of a pause.
const (
	// PauseRequested: somebody asked for it over the API.
	PauseRequested PauseReason = "requested"
	// PauseNeedsReauth: Stripe no longer accepts the merchant's credentials, or the stored ones do not open.
	PauseNeedsReauth PauseReason = "needs_reauth"
)

// NewMerchant is a merchant to be connected.
type NewMerchant struct {
	ID              MerchantID
	Name            string
	StripeConnectID string // "acct_…"
	Livemode        bool
	AccessToken     secret.Text // empty: served with the platform's key
	RefreshToken    secret.Text
}

// MerchantChange names what changes; nil fields stay. An empty token erases the stored one.
type MerchantChange struct {
	Name         *string
	AccessToken  *secret.Text
	RefreshToken *secret.Text
}

// Merchant is a connected account. AccessToken and RefreshToken are filled only by the calls that say so; the Has fields
// always tell whether they are stored.
type Merchant struct {
	ID              MerchantID
	Name            string
	StripeConnectID string
	Livemode        bool
	Status          MerchantStatus
	PauseReason     PauseReason // "" unless paused
	PauseDetail     string      // what is wrong and what to do, in our own words; "" unless paused
	HasAccessToken  bool
	HasRefreshToken bool
	AccessToken     secret.Text
	RefreshToken    secret.Text
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Auth is the way in which the merchant's calls are authenticated now.
func (m Merchant) Auth() AuthMode {
	if m.HasAccessToken {
		return AuthToken
	}
	return AuthPlatform
}

// MerchantFilter narrows a list; empty fields match everything.
type MerchantFilter struct {
	ID              MerchantID
	StripeConnectID string
	Status          MerchantStatus
}
