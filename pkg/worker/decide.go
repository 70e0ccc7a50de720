package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"billonce/pkg/billing"
)

// verdict is a settlement with what its log line and its metrics say besides.
type verdict struct {
	billing.Settlement
	merchant billing.MerchantID
	kind     billing.Kind
	target   string
	took     time.Duration
	due      time.Time       // the moment for which the task was scheduled, by this process's clock; zero unless the attempt may end it
	within   context.Context // of the attempt; nil unless it is followed
}

// decide turns what an attempt learned into what becomes of the task.
func (w *Worker) decide(claim *billing.Claim, answer billing.Answer, took time.Duration) verdict {
	if answer.Outcome == billing.OutcomeNotSent && claim.Resend {
		answer.Outcome = billing.OutcomeUnknown // not sent now says nothing of the earlier send
	}
	v := verdict{Settlement: billing.Settlement{
		ID: claim.ID, Worker: claim.Worker, Attempt: claim.Attempt, ClaimedAt: claim.ClaimedAt, Answer: answer,
		Status: statusAfter(claim, answer), Unsent: answer.Outcome == billing.OutcomeNotSent,
	}, merchant: claim.MerchantID, kind: claim.Kind, target: claim.Target, took: took}
	switch v.Status { //nolint:exhaustive // the others end the task
	case billing.Pending:
		v.Delay = w.conf.Backoff.Next(claim.Attempt-claim.Released, rand.Float64()) //nolint:gosec // spreading load needs no secrecy
	case billing.InDoubt:
		v.Delay = w.conf.LookDelays[0]
	case billing.Failed:
		v.Next = follow(claim.ID, claim.Request, claim.OnDecline, claim.Declines, answer.Reason, answer.Error, w.deps.NewTaskID)
	}
	return v
}

func statusAfter(claim *billing.Claim, answer billing.Answer) billing.Status {
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
