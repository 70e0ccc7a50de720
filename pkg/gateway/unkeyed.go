package gateway

import (
	"context"
	"net/http"
	"time"

	"billonce/pkg/billing"
)

// executeUnkeyed cancels a subscription. Stripe ignores the idempotency key on DELETE, so a repeated DELETE is judged anew
// and finds nothing to cancel: the 404 of a re-send may well be the trace of our own success. The subscription's state
// decides then, and Stripe's events.
func (g *Gateway) executeUnkeyed(ctx context.Context, claim billing.Claim, who identity) billing.Answer {
	began := time.Now() //nolint:forbidigo // to compare clocks
	seen := g.mutate(ctx, g.unkeyed, &claim, who)
	if !isGone(seen) {
		return classify(seen, claim.Resend)
	}
	now := claim.ClaimedAt.Add(time.Since(began))
	if claim.Resend {
		return g.settleGoneByEvents(ctx, claim, seen, now, &look{gateway: g, who: who})
	}
	looked := g.read(ctx, reading(claim.Request.Path, claim.Request.APIVersion), who)
	given := settleGone(seen, looked)
	if given.Reason == billing.ReasonSatisfied && !endedBefore(looked, claim.ScheduledFor, claim.ClaimedAt, began) {
		return g.settleGoneByEvents(ctx, claim, seen, now, &look{gateway: g, who: who, first: true})
	}
	return given
}

// endedBefore reports whether a subscription was certainly canceled before the task's time, when nothing can have been sent yet.
// After that time, an earlier life of the database may have sent the very same DELETE.
func endedBefore(looked observation, scheduled, claimed, began time.Time) bool {
	found, _ := readAnswer(looked.body)
	behind, compared := clockBehind(claimed, looked.heard.Sub(began), looked.at)
	return compared && behind <= clockMargin && found.CanceledAt != 0 && time.Unix(found.CanceledAt, 0).Before(scheduled.Add(-clockMargin))
}

// isGone reports whether Stripe itself says that there is nothing to delete.
func isGone(seen observation) bool {
	_, fromStripe := readRefusal(seen.body)
	return seen.status == http.StatusNotFound && fromStripe && !seen.cut
}

// settleGone decides what a 404 to the first DELETE of a task means, by the subscription. The request went out once, on a
// connection of its own, and Stripe found none to cancel, so it was not this request that canceled it. What remains is to tell a
// subscription that was canceled from one that never was.
func settleGone(deleted, looked observation) billing.Answer {
	gone, _ := readRefusal(deleted.body)
	refused, fromStripe := readRefusal(looked.body)
	found, readable := readAnswer(looked.body)
	// The look failed, for whatever reason; the next attempt looks again.
	proven := verdict{outcome: billing.OutcomeUnknown, reason: judge(looked, refused, fromStripe && !looked.cut).reason}
	switch {
	case looked.cut:
	case looked.status == http.StatusOK && readable && isEnded(found):
		proven = verdict{outcome: billing.OutcomeRefused, reason: billing.ReasonSatisfied}
	case looked.status == http.StatusNotFound && fromStripe:
		proven = verdict{outcome: billing.OutcomeRefused, reason: billing.ReasonInvalid}
	case looked.status == http.StatusOK && readable:
		// Gone to the one, there to the other: the answers contradict each other.
		proven.reason = billing.ReasonUnexpected
	}
	return answer(proven, deleted, gone)
}

// settleGoneByEvents decides what a 404 means when a DELETE of this task may have gone out before, in this life of the database or
// in an earlier one: that one may have canceled the subscription, or somebody else. What Stripe's events and the subscription tell now is all that another
// send could bring out; if that is not enough, the task is in doubt and is looked at again later.
func (g *Gateway) settleGoneByEvents(ctx context.Context, claim billing.Claim, deleted observation, now time.Time, l *look) billing.Answer {
	doubt := billing.Doubt{
		ID: claim.ID, MerchantID: claim.MerchantID, Kind: claim.Kind, Target: claim.Target, Request: claim.Request,
		Auth: claim.Auth, Account: claim.Account, ScheduledFor: claim.ScheduledFor, FirstSentAt: claim.ClaimedAt.Add(-claim.SinceSent),
		StartedAt: now,
	}
	ctx, cancel := context.WithTimeout(ctx, 2*g.timeout)
	defer cancel()
	finding := g.lookWith(ctx, []billing.Doubt{doubt}, l)[claim.ID]
	own := plain(deleted.requestID)
	switch finding.Outcome {
	case billing.OutcomeSucceeded:
		return billing.Answer{Outcome: finding.Outcome, Reason: billing.ReasonDone, Result: finding.Result, OwnRequestID: own}
	case billing.OutcomeRefused:
		return billing.Answer{Outcome: finding.Outcome, Reason: finding.Reason, Error: finding.Error, OwnRequestID: own}
	case billing.OutcomeNotSent, billing.OutcomeUnknown:
	}
	final := finding.Reason != billing.ReasonLookFailed && finding.Reason != billing.ReasonUnauthorized
	return answer(verdict{outcome: billing.OutcomeUnknown, reason: finding.Reason, final: final}, deleted, refusal{})
}
