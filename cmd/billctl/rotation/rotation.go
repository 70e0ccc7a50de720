// Package rotation brings every stored token under the present key, and finds those that do not open.
//
// It promises that it may be stopped at any moment and begun again, that it may run beside services and beside itself, and that a
// token that somebody stores meanwhile is never undone. It never sees a token, sealed or not: the store does the work, a page at a time.
package rotation

import (
	"context"
	"time"

	"billonce/cmd/billctl/progress"
	"billonce/pkg/billing"
	"billonce/pkg/store"
)

// PageSize is how many merchants are dealt with in one step: a few milliseconds, for which their rows are locked.
const PageSize = 500

// mostSweeps is how often everything is looked through. The first sweep leaves only what was changed beside it, so that more than two
// mean that somebody goes on sealing with another key.
const mostSweeps = 4

// Resealer is the store of the tokens.
type Resealer interface {
	CountOutdated(ctx context.Context) (int, error)
	Reseal(ctx context.Context, after billing.MerchantID, limit int) (store.ResealedPage, error)
}

// Options say how to rotate.
type Options struct {
	Rate float64 // merchants a second at most; 0: no limit
	Now  func() time.Time
}

// Rotated is what a rotation did.
type Rotated struct {
	Resealed int                  // merchants
	Changed  int                  // merchants that somebody changed meanwhile, and that were looked at again
	Left     int                  // merchants that still are not up to date, beside those with refused tokens
	Refused  []store.RefusedToken // what does not open, and stays as it is
}

// Rotate reseals what is not up to date. What it returns says how far it came, also beside an error.
func Rotate(ctx context.Context, tokens Resealer, options Options, meter progress.Meter) (done Rotated, err error) {
	defer meter.End()
	total, err := tokens.CountOutdated(ctx)
	if err != nil {
		return done, err
	}
	meter.Begin(total)
	pace := pace{rate: options.Rate, now: options.Now, began: options.Now()}
	for range mostSweeps {
		if err := sweep(ctx, tokens, &pace, meter, &done); err != nil {
			return done, err
		}
		left, err := tokens.CountOutdated(ctx)
		if err != nil {
			return done, err
		}
		if done.Left = max(left-merchantsOf(done.Refused), 0); done.Left == 0 {
			break
		}
	}
	return done, nil
}

// sweep looks once through all merchants.
func sweep(ctx context.Context, tokens Resealer, pace *pace, meter progress.Meter, done *Rotated) error {
	done.Refused = nil
	for after, size := billing.MerchantID(""), pace.pageSize(); ; {
		page, err := tokens.Reseal(ctx, after, size)
		if err != nil {
			return err
		}
		done.Resealed, done.Changed, after = done.Resealed+page.Resealed, done.Changed+page.Changed, page.Last
		done.Refused = append(done.Refused, page.Refused...)
		pace.seen += page.Found
		meter.Reached(progress.Step{Seen: pace.seen, Done: done.Resealed, At: string(page.Last)})
		if page.Found < size {
			return nil
		}
		if err := pace.wait(ctx); err != nil {
			return err
		}
	}
}

// merchantsOf counts the merchants of tokens that come in their order.
func merchantsOf(tokens []store.RefusedToken) (n int) {
	last := billing.MerchantID("")
	for _, one := range tokens {
		if one.MerchantID != last {
			n, last = n+1, one.MerchantID
		}
	}
	return n
}

// pace keeps to a rate.
type pace struct {
	rate  float64
	now   func() time.Time
	began time.Time
	seen  int
}

// pageSize is a second's worth at most, so that a low rate is kept in every second.
func (p *pace) pageSize() int {
	if p.rate <= 0 || p.rate >= PageSize {
		return PageSize
	}
	return max(int(p.rate), 1)
}

// wait returns when what has been seen is no more than the rate allows, or with ctx's error.
func (p *pace) wait(ctx context.Context) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	ahead := time.Duration(float64(p.seen)/p.rate*float64(time.Second)) - p.now().Sub(p.began)
	timer := time.NewTimer(max(ahead, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
