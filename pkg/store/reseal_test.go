package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
	"billonce/pkg/vault"
)

// reseal brings everything up to date in pages and adds up what they did.
func reseal(t testing.TB, s *store.Store, limit int) (all store.ResealedPage) {
	t.Helper()
	for {
		page, err := s.Reseal(t.Context(), all.Last, limit)
		if err != nil {
			t.Fatal(err)
		}
		all.Found, all.Resealed, all.Changed, all.Last = all.Found+page.Found, all.Resealed+page.Resealed, all.Changed+page.Changed, page.Last
		all.Refused = append(all.Refused, page.Refused...)
		if page.Found < limit {
			return all
		}
	}
}

// TestReseal: every token opens with the new key alone, bound to its place, whoever sealed it; what does not open stays as it is, and
// nothing else of a merchant changes.
func TestReseal(t *testing.T) {
	t.Parallel()
	ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
	var all []billing.Merchant
	for range 8 {
		all = append(all, db.Merchant(t))
	}
	change := func(query string, merchant int) { db.SQL.MustExec(query, all[merchant].ID) }
	change(`UPDATE merchants SET access_token_key_id = NULL, access_token_binding = NULL WHERE id = $1`, 0)
	change(`UPDATE merchants SET access_token = NULL WHERE id = $1`, 1)
	change(`UPDATE merchants SET refresh_token = NULL WHERE id = $1`, 2)
	change(`UPDATE merchants SET access_token = NULL, refresh_token = NULL WHERE id = $1`, 3)
	change(`UPDATE merchants SET access_token = overlay(access_token PLACING 'ffffffff' FROM 60), access_token_binding = NULL WHERE id = $1`, 4)
	node := "ffeeddccbbaa99887766554433221100:" + strings.Repeat("0", 32) + ":00"
	db.SQL.MustExec(`UPDATE merchants SET access_token = $2, access_token_key_id = NULL, access_token_binding = NULL, refresh_token = NULL WHERE id = $1`, all[5].ID, node)
	profile := func() (text []string) {
		if err := db.SQL.Select(&text, `SELECT concat(id, name, updated_at, created_at, paused_at, access_token IS NULL, refresh_token IS NULL) FROM merchants ORDER BY id`); err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := profile()
	s, _, _ := holding(t, db, key, db.Key)
	if n, err := s.CountOutdated(ctx); err != nil || n != 7 {
		t.Errorf("%d outdated, %v", n, err)
	}
	done := reseal(t, s, 3)
	if done.Found != 7 || done.Resealed != 6 || done.Changed != 0 {
		t.Errorf("%+v", done)
	}
	want := []store.RefusedToken{
		{MerchantID: all[4].ID, Column: "access_token", KeyID: db.Key.ID(), Fault: billing.TokenUnreadable},
		{MerchantID: all[5].ID, Column: "access_token", Fault: billing.TokenUnreadable},
	}
	if diff := cmp.Diff(want, done.Refused); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, profile()); diff != "" {
		t.Error(diff)
	}
	alone, strict, _ := holding(t, db, key)
	strict.RequireBinding()
	for i, merchant := range all {
		got, err := alone.GetMerchant(ctx, merchant.ID)
		switch {
		case i == 4 || i == 5:
			wantCode(t, err, billing.CodeTokenUnreadable)
		case err != nil:
			t.Errorf("merchant %d: %v", i, err)
		case i != 1 && i != 3 && got.AccessToken.Reveal() != "sk_test_"+merchant.StripeConnectID:
			t.Errorf("the access token of merchant %d has changed", i)
		case i != 2 && i != 3 && got.RefreshToken.Reveal() != "rt_"+merchant.StripeConnectID:
			t.Errorf("the refresh token of merchant %d has changed", i)
		}
	}
	uses, err := db.DB.KeyUses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string][2]int{}
	for _, use := range uses {
		tokens[use.ID] = [2]int{use.Tokens, use.Unbound}
	}
	if diff := cmp.Diff(map[string][2]int{key.ID(): {9, 0}, db.Key.ID(): {1, 1}, "": {1, 1}}, tokens); diff != "" {
		t.Error(diff)
	}
}

