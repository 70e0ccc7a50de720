package worker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"billonce/pkg/billing"
)

// execute takes one claim to its end: given back, or sent and settled. ctx ends when the worker drains, send when the
// drain time is over.
func (w *Worker) execute(ctx, send context.Context, held holding, merchant billing.Merchant, known bool, failure error) {
	claim := held.Claim
	if failure != nil {
		w.deps.Log.ErrorContext(ctx, "credentials do not open, pausing the merchant",
			slog.String("merchant_id", string(claim.MerchantID)), slog.Any("error", failure))
		w.pause(claim.MerchantID, billing.PauseNeedsReauth)
		w.giveBack(claim)
		return
	}
	if !known || merchant.Status != billing.MerchantActive || ctx.Err() != nil {
		w.giveBack(claim)
		return
	}
	if merchant.Auth() != claim.Auth || merchant.StripeConnectID != claim.Account {
		w.standInDoubtOrGiveBack(held, billing.ReasonCredentialChanged)
		return
	}
	if claim.Resend && claim.SinceSent+time.Since(held.since) >= w.conf.Window {
		w.standInDoubtOrGiveBack(held, billing.ReasonWindowClosed)
		return
	}
	if !w.lease.trusts(claim.Worker) {
		w.giveBack(claim)
		return
	}
	w.deps.Metrics.Started(claim.Lag)
	began := time.Now()
	answer := w.send(send, claim, billing.Credential{Auth: claim.Auth, Token: merchant.AccessToken, Account: claim.Account})
	took := time.Since(began)
	w.deps.Metrics.AttemptDone(claim.Kind, answer.Outcome, answer.Reason, took)
	if answer.Reason == billing.ReasonUnauthorized {
		w.pause(claim.MerchantID, billing.PauseNeedsReauth)
	}
	w.settler.settle(decide(held, answer, w.conf.Backoff, took))
}

// send calls Stripe. A panic on the way leaves the outcome unknown.
func (w *Worker) send(ctx context.Context, claim billing.Claim, credential billing.Credential) (answer billing.Answer) {
	defer func() {
		if r := recover(); r != nil {
			w.deps.Log.ErrorContext(ctx, "panic while sending", slog.String("task_id", string(claim.ID)),
				slog.String("panic", fmt.Sprintf("%T", r)), slog.String("stack", string(debug.Stack())))
			answer = billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnexpected}
		}
	}()
	return w.deps.Gateway.Execute(ctx, claim, credential)
}

// standInDoubtOrGiveBack ends a claim that must not be sent. If an earlier attempt may have reached Stripe, nobody can
// settle the task but by looking there; otherwise the next claim begins afresh.
func (w *Worker) standInDoubtOrGiveBack(held holding, reason billing.Reason) {
	if !held.Resend {
		w.giveBack(held.Claim)
		return
	}
	w.deps.Metrics.AttemptDone(held.Kind, billing.OutcomeUnknown, reason, 0)
	w.settler.settle(decide(held, billing.Answer{Outcome: billing.OutcomeUnknown, Reason: reason, Final: true}, w.conf.Backoff, 0))
}

// giveBack returns claims that were not sent. If the database does not answer for a while, they are forgotten here, and the
// claim loop recovers them later.
func (w *Worker) giveBack(claims ...billing.Claim) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	pause := errorPauseFirst
	for {
		err := w.deps.Queue.Release(ctx, claims)
		if err == nil {
			break
		}
		w.deps.Log.WarnContext(ctx, "tasks not released", slog.Int("tasks", len(claims)), slog.Any("error", err))
		wait(ctx, jitter(pause))
		pause = min(2*pause, errorPauseMax)
		if ctx.Err() != nil {
			break
		}
	}
	for _, claim := range claims {
		w.flight.remove(claim.ID, claim.Attempt)
	}
}

func (w *Worker) pause(id billing.MerchantID, reason billing.PauseReason) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	_, err := w.deps.Merchants.PauseMerchant(ctx, id, reason)
	if err != nil && billing.CodeOf(err) != billing.CodeConflict { // a disconnected merchant is held anyway
		w.deps.Log.ErrorContext(ctx, "merchant not paused", slog.String("merchant_id", string(id)), slog.Any("error", err))
		return
	}
	w.deps.Log.WarnContext(ctx, "merchant paused", slog.String("merchant_id", string(id)), slog.String("pause_reason", string(reason)))
}
