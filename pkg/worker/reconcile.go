package worker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"billonce/pkg/billing"
)

const (
	lookBatch      = 50              // tasks in doubt per claim
	lookMerchants  = 4               // merchants per claim, all looked at at the same time, so that no look waits for another
	lookPollMax    = 5 * time.Second // between claims of looks
	settlePatience = 30 * time.Second

	// lastLookAfter is the least time from the first send to the last look: Stripe has pruned the key after 24 hours, events
	// that come late have come, and what it rolls forward or back after a server error has been rolled. An hour of margin is
	// for the send itself and for clocks. No setting shortens it.
	lastLookAfter = 25 * time.Hour

	// lookPatience is how long looks are tried that cannot be made. Then a person must know: somebody has to mend something, or to
	// look himself.
	lookPatience = 48 * time.Hour
)

// reconcile looks at Stripe for tasks in doubt, until ctx ends. A look only reads, so that one that is repeated, or made by
// two workers, does no harm; what it learned is written only if no other look has begun since.
func (w *Worker) reconcile(ctx context.Context) {
	pause := lookPollMax
	if first := w.conf.LookDelays[0]; first/2 < pause {
		pause = first / 2
	}
	for ctx.Err() == nil {
		if w.lookOnce(ctx) == 0 {
			wait(ctx, jitter(pause))
		}
	}
}

// lookOnce claims looks that are due, makes them merchant by merchant, and returns how many there were.
func (w *Worker) lookOnce(ctx context.Context) int {
	worker, trusted := w.lease.current()
	if !trusted {
		return 0
	}
	statement, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	doubts, err := w.deps.Doubts.ClaimLooks(statement, worker, lookBatch, lookMerchants, 2*w.conf.LookTimeout)
	if err == nil && len(doubts) > 0 {
		err = w.lookAt(ctx, statement, time.Now(), doubts)
	}
	if err != nil {
		if ctx.Err() == nil {
			w.deps.Log.WarnContext(ctx, "no looks made", slog.Any("error", err))
		}
		return 0
	}
	return len(doubts)
}

func (w *Worker) lookAt(ctx, statement context.Context, claimed time.Time, doubts []billing.Doubt) error {
	byMerchant := map[billing.MerchantID][]billing.Doubt{}
	merchants := map[billing.MerchantID]billing.MerchantVersion{}
	for _, doubt := range doubts {
		merchants[doubt.MerchantID] = ""
		byMerchant[doubt.MerchantID] = append(byMerchant[doubt.MerchantID], doubt)
	}
	opened, failed, err := w.deps.Merchants.GetMerchants(statement, merchants)
	if err != nil {
		return err // nobody looks until the claim's lease is over
	}
	var crew sync.WaitGroup
	defer crew.Wait()
	for id := range merchants {
		crew.Go(func() {
			if failed[id] != nil {
				w.pause(ctx, id, detailUnreadable)
				return
			}
			w.lookFor(ctx, claimed, opened[id], byMerchant[id])
		})
	}
	return nil
}

// lookFor looks at one merchant's doubts. Any way of authentication that reaches the account will do for reading. claimed is just
// after the moment that the database knows as the beginning of the looks; no more time has passed since by its clock.
func (w *Worker) lookFor(ctx context.Context, claimed time.Time, merchant billing.Merchant, doubts []billing.Doubt) {
	credential := billing.Credential{Auth: merchant.Auth(), Token: merchant.AccessToken, Account: merchant.StripeConnectID}
	here := doubts[:0:0]
	for _, doubt := range doubts {
		doubt.StartedAt = doubt.StartedAt.Add(time.Since(claimed))
		switch {
		case merchant.Status == billing.MerchantDisconnected || doubt.Account != merchant.StripeConnectID:
			w.settleLook(ctx, billing.LookSettlement{Doubt: doubt, Status: billing.InDoubt, Finding: unreachable(), Void: true})
		case merchant.Status == billing.MerchantActive:
			here = append(here, doubt)
		}
	}
	if len(here) == 0 {
		return
	}
	end := func(map[billing.TaskID]billing.Finding) {}
	if w.deps.Tracer != nil {
		ctx, end = w.deps.Tracer.StartLook(ctx, here)
	}
	look, cancel := context.WithTimeout(ctx, w.conf.LookTimeout)
	defer cancel()
	findings := w.look(look, here, credential)
	end(findings)
	for _, doubt := range here {
		finding, ok := findings[doubt.ID]
		if !ok {
			finding = billing.Finding{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonLookFailed}
		}
		if finding.Reason == billing.ReasonUnauthorized {
			w.refused(ctx, merchant.ID, credential.Auth, finding.Error)
		}
		w.settleLook(ctx, conclude(doubt, finding, w.conf.LookDelays, w.deps.NewTaskID))
	}
}

