package stripesim

import (
	"encoding/hex"
	"slices"
	"time"
)

// Effect is one thing that happened to an account's objects or money. The ledger of effects only grows.
type Effect struct {
	Seq            int64     `json:"seq"` // from 1, without gaps
	Account        string    `json:"account"`
	Livemode       bool      `json:"livemode"`
	Op             string    `json:"op"`       // in the words of the contract's kinds: invoice.pay
	Object         string    `json:"object"`   // the id of what was made or changed
	Amount         int64     `json:"amount"`   // in minor units: moved, or asked for by an object that waits for its money
	Currency       string    `json:"currency"` // "" where no money is involved
	IdempotencyKey string    `json:"idempotency_key"`
	RequestID      string    `json:"request_id"` // "" for an external actor's
	At             time.Time `json:"at"`         // by the simulator's clock
}

// Request is one request as the simulator saw it, answered or not.
type Request struct {
	Seq        int64     `json:"seq"` // from 1
	At         time.Time `json:"at"`  // by the simulator's clock
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Op         string    `json:"op"`      // "" for a path that names nothing
	Account    string    `json:"account"` // whom it was for; "" where that could not be told
	Livemode   bool      `json:"livemode"`
	AuthMode   string    `json:"auth_mode"`  // [AuthPlatform], [AuthPlatformAccount], [AuthToken] or ""
	Credential string    `json:"credential"` // tells tokens apart without showing them
	Key        string    `json:"idempotency_key"`
	BodyHash   string    `json:"body_hash"` // SHA-256 of the bytes of the body, in hex; "" where it was not read
	Version    string    `json:"stripe_version"`
	Status     int       `json:"status"` // as answered; 0: no answer, or none yet
	Replayed   bool      `json:"replayed"`
	RequestID  string    `json:"request_id"`
	Fault      FaultKind `json:"fault,omitempty"` // the last fault that met it
}

// Ways of authentication, as the request log names them.
const (
	AuthPlatform        = "platform"         // the platform's key for the platform's own account
	AuthPlatformAccount = "platform_account" // the platform's key with Stripe-Account
	AuthToken           = "token"            // a merchant's own token
)

// Ledger returns all effects so far, in their order. The caller owns the slice.
func (s *Simulator) Ledger() []Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.effects)
}

// Requests returns what was received under the key, in the order of arrival; "" returns everything. The log keeps the
// newest [Config.KeepRequests].
func (s *Simulator) Requests(key string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Request{}
	for _, one := range s.requests {
		if key == "" || one.Key == key {
			found = append(found, *one)
		}
	}
	return found
}

// note adds the request to the log. The caller holds s.mu.
func (s *Simulator) note(one *Request) {
	s.received++
	one.Seq, one.At = s.received, s.now().UTC()
	s.requests = append(s.requests, one)
	if keep := s.cfg.KeepRequests; len(s.requests) > keep+keep/2 {
		s.requests = slices.Clone(s.requests[len(s.requests)-keep:])
	}
}

// record appends to the ledger. The caller holds s.mu.
func (s *Simulator) record(c *call, object record) {
	s.keys.effect(c.key)
	s.effects = append(s.effects, Effect{
		Seq: int64(len(s.effects)) + 1, Account: c.acct.tenant.account, Livemode: c.acct.live, Op: c.op, Object: object.base().ID,
		Amount: c.amount, Currency: c.currency, IdempotencyKey: c.key, RequestID: c.requestID, At: s.now().UTC(),
	})
}

func hexOf(sum [32]byte) string { return hex.EncodeToString(sum[:]) }
