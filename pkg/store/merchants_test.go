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
