package store_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
)

var envelope = regexp.MustCompile(`^[0-9a-f]{24}:[0-9a-f]{32}:[0-9a-f]+$`)

func newMerchant(t testing.TB, account string) billing.NewMerchant {
	t.Helper()
	return billing.NewMerchant{
		ID: billing.MerchantID(storetest.NewID(t)), Name: "Acme", StripeConnectID: account,
		AccessToken: secret.New("sk_test_canary_access"), RefreshToken: secret.New("rt_canary_refresh"),
	}
}

func TestMerchantTokens(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	created, err := db.Store.CreateMerchant(ctx, newMerchant(t, "acct_1"))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("AreSealedAtRest", func(t *testing.T) {
		var access, refresh, whole string
		err := db.SQL.QueryRow(`SELECT access_token, refresh_token, m::text FROM merchants AS m WHERE id = $1`, created.ID).
			Scan(&access, &refresh, &whole)
		if err != nil {
			t.Fatal(err)
		}
		if !envelope.MatchString(access) || !envelope.MatchString(refresh) {
			t.Errorf("stored %q and %q, want iv:authTag:encryptedContent", access, refresh)
		}
		if strings.Contains(whole, "canary") {
			t.Errorf("the row holds a token in clear: %s", whole)
		}
	})
	t.Run("AreOpenedByGet", func(t *testing.T) {
		got, err := db.Store.GetMerchant(ctx, created.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.AccessToken.Reveal() != "sk_test_canary_access" || got.RefreshToken.Reveal() != "rt_canary_refresh" {
			t.Error("the tokens did not come back")
		}
		byAccount, err := db.Store.GetMerchantByStripeUserID(ctx, "acct_1", false)
		if err != nil || byAccount.ID != created.ID || byAccount.AccessToken.Reveal() != "sk_test_canary_access" {
			t.Errorf("by Stripe user id: %+v, %v", byAccount, err)
		}
	})
	t.Run("AreAbsentFromViewsAndLists", func(t *testing.T) {
		viewed, err := db.Store.ViewMerchant(ctx, created.ID)
		if err != nil {
			t.Fatal(err)
		}
		listed, err := db.Store.ListMerchants(ctx, billing.MerchantFilter{StripeConnectID: "acct_1"}, 10, "")
		if err != nil || len(listed) != 1 {
			t.Fatalf("%d merchants, %v", len(listed), err)
		}
		for _, m := range []billing.Merchant{created, viewed, listed[0]} {
			if !m.AccessToken.Empty() || !m.RefreshToken.Empty() || !m.HasAccessToken || !m.HasRefreshToken {
				t.Errorf("got %+v", m)
			}
		}
	})
	t.Run("ChangedByHandAreAnError", func(t *testing.T) {
		broken, err := db.Store.CreateMerchant(ctx, newMerchant(t, "acct_2"))
		if err != nil {
			t.Fatal(err)
		}
		db.SQL.MustExec(`UPDATE merchants SET access_token = overlay(access_token PLACING 'ffffffff' FROM 60) WHERE id = $1`, broken.ID)
		_, err = db.Store.GetMerchant(ctx, broken.ID)
		wantCode(t, err, billing.CodeTokenUnreadable)
		opened, failed, err := db.Store.GetMerchants(ctx, map[billing.MerchantID]billing.MerchantVersion{created.ID: "", broken.ID: ""})
		if err != nil {
			t.Fatal(err)
		}
		if opened[created.ID].AccessToken.Reveal() != "sk_test_canary_access" || failed[broken.ID] == nil || len(opened) != 1 || len(failed) != 1 {
			t.Errorf("opened %d, failed %v", len(opened), failed)
		}
	})
	t.Run("AreReplacedAndErasedByUpdate", func(t *testing.T) {
		access, none := secret.New("sk_test_other"), secret.Text{}
		changed, err := db.Store.UpdateMerchant(ctx, created.ID, billing.MerchantChange{AccessToken: &access, RefreshToken: &none})
		if err != nil || changed.HasRefreshToken {
			t.Fatalf("%+v, %v", changed, err)
		}
		got, err := db.Store.GetMerchant(ctx, created.ID)
		if err != nil || got.AccessToken.Reveal() != "sk_test_other" || !got.RefreshToken.Empty() || got.Name != "Acme" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("AreErasedByDisconnect", func(t *testing.T) {
		gone, err := db.Store.DisconnectMerchant(ctx, created.ID)
		if err != nil || gone.Status != billing.MerchantDisconnected || gone.HasAccessToken {
			t.Fatalf("%+v, %v", gone, err)
		}
		_, err = db.Store.UpdateMerchant(ctx, created.ID, billing.MerchantChange{})
		wantCode(t, err, billing.CodeConflict)
		_, err = db.Store.GetMerchantByStripeUserID(ctx, "acct_1", false)
		wantCode(t, err, billing.CodeNotFound)
		if _, err := db.Store.CreateMerchant(ctx, newMerchant(t, "acct_1")); err != nil {
			t.Errorf("the account cannot be connected again: %v", err)
		}
	})
}

func TestAnAccountIsConnectedOncePerMode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	if _, err := db.Store.CreateMerchant(ctx, newMerchant(t, "acct_1")); err != nil {
		t.Fatal(err)
	}
	_, err := db.Store.CreateMerchant(ctx, newMerchant(t, "acct_1"))
	wantCode(t, err, billing.CodeConflict)
	live := newMerchant(t, "acct_1")
	live.Livemode = true
	if _, err := db.Store.CreateMerchant(ctx, live); err != nil {
		t.Errorf("live mode beside test mode: %v", err)
	}
}

func TestListMerchantsPages(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	var want []billing.MerchantID
	for range 5 {
		want = append([]billing.MerchantID{db.Merchant(t).ID}, want...)
	}
	var got []billing.MerchantID
	after := billing.MerchantID("")
	for {
		page, err := db.Store.ListMerchants(ctx, billing.MerchantFilter{}, 2, after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			got = append(got, m.ID)
		}
		after = got[len(got)-1]
	}
	if strings.Join(texts(got), " ") != strings.Join(texts(want), " ") {
		t.Errorf("got %v, want %v", got, want)
	}
}

func texts[T ~string](ids []T) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}
