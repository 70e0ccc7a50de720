package billing

import "time"

// SessionHashBytes is the length of the hash by which a session is kept.
const SessionHashBytes = 32

// How long somebody stays signed in to the console.
const (
	SessionLength = 12 * time.Hour
	SessionIdle   = time.Hour // without asking for anything
)

// Session is somebody's being signed in to the console with a key. What the browser has is 256 random bits; what is kept is their
// SHA-256.
type Session struct {
	KeyID   APIKeyID              // "" for the admin key
	KeyHash [APIKeyHashBytes]byte // of an API key
	Check   []byte                // ties a session of the admin key to that key; whoever signs in knows how
}

// Actor is who acts in the session, as the audit log names it.
func (s Session) Actor() string {
	if s.KeyID == "" {
		return ActorAdmin
	}
	return string(s.KeyID)
}
