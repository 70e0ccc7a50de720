package protocol

import "billonce/pkg/billing"

// Answer is what one send may come back with, as far as it matters for what is proven.
type Answer uint8

// The answers. "Again" marks those that Stripe gives from its record of the key (Idempotent-Replayed).
const (
	NoAnswer         Answer = iota // the connection broke, or the time ran out
	NotReached                     // no connection was made
	Limited                        // 429 of the limiter, which stands before everything
	Unauthorized                   // 401
	Invalid                        // 400, which does not say when it was decided
	InvalidAgain                   // the stored 400
	InProgress                     // 409: another send under the key is being carried out
	Done                           // 200
	DoneAgain                      // the stored 200
	Declined                       // 402
	DeclinedAgain                  // the stored 402
	ServerError                    // 500
	ServerErrorAgain               // the stored 500
	answers
)

// Answers returns every answer.
func Answers() []Answer {
	all := make([]Answer, 0, answers)
	for answer := range answers {
		all = append(all, answer)
	}
	return all
}

// Proof is what an answer proves of a task.
type Proof struct {
	Outcome billing.Outcome
	Final   bool // another send under the key brings the same
	Auth    bool // the credentials are at fault
}

// Proves says what an answer proves. resend is true when an earlier send may have reached Stripe: an answer that was given before
// Stripe looked into its record then proves nothing.
func Proves(answer Answer, resend bool) Proof {
	proof := Proof{Outcome: billing.OutcomeUnknown}
	switch answer {
	case NotReached, Limited, Unauthorized:
		proof.Outcome, proof.Auth = billing.OutcomeNotSent, answer == Unauthorized
	case Done, DoneAgain:
		return Proof{Outcome: billing.OutcomeSucceeded}
	case Declined, DeclinedAgain, InvalidAgain:
		return Proof{Outcome: billing.OutcomeRefused}
	case Invalid:
		proof.Outcome = billing.OutcomeRefused
	case ServerErrorAgain:
		proof.Final = true
	case NoAnswer, InProgress, ServerError, answers:
	}
	if resend {
		proof.Outcome = billing.OutcomeUnknown
	}
	return proof
}

// Becomes says what becomes of a running task after an attempt.
func Becomes(proof Proof, exhausted bool) billing.Status {
	last := proof.Final || exhausted
	switch {
	case proof.Outcome == billing.OutcomeSucceeded:
		return billing.Succeeded
	case proof.Outcome == billing.OutcomeRefused:
		return billing.Failed
	case proof.Auth || !last:
		return billing.Pending
	case proof.Outcome == billing.OutcomeNotSent:
		return billing.Failed
	}
	return billing.InDoubt
}

// Sight is what one look at Stripe saw.
type Sight uint8

// The sights.
const (
	Unreadable Sight = iota // Stripe could not be read
	Unclear                 // the object is as asked for, and nothing tells by whose hand
	Partial                 // no effect was seen, and not everything was read
	Absence                 // everything was read, and there is no effect
	Another                 // the object is as asked for, by the hand of another, of whom an event tells
	Decline                 // the payment was refused under the task's key
	Effect                  // the task's own effect
	sights
)

// Sights returns every sight.
func Sights() []Sight {
	all := make([]Sight, 0, sights)
	for sight := range sights {
		all = append(all, sight)
	}
	return all
}

// Concludes says what becomes of a task in doubt after a look; late means that the look began after the day in which something
// can still happen under the key, and over that looks are given up that cannot be made. person is true when no further look is made.
func Concludes(saw Sight, late, over bool) (status billing.Status, person bool) {
	switch {
	case saw == Effect:
		return billing.Succeeded, false
	case saw == Decline, saw == Another, saw == Absence && late:
		return billing.Failed, false
	case saw == Unreadable:
		return billing.InDoubt, over
	}
	return billing.InDoubt, late
}
