package gateway

import "billonce/pkg/billing"

// sentence says in our words what an answer means. Stripe's own sentences are never kept: they name customers, cards and
// sometimes secrets.
func sentence(proven verdict) string {
	unknown := proven.outcome == billing.OutcomeUnknown
	switch proven.reason {
	case billing.ReasonDone:
		return "Stripe carried the operation out."
	case billing.ReasonDeclined:
		return "The payment was declined."
	case billing.ReasonInvalid:
		if unknown {
			return "Stripe refused the repeated request, which says nothing about the earlier one."
		}
		return "Stripe refused the request, or the object's state does not allow it."
	case billing.ReasonSatisfied:
		return "The object already was as the task asks for, by another hand."
	case billing.ReasonUnreachable:
		return "No connection to Stripe could be made."
	case billing.ReasonRateLimited:
		return "Stripe limits the rate of requests; the operation was not begun."
	case billing.ReasonLocked:
		return "Another request held the object; the operation was not begun."
	case billing.ReasonUnauthorized:
		return "Stripe does not accept the merchant's credentials, or access was revoked."
	case billing.ReasonNoAnswer:
		return "The request was on its way, but no complete answer came back."
	case billing.ReasonServerError:
		return "Stripe reported an error of its own; the operation may have been carried out."
	case billing.ReasonUnreadable:
		return "Stripe reported success, but the answer could not be read."
	case billing.ReasonInProgress:
		return "Stripe is still working on an earlier request of this task."
	case billing.ReasonKeyMismatch:
		return "Stripe knows this task's key from another request."
	case billing.ReasonUnexpected:
		return "The answer is none that Stripe is known to give."
	case billing.ReasonWorkerLost:
		return "The worker fell silent."
	case billing.ReasonWindowClosed:
		return "It has become too late to send the request again safely."
	case billing.ReasonCredentialChanged:
		return "The merchant's account or way of authentication is not the one of the first send."
	case billing.ReasonReconciled:
		return "A look at Stripe found what the task did."
	case billing.ReasonAbsent:
		return "Looks at Stripe have shown that the operation never took effect."
	case billing.ReasonNoTrace:
		return "A look at Stripe found no trace of the operation."
	case billing.ReasonUnattributed:
		return "The object is as the task asks for, and nothing at Stripe tells by whose hand."
	case billing.ReasonLookFailed:
		return "Stripe could not be looked at."
	case billing.ReasonRequestChanged:
		return "The request is not the one that was frozen when the task was scheduled."
	}
	return ""
}
