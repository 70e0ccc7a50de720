package gateway

import (
	"context"
	"net/http"
	"time"

	"billonce/pkg/billing"
)

// clockMargin is how far Stripe's clock may be behind the database's.
const clockMargin = time.Minute

// executeUnkeyed cancels a subscription. Stripe ignores the idempotency key on DELETE, so a repeated DELETE is judged anew
// and finds nothing to cancel: the 404 of a re-send may well be the trace of our own success. The subscription's state
// decides then.
func (g *Gateway) executeUnkeyed(ctx context.Context, claim billing.Claim, who identity) billing.Answer {
	seen := g.mutate(ctx, g.unkeyed, claim, who)
	if !isGone(seen) {
		return classify(seen, claim.Resend)
	}
	look := billing.Request{Method: http.MethodGet, Path: claim.Request.Path, APIVersion: claim.Request.APIVersion}
	return settleGone(claim, seen, g.call(ctx, g.keyed, look, who, nil))
}

// isGone reports whether Stripe itself says that there is nothing to delete.
func isGone(seen observation) bool {
	_, fromStripe := readRefusal(seen.body)
	return seen.status == http.StatusNotFound && fromStripe && !seen.cut
}

// settleGone decides what a 404 to a DELETE means, by what a look at the object showed.
//
// First send: the request went out once, on a connection of its own, and Stripe found no subscription to cancel, so it was
// not this task that canceled it. What remains is to tell a subscription that somebody canceled from one that never was.
//
// Re-send: an earlier DELETE may have done it. If the subscription was canceled since, it is taken as ours; if before,
// it was another's. If there is no such subscription at all, the earlier send cannot be explained, and a person must look.
func settleGone(claim billing.Claim, deleted, looked observation) billing.Answer {
	refused, fromStripe := readRefusal(looked.body)
	found, readable := readAnswer(looked.body)
	switch {
	case looked.cut:
	case looked.status == http.StatusOK && readable && isEnded(found.Status):
		return settleEnded(claim, looked, found)
	case looked.status == http.StatusNotFound && fromStripe && !claim.Resend:
		return answer(verdict{outcome: billing.OutcomeRefused, reason: billing.ReasonInvalid}, looked, refused)
	case looked.status == http.StatusNotFound && fromStripe:
		return answer(verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonInvalid, final: true}, looked, refused)
	case looked.status == http.StatusOK && readable:
		// Gone to the one, there to the other: the answers contradict each other.
		return answer(verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonUnexpected}, deleted, refusal{})
	}
	// The look failed, for whatever reason; the next attempt looks again.
	reason := judge(looked, refused, fromStripe && !looked.cut).reason
	return answer(verdict{outcome: billing.OutcomeUnknown, reason: reason}, looked, refused)
}

// isEnded reports whether a subscription in this status is over.
func isEnded(status string) bool { return status == "canceled" || status == "incomplete_expired" }

func settleEnded(claim billing.Claim, looked observation, found object) billing.Answer {
	satisfied := answer(verdict{outcome: billing.OutcomeRefused, reason: billing.ReasonSatisfied}, looked, refusal{})
	if !claim.Resend {
		return satisfied
	}
	firstSent := claim.ClaimedAt.Add(-claim.SinceSent)
	switch {
	case found.CanceledAt == 0:
		return answer(verdict{outcome: billing.OutcomeUnknown, reason: billing.ReasonUnexpected, final: true}, looked, refusal{})
	case time.Unix(found.CanceledAt, 0).Before(firstSent.Add(-clockMargin)):
		return satisfied
	}
	return done(looked, found)
}
