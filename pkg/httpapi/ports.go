package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"billonce/pkg/billing"
)

// Merchants keeps the connected merchants. Nothing that it returns has its tokens opened.
type Merchants interface {
	CreateMerchant(ctx context.Context, merchant billing.NewMerchant) (billing.Merchant, error)
	UpdateMerchant(ctx context.Context, id billing.MerchantID, change billing.MerchantChange) (billing.Merchant, error)
	ViewMerchant(ctx context.Context, id billing.MerchantID) (billing.Merchant, error)
	// ListMerchants returns the newest first, beginning after the given one.
	ListMerchants(ctx context.Context, filter billing.MerchantFilter, limit int, after billing.MerchantID) ([]billing.Merchant, error)
	DisconnectMerchant(ctx context.Context, id billing.MerchantID) (billing.Merchant, error)
	PauseMerchant(ctx context.Context, id billing.MerchantID, reason billing.PauseReason, detail string) (billing.Merchant, error)
	ResumeMerchant(ctx context.Context, id billing.MerchantID) (billing.Merchant, error)
}

// Finder finds tasks.
type Finder interface {
	// FindTasks returns the newest first, beginning after the given one.
	FindTasks(ctx context.Context, filter billing.TaskFilter, limit int, after billing.TaskID) (billing.TaskPage, error)
	// CountTasks returns a count for each status.
	CountTasks(ctx context.Context, filter billing.TaskFilter) ([]billing.StatusCount, error)
	// FindUnsent returns tasks that can be canceled or moved, but those that are scheduled for the given time already: the newest first,
	// beginning after the given one.
	FindUnsent(ctx context.Context, filter billing.TaskFilter, but time.Time, limit int, after billing.TaskID) (billing.Matching, error)
	// FindRetryable returns tasks that can be retried, in the same order.
	FindRetryable(ctx context.Context, filter billing.TaskFilter, limit int, after billing.TaskID) (billing.Matching, error)
}

// Tasks keeps the scheduled tasks and judges times by its own clock.
type Tasks interface {
	Finder
	// CreateTasks schedules all or none, in order. Its faults have pointers like "/<index>/merchant_id".
	CreateTasks(ctx context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error)
	GetTask(ctx context.Context, id billing.TaskID) (billing.Task, error)
	ListAttempts(ctx context.Context, id billing.TaskID) ([]billing.Attempt, error)
	// ListChain returns the tasks that repeat one another and the given one is among, first to last.
	ListChain(ctx context.Context, id billing.TaskID) ([]billing.Task, error)
	CancelTask(ctx context.Context, id billing.TaskID) (billing.Task, error)
	RescheduleTask(ctx context.Context, id billing.TaskID, runAt time.Time) (billing.Task, error)
	RetryTask(ctx context.Context, of billing.TaskID, next billing.NewTask) (billing.CreatedTask, error)
	ResolveTask(ctx context.Context, id billing.TaskID, resolution billing.Resolution) (billing.Task, error)
	// CancelTasks and RescheduleTasks change those that still can be, each as by itself, and return how many.
	CancelTasks(ctx context.Context, ids []billing.TaskID) (int, error)
	RescheduleTasks(ctx context.Context, ids []billing.TaskID, runAt time.Time) (int, error)
}

// Standing tells how it goes.
type Standing interface {
	// Overview is about one merchant, or about everything, "".
	Overview(ctx context.Context, merchant billing.MerchantID) (billing.Overview, error)
	// ListWorkers returns those alive first.
	ListWorkers(ctx context.Context, limit int) ([]billing.WorkerStanding, error)
	// EncryptionKeys returns the oldest first.
	EncryptionKeys(ctx context.Context) ([]billing.EncryptionKey, error)
}

// Freezer checks a task's parameters and makes the request that every send of it will use. An error with code
// [billing.CodeInvalid] has faults whose pointers begin at the task: "/target", "/params/items/0/price".
type Freezer interface {
	Freeze(id billing.TaskID, kind billing.Kind, target string, params json.RawMessage) (billing.Request, error)
}

// APIKeys keeps the keys of the API by their hashes, and judges times by its own clock.
type APIKeys interface {
	// FindAPIKey returns a key whatever its status. The error has code [billing.CodeNotFound] when there is none.
	FindAPIKey(ctx context.Context, hash [billing.APIKeyHashBytes]byte) (billing.APIKey, error)
	UseAPIKeys(ctx context.Context, uses []billing.KeyUse) error
	CreateAPIKey(ctx context.Context, key billing.NewAPIKey) (billing.APIKey, error)
	GetAPIKey(ctx context.Context, id billing.APIKeyID) (billing.APIKey, error)
	// ListAPIKeys returns the newest first, beginning after the given one.
	ListAPIKeys(ctx context.Context, filter billing.APIKeyFilter, limit int, after billing.APIKeyID) ([]billing.APIKey, error)
	RevokeAPIKey(ctx context.Context, id billing.APIKeyID) (billing.APIKey, error)
	RotateAPIKey(ctx context.Context, id billing.APIKeyID, rotation billing.Rotation) (billing.APIKey, error)
}

// Audit reads the log of changes. They are written by whoever makes them, under the actor of the context.
type Audit interface {
	// ListAudit returns the newest first, beginning after the given place.
	ListAudit(ctx context.Context, filter billing.AuditFilter, limit int, after billing.AuditMark) ([]billing.AuditEntry, error)
}

// Events tells what becomes of tasks. Marks are places in the stream of all changes.
type Events interface {
	// WatchTasks has changes recorded for some minutes, and returns the mark from where on all are known: the zero one while there is
	// none, and the caller asks again.
	WatchTasks(ctx context.Context) (billing.EventMark, error)
	// ReadEvents returns what lies between two marks; the zero one as the second means now.
	ReadEvents(ctx context.Context, after, upTo billing.EventMark) (billing.EventPage, error)
	// TidyEvents clears away what is old.
	TidyEvents(ctx context.Context) error
}

// Health tells whether requests can be served: database reachable, schema new enough, keys fitting. The error is logged
// and never shown to a client.
type Health interface {
	Ready(ctx context.Context) error
}

// Metrics counts what the API does. Labels are bounded: method is a known one or "OTHER", route is a template of the
// route table or "unmatched".
type Metrics interface {
	RequestDone(method, route string, status int, took time.Duration)
	TasksScheduled(kind billing.Kind, n int)
	KeyRefused(reason string)    // one of the reasons below
	EventStreams(n int)          // that are open
	EventStreamEnded(why string) // client, slow, key or shutdown
}

// Why a request is turned away for its key.
const (
	refusedAbsent    = "absent"    // it has none
	refusedUnknown   = "unknown"   // there is no such key
	refusedInactive  = "inactive"  // it is revoked, or has expired
	refusedScope     = "scope"     // it does not allow the route
	refusedThrottled = "throttled" // its address has presented too many wrong ones
)

// Tracer follows requests, from whoever made them to the tasks that they schedule.
type Tracer interface {
	// StartRequest begins to follow a request, within the trace that its headers name if they do.
	StartRequest(ctx context.Context, header http.Header, method, requestID string) (within context.Context, end func(route string, status int))
	// Context is what is stored with the tasks that a request schedules ([billing.NewTask.TraceContext]).
	Context(ctx context.Context) string
}
