package console

import (
	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// told says in a sentence what an attempt came to: what happened, and what is known of the effect.
func told(of client.Attempt) string {
	happened := happenedOn(of.Reason, of.Outcome)
	known := knownAfter(of.Reason, of.Outcome)
	if of.Kind == billing.AttemptLook && of.Outcome == billing.OutcomeUnknown {
		known = "it is still in doubt"
	}
	if known == "" {
		return happened
	}
	return happened + "; " + known
}

// knownAfter says what is known of the operation after an attempt, "" where what happened says it already.
func knownAfter(reason billing.Reason, outcome billing.Outcome) string {
	switch outcome {
	case billing.OutcomeSucceeded:
		return ""
	case billing.OutcomeRefused, billing.OutcomeNotSent:
		if reason == billing.ReasonSatisfied {
			return "the task itself did nothing"
		}
		return "nothing was done"
	case billing.OutcomeUnknown:
		if beforeTheSend(reason) {
			return "an earlier send may have taken effect"
		}
		return "it may have taken effect"
	}
	return ""
}

// beforeTheSend reports whether an attempt with the reason did nothing itself: where its outcome is unknown, it is an earlier one's.
func beforeTheSend(reason billing.Reason) bool {
	switch reason { //nolint:exhaustive // those with which something may have been begun are the rest
	case billing.ReasonUnreachable, billing.ReasonRateLimited, billing.ReasonLocked, billing.ReasonUnauthorized, billing.ReasonInvalid,
		billing.ReasonInProgress, billing.ReasonWindowClosed, billing.ReasonCredentialChanged, billing.ReasonRequestChanged, billing.ReasonLookFailed:
		return true
	}
	return false
}

// happenedOn is what happened, by the reason of the outcome.
func happenedOn(reason billing.Reason, outcome billing.Outcome) string {
	switch reason {
	case billing.ReasonDone:
		return "Stripe did it"
	case billing.ReasonDeclined:
		return "Stripe declined the payment"
	case billing.ReasonInvalid:
		if outcome == billing.OutcomeUnknown {
			return "Stripe refused the repeated request"
		}
		return "Stripe refused the request"
	case billing.ReasonSatisfied:
		return "It had been done already, by another hand"
	case billing.ReasonUnreachable:
		return "No connection to Stripe could be made"
	case billing.ReasonRateLimited:
		return "Stripe limited the rate of requests"
	case billing.ReasonLocked:
		return "Stripe was busy with the object for another request"
	case billing.ReasonUnauthorized:
		return "The merchant's credentials do not work at Stripe"
	case billing.ReasonNoAnswer:
		return "No complete answer came back from Stripe"
	case billing.ReasonServerError:
		return "Stripe answered with an error of its own"
	case billing.ReasonUnreadable:
		return "Stripe's answer could not be read"
	case billing.ReasonInProgress:
		return "Stripe was still at work on an earlier send"
	case billing.ReasonKeyMismatch:
		return "Stripe knows the task's key from another request"
	case billing.ReasonUnexpected:
		return "The answer is none that Stripe is known to give"
	case billing.ReasonWorkerLost:
		return "The worker fell silent"
	case billing.ReasonWindowClosed:
		return "It was too late to send it safely"
	case billing.ReasonCredentialChanged:
		return "The merchant's account or credentials are not those of the first send"
	case billing.ReasonRequestChanged:
		return "The stored request is not the one that was scheduled"
	case billing.ReasonReconciled:
		return "What the task did was found at Stripe"
	case billing.ReasonAbsent:
		return "It is proven that it never took effect"
	case billing.ReasonNoTrace:
		return "No trace of it was found"
	case billing.ReasonUnattributed:
		return "The object is as the task asks for, and by whose hand cannot be told"
	case billing.ReasonLookFailed:
		return "Stripe could not be looked at"
	}
	return words(string(reason))
}

// Means says in a line what the task's status means for it now.
func (t taskView) Means() string {
	switch t.Task.Status {
	case billing.Pending:
		return t.waits()
	case billing.Running:
		return "a worker is at it: it may be being sent now"
	case billing.Succeeded:
		return "Stripe did it, once"
	case billing.Failed:
		return "known to have had no effect at Stripe"
	case billing.InDoubt:
		return "it may have taken effect at Stripe, and is not sent again"
	case billing.Canceled:
		return "called off before anything was sent"
	}
	return ""
}

// waits says for what a pending task waits.
func (t taskView) waits() string {
	task := t.Task
	switch {
	case t.Merchant != nil && t.Merchant.Status != billing.MerchantActive:
		return "held: its merchant is " + words(t.Merchant.Status)
	case task.WaitingSince != nil:
		return "waits for another task on the same object"
	case task.RunAt.After(t.Now) && task.Attempt > 0:
		return "waits to be tried again"
	case task.RunAt.After(t.Now):
		return "waits for its time"
	case t.Merchant == nil: // it is not known whether that one is paused
		return "due: waits for a free worker, or for its merchant"
	}
	return "due: waits for a free worker, or for its merchant's limits"
}

// RunAtLabel says what the task's run_at is, as the task stands.
func (t taskView) RunAtLabel() string { return runAtLabel(t.Task, t.Now.After(t.Task.RunAt)) }

func runAtLabel(task client.Task, past bool) string {
	switch {
	case task.Status == billing.Canceled:
		return "Was to run"
	case task.Status != billing.Pending:
		return "Was due"
	case past:
		return "Due since"
	case task.Attempt > 0:
		return "Runs again"
	}
	return "Runs"
}

// whyPaused is a reason in words.
func whyPaused(reason billing.PauseReason) string {
	switch reason {
	case billing.PauseRequested:
		return "somebody asked for it"
	case billing.PauseNeedsReauth:
		return "its credentials do not work"
	}
	return words(string(reason))
}

// Means says in a line what the merchant's status means for its tasks.
func (m merchantView) Means() string {
	switch m.Merchant.Status {
	case billing.MerchantActive:
		return "its tasks run"
	case billing.MerchantPaused:
		return "its tasks are held where they are until it is resumed"
	case billing.MerchantDisconnected:
		return "its tokens are erased, its tasks are held for good"
	}
	return ""
}
