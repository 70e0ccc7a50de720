package stripesim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Plan is a script that chance writes: which faults meet which share of the mutations.
//
// What meets a request depends on the seed, on its idempotency key (without one: on method and path) and on how many
// requests of that key the plan has seen, and on nothing else. The same requests therefore meet the same faults however
// they are interleaved.
type Plan struct {
	Seed uint64

	// Rates is how likely a mutation meets each kind of fault, 0 to 1, together at most 1. Besides the kinds of [FaultKind]
	// there is [RejectAuth]. A decline meets only operations that charge a card, and an external only those on an object
	// that somebody else could have changed.
	Rates map[FaultKind]float64

	Delay     time.Duration // the longest [Stall] and [SlowHeaders]: drawn from half of it upwards; 0: 1 s
	EventsLag time.Duration // the longest that the events of [ErrorKept] are held back, by the simulator's clock: drawn from 0
}

// RejectAuth is a name for [Plan.Rates] only: a [Reject] with 401 or 403. Under the name of Reject itself, plans answer 429.
const RejectAuth = "reject_auth"

const defaultPlanDelay = time.Second

var errPlan = errors.New("not a plan")

// PlanReport is what has become of a plan.
type PlanReport struct {
	Plan     *Plan             // nil: there is none
	Requests int               // mutations that it has drawn for
	Struck   map[FaultKind]int // by the names of [Plan.Rates]: those that met a request, not those drawn in vain
}

// plan is a Plan at work.
type plan struct {
	Plan
	kinds    []FaultKind // of Rates, in a fixed order
	seen     map[string]int
	requests int
	struck   map[FaultKind]int
}

// planned is the fault that a plan has in store for one request.
type planned struct {
	plan  *plan
	name  FaultKind
	fault Fault
}

// Plan lets faults strike at random, in place of an earlier plan. Scripted faults take precedence: a request that meets
// one is left alone from there on.
func (s *Simulator) Plan(p Plan) error {
	var sum float64
	for kind, rate := range p.Rates {
		if kind != RejectAuth && s.stages[kind] == nowhere {
			return fmt.Errorf("plan faults of kind %q: %w", kind, errPlan)
		}
		if !(rate >= 0 && rate <= 1) { // which NaN is not either
			return fmt.Errorf("plan %s at a rate of %v, which is not within 0 and 1: %w", kind, rate, errPlan)
		}
		sum += rate
	}
	const rounding = 1e-9
	if sum > 1+rounding {
		return fmt.Errorf("plan rates that add up to %v, more than 1: %w", sum, errPlan)
	}
	if p.Delay < 0 || p.EventsLag < 0 {
		return fmt.Errorf("plan a negative duration: %w", errPlan)
	}
	if p.Delay == 0 {
		p.Delay = defaultPlanDelay
	}
	p.Rates = maps.Clone(p.Rates)
	made := &plan{Plan: p, kinds: slices.Sorted(maps.Keys(p.Rates)), seen: make(map[string]int), struck: make(map[FaultKind]int)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = made
	return nil
}

// EndPlan ends the plan, for requests under way as well. Scripted faults stay, and what is already stalled stays so.
func (s *Simulator) EndPlan() {
	s.endPlan()
}

// endPlan reports what had become of it.
func (s *Simulator) endPlan() PlanReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	report := s.plan.report()
	s.plan = nil
	return report
}

// Planned tells what the plan is and has done so far.
func (s *Simulator) Planned() PlanReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan.report()
}

func (p *plan) report() PlanReport {
	if p == nil {
		return PlanReport{}
	}
	shown := p.Plan
	shown.Rates = maps.Clone(p.Rates)
	return PlanReport{Plan: &shown, Requests: p.requests, Struck: maps.Clone(p.struck)}
}

