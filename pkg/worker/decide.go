package worker

import (
	"math/rand/v2"
	"time"

	"billonce/pkg/billing"
)

// verdict is a settlement with what its log line says besides.
type verdict struct {
	billing.Settlement
	claim billing.Claim
	took  time.Duration
}

// decide turns what an attempt learned into what becomes of the task.
func (w *Worker) decide(held holding, answer billing.Answer, took time.Duration) verdict {
	claim := held.Claim
	if answer.Outcome == billing.OutcomeNotSent && claim.Resend {
		answer.Outcome = billing.OutcomeUnknown // not sent now says nothing of the earlier send
	}
	settlement := billing.Settlement{
		ID: claim.ID, Worker: claim.Worker, Attempt: claim.Attempt, ClaimedAt: claim.ClaimedAt, Answer: answer,
		Status: statusAfter(claim, answer), Unsent: answer.Outcome == billing.OutcomeNotSent,
	}
	switch settlement.Status { //nolint:exhaustive // the others end the task
	case billing.Pending:
		settlement.Delay = w.conf.Backoff.Next(claim.Attempt-claim.Released, rand.Float64()) //nolint:gosec // spreading load needs no secrecy
	case billing.InDoubt:
		settlement.Delay = w.conf.LookDelays[0]
	case billing.Failed:
		settlement.Next = follow(claim.ID, claim.Request, claim.OnDecline, claim.Declines, answer.Reason, answer.Error, w.deps.NewTaskID)
	}
	return verdict{Settlement: settlement, claim: claim, took: took}
}

func statusAfter(claim billing.Claim, answer billing.Answer) billing.Status {
	switch answer.Outcome {
	case billing.OutcomeSucceeded:
		return billing.Succeeded
	case billing.OutcomeRefused:
		return billing.Failed
	case billing.OutcomeNotSent:
		switch {
		case answer.Reason == billing.ReasonUnauthorized:
			return billing.Pending // the merchant's fault is not the task's: it waits, however often
		case answer.Final || claim.Exhausted():
			return billing.Failed
		}
		return billing.Pending
	case billing.OutcomeUnknown:
		if answer.Reason == billing.ReasonUnauthorized {
			return billing.Pending // until the credentials are mended, or the window closes
		}
		if answer.Final || claim.Exhausted() {
			return billing.InDoubt
		}
		return billing.Pending
	}
	return billing.InDoubt
}
