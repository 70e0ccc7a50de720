package worker

import (
	"billonce/pkg/billing"
)

// follow returns the task that follows up a decline, nil when there is none. A decline of which nobody knows why is not followed
// up: it may be one after which nothing more may be tried. Nor is a plan whose task cannot be made, for want of random bytes. The
// decline stands, and a person sees the chain end early.
func follow(of billing.TaskID, request billing.Request, plan *billing.Dunning, declines int, reason billing.Reason, refused *billing.StripeError, newID func() (billing.TaskID, error)) *billing.Successor {
	if plan == nil || reason != billing.ReasonDeclined {
		return nil
	}
	code := ""
	if refused != nil {
		if code = refused.DeclineCode; code == "" {
			code = refused.Code
		}
	}
	after, goOn := plan.Next(declines, code)
	if code == "" || !goOn {
		return nil
	}
	id, err := newID()
	if err != nil {
		return nil
	}
	return &billing.Successor{ID: id, Request: request.For(of, id), After: after}
}
