package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"billonce/pkg/billing"
)

// isOverdue reports whether a task that was never sent, as far as the database knows, is so late that Stripe may have forgotten a
// key that was used at its time. Nearly always it waited for its merchant, or for a worker. But the database may also have been
// restored from a backup that is older than the send.
func (w *Worker) isOverdue(held *holding, now time.Time) bool {
	return !held.Resend && held.ClaimedAt.Sub(held.ScheduledFor)+held.ageAt(now) >= w.conf.Window
}

// lookFirst reads at Stripe whether an overdue task has been carried out before, and reports whether it may be sent. If it may not,
// the claim is settled: for another try when Stripe cannot be read, in doubt when there is any trace, or no try left.
func (w *Worker) lookFirst(ctx context.Context, held *holding, credential billing.Credential) bool {
	claim := &held.Claim
	look, cancel := context.WithTimeout(ctx, w.conf.LookTimeout)
	defer cancel()
	finding, looked := w.look(look, []billing.Doubt{{
		ID: claim.ID, MerchantID: claim.MerchantID, Kind: claim.Kind, Target: claim.Target, Request: claim.Request, Auth: claim.Auth,
		Account: claim.Account, FirstSentAt: claim.ScheduledFor, StartedAt: claim.ClaimedAt.Add(elapsed(held.since, time.Now())), Worker: claim.Worker, Attempt: claim.Attempt,
	}}, credential)[claim.ID]
	if !looked {
		finding.Reason = billing.ReasonLookFailed
	}
	if finding.Clean {
		return true
	}
	if ctx.Err() != nil {
		w.giveBack(*claim)
		return false
	}
	if finding.Reason == billing.ReasonUnauthorized {
		w.refused(ctx, claim.MerchantID, claim.Auth, finding.Error)
	}
	settlement := billing.Settlement{ID: claim.ID, Worker: claim.Worker, Attempt: claim.Attempt, ClaimedAt: claim.ClaimedAt}
	switch {
	case finding.Reason == billing.ReasonUnauthorized, finding.Reason == billing.ReasonLookFailed && !claim.Exhausted():
		settlement.Status, settlement.Unsent = billing.Pending, true
		settlement.Delay = w.conf.Backoff.Next(claim.Attempt-claim.Released, rand.Float64()) //nolint:gosec // spreading load needs no secrecy
		settlement.Answer = billing.Answer{Outcome: billing.OutcomeNotSent, Reason: finding.Reason, Error: finding.Error}
	default:
		w.deps.Log.WarnContext(ctx, "an overdue task may have been carried out before", slog.String("task_id", string(claim.ID)))
		settlement.Status, settlement.SentEarlier, settlement.Delay = billing.InDoubt, true, w.conf.LookDelays[0]
		settlement.Answer = billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonWindowClosed, Final: true, Error: finding.Error}
	}
	w.deps.Metrics.AttemptDone(claim.Kind, settlement.Answer.Outcome, settlement.Answer.Reason, 0)
	w.settle(held, &verdict{Settlement: settlement, merchant: claim.MerchantID, kind: claim.Kind, target: claim.Target})
	return false
}
