package httpapi

import (
	"encoding/json"
	"time"

	"billonce/pkg/billing"
)

// page is the answer of every list.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor"`
}

// taskPage is the answer of a list of tasks.
type taskPage struct {
	Data       []taskAnswer `json:"data"`
	NextCursor *string      `json:"next_cursor"`
	SearchedTo *time.Time   `json:"searched_to"`
}

func showTasks(tasks []billing.Task) []taskAnswer {
	shown := make([]taskAnswer, len(tasks))
	for i, task := range tasks {
		shown[i] = showTask(task)
	}
	return shown
}

type taskAnswer struct {
	ID             billing.TaskID       `json:"id"`
	MerchantID     billing.MerchantID   `json:"merchant_id"`
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
	RetryOf        *billing.TaskID      `json:"retry_of"`
	FirstSentAt    *time.Time           `json:"first_sent_at"`
	Result         *billing.Result      `json:"result"`
	LastError      *billing.StripeError `json:"last_error"`
	CreatedAt      time.Time            `json:"created_at"`
	UpdatedAt      time.Time            `json:"updated_at"`
	FinishedAt     *time.Time           `json:"finished_at"`

	RetriedBy    *billing.TaskID     `json:"retried_by"`
	Intent       *string             `json:"intent"`
	OnDecline    *billing.Dunning    `json:"on_decline"`
	Declines     int                 `json:"declines"`      // that led to this task
	WaitingSince *time.Time          `json:"waiting_since"` // for another task at the same object
	LookAt       *time.Time          `json:"look_at"`       // when Stripe is looked at next
	Resolution   *billing.Resolution `json:"resolution"`
}

func showTask(task billing.Task) taskAnswer {
	params := json.RawMessage(`{}`)
	if len(task.Params) > 0 {
		params = appendCanonical(make([]byte, 0, len(task.Params)), task.Params)
	}
	metadata := task.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	return taskAnswer{
		ID: task.ID, MerchantID: task.MerchantID, Kind: task.Kind, Target: orNull(task.Target), Params: params,
		Metadata: metadata, Status: task.Status, RunAt: task.RunAt.UTC(), ScheduledFor: task.ScheduledFor.UTC(),
		Attempt: task.Attempt, MaxAttempts: task.MaxAttempts, IdempotencyKey: task.ID.IdempotencyKey(),
		RetryOf: orNull(task.RetryOf), RetriedBy: orNull(task.RetriedBy), Intent: orNull(task.Intent), OnDecline: task.OnDecline,
		Declines: task.Declines, WaitingSince: utc(task.WaitingSince), LookAt: utc(task.LookAt), Resolution: task.Resolution.UTC(),
		FirstSentAt: utc(task.FirstSentAt), Result: task.Result, LastError: task.LastError,
		CreatedAt: task.CreatedAt.UTC(), UpdatedAt: task.UpdatedAt.UTC(), FinishedAt: utc(task.FinishedAt),
	}
}

type attemptAnswer struct {
	Attempt    int                  `json:"attempt"`
	Kind       billing.AttemptKind  `json:"kind"` // send or look
	WorkerID   billing.WorkerID     `json:"worker_id"`
	StartedAt  time.Time            `json:"started_at"`
	FinishedAt time.Time            `json:"finished_at"`
	Outcome    billing.Outcome      `json:"outcome"`
	Reason     billing.Reason       `json:"reason"`
	Replayed   bool                 `json:"replayed"`
	RequestID  *string              `json:"request_id"` // Stripe's
	Error      *billing.StripeError `json:"error"`
	Evidence   []billing.Evidence   `json:"evidence"` // of a look
}

func showAttempt(attempt billing.Attempt) attemptAnswer {
	evidence := attempt.Evidence
	if evidence == nil {
		evidence = []billing.Evidence{}
	}
	return attemptAnswer{
		Attempt: attempt.Number, Kind: attempt.Kind, Evidence: evidence, WorkerID: attempt.WorkerID, StartedAt: attempt.StartedAt.UTC(),
		FinishedAt: attempt.FinishedAt.UTC(), Outcome: attempt.Outcome, Reason: attempt.Reason,
		Replayed: attempt.Replayed, RequestID: orNull(attempt.RequestID), Error: attempt.Error,
	}
}

// merchantAnswer has no field that could hold a token.
type merchantAnswer struct {
	ID              billing.MerchantID     `json:"id"`
	Name            string                 `json:"name"`
	StripeConnectID string                 `json:"stripe_connect_id"`
	Livemode        bool                   `json:"livemode"`
	Status          billing.MerchantStatus `json:"status"`
	PauseReason     *billing.PauseReason   `json:"pause_reason"`
	PauseDetail     *string                `json:"pause_detail"` // what is wrong and what to do
	HasAccessToken  bool                   `json:"has_access_token"`
	HasRefreshToken bool                   `json:"has_refresh_token"`
	CreatedAt       time.Time              `json:"created_at"`
	UpdatedAt       time.Time              `json:"updated_at"`
}

func showMerchant(merchant billing.Merchant) merchantAnswer {
	return merchantAnswer{
		ID: merchant.ID, Name: merchant.Name, StripeConnectID: merchant.StripeConnectID, Livemode: merchant.Livemode,
		Status: merchant.Status, PauseReason: orNull(merchant.PauseReason), PauseDetail: orNull(merchant.PauseDetail),
		HasAccessToken: merchant.HasAccessToken, HasRefreshToken: merchant.HasRefreshToken,
		CreatedAt: merchant.CreatedAt.UTC(), UpdatedAt: merchant.UpdatedAt.UTC(),
	}
}

func orNull[T ~string](text T) *T {
	if text == "" {
		return nil
	}
	return &text
}

func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	moved := at.UTC()
	return &moved
}
