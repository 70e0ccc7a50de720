package client

import (
	"time"

	"billonce/pkg/billing"
)

// TaskEvent and EventsReset stand in for the generated types of branch events, which replaces this file.
type TaskEvent struct {
	ID         string         `json:"id"`
	MerchantID string         `json:"merchant_id"`
	Kind       billing.Kind   `json:"kind"`
	Target     *string        `json:"target"`
	Status     billing.Status `json:"status"`
	Attempt    int            `json:"attempt"`
	RunAt      time.Time      `json:"run_at"`
	At         time.Time      `json:"at"`
}

// EventsReset is the data of a reset.
type EventsReset struct {
	Reason billing.ResetReason `json:"reason"`
}
