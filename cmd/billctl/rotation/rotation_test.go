package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"billonce/cmd/billctl/progress"
	"billonce/cmd/billctl/rotation"
	"billonce/pkg/billing"
	"billonce/pkg/store"
)

// tokens is a store of so many merchants that are not up to date.
type tokens struct {
	outdated []int // by place in the order of ids
	stubborn map[int]bool
	busy     int // a merchant that somebody seals with another key after each sweep; -1: none
	pages    []int
	fail     error
}

func newTokens(n int) *tokens {
	t := &tokens{busy: -1, stubborn: map[int]bool{}}
	for i := range n {
		t.outdated = append(t.outdated, i)
	}
	return t
}

func id(i int) billing.MerchantID { return billing.MerchantID(fmt.Sprintf("%08d", i)) }

func (t *tokens) CountOutdated(context.Context) (int, error) { return len(t.outdated), nil }

func (t *tokens) Reseal(_ context.Context, after billing.MerchantID, limit int) (page store.ResealedPage, err error) {
	if t.fail != nil && len(t.pages) == 2 {
		return page, t.fail
	}
	page.Last = after
	var rest []int
	for _, i := range t.outdated {
		if id(i) <= after || page.Found == limit {
			rest = append(rest, i)
			continue
		}
		page.Found++
		page.Last = id(i)
		if t.stubborn[i] {
			page.Refused = append(page.Refused, store.RefusedToken{MerchantID: id(i), Column: "access_token"}, store.RefusedToken{MerchantID: id(i), Column: "refresh_token"})
			rest = append(rest, i)
			continue
		}
		page.Resealed++
	}
	if page.Found < limit && t.busy >= 0 {
		rest = append(rest, t.busy)
	}
	t.outdated = rest
	t.pages = append(t.pages, page.Found)
	return page, nil
}

func rotate(t *testing.T, source *tokens, rate float64) (rotation.Rotated, error) {
	t.Helper()
	return rotation.Rotate(t.Context(), source, rotation.Options{Rate: rate, Now: time.Now}, progress.Quiet{})
}

func TestRotateGoesThroughEverything(t *testing.T) {
	t.Parallel()
	source := newTokens(1234)
	source.stubborn[7], source.stubborn[1000] = true, true
	done, err := rotate(t, source, 0)
	if err != nil || done.Resealed != 1232 || done.Left != 0 || len(done.Refused) != 4 {
		t.Errorf("%+v, %v", done, err)
	}
	if fmt.Sprint(source.pages) != "[500 500 234]" {
		t.Errorf("%v", source.pages)
	}
}

// TestRotateSaysWhenItCannotEnd: somebody goes on sealing with another key.
func TestRotateSaysWhenItCannotEnd(t *testing.T) {
	t.Parallel()
	source := newTokens(3)
	source.busy, source.stubborn[1] = 2, true
	done, err := rotate(t, source, 0)
	if err != nil || done.Left != 1 || done.Resealed != 5 || len(done.Refused) != 2 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestRotateSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	source := newTokens(2000)
	source.fail = errors.New("gone")
	if done, err := rotate(t, source, 0); !errors.Is(err, source.fail) || done.Resealed != 1000 {
		t.Errorf("%+v, %v", done, err)
	}
	source.fail = nil
	if done, err := rotate(t, source, 0); err != nil || done.Resealed != 1000 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestRotateKeepsToItsRate(t *testing.T) {
	t.Parallel()
	source := newTokens(60)
	began := time.Now()
	if done, err := rotate(t, source, 40); err != nil || done.Resealed != 60 || fmt.Sprint(source.pages) != "[40 20]" {
		t.Errorf("%+v, %v, %v", done, source.pages, err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("it took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began = time.Now()
	done, err := rotation.Rotate(ctx, newTokens(60), rotation.Options{Rate: 0.001, Now: time.Now}, progress.Quiet{})
	if !errors.Is(err, context.Canceled) || done.Resealed != 1 || time.Since(began) > time.Minute {
		t.Errorf("%+v, %v", done, err)
	}
}

// sealed is a store of so many merchants, each hundredth of which has a token that does not open.
type sealed int

func (s sealed) CountSealed(context.Context) (int, error) { return int(s), nil }

func (s sealed) VerifyTokens(_ context.Context, after billing.MerchantID, limit int) (page store.VerifiedPage, err error) {
	next := 0
	if after != "" {
		_, err = fmt.Sscanf(string(after), "%08d", &next)
		next++
	}
	for page.Last = after; next < int(s) && page.Merchants < limit; next++ {
		page.Merchants, page.Tokens, page.Last = page.Merchants+1, page.Tokens+2, id(next)
		if next%100 == 0 {
			page.Refused = append(page.Refused, store.RefusedToken{MerchantID: id(next)})
		}
	}
	return page, err
}

func TestVerifyLooksAtEverything(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	meter := progress.NewLines(&out, func() time.Time { now = now.Add(4 * time.Second); return now },
		progress.Words{Doing: "opening the tokens of", Things: "merchants", Done: "in order"})
	found, err := rotation.Verify(t.Context(), sealed(1234), meter)
	if err != nil || found.Merchants != 1234 || found.Tokens != 2468 || len(found.Refused) != 13 {
		t.Errorf("%+v, %v", found, err)
	}
	want := "opening the tokens of about 1234 merchants\n" +
		"1000 of about 1234 merchants (81 %), 990 in order, 125 a second, about 2s left, at 00000999\n"
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
