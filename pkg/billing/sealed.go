package billing

import "errors"

// Place is where a sealed text is stored, and all that tells it from any other place.
type Place struct{ Table, Column, Row string }

// Sealed is a sealed text as a row holds it.
type Sealed struct {
	Text    string // iv:authTag:encryptedContent
	KeyID   string // of the key that sealed it; "" if a release before key ids wrote it
	Binding []byte // of the text to its place and key; nil if a release before bindings wrote it
}

// What can be wrong with a sealed text beside its content.
var (
	// ErrKeyAbsent says that the key that sealed it is not held here.
	ErrKeyAbsent = errors.New("the key that sealed it is not held")
	// ErrMisplaced says that it is not what was stored at its place under its key: it was moved, replaced or rolled back.
	ErrMisplaced = errors.New("it is not bound to its place and key")
	// ErrUnbound says that it is bound to no place, where a binding is demanded.
	ErrUnbound = errors.New("it is bound to no place")
)

// TokenFault says in one word why a stored token was refused.
type TokenFault string

// The faults.
const (
	TokenKeyAbsent  TokenFault = "key_absent"
	TokenMisplaced  TokenFault = "misplaced"
	TokenUnbound    TokenFault = "unbound"
	TokenUnreadable TokenFault = "unreadable" // changed, or sealed by a key that nobody named
)

// TokenFaults returns every fault.
func TokenFaults() []TokenFault {
	return []TokenFault{TokenKeyAbsent, TokenMisplaced, TokenUnbound, TokenUnreadable}
}

// TokenFaultOf returns the fault that an error of opening a token tells.
func TokenFaultOf(err error) TokenFault {
	switch {
	case errors.Is(err, ErrKeyAbsent):
		return TokenKeyAbsent
	case errors.Is(err, ErrMisplaced):
		return TokenMisplaced
	case errors.Is(err, ErrUnbound):
		return TokenUnbound
	}
	return TokenUnreadable
}

// How often one key may seal: beyond most, two IVs may come to be equal (NIST SP 800-38D allows 2^32 random ones). From many on
// somebody is told: a quarter of the way leaves time for a rotation, however fast it went so far.
const (
	SealingsMany = int64(1) << 30
	SealingsMost = int64(1) << 32
)
