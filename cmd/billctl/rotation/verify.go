package rotation

import (
	"context"

	"billonce/cmd/billctl/progress"
	"billonce/pkg/billing"
	"billonce/pkg/store"
)

// Verifier is the store of the tokens.
type Verifier interface {
	CountSealed(ctx context.Context) (int, error)
	VerifyTokens(ctx context.Context, after billing.MerchantID, limit int) (store.VerifiedPage, error)
}

// Verified is what a verification found.
type Verified struct {
	Merchants int // looked at: those that have a token
	Tokens    int
	Refused   []store.RefusedToken
}

// Verify opens every stored token, and says which do not open. What it returns says how far it came, also beside an error.
func Verify(ctx context.Context, tokens Verifier, meter progress.Meter) (found Verified, err error) {
	defer meter.End()
	total, err := tokens.CountSealed(ctx)
	if err != nil {
		return found, err
	}
	meter.Begin(total)
	for after := billing.MerchantID(""); ; {
		page, err := tokens.VerifyTokens(ctx, after, PageSize)
		if err != nil {
			return found, err
		}
		found.Merchants, found.Tokens, after = found.Merchants+page.Merchants, found.Tokens+page.Tokens, page.Last
		found.Refused = append(found.Refused, page.Refused...)
		meter.Reached(progress.Step{Seen: found.Merchants, Done: found.Merchants - merchantsOf(found.Refused), At: string(page.Last)})
		if page.Merchants < PageSize {
			return found, nil
		}
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
	}
}
