package worker

import (
	"context"

	"billonce/pkg/billing"
)

// followed is an attempt that a [Tracer] follows.
type followed struct {
	within context.Context // for lines of the log that are written later
	end    func(*billing.Settlement)
	ended  bool
}

// executeFollowed is [Worker.execute] under the eyes of the Tracer.
func (w *Worker) executeFollowed(ctx, send context.Context, held *holding, merchant *billing.Merchant, failure error) {
	within, end := w.deps.Tracer.StartAttempt(&held.Claim)
	ctx, send = within(ctx), within(send)
	held.followed = &followed{within: send, end: end}
	w.execute(ctx, send, held, merchant, failure)
	if !held.followed.ended {
		end(nil)
	}
}

// settle hands over what was decided about a claim.
func (w *Worker) settle(held *holding, v *verdict) {
	if f := held.followed; f != nil {
		decided := v.Settlement // a copy: the verdict is to stay on the stack where nothing is followed
		v.within, f.ended = f.within, true
		f.end(&decided)
	}
	w.settler.settle(v)
}