// TestARefreshedTokenIsNeverUndone changes tokens between the reading and the writing of a page.
func TestARefreshedTokenIsNeverUndone(t *testing.T) {
	t.Parallel()
	ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
	for range 40 {
		db.Merchant(t)
	}
	refreshed := db.Merchant(t)
	gone := db.Merchant(t)
	half := db.Merchant(t)
	s, _, _ := holding(t, db, key, db.Key)
	other, _, _ := holding(t, db, key, db.Key)
	token, refresh := secret.New("sk_test_refreshed"), secret.New("rt_refreshed")
	between := make(chan struct{})
	s.BeforeResealing(func() {
		defer close(between)
		if _, err := other.UpdateMerchant(ctx, refreshed.ID, billing.MerchantChange{AccessToken: &token}); err != nil {
			t.Error(err)
		}
		if _, err := other.UpdateMerchant(ctx, half.ID, billing.MerchantChange{RefreshToken: &refresh}); err != nil {
			t.Error(err)
		}
		if _, err := other.DisconnectMerchant(ctx, gone.ID); err != nil {
			t.Error(err)
		}
	})
	page, err := s.Reseal(ctx, "", 100)
	if err != nil || page.Found != 43 || page.Resealed != 40 || page.Changed != 3 {
		t.Fatalf("%+v, %v", page, err)
	}
	<-between
	if got, err := other.GetMerchant(ctx, refreshed.ID); err != nil || got.AccessToken.Reveal() != token.Reveal() {
		t.Errorf("the refreshed token was undone: %v", err)
	}
	if got, err := other.GetMerchant(ctx, half.ID); err != nil || got.RefreshToken.Reveal() != refresh.Reveal() || got.AccessToken.Empty() {
		t.Errorf("a refresh token was undone: %v", err)
	}
	if got, err := other.GetMerchant(ctx, gone.ID); err != nil || got.HasAccessToken || got.HasRefreshToken {
		t.Errorf("a merchant that left has a token again: %+v, %v", got, err)
	}
	s.BeforeResealing(nil)
	if rest := reseal(t, s, 100); rest.Found != 2 || rest.Resealed != 2 { // the other token of each
		t.Errorf("%+v", rest)
	}
	var again int
	if err := db.SQL.Get(&again, `SELECT count(*) FROM merchants WHERE access_token_key_id <> $1 OR refresh_token_key_id <> $1`, key.ID()); err != nil || again != 0 {
		t.Errorf("%d rows name another key, %v", again, err)
	}
}

