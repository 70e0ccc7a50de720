package httpapi_test

import (
	"context"
	"crypto/sha256"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

// fakeKeys keeps keys in memory and counts the reads. FindFunc stands in for the database where it is set.
type fakeKeys struct {
	finds    atomic.Int64
	mu       sync.Mutex
	keys     map[[billing.APIKeyHashBytes]byte]billing.APIKey
	used     []billing.KeyUse
	filters  []billing.AuditFilter
	UseFunc  func() error
	FindFunc func() error
}

// fakeLife is how long the fake's keys live that have no end.
const fakeLife = time.Hour

func (f *fakeKeys) put(hash [billing.APIKeyHashBytes]byte, key billing.APIKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys == nil {
		f.keys = map[[billing.APIKeyHashBytes]byte]billing.APIKey{}
	}
	key.Hash = hash
	f.keys[hash] = key
}

func (f *fakeKeys) FindAPIKey(_ context.Context, hash [billing.APIKeyHashBytes]byte) (billing.APIKey, error) {
	f.finds.Add(1)
	if f.FindFunc != nil {
		if err := f.FindFunc(); err != nil {
			return billing.APIKey{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if key, ok := f.keys[hash]; ok {
		return key, nil
	}
	return billing.APIKey{}, &billing.Error{Code: billing.CodeNotFound}
}

func (f *fakeKeys) UseAPIKeys(_ context.Context, uses []billing.KeyUse) error {
	if f.UseFunc != nil {
		if err := f.UseFunc(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = append(f.used, uses...)
	return nil
}

func (f *fakeKeys) CreateAPIKey(_ context.Context, key billing.NewAPIKey) (billing.APIKey, error) {
	made := billing.APIKey{
		ID: key.ID, Name: key.Name, Hint: key.Hint, Scopes: key.Scopes, MerchantID: key.MerchantID,
		Status: billing.APIKeyActive, CreatedAt: noon, UsableFor: fakeLife,
	}
	f.put(key.Hash, made)
	return made, nil
}

func (f *fakeKeys) byID(id billing.APIKeyID) (billing.APIKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range f.keys {
		if key.ID == id {
			return key, nil
		}
	}
	return billing.APIKey{}, &billing.Error{Code: billing.CodeNotFound, Message: "no such API key"}
}

func (f *fakeKeys) GetAPIKey(_ context.Context, id billing.APIKeyID) (billing.APIKey, error) {
	return f.byID(id)
}

func (f *fakeKeys) ListAPIKeys(context.Context, billing.APIKeyFilter, int, billing.APIKeyID) ([]billing.APIKey, error) {
	return nil, nil
}

func (f *fakeKeys) RevokeAPIKey(_ context.Context, id billing.APIKeyID) (billing.APIKey, error) {
	key, err := f.byID(id)
	if err == nil {
		key.Status, key.UsableFor = billing.APIKeyRevoked, 0
		f.put(key.Hash, key)
	}
	return key, err
}

func (f *fakeKeys) RotateAPIKey(ctx context.Context, id billing.APIKeyID, rotation billing.Rotation) (billing.APIKey, error) {
	old, err := f.byID(id)
	if err != nil {
		return old, err
	}
	if until := rotation.OldUntil; !until.IsZero() && !until.After(time.Now()) {
		ended := old
		ended.Status, ended.UsableFor = billing.APIKeyExpired, 0
		f.put(old.Hash, ended)
	}
	return f.CreateAPIKey(ctx, billing.NewAPIKey{ID: rotation.ID, Name: old.Name, Hash: rotation.Hash, Hint: rotation.Hint, Scopes: old.Scopes})
}

func (f *fakeKeys) ListAudit(_ context.Context, filter billing.AuditFilter, _ int, _ billing.AuditMark) ([]billing.AuditEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filters = append(f.filters, filter)
	return nil, nil
}

// keyFor keeps a new active key at the fake and returns its text.
func (a *api) keyFor(change func(*billing.APIKey), scopes ...billing.Scope) string {
	text, hash := httpapi.MakeKey()
	key := billing.APIKey{
		ID: billing.APIKeyID(taskID), Name: "shop", Scopes: scopes, Status: billing.APIKeyActive, CreatedAt: noon, UsableFor: fakeLife,
	}
	if change != nil {
		change(&key)
	}
	a.keys.put(hash, key)
	return text
}

func hashOf(text string) [billing.APIKeyHashBytes]byte { return sha256.Sum256([]byte(text)) }

// with calls with a bearer key.
func (a *api) with(t *testing.T, key, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return a.call(t, method, path, body, append([]string{"Authorization: Bearer " + key}, headers...)...)
}
