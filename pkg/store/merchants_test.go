package store_test

import (
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
)

// TestAMerchantIsReadAgainAfterAnyChange: what a claim opens is never older than what the claim saw.
func TestAMerchantIsReadAgainAfterAnyChange(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	worker := register(t, db, time.Minute)
	open := func() (billing.Merchant, error) {
		t.Helper()
		schedule(t, db, newTask(t, merchant.ID))
		claims := claim(t, db, worker, 1)
		if len(claims) != 1 || claims[0].Merchant == "" {
			t.Fatalf("claimed %+v", claims)
		}
		opened, failed, err := db.Store.GetMerchants(ctx, map[billing.MerchantID]billing.MerchantVersion{merchant.ID: claims[0].Merchant})
		if err != nil {
			t.Fatal(err)
		}
		return opened[merchant.ID], failed[merchant.ID]
	}
	token := secret.New("sk_test_first")
	for _, next := range []string{"sk_test_second", "sk_test_third"} {
		if _, err := db.Store.UpdateMerchant(ctx, merchant.ID, billing.MerchantChange{AccessToken: &token}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // read, and kept
			if got, err := open(); err != nil || got.AccessToken.Reveal() != token.Reveal() {
				t.Errorf("opened %v, %v", got.AccessToken.Reveal() == token.Reveal(), err)
			}
		}
		token = secret.New(next)
	}
	db.SQL.MustExec(`UPDATE merchants SET access_token = overlay(access_token PLACING 'ffffffff' FROM 60) WHERE id = $1`, merchant.ID)
	_, err := open()
	wantCode(t, err, billing.CodeTokenUnreadable)
}

// TestKeptMerchantsAndARotation: a kept row is one of before, and what somebody puts in its place is refused, kept or not.
func TestKeptMerchantsAndARotation(t *testing.T) {
	t.Parallel()
	ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
	merchant, other := db.Merchant(t), db.Merchant(t)
	s, _, _ := holding(t, db, db.Key, key) // a worker that has not gone over yet
	rotating, _, _ := holding(t, db, key, db.Key)
	version := func() (version billing.MerchantVersion) {
		if err := db.SQL.Get(&version, `SELECT xmin FROM merchants WHERE id = $1`, merchant.ID); err != nil {
			t.Fatal(err)
		}
		return version
	}
	get := func(version billing.MerchantVersion) (string, error) {
		opened, failed, err := s.GetMerchants(ctx, map[billing.MerchantID]billing.MerchantVersion{merchant.ID: version})
		if err != nil {
			t.Fatal(err)
		}
		return opened[merchant.ID].AccessToken.Reveal(), failed[merchant.ID]
	}
	token := "sk_test_" + merchant.StripeConnectID
	want := func(version billing.MerchantVersion, token string) {
		t.Helper()
		for range 2 { // read, and kept
			if got, err := get(version); err != nil || got != token {
				t.Errorf("another token, or none: %v", err)
			}
		}
	}
	before := version()
	want(before, token)
	reseal(t, rotating, 10)
	want(before, token) // a claim of before
	resealed := version()
	if resealed == before {
		t.Fatal("the version is the same")
	}
	want(resealed, token)
	fresh := secret.New("sk_test_fresh")
	if _, err := rotating.UpdateMerchant(ctx, merchant.ID, billing.MerchantChange{AccessToken: &fresh}); err != nil {
		t.Fatal(err)
	}
	want(version(), fresh.Reveal())
	db.SQL.MustExec(`UPDATE merchants SET (access_token, access_token_key_id, access_token_binding) =
		(SELECT access_token, access_token_key_id, access_token_binding FROM merchants WHERE id = $2) WHERE id = $1`, merchant.ID, other.ID)
	for range 2 {
		if _, err := get(version()); billing.TokenFaultOf(err) != billing.TokenMisplaced {
			t.Errorf("another's token: %v", err)
		}
	}
	if _, err := rotating.DisconnectMerchant(ctx, merchant.ID); err != nil {
		t.Fatal(err)
	}
	want(version(), "")
}

// TestKeptMerchantsAreFound: without a query, by their version alone.
func TestKeptMerchantsAreFound(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	var version billing.MerchantVersion
	if err := db.SQL.Get(&version, `SELECT xmin FROM merchants WHERE id = $1`, merchant.ID); err != nil {
		t.Fatal(err)
	}
	get := func(version billing.MerchantVersion) (billing.Merchant, error) {
		opened, _, err := db.Store.GetMerchants(ctx, map[billing.MerchantID]billing.MerchantVersion{merchant.ID: version})
		return opened[merchant.ID], err
	}
	if got, err := get(version); err != nil || got.ID != merchant.ID {
		t.Fatalf("%+v, %v", got, err)
	}
	_ = db.DB.Close() // from here on nothing can be read
	if got, err := get(version); err != nil || got.AccessToken.Empty() {
		t.Errorf("kept: %+v, %v", got.ID, err)
	}
	for _, other := range []billing.MerchantVersion{"", version + "0"} {
		if _, err := get(other); err == nil {
			t.Errorf("version %q was found", other)
		}
	}
}
