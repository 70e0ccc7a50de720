package worker

import (
	"context"
	"time"

	"billonce/pkg/billing"
)

// Registry keeps the list of living workers.
type Registry interface {
	RegisterWorker(ctx context.Context, worker billing.Worker) error
	Heartbeat(ctx context.Context, id billing.WorkerID) error // CodeLeaseLost when declared dead
	DeregisterWorker(ctx context.Context, id billing.WorkerID) error
	// DrainWorker notes that the worker only ends what it has begun.
	DrainWorker(ctx context.Context, id billing.WorkerID) error
	// RecordOutcomes adds to what the worker's attempts came to.
	RecordOutcomes(ctx context.Context, id billing.WorkerID, outcomes billing.OutcomeCounts) error
}

// Queue hands out due tasks and takes back decisions.
type Queue interface {
	Claim(ctx context.Context, worker billing.WorkerID, limit int) (billing.Batch, error)
	Settle(ctx context.Context, settlements []billing.Settlement) ([]billing.TaskID, error)
	Release(ctx context.Context, claims []billing.Claim) error
	RecoverOwn(ctx context.Context, worker billing.WorkerID, held []billing.TaskID) (int, error)
}

// Caretaker returns tasks that nobody works on to the queue.
type Caretaker interface {
	NextLapse(ctx context.Context) (time.Duration, error)
	TakeOver(ctx context.Context, limit int, firstLook time.Duration) (billing.Takeover, error)
	FreeHeld(ctx context.Context) (int, error)
	FreeWaiting(ctx context.Context) (int, error)
	MendPaces(ctx context.Context) (int, error)
	MendLanes(ctx context.Context) error
	// TidyEvents clears away what nobody watches any more.
	TidyEvents(ctx context.Context) error
}

// Merchants opens the credentials of the merchants whose tasks are about to be sent.
type Merchants interface {
	GetMerchants(ctx context.Context, wanted map[billing.MerchantID]billing.MerchantVersion) (opened map[billing.MerchantID]billing.Merchant, failed map[billing.MerchantID]error, err error)
	PauseMerchant(ctx context.Context, id billing.MerchantID, reason billing.PauseReason, detail string) (billing.Merchant, error)
}

// Doubts hands out tasks in doubt that are to be looked at, and takes back what was learned.
type Doubts interface {
	ClaimLooks(ctx context.Context, worker billing.WorkerID, limit, merchants int, lease time.Duration) ([]billing.Doubt, error)
	SettleLook(ctx context.Context, look billing.LookSettlement) (written bool, err error)
}

// Archive takes finished tasks that are old.
type Archive interface {
	MoveFinished(ctx context.Context, status billing.Status, from time.Time, olderThan time.Duration, limit int) (billing.Moved, error)
}

// Gateway sends one task to Stripe, once, and tells what it learned. It also reads there what became of one merchant's tasks
// in doubt.
type Gateway interface {
	Execute(ctx context.Context, claim billing.Claim, credential billing.Credential) billing.Answer
	Look(ctx context.Context, doubts []billing.Doubt, credential billing.Credential) map[billing.TaskID]billing.Finding
}

// Metrics counts what the worker does.
type Metrics interface {
	Slots(n int)
	Busy(n int)
	Claimed(n int, took time.Duration)
	ClaimFailed()
	Started(lag time.Duration)
	AttemptDone(kind billing.Kind, outcome billing.Outcome, reason billing.Reason, took time.Duration)
	// TaskSettled: what became of a task is recorded. age is the time since the moment for which it was scheduled.
	TaskSettled(kind billing.Kind, status billing.Status, reason billing.Reason, age time.Duration)
	Settled(n, lost int, took time.Duration)
	SettleFailed()
	TakenOver(n int)
	HeartbeatFailed()
	LeaseLost()
	Archived(n int)
}

// Tracer follows attempts and looks.
type Tracer interface {
	// StartAttempt begins to follow what becomes of a claim: within puts a context into it, end ends it, with what was decided, nil for a
	// claim that was given back.
	StartAttempt(claim *billing.Claim) (within func(context.Context) context.Context, end func(*billing.Settlement))
	StartLook(ctx context.Context, doubts []billing.Doubt) (within context.Context, end func(map[billing.TaskID]billing.Finding))
}
