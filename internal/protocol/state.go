package protocol

import "billonce/pkg/billing"

// Rules are what the protocol rests on. Each can be taken away.
type Rules struct {
	Fencing     bool // a write names the status, worker and attempt that it expects
	Window      bool // nothing is sent once Stripe may forget the key
	Sticky      bool // an unknown outcome is not settled by an answer that does not speak of it
	OneKey      bool // every send of a task has the same key
	SentFirst   bool // first_sent_at is durable before the first byte
	LateAbsence bool // absence is believed only a day after the first send
	Whole       bool // absence is seen only where everything was read that could tell of an effect
	Explained   bool // another's hand is seen only where an event of another's request explains the object's state
	Lease       bool // a worker that may have been declared dead sends nothing
}

// AllRules are the rules as they hold in the product.
func AllRules() Rules {
	return Rules{Fencing: true, Window: true, Sticky: true, OneKey: true, SentFirst: true, LateAbsence: true, Whole: true, Explained: true, Lease: true}
}

// maxAttempts is the task's max_attempts: two sends and one more, so that an answer of the first can come after the second.
const maxAttempts = 3

// The hours since first_sent_at that make a difference.
const (
	inWindow   uint8 = iota // under 23 h
	pastWindow              // Stripe still knows the key
	pruned                  // over 24 h: the key may be used anew
	late                    // over 25 h: what Stripe rolls forward or back has been rolled
)

// What Stripe holds under the key.
const (
	nothing uint8 = iota
	executing
	storedDone
	storedDecline
	storedInvalid
	storedError
)

// Phases of a worker.
const (
	idle    uint8 = iota
	holding       // has a claim, has sent nothing
	waiting       // has sent, has no answer
	judged        // knows what to write
	looking       // has claimed a look
	seeing        // knows what the look saw
)

// Places of a worker's request.
const (
	gone  uint8 = iota // answered, lost, or never made
	onWay              // Stripe has not seen it yet
)

// worker is one of two processes.
type worker struct {
	phase  uint8
	token  bool  // the row still carries the claim's status, worker and attempt
	lapsed bool  // another worker has declared this one dead
	resend bool  // an earlier send may have reached Stripe
	last   bool  // max_attempts is reached
	late   bool  // the look began late enough
	at     uint8 // of the request
	proof  Proof
	saw    Sight
}

// state is everything. Workers are counted from 0; owner and executor are a worker's number plus one.
type state struct {
	status billing.Status
	person bool  // in doubt, and no further look is made
	sent   bool  // first_sent_at is set
	first  bool  // first_sent_at was set by the present claim
	owner  uint8 // 0: nobody; dead: a process that is no more
	tries  uint8 // attempts that count, at most maxAttempts
	hours  uint8
	work   [2]worker

	adrift   uint8 // requests of nobody, on their way
	record   uint8
	executor uint8 // whose request is being carried out; dead: nobody's
	rolls    bool  // a stored error without effect may still be rolled forward
	taken    bool  // somebody else has done what the task asks for: it can happen once
	effects  uint8 // at most 2
}

const dead = 3

// lie returns what is wrong in a state, "" if nothing.
func (s state) lie() string {
	onTheWay := s.record == executing || s.adrift > 0
	for _, w := range s.work {
		onTheWay = onTheWay || w.phase == waiting && w.at == onWay
	}
	switch {
	case s.effects > 1:
		return "two effects"
	case s.status == billing.Succeeded && s.effects == 0:
		return "succeeded without an effect"
	case s.status == billing.Failed && s.effects > 0:
		return "failed with an effect"
	case s.status == billing.Canceled && s.effects > 0:
		return "canceled with an effect"
	case s.status == billing.Pending && !s.sent && (s.effects > 0 || onTheWay):
		return "nothing sent, they say, and something was"
	}
	return ""
}

// ended reports whether nothing is left to do but a person's decision.
func (s state) ended() bool { return s.status.Terminal() || s.person }
