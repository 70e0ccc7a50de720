package store_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
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

// TestMerchantsAreListedByTheirStatus, each list by an index in its order: however many merchants there are of the others.
func TestMerchantsAreListedByTheirStatus(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := storetest.Open(t)
	merchants := map[billing.MerchantStatus][]billing.MerchantID{}
	for range 3 {
		for _, status := range billing.MerchantStatuses() {
			merchant := db.Merchant(t)
			var err error
			switch status {
			case billing.MerchantActive:
			case billing.MerchantPaused:
				_, err = db.Store.PauseMerchant(ctx, merchant.ID, billing.PauseRequested, "")
			case billing.MerchantDisconnected: // paused before: what has left is not told as paused
				if _, err = db.Store.PauseMerchant(ctx, merchant.ID, billing.PauseRequested, ""); err == nil {
					_, err = db.Store.DisconnectMerchant(ctx, merchant.ID)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			merchants[status] = append([]billing.MerchantID{merchant.ID}, merchants[status]...)
		}
	}
	list := func(filter billing.MerchantFilter, limit int, after billing.MerchantID) (ids []billing.MerchantID) {
		t.Helper()
		found, err := db.Store.ListMerchants(ctx, filter, limit, after)
		if err != nil {
			t.Fatal(err)
		}
		for _, merchant := range found {
			if merchant.Status != filter.Status {
				t.Errorf("%s is %s, asked for were those %s", merchant.ID, merchant.Status, filter.Status)
			}
			ids = append(ids, merchant.ID)
		}
		return ids
	}
	for status, want := range merchants {
		if got := list(billing.MerchantFilter{Status: status}, 10, ""); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", status, got, want)
		}
		if got := list(billing.MerchantFilter{Status: status}, 1, want[0]); !slices.Equal(got, want[1:2]) {
			t.Errorf("%s, after the first: %v, want %v", status, got, want[1:2])
		}
		if got := list(billing.MerchantFilter{Status: status, ID: want[1]}, 10, ""); !slices.Equal(got, want[1:2]) {
			t.Errorf("%s, one: %v", status, got)
		}
		other := merchants[billing.MerchantActive]
		if status == billing.MerchantActive {
			other = merchants[billing.MerchantPaused]
		}
		if got := list(billing.MerchantFilter{Status: status, ID: other[0]}, 10, ""); len(got) != 0 {
			t.Errorf("%s, one that is not: %v", status, got)
		}
	}
	if got := list(billing.MerchantFilter{Status: "odd"}, 10, ""); len(got) != 0 {
		t.Errorf("an odd status: %v", got)
	}

	db.SQL.MustExec(`INSERT INTO merchants (id, name, stripe_connect_id, livemode, paused_at, pause_reason, disconnected_at)
		SELECT gen_random_uuid(), 'M', 'acct_many' || n, false, CASE WHEN n % 100 = 0 THEN now() END, CASE WHEN n % 100 = 0 THEN 'requested' END,
			CASE WHEN n % 10 = 5 THEN now() END
		FROM generate_series(1, 20000) AS n`)
	for _, statistics := range []string{"stale", "fresh"} {
		if statistics == "fresh" {
			db.SQL.MustExec(`ANALYZE merchants`)
		}
		for index, filter := range map[string]billing.MerchantFilter{
			"merchants_pkey": {}, "merchants_active": {Status: billing.MerchantActive}, "merchants_paused": {Status: billing.MerchantPaused},
			"merchants_disconnected": {Status: billing.MerchantDisconnected},
		} {
			for _, after := range []billing.MerchantID{"", merchants[billing.MerchantActive][0]} {
				query, args := store.ListMerchantsQuery(filter, 51, after)
				read := false
				explain(t, db, query, args...).walk(func(p plan) {
					read = read || p.Relation == "merchants"
					if p.Type == "Sort" || p.Relation == "merchants" && (!strings.HasPrefix(p.Type, "Index") || p.Index != index) {
						t.Errorf("with %s statistics, merchants by %+v after %q are read by %s %s", statistics, filter, after, p.Type, p.Index)
					}
				})
				if !read {
					t.Error("nothing is read")
				}
			}
		}
	}
}
