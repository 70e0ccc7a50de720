package stripesim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// FaultKind says what goes wrong, and where on the request's way.
type FaultKind string

// The faults, in the order in which a request can meet them.
const (
	Refuse           FaultKind = "refuse"            // the connection is reset before the body is read
	Hang             FaultKind = "hang"              // no answer until the client gives up; no effect
	EdgeBefore       FaultKind = "edge_before"       // an HTML page with Status (502, 503, 504), no effect
	Redirect         FaultKind = "redirect"          // 302 to another path of this host, no effect
	DropBefore       FaultKind = "drop_before"       // read, then the connection is dropped; the key stays free
	RevokeBefore     FaultKind = "revoke_before"     // the credential is revoked just before: 401 or 403, from now on; the key stays free
	Reject           FaultKind = "reject"            // 401, 403 or 429 (Status), before the key is looked at
	Stall            FaultKind = "stall"             // the key is taken, then nothing for Delay (or, with Hold, until released), then the effect, whether or not the client still waits
	LockTimeout      FaultKind = "lock_timeout"      // 429 lock_timeout; Stored keeps it under the key
	Decline          FaultKind = "decline"           // 402 with Code, kept under the key
	External         FaultKind = "external"          // somebody else does Op to the same object just before
	ErrorRolledBack  FaultKind = "error_rolled_back" // 500, kept under the key; no effect
	ErrorKept        FaultKind = "error_kept"        // 500, kept under the key; the effect stands; its events are listed Delay later
	EdgeAfter        FaultKind = "edge_after"        // an HTML page with Status (502, 503, 504); the effect stands
	DropAfter        FaultKind = "drop_after"        // the effect stands; the connection is dropped before any byte
	RevokeAfter      FaultKind = "revoke_after"      // as DropAfter, and the credential is revoked: a second send finds 401 or 403
	HalfBody         FaultKind = "half_body"         // the effect stands; status, headers and half of the body
	Garbage          FaultKind = "garbage"           // the effect stands; 200 with a body that is not JSON, this once
	SlowHeaders      FaultKind = "slow_headers"      // the effect stands; the answer comes Delay later
	CloseIdle        FaultKind = "close_idle"        // a whole answer, after which the connection dies though it was to be kept alive
	NoFault          FaultKind = ""
	allMutations               = ""
	anyOp                      = "*"
	defaultEdge                = http.StatusBadGateway
	defaultRejection           = http.StatusTooManyRequests
)

// Fault is one entry of the script. It applies to the requests that Op, Key and Account select, and that reach the point
// where it strikes.
//
// A credential is revoked as [Simulator.RevokeToken] does it, or, if it is the platform's key for an account, as
// [Simulator.Revoke] does.
//
// Go's net/http sends a request with an Idempotency-Key a second time, unasked, when a connection that had served before
// dies without a byte. The faults that drop the connection are masked that way, unless the client keeps no connections
// alive or the fault sends FirstByte: count effects in the ledger, never requests.
type Fault struct {
	Kind    FaultKind
	Op      string // as in the ledger; "": every mutation; "*": reads as well
	Key     string // "": any
	Account string // "": any

	Nth   int     // from which matching request on it strikes, from 1; 0: the first
	Times int     // how often it strikes; 0: once, or without end if Rate is set; negative: without end
	Rate  float64 // how likely it strikes each time, 0 to 1; 0: always

	Status    int           // for Reject, EdgeBefore and EdgeAfter
	Code      string        // Decline: the decline code; Reject: the error code; External: the operation, as invoice.pay
	Delay     time.Duration // Stall and SlowHeaders; of events for ErrorKept
	Hold      bool          // Stall until [Simulator.Release]
	Stored    bool          // LockTimeout
	FirstByte bool          // Refuse, DropBefore, DropAfter and RevokeAfter send one byte before they drop
}

// scripted is a fault and how far it has come.
type scripted struct {
	Fault
	seen, struck int
}

var (
	errFault       = errors.New("no such fault")
	errNotUnderWay = errors.New("no payment of it is under way")
)

// Script adds faults. Where several match, the first one added strikes.
func (s *Simulator) Script(faults ...Fault) error {
	added := make([]*scripted, 0, len(faults))
	for _, f := range faults {
		if stages()[f.Kind] == nowhere {
			return fmt.Errorf("script a fault of kind %q: %w", f.Kind, errFault)
		}
		if e := s.byOp[f.Code]; f.Kind == External && (e == nil || e.run == nil) {
			return fmt.Errorf("script an external %q: %w", f.Code, errFault)
		}
		if f.Op != allMutations && f.Op != anyOp && s.byOp[f.Op] == nil {
			return fmt.Errorf("script a fault of operation %q: %w", f.Op, errFault)
		}
		if f.Rate < 0 || f.Rate > 1 {
			return fmt.Errorf("script a fault with rate %v: %w", f.Rate, errFault)
		}
		if f.Times == 0 {
			f.Times = 1
			if f.Rate > 0 {
				f.Times = -1
			}
		}
		added = append(added, &scripted{Fault: f})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, added...)
	return nil
}

// ClearFaults ends all scripted faults. What is already stalled stays so.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// stage is a point on a request's way where faults strike.
type stage int

const (
	nowhere    stage = iota
	atEdge           // before the body is read
	afterRead        // before authentication
	atLimiter        // after authentication, before the key
	whileBusy        // the key is taken, nothing is done yet
	executing        // with the objects at hand
	responding       // with the answer at hand
)

func stages() map[FaultKind]stage {
	return map[FaultKind]stage{
		NoFault: nowhere, Refuse: atEdge, Hang: atEdge, EdgeBefore: atEdge, Redirect: atEdge, DropBefore: afterRead, RevokeBefore: afterRead, Reject: atLimiter,
		Stall: whileBusy, LockTimeout: executing, Decline: executing, External: executing, ErrorRolledBack: executing,
		ErrorKept: executing, EdgeAfter: responding, DropAfter: responding, HalfBody: responding, Garbage: responding,
		SlowHeaders: responding, RevokeAfter: responding, CloseIdle: responding,
	}
}

// strike returns the fault, scripted or else planned, that meets the request at this point, if any, and marks it in the log. The caller holds s.mu.
func (s *Simulator) strike(at stage, x *exchange) *Fault {
	for _, f := range s.faults {
		if s.stages[f.Kind] != at || !f.selects(x) {
			continue
		}
		f.seen++
		if f.seen < f.Nth || f.Times >= 0 && f.struck >= f.Times || f.Rate > 0 && s.random.Float64() >= f.Rate {
			continue
		}
		f.struck++
		x.planned = nil
		s.met(x, f.Kind)
		s.faults = slices.DeleteFunc(s.faults, func(one *scripted) bool { return one.Times >= 0 && one.struck >= one.Times })
		return &f.Fault
	}
	p := x.planned
	if p == nil || p.plan != s.plan || s.stages[p.fault.Kind] != at {
		return nil
	}
	x.planned = nil
	p.plan.struck[p.name]++
	s.met(x, p.fault.Kind)
	return &p.fault
}

// met notes that the fault has struck the request.
func (s *Simulator) met(x *exchange, kind FaultKind) {
	x.log.Fault = kind
	s.keys.struck(x.key, kind)
}

func (f *scripted) selects(x *exchange) bool {
	switch {
	case f.Key != "" && f.Key != x.key, f.Account != "" && f.Account != x.who.account:
		return false
	case f.Op == anyOp:
		return true
	case f.Op == allMutations:
		return x.route != nil && x.route.run != nil
	}
	return x.route != nil && x.route.op == f.Op
}
