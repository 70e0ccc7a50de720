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
// drain time is over. merchant is nil when there is none; failure says that its credentials do not open.
//
// What waits for Stripe waits on this goroutine's stack, thousands of times: it is to fit into 4 KiB. So what comes before and
// after the call is in functions that have returned by then, or have not begun, and claims travel as pointers.
func (w *Worker) execute(ctx, send context.Context, held *holding, merchant *billing.Merchant, failure error) {
	if !w.isClear(ctx, held, merchant, failure) {
		return
	}
	w.deps.Metrics.Started(held.Lag)
	began := time.Now()
	answer := w.send(send, held, merchant)
	w.finish(ctx, held, answer, time.Since(began))
}

// isClear reports whether a claim may be sent. One that may not has been brought to its end.
func (w *Worker) isClear(ctx context.Context, held *holding, merchant *billing.Merchant, failure error) bool {
	claim := &held.Claim
	if failure != nil {
		w.deps.Log.ErrorContext(ctx, "credentials do not open, pausing the merchant",
			slog.String("merchant_id", string(claim.MerchantID)), slog.Any("error", failure))
		w.pause(ctx, claim.MerchantID, detailUnreadable)
		w.giveBack(*claim)
		return false
	}
	if merchant == nil || merchant.Status != billing.MerchantActive || ctx.Err() != nil {
		w.giveBack(*claim)
		return false
	}
	if merchant.Auth() != claim.Auth || merchant.StripeConnectID != claim.Account {
		w.standInDoubtOrGiveBack(held, billing.ReasonCredentialChanged)
		return false
	}
	if w.isOverdue(held, time.Now()) && !w.lookFirst(ctx, held, credentialOf(held, merchant)) {
		return false
	}
	now := time.Now()
	if !w.maySend(held, now) {
		w.standInDoubtOrGiveBack(held, billing.ReasonWindowClosed)
		return false
	}
	if !w.lease.trusts(claim.Worker, now) {
		w.giveBack(*claim)
		return false
	}
	return true
}

func credentialOf(held *holding, merchant *billing.Merchant) billing.Credential {
	return billing.Credential{Auth: held.Auth, Token: merchant.AccessToken, Account: held.Account}
}

// finish hands over what became of an attempt.
func (w *Worker) finish(ctx context.Context, held *holding, answer billing.Answer, took time.Duration) {
	w.deps.Metrics.AttemptDone(held.Kind, answer.Outcome, answer.Reason, took)
	if answer.Reason == billing.ReasonUnauthorized {
		w.refused(ctx, held.MerchantID, held.Auth, answer.Error)
	}
	v := w.decide(&held.Claim, answer, took)
	v.due = held.since.Add(held.ScheduledFor.Sub(held.ClaimedAt))
	w.settle(held, &v)
}

// maySend reports whether Stripe certainly still knows the task's key, or has never heard of it. The claim itself grows old too:
// a process that was stopped after a first claim would otherwise send when another's send is a day old. A first send that lies
// in the future tells of a clock that cannot be trusted.
func (w *Worker) maySend(held *holding, now time.Time) bool {
	const clockTolerance = time.Minute
	return held.SinceSent > -clockTolerance && held.SinceSent+held.ageAt(now) < w.conf.Window
}

// send calls Stripe. A panic on the way leaves the outcome unknown.
func (w *Worker) send(ctx context.Context, held *holding, merchant *billing.Merchant) (answer billing.Answer) {
	defer func() {
		if r := recover(); r != nil {
			w.notePanic(ctx, held.ID, r)
			answer = billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnexpected}
		}
	}()
	return w.deps.Gateway.Execute(ctx, held.Claim, credentialOf(held, merchant))
}

func (w *Worker) notePanic(ctx context.Context, id billing.TaskID, r any) {
	w.deps.Log.ErrorContext(ctx, "panic while sending", slog.String("task_id", string(id)),
		slog.String("panic", fmt.Sprintf("%T", r)), slog.String("stack", string(debug.Stack())))
}

// standInDoubtOrGiveBack ends a claim that must not be sent. If an earlier attempt may have reached Stripe, nobody can
// settle the task but by looking there; otherwise the next claim begins afresh.
func (w *Worker) standInDoubtOrGiveBack(held *holding, reason billing.Reason) {
	if !held.Resend {
		w.giveBack(held.Claim)
		return
	}
	w.deps.Metrics.AttemptDone(held.Kind, billing.OutcomeUnknown, reason, 0)
	v := w.decide(&held.Claim, billing.Answer{Outcome: billing.OutcomeUnknown, Reason: reason, Final: true}, 0)
	w.settle(held, &v)
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
	w.flight.forget(claims)
}

// What is shown of a merchant that the worker had to pause.
const (
	detailUnreadable = "The stored token does not open: the worker does not hold its key, or it is not what was stored for this merchant. The log says which. Give the worker the key, or store the token anew, then resume the merchant."
	detailRefused    = "Stripe no longer accepts the merchant's credentials, or access was revoked. Connect the merchant anew, then resume it."
)

// statusForbidden is Stripe's answer when the platform's key is good and the account is not connected to it.
const statusForbidden = 403

// refused deals with credentials that Stripe does not accept. The platform's own key is the operator's to mend: no merchant is
// paused for it, and the tasks are tried again after a while.
func (w *Worker) refused(ctx context.Context, id billing.MerchantID, auth billing.AuthMode, answer *billing.StripeError) {
	if auth == billing.AuthPlatform && (answer == nil || answer.HTTPStatus != statusForbidden) {
		w.deps.Log.ErrorContext(ctx, "Stripe does not accept STRIPE_SECRET_KEY, or there is none", slog.String("merchant_id", string(id)))
		return
	}
	w.pause(ctx, id, detailRefused)
}

func (w *Worker) pause(ctx context.Context, id billing.MerchantID, detail string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_, err := w.deps.Merchants.PauseMerchant(ctx, id, billing.PauseNeedsReauth, detail)
	if err != nil && billing.CodeOf(err) != billing.CodeConflict { // a disconnected merchant is held anyway
		w.deps.Log.ErrorContext(ctx, "merchant not paused", slog.String("merchant_id", string(id)), slog.Any("error", err))
		return
	}
	w.deps.Log.WarnContext(ctx, "merchant paused", slog.String("merchant_id", string(id)),
		slog.String("pause_reason", string(billing.PauseNeedsReauth)), slog.String("pause_detail", detail))
}
