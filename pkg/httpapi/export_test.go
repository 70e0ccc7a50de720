package httpapi

import (
	"context"
	"strings"
	"time"

	"billonce/pkg/billing"
)

// Shapes are the types that answers are written from, by the name of the schema that describes each.
func Shapes() map[string]any {
	return map[string]any{
		"Task": taskAnswer{}, "TaskPage": taskPage{}, "CreatedTasks": struct {
			Data []taskAnswer `json:"data"`
		}{}, // as writeTasks writes them
		"Attempt": attemptAnswer{}, "AttemptPage": page[attemptAnswer]{},
		"Merchant": merchantAnswer{}, "MerchantPage": page[merchantAnswer]{},
		"APIKey": apiKeyAnswer{}, "MadeAPIKey": madeKeyAnswer{}, "APIKeyPage": page[apiKeyAnswer]{},
		"AuditEntry": auditAnswer{}, "AuditActor": auditActor{}, "AuditObject": auditObject{}, "AuditPage": page[auditAnswer]{},
		"Health": healthAnswer{}, "Problem": problem{}, "Fault": problemFault{},
		"Result": billing.Result{}, "StripeError": billing.StripeError{}, "Resolution": billing.Resolution{}, "Evidence": billing.Evidence{},
		"Dunning": billing.Dunning{},
		"Me":      meAnswer{}, "Overview": overviewAnswer{}, "OverviewDue": dueAnswer{}, "OverviewAttention": attentionAnswer{},
		"OverviewWorkers": workersAnswer{}, "OverviewEncryption": keyStateAnswer{}, "OutcomeStep": outcomeStepAnswer{},
		"StatusCount": statusCountAnswer{}, "TaskCounts": taskCountsAnswer{}, "BulkResult": bulkAnswer{},
		"Worker": workerAnswer{}, "WorkerPage": page[workerAnswer]{},
		"Encryption": encryptionAnswer{}, "EncryptionKey": encryptionKeyAnswer{}, "Rotation": rotationAnswer{},
	}
}

// StatusOf is the status that a code is told with.
func StatusOf(code billing.Code) int { return problemOf(code).status }

// Served are the methods and paths that the router knows, in the form of the contract.
func (s *Server) Served() []string {
	var served []string
	for _, route := range s.echo.Routes() {
		served = append(served, route.Method+" "+strings.ReplaceAll(route.Path, ":id", "{id}"))
	}
	return served
}

// Joining says how many streams wait for their beginning.
func (s *Server) Joining() int {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return len(s.hub.joining)
}

// Scan is scan, for the fuzz targets.
func Scan(doc []byte) (int, error) {
	found, err := scan(doc)
	return len(found), err
}

// Canonical is appendCanonical of a text that Scan accepts.
func Canonical(doc []byte) []byte { return appendCanonical(nil, doc) }

// Shown is a task in an answer, as it is written, and as encoding/json writes it.
func Shown(task billing.Task) (written, encoded []byte, err error) {
	if written, err = appendShown(nil, task); err != nil {
		return nil, nil, err
	}
	encoded, err = encode(showTask(task))
	return written, encoded, err
}

// IsTimestamp is isTimestamp.
func IsTimestamp(text string) bool { return isTimestamp(text) }

// MakeKey is makeKey.
func MakeKey() (text string, hash [billing.APIKeyHashBytes]byte) {
	made := makeKey()
	return made.text.Reveal(), made.hash
}

// IsKeyText is isKeyText.
func IsKeyText(text string) bool { return isKeyText(text) }

// Throttle is throttle, with a clock of the test's.
type Throttle struct{ throttle }

// NewThrottle returns one with the given limits.
func NewThrottle(burst int, every time.Duration) *Throttle {
	return &Throttle{throttle{burst: burst, every: every}}
}

// Wait is wait.
func (t *Throttle) Wait(address string, now time.Time) time.Duration { return t.wait(address, now) }

// Missed is missed.
func (t *Throttle) Missed(address string, now time.Time) { t.missed(address, now) }

// Peers says how many addresses are remembered.
func (t *Throttle) Peers() int { return len(t.peers) }

// KeptKeys says how many keys are remembered.
func (s *Server) KeptKeys() int {
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	return len(s.keys.kept)
}

// KeyCache is keyCache.
type KeyCache struct{ keyCache }

// NewKeyCache returns one that reads by read.
func NewKeyCache(fresh time.Duration, read func(context.Context, [billing.APIKeyHashBytes]byte) (billing.APIKey, error)) *KeyCache {
	return &KeyCache{keyCache{fresh: fresh, read: read}}
}

// Known is known, without the key.
func (k *KeyCache) Known(hash [billing.APIKeyHashBytes]byte, now time.Time) (fresh, ok bool) {
	_, fresh, ok = k.known(hash, now)
	return fresh, ok
}

// Look is look.
func (k *KeyCache) Look(ctx context.Context, hash [billing.APIKeyHashBytes]byte) (billing.APIKey, error) {
	return k.look(ctx, hash)
}

// Stale is stale.
func (k *KeyCache) Stale() { k.stale() }