// TestARotationEndsWhenTheServicesGoOver to another key: it seals nothing more with a key that may be taken away soon.
func TestARotationEndsWhenTheServicesGoOver(t *testing.T) {
	t.Parallel()
	ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
	merchant := db.Merchant(t)
	adopt := func(primary, previous vault.Key) {
		_, v, _ := holding(t, db, primary, previous)
		if err := db.DB.AdoptKey(ctx, v, record(primary), record(previous)); err != nil {
			t.Error(err)
		}
	}
	adopt(key, db.Key)
	s, _, _ := holding(t, db, key, db.Key)
	s.BeforeResealing(func() { adopt(db.Key, key) })
	var mismatch *store.KeyMismatch
	page, err := s.Reseal(ctx, "", 100)
	if !errors.As(err, &mismatch) || mismatch.Database != db.Key.ID() || page.Resealed != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	alone, _, _ := holding(t, db, db.Key)
	if _, err := alone.GetMerchant(ctx, merchant.ID); err != nil {
		t.Error(err)
	}
	adopt(key, db.Key)
	if page, err := s.Reseal(ctx, "", 100); err != nil || page.Resealed != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestOneKeyStaysActive, also when the next one cannot become it: without one, whichever comes would be adopted.
func TestOneKeyStaysActive(t *testing.T) {
	t.Parallel()
	ctx, db, next := t.Context(), storetest.Open(t), newKey(t)
	db.Merchant(t)
	if err := db.DB.AdoptKey(ctx, db.Vault, record(db.Key)); err != nil {
		t.Fatal(err)
	}
	db.SQL.MustExec(`INSERT INTO encryption_keys (key_id, check_value, active) VALUES ($1, 'of another key', false)`, next.ID())
	if err := db.DB.AdoptKey(ctx, db.Vault, record(next), record(db.Key)); err == nil {
		t.Error("a key was adopted under the id of another")
	}
	var active string
	if err := db.SQL.Get(&active, `SELECT key_id FROM encryption_keys WHERE active`); err != nil || active != db.Key.ID() {
		t.Errorf("%q is active, %v", active, err)
	}
}

// TestBindingsAreDemandedWhenAllAreThere: not earlier, and then for good.
func TestBindingsAreDemandedWhenAllAreThere(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.Open(t)
	for range 3 {
		db.Merchant(t)
	}
	if err := db.DB.AdoptKey(ctx, db.Vault, record(db.Key)); err != nil {
		t.Fatal(err)
	}
	strip := func() {
		db.SQL.MustExec(`UPDATE merchants SET access_token_key_id = NULL, access_token_binding = NULL, refresh_token_binding = NULL`)
	}
	strip()
	var missing *store.BindingsMissing
	if err := db.DB.DemandBindings(ctx); !errors.As(err, &missing) || missing.Tokens != 6 {
		t.Fatalf("%v", err)
	}
	if done := reseal(t, db.Store, 2); done.Resealed != 3 { // the key is the present one already
		t.Errorf("%+v", done)
	}
	for range 2 {
		if err := db.DB.DemandBindings(ctx); err != nil {
			t.Error(err)
		}
	}
	strip()
	if err := db.DB.DemandBindings(ctx); err != nil {
		t.Errorf("whoever takes a binding away keeps every process from starting: %v", err)
	}
}

// TestNothingIsBoundOnceBindingsWereDemanded: a token whose binding was taken away may have been moved, and a rotation by a process that
// does not demand bindings itself would make it the merchant's own.
func TestNothingIsBoundOnceBindingsWereDemanded(t *testing.T) {
	t.Parallel()
	ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
	victim, rich := db.Merchant(t), db.Merchant(t)
	if err := db.DB.AdoptKey(ctx, db.Vault, record(db.Key)); err != nil {
		t.Fatal(err)
	}
	if err := db.DB.DemandBindings(ctx); err != nil {
		t.Fatal(err)
	}
	s, v, _ := holding(t, db, key, db.Key) // which accepts what is not bound
	if err := db.DB.AdoptKey(ctx, v, record(key), record(db.Key)); err != nil {
		t.Fatal(err)
	}
	db.SQL.MustExec(`UPDATE merchants SET access_token = (SELECT access_token FROM merchants WHERE id = $2), access_token_key_id = NULL,
		access_token_binding = NULL WHERE id = $1`, victim.ID, rich.ID)
	want := []store.RefusedToken{{MerchantID: victim.ID, Column: "access_token", Fault: billing.TokenUnbound}}
	done := reseal(t, s, 10)
	if diff := cmp.Diff(want, done.Refused); diff != "" || done.Resealed != 2 {
		t.Errorf("%d resealed; %s", done.Resealed, diff)
	}
	found, err := s.VerifyTokens(ctx, "", 10)
	if diff := cmp.Diff(want, found.Refused); diff != "" || err != nil {
		t.Errorf("%v; %s", err, diff)
	}
	alone, _, _ := holding(t, db, key)
	if got, err := alone.GetMerchant(ctx, victim.ID); err == nil {
		t.Errorf("another's token opens as that of %s", got.ID)
	}
	s.BindUnbound()
	if done := reseal(t, s, 10); done.Resealed != 1 || len(done.Refused) != 0 {
		t.Errorf("it was asked for, and not done: %+v", done)
	}
}

// TestManyTokensAreResealed: 20,000 merchants, in pages, by two rotations at once.
func TestManyTokensAreResealed(t *testing.T) {
	t.Parallel()
	const many = 20_000
	db, key := storetest.Open(t), newKey(t)
	text, err := db.Vault.Encrypt("sk_test_many")
	if err != nil {
		t.Fatal(err)
	}
	db.SQL.MustExec(`INSERT INTO merchants (id, name, stripe_connect_id, access_token, refresh_token)
		SELECT gen_random_uuid(), 'M', 'acct_' || n, $1, $1 FROM generate_series(1, $2::int) AS n`, text, many)
	results := make(chan store.ResealedPage, 2)
	for range 2 {
		go func() {
			s, _, _ := holding(t, db, key, db.Key)
			results <- reseal(t, s, 500)
		}()
	}
	first, second := <-results, <-results
	if first.Resealed+second.Resealed != many || len(first.Refused)+len(second.Refused) != 0 {
		t.Errorf("%+v and %+v", first, second)
	}
	alone, v, _ := holding(t, db, key)
	v.RequireBinding()
	tokens, after := 0, billing.MerchantID("")
	for {
		page, err := alone.VerifyTokens(t.Context(), after, 1000)
		if err != nil || len(page.Refused) != 0 {
			t.Fatalf("%d refused, %v", len(page.Refused), err)
		}
		tokens, after = tokens+page.Tokens, page.Last
		if page.Merchants < 1000 {
			break
		}
	}
	if tokens != 2*many {
		t.Errorf("%d tokens open", tokens)
	}
	var texts int
	if err := db.SQL.Get(&texts, `SELECT count(DISTINCT access_token) + count(DISTINCT refresh_token) FROM merchants`); err != nil || texts != 2*many {
		t.Errorf("%d different texts: an IV was used again? %v", texts, err)
	}
}

// TestPlansOfResealing: among many merchants a page is found and written by their ids, whatever is known of the table.
func TestPlansOfResealing(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	page := make([]billing.MerchantID, 500)
	for i := range page {
		page[i] = billing.MerchantID(storetest.NewID(t))
	}
	args, err := store.ResealArgs(page...)
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T) {
		t.Helper()
		for query, of := range map[string][]any{store.ResealQuery: args, store.OutdatedQuery: {"a", merchant.ID, 500}} {
			found := false
			explain(t, db, query, of...).walk(func(p plan) {
				if p.Relation == "merchants" && p.Type != "ModifyTable" {
					found = p.Index == "merchants_pkey" && strings.Contains(p.Cond, "id ")
				}
				if p.Type == "Sort" {
					t.Errorf("it sorts what comes in order: %s", query)
				}
			})
			if !found {
				t.Errorf("not by id: %s", query)
			}
		}
	}
	db.SQL.MustExec(`INSERT INTO merchants (id, name, stripe_connect_id, access_token, refresh_token)
		SELECT gen_random_uuid(), 'M', 'acct_' || n, repeat('x', 300), repeat('x', 300) FROM generate_series(1, 20000) AS n`)
	t.Run("StaleStatistics", check)
	db.SQL.MustExec(`ANALYZE merchants`)
	t.Run("FreshStatistics", check)
}