// unreachable is the finding where nobody can look: the merchant has left, or its account is not the one that the task was sent to.
func unreachable() billing.Finding {
	return billing.Finding{
		Outcome: billing.OutcomeUnknown, Reason: billing.ReasonLookFailed,
		Error: &billing.StripeError{Message: "The merchant is no longer connected: nobody can look for the task."},
	}
}

// look reads at Stripe. A panic on the way is a look that failed: the page behind it will be there again.
func (w *Worker) look(ctx context.Context, doubts []billing.Doubt, credential billing.Credential) (findings map[billing.TaskID]billing.Finding) {
	defer func() {
		if r := recover(); r != nil {
			w.deps.Log.ErrorContext(ctx, "panic while looking", slog.String("merchant_id", string(doubts[0].MerchantID)),
				slog.Int("tasks", len(doubts)), slog.String("panic", fmt.Sprintf("%T", r)), slog.String("stack", string(debug.Stack())))
			findings = nil
		}
	}()
	return w.deps.Gateway.Look(ctx, doubts, credential)
}

// conclude says what becomes of a task in doubt after a look.
//
// Absence becomes a proof with the last look: by then no request can be under way any more, and Stripe has had a day to roll a
// stored error forward. Where money went out to somebody, a person declares it all the same. A person is also told when looks cannot
// be made for two days.
func conclude(doubt billing.Doubt, finding billing.Finding, delays []time.Duration, newID func() (billing.TaskID, error)) billing.LookSettlement {
	settled := billing.LookSettlement{Doubt: doubt, Status: billing.InDoubt, Finding: finding}
	last := doubt.Looks >= len(delays)
	switch {
	case finding.Outcome == billing.OutcomeSucceeded:
		settled.Status = billing.Succeeded
	case finding.Outcome == billing.OutcomeRefused:
		settled.Status = billing.Failed
		settled.Next = follow(doubt.ID, doubt.Request, doubt.OnDecline, doubt.Declines, finding.Reason, finding.Error, newID)
	case finding.Reason == billing.ReasonLookFailed || finding.Reason == billing.ReasonUnauthorized:
		settled.Void = true
		if doubt.Age() <= lookPatience {
			settled.NextIn = delays[min(doubt.Looks, len(delays))-1]
		}
	case !last:
		settled.NextIn = delays[doubt.Looks]
	case doubt.Age() < lastLookAfter:
		settled.NextIn = lastLookAfter - doubt.Age()
	case finding.Absent && !doubt.Kind.MovesMoneyOut():
		settled.Status = billing.Failed
		settled.Finding.Outcome, settled.Finding.Reason = billing.OutcomeRefused, billing.ReasonAbsent
	}
	return settled
}

// settleLook writes what a look learned. If that cannot be written for a while, the look is made again later.
func (w *Worker) settleLook(ctx context.Context, settled billing.LookSettlement) {
	statement, cancel := context.WithTimeout(context.WithoutCancel(ctx), settlePatience)
	defer cancel()
	doubt := settled.Doubt
	attrs := []slog.Attr{
		slog.String("task_id", string(doubt.ID)), slog.String("merchant_id", string(doubt.MerchantID)), slog.String("kind", string(doubt.Kind)),
		slog.String("target", doubt.Target), slog.Int("attempt", doubt.Attempt), slog.Int("look", doubt.Looks), slog.String("outcome", string(settled.Finding.Outcome)),
		slog.String("reason", string(settled.Finding.Reason)), slog.String("status", string(settled.Status)),
	}
	var err error
	pause := errorPauseFirst
	for statement.Err() == nil {
		var written bool
		if written, err = w.deps.Doubts.SettleLook(statement, settled); err == nil {
			w.deps.Metrics.AttemptDone(doubt.Kind, settled.Finding.Outcome, settled.Finding.Reason, 0)
			if written && settled.Status != billing.InDoubt {
				w.deps.Metrics.TaskSettled(doubt.Kind, settled.Status, settled.Finding.Reason, doubt.StartedAt.Sub(doubt.ScheduledFor))
			}
			if !written {
				w.deps.Log.LogAttrs(ctx, slog.LevelWarn, "look discarded, the task was settled or is looked at anew", attrs...)
				return
			}
			level := slog.LevelInfo
			if settled.Status != billing.InDoubt { // which it was before
				ended := billing.OutcomeCounts{}
				ended.Add(settled.Status)
				w.tally.add(ended)
			}
			if settled.Status == billing.InDoubt && settled.NextIn == 0 {
				level = slog.LevelError // a person must decide
			}
			w.deps.Log.LogAttrs(ctx, level, "looked at Stripe", attrs...)
			return
		}
		wait(statement, jitter(pause))
		pause = min(2*pause, errorPauseMax)
	}
	w.deps.Log.LogAttrs(ctx, slog.LevelWarn, "look not written", append(attrs, slog.Any("error", err))...)
}
