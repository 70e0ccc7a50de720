package billing

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Actor is who asks for a change, from where, and under which request.
type Actor struct {
	ID        string // an [APIKeyID], or one of the constants below
	Name      string // of the key
	Address   string // the peer's; "" where there is none
	RequestID string
	Reason    string // why, in the asker's words; "" where none is given
}

// Actors that are no API key.
const (
	ActorAdmin   = "ADMIN_API_KEY"
	ActorBillctl = "billctl" // at the database itself
)

// Line is the actor in one line, without the name: what the row of a task keeps of who scheduled it.
func (a Actor) Line() string {
	if a.ID == "" {
		return ""
	}
	return a.ID + " " + a.Address + " " + a.RequestID
}

// ParseActor reads what [Actor.Line] wrote.
func ParseActor(line string) Actor {
	id, rest, _ := strings.Cut(line, " ")
	address, request, _ := strings.Cut(rest, " ")
	return Actor{ID: id, Address: address, RequestID: request}
}

type actorKey struct{}

// WithActor says who asks for what is done under the context. Changes that a [Store] makes under it are recorded as the actor's.
func WithActor(ctx context.Context, actor Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// WithReason says why the actor of the context asks. It changes nothing where nobody does.
func WithReason(ctx context.Context, reason string) context.Context {
	actor, ok := ActorOf(ctx)
	if !ok || reason == "" {
		return ctx
	}
	actor.Reason = reason
	return WithActor(ctx, actor)
}

// ActorOf returns who asks; ok is false where nobody does, as in a worker.
func ActorOf(ctx context.Context) (actor Actor, ok bool) {
	actor, ok = ctx.Value(actorKey{}).(Actor)
	return actor, ok
}

// Action is what was done to an object.
type Action string

// The actions.
const (
	ActionMerchantCreate         Action = "merchant.create"
	ActionMerchantUpdate         Action = "merchant.update"
	ActionMerchantDisconnect     Action = "merchant.disconnect"
	ActionMerchantPause          Action = "merchant.pause"
	ActionMerchantResume         Action = "merchant.resume"
	ActionTaskCreate             Action = "task.create" // kept in the task's own row
	ActionTaskCancel             Action = "task.cancel"
	ActionTaskReschedule         Action = "task.reschedule"
	ActionTaskRetry              Action = "task.retry"
	ActionTaskResolve            Action = "task.resolve"
	ActionKeyCreate              Action = "api_key.create"
	ActionKeyRevoke              Action = "api_key.revoke"
	ActionKeyRotate              Action = "api_key.rotate"
	ActionSessionOpen            Action = "session.open" // at the console
	ActionSessionClose           Action = "session.close"
	ActionEncryptionKeyRotate    Action = "encryption_key.rotate"
	ActionEncryptionKeyRetire    Action = "encryption_key.retire"
	ActionEncryptionKeyReinstate Action = "encryption_key.reinstate"
	ActionSchemaUp               Action = "schema.migrate_up"
	ActionSchemaDown             Action = "schema.migrate_down"
)

var actions = []Action{
	ActionMerchantCreate, ActionMerchantUpdate, ActionMerchantDisconnect, ActionMerchantPause, ActionMerchantResume, ActionTaskCreate,
	ActionTaskCancel, ActionTaskReschedule, ActionTaskRetry, ActionTaskResolve, ActionKeyCreate, ActionKeyRevoke,
	ActionKeyRotate, ActionSessionOpen, ActionSessionClose, ActionEncryptionKeyRotate, ActionEncryptionKeyRetire, ActionEncryptionKeyReinstate, ActionSchemaUp, ActionSchemaDown,
}

// Actions returns every action. The caller owns the slice.
func Actions() []Action { return slices.Clone(actions) }

// Known reports whether a is one of the actions.
func (a Action) Known() bool { return slices.Contains(actions, a) }

// Kind of object that an action is done to: "merchant", "task", "api_key", "session", "encryption_key" or
// "schema".
func (a Action) Kind() string {
	kind, _, _ := strings.Cut(string(a), ".")
	return kind
}

// AuditEntry is one change: who did what to which object, when, from where.
type AuditEntry struct {
	ID         string // a UUIDv7; of a task's creation, the task's
	At         time.Time
	Actor      Actor
	Action     Action
	Object     string     // its id
	MerchantID MerchantID // "" where no merchant is concerned
	Detail     json.RawMessage
}

// AuditFilter narrows the log; empty fields match everything. Creations of tasks are found by their task or merchant's tasks alone.
type AuditFilter struct {
	Object   string
	Actor    string
	Action   Action
	From, To time.Time // To is not included
}

// AuditMark is the place of an entry in the log, which is ordered by time and id.
type AuditMark struct {
	At time.Time
	ID string
}
