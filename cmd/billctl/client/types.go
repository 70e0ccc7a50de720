package client

import (
	"encoding/json"
	"time"

	"billonce/pkg/billing"
)

// Task is a task as the API answers it.
type Task struct {
	ID             string               `json:"id"`
	MerchantID     string               `json:"merchant_id"`
	Kind           billing.Kind         `json:"kind"`
	Target         *string              `json:"target"`
	Params         json.RawMessage      `json:"params"`
	Metadata       map[string]string    `json:"metadata"`
	Status         billing.Status       `json:"status"`
	RunAt          time.Time            `json:"run_at"`
	ScheduledFor   time.Time            `json:"scheduled_for"`
	Attempt        int                  `json:"attempt"`
	MaxAttempts    int                  `json:"max_attempts"`
	IdempotencyKey string               `json:"idempotency_key"`
	RetryOf        *string              `json:"retry_of"`
	FirstSentAt    *time.Time           `json:"first_sent_at"`
	Result         *billing.Result      `json:"result"`
	LastError      *billing.StripeError `json:"last_error"`
	CreatedAt      time.Time            `json:"created_at"`
	UpdatedAt      time.Time            `json:"updated_at"`
	FinishedAt     *time.Time           `json:"finished_at"`

	RetriedBy    *string          `json:"retried_by"`
	Intent       *string          `json:"intent"`
	OnDecline    *billing.Dunning `json:"on_decline"`
	Declines     int              `json:"declines"`
	WaitingSince *time.Time       `json:"waiting_since"`
	LookAt       *time.Time       `json:"look_at"`
	Resolution   *Resolution      `json:"resolution"`
}

// Resolution is a person's decision about a task in doubt.
type Resolution struct {
	Outcome    billing.Status `json:"outcome"`
	Note       string         `json:"note"`
	RequestID  string         `json:"request_id"`
	ResolvedAt time.Time      `json:"resolved_at"`
}

// Attempt is one attempt of a task as the API answers it.
type Attempt struct {
	Attempt    int                  `json:"attempt"`
	Kind       billing.AttemptKind  `json:"kind"`
	WorkerID   string               `json:"worker_id"`
	StartedAt  time.Time            `json:"started_at"`
	FinishedAt time.Time            `json:"finished_at"`
	Outcome    billing.Outcome      `json:"outcome"`
	Reason     billing.Reason       `json:"reason"`
	Replayed   bool                 `json:"replayed"`
	RequestID  string               `json:"request_id"`
	Error      *billing.StripeError `json:"error"`
	Evidence   []billing.Evidence   `json:"evidence"`
}

// Merchant is a merchant as the API answers it. Tokens are write-only there.
type Merchant struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	StripeConnectID string    `json:"stripe_connect_id"`
	Livemode        bool      `json:"livemode"`
	Status          string    `json:"status"`
	PauseReason     *string   `json:"pause_reason"`
	PauseDetail     *string   `json:"pause_detail"`
	HasAccessToken  bool      `json:"has_access_token"`
	HasRefreshToken bool      `json:"has_refresh_token"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
}

// APIKey is an API key as the API answers it. Key is there in the answer that makes it alone.
type APIKey struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Hint       string     `json:"hint"`
	Scopes     []string   `json:"scopes"`
	MerchantID *string    `json:"merchant_id"`
	Status     string     `json:"status"`
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  *string    `json:"created_by"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	ReplacedBy *string    `json:"replaced_by"`
}

// AuditEntry is one change as the API answers it.
type AuditEntry struct {
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Actor struct {
		ID   string  `json:"id"`
		Name *string `json:"name"`
	} `json:"actor"`
	Action string `json:"action"`
	Object struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"object"`
	Address   *string         `json:"address"`
	RequestID *string         `json:"request_id"`
	Detail    json.RawMessage `json:"detail"`
}
