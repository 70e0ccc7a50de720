package gateway

import (
	"context"
	"net/http"

	"billonce/pkg/billing"
)

// executeUnkeyed cancels a subscription. Stripe ignores the idempotency key on DELETE, so a repeated DELETE is judged anew
// and finds nothing to cancel: the 404 of a re-send may well be the trace of our own success. The subscription's state
// decides then.
func (g *Gateway) executeUnkeyed(ctx context.Context, claim billing.Claim, who identity) billing.Answer {
	seen := g.mutate(ctx, g.unkeyed, &claim, who)
	if !isGone(seen) {
		return classify(seen, claim.Resend)
	}
	if claim.Resend {
		return g.settleGoneAgain(ctx, claim, seen, who)
	}
	return settleGone(seen, g.call(ctx, g.keyed, reading(claim.Request.Path, claim.Request.APIVersion), who, nil))
}

// isGone reports whether Stripe itself says that there is nothing to delete.
func isGone(seen observation) bool {
	_, fromStripe := readRefusal(seen.body)
	return seen.status == http.StatusNotFound && fromStripe && !seen.cut
}

// settleGone decides what a 404 to the first DELETE of a task means. The request went out once, on a connection of its own,
// and Stripe found no subscription to cancel, so it was not this task that canceled it. What remains is to tell a
// subscription that somebody canceled from one that never was.
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

// settleGoneAgain decides what a 404 to a repeated DELETE means: an earlier one may have canceled the subscription, or
// somebody else. What Stripe's events and the subscription tell now is all that another send could bring out; if that is
// not enough, the task is in doubt and is looked at again later.
func (g *Gateway) settleGoneAgain(ctx context.Context, claim billing.Claim, deleted observation, who identity) billing.Answer {
	doubt := billing.Doubt{
		ID: claim.ID, MerchantID: claim.MerchantID, Kind: claim.Kind, Target: claim.Target, Request: claim.Request,
		Auth: claim.Auth, Account: claim.Account, FirstSentAt: claim.ClaimedAt.Add(-claim.SinceSent),
	}
	look, cancel := context.WithTimeout(ctx, 2*g.timeout)
	defer cancel()
	finding := g.look(look, []billing.Doubt{doubt}, who)[claim.ID]
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
