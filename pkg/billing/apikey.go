package billing

import (
	"slices"
	"time"
)

// APIKeyID names an API key without being it: a UUIDv7 in canonical lower-case form.
type APIKeyID string

// ParseAPIKeyID accepts the canonical form only, in either case of its letters. The error has code [CodeNotFound].
func ParseAPIKeyID(text string) (APIKeyID, error) {
	id, ok := canonicalUUID(text)
	if !ok {
		return "", &Error{Code: CodeNotFound, Message: "no such API key"}
	}
	return APIKeyID(id), nil
}

// Scope is one thing that a key allows.
type Scope string

// The scopes. Writing does not include reading; admin includes everything, because whoever may make keys could make one that does.
const (
	ScopeTasksRead      Scope = "tasks:read"
	ScopeTasksWrite     Scope = "tasks:write"
	ScopeMerchantsRead  Scope = "merchants:read"
	ScopeMerchantsWrite Scope = "merchants:write"
	ScopeAdmin          Scope = "admin"
)

var scopes = []Scope{ScopeTasksRead, ScopeTasksWrite, ScopeMerchantsRead, ScopeMerchantsWrite, ScopeAdmin}

// Scopes returns every scope. The caller owns the slice.
func Scopes() []Scope { return slices.Clone(scopes) }

// Known reports whether s is one of the scopes.
func (s Scope) Known() bool { return slices.Contains(scopes, s) }

// APIKeyHashBytes is the length of the hash by which a key is kept.
const APIKeyHashBytes = 32

// NewAPIKey is a key to be kept. The key itself is not in it: what is kept is its SHA-256.
type NewAPIKey struct {
	ID         APIKeyID
	Name       string
	Hash       [APIKeyHashBytes]byte
	Hint       string // the beginning of the key, to tell keys apart
	Scopes     []Scope
	MerchantID MerchantID // "": every merchant
	ExpiresAt  time.Time  // zero: never
}

// APIKeyStatus says whether a key opens anything.
type APIKeyStatus string

// The statuses of a key.
const (
	APIKeyActive  APIKeyStatus = "active"
	APIKeyExpired APIKeyStatus = "expired"
	APIKeyRevoked APIKeyStatus = "revoked"
)

// APIKey is a key as it is kept.
type APIKey struct {
	ID         APIKeyID
	Name       string
	Hash       [APIKeyHashBytes]byte
	Hint       string
	Scopes     []Scope
	MerchantID MerchantID // "": every merchant
	Status     APIKeyStatus
	CreatedAt  time.Time
	CreatedBy  string // the actor
	ExpiresAt  *time.Time
	LastUsedAt *time.Time // may be some seconds behind
	RevokedAt  *time.Time
	ReplacedBy APIKeyID      // "" unless rotated
	UsableFor  time.Duration // from the moment of reading, by the database's clock; 0: not any more
}

// Allows reports whether the key's scopes include the wanted one.
func (k APIKey) Allows(wanted Scope) bool {
	return wanted != "" && (slices.Contains(k.Scopes, wanted) || slices.Contains(k.Scopes, ScopeAdmin))
}

// APIKeyFilter narrows a list; empty fields match everything.
type APIKeyFilter struct {
	MerchantID MerchantID
}

// How long a rotated key may go on beside its successor.
const (
	DefaultKeyOverlap = 24 * time.Hour
	MaxKeyOverlap     = 90 * 24 * time.Hour
)

// Rotation replaces a key by one with the same name, scopes and merchant.
type Rotation struct {
	ID        APIKeyID // of the new key
	Hash      [APIKeyHashBytes]byte
	Hint      string
	OldUntil  time.Time // when the old key ends; zero: after DefaultKeyOverlap
	ExpiresAt time.Time // of the new key; zero: it lives as long as the old one was to
}

// KeyUse says how long ago a key was used last.
type KeyUse struct {
	ID  APIKeyID
	Ago time.Duration
}