// drawFor says what is in store for the request; nil: nothing. The caller holds the simulator's lock.
func (p *plan) drawFor(x *exchange) *planned {
	if p == nil || x.route == nil || x.route.run == nil {
		return nil
	}
	p.requests++
	name := "key " + x.key
	if x.key == "" {
		name = "path " + x.r.Method + " " + x.r.URL.EscapedPath()
	}
	p.seen[name]++
	draw := chance(p.Seed, "plan", name, strconv.Itoa(p.seen[name]))
	at, sum := draw.Float64(), 0.0
	for _, kind := range p.kinds {
		if sum += p.Rates[kind]; at >= sum {
			continue
		}
		if f, fits := p.shape(kind, x.route.op, draw); fits {
			return &planned{plan: p, name: kind, fault: f}
		}
		return nil
	}
	return nil
}

// shape draws what a fault of this kind needs beyond its kind. It reports false where the operation knows no such fault.
func (p *plan) shape(name FaultKind, op string, draw *rand.Rand) (Fault, bool) {
	f := Fault{Kind: name}
	if name == RejectAuth {
		f.Kind, f.Status = Reject, pick(draw, http.StatusUnauthorized, http.StatusForbidden)
		return f, true
	}
	switch name {
	case EdgeBefore, EdgeAfter:
		f.Status = pick(draw, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout)
	case Reject:
		f.Status = http.StatusTooManyRequests
	case Refuse, DropBefore, DropAfter, RevokeAfter:
		f.FirstByte = draw.IntN(2) == 0
	case LockTimeout:
		f.Stored = draw.IntN(2) == 0
	case Stall, SlowHeaders:
		f.Delay = p.Delay - time.Duration(draw.Float64()*float64(p.Delay)/2)
	case ErrorKept:
		f.Delay = time.Duration(draw.Float64() * float64(p.EventsLag))
	case Decline:
		f.Code = pick(draw, "generic_decline", "insufficient_funds", "stolen_card", "expired_card", "do_not_honor", "try_again_later")
		return f, slices.Contains(chargingOps(), op)
	case External:
		others := rivals()[op]
		if len(others) == 0 {
			return f, false
		}
		f.Code = pick(draw, others...)
	case NoFault, Hang, Redirect, ErrorRolledBack, HalfBody, Garbage, RevokeBefore, CloseIdle: // have no parameters
	}
	return f, true
}

func pick[T any](draw *rand.Rand, from ...T) T { return from[draw.IntN(len(from))] }

// chargingOps are the operations that a card can decline.
func chargingOps() []string {
	return []string{
		"invoice.pay", "payment_intent.create", "payment_intent.confirm", "subscription.create", "subscription.update",
		"subscription.resume",
	}
}

// rivals are, for an operation, those that somebody else may be doing to the same object just before: the same one, or one
// that leaves it in another state.
func rivals() map[string][]string {
	return map[string][]string{
		"invoice.finalize":              {"invoice.finalize"},
		"invoice.pay":                   {"invoice.pay", "invoice.void", "invoice.mark_uncollectible"},
		"invoice.send":                  {"invoice.pay", "invoice.void"},
		"invoice.void":                  {"invoice.pay", "invoice.void"},
		"invoice.mark_uncollectible":    {"invoice.pay", "invoice.void", "invoice.mark_uncollectible"},
		"payment_intent.confirm":        {"payment_intent.confirm", "payment_intent.cancel"},
		"payment_intent.capture":        {"payment_intent.capture", "payment_intent.cancel"},
		"payment_intent.cancel":         {"payment_intent.confirm", "payment_intent.cancel"},
		"charge.capture":                {"charge.capture"},
		"refund.create":                 {"refund.create"},
		"subscription.update":           {"subscription.cancel"},
		"subscription.cancel":           {"subscription.cancel"},
		"subscription.resume":           {"subscription.resume", "subscription.cancel"},
		"subscription_schedule.update":  {"subscription_schedule.cancel", "subscription_schedule.release"},
		"subscription_schedule.cancel":  {"subscription_schedule.cancel", "subscription_schedule.release"},
		"subscription_schedule.release": {"subscription_schedule.cancel", "subscription_schedule.release"},
		"credit_note.void":              {"credit_note.void"},
		"payout.cancel":                 {"payout.cancel"},
	}
}
