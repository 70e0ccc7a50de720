package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
	"billonce/pkg/vault"
)

// listener remembers what it is alarmed of.
type listener struct {
	mu       sync.Mutex
	refused  []store.RefusedToken
	sealings []int64
	unbound  int
	keys     map[string]int // operations, by what was done, the key and whether it went well
}

func (l *listener) TokenSealed(keyID string, ok bool) { l.count("sealed", keyID, ok) }

func (l *listener) TokenOpened(keyID string, ok bool) { l.count("opened", keyID, ok) }

func (l *listener) count(what, keyID string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]int{}
	}
	l.keys[fmt.Sprintln(what, keyID, ok)]++
}

func (l *listener) TokenOpenedUnbound() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unbound++
}

func (l *listener) TokenRefused(_ context.Context, refused store.RefusedToken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = append(l.refused, refused)
}

func (l *listener) SealingsCounted(_ context.Context, _ string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealings = append(l.sealings, n)
}

// heard returns what was refused since the last call.
func (l *listener) heard() []store.RefusedToken {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.refused
	l.refused = nil
	return heard
}

// holding opens the database as a process that seals with the first key and opens with the others.
func holding(t testing.TB, db *storetest.DB, keys ...vault.Key) (*store.Store, *vault.Vault, *listener) {
	t.Helper()
	v, err := vault.New(keys[0], keys[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := store.Open(store.Options{URL: secret.New(db.URL), Name: "billonce-api"}) // as a service is called
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	s, l := store.New(pool, v), &listener{}
	s.SetAlarm(l)
	return s, v, l
}

// TestAMovedTokenIsRefused: whatever somebody with write access to the table does with sealed tokens, none opens where it was not
// sealed for, the merchant alone is served no more, and somebody is told.
func TestAMovedTokenIsRefused(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]struct {
		sql    string // $1: the merchant, $2: another one
		column string
		fault  billing.TokenFault
	}{
		"AnothersToken": {
			`UPDATE merchants SET access_token = (SELECT access_token FROM merchants WHERE id = $2) WHERE id = $1`,
			"access_token", billing.TokenMisplaced,
		},
		"AnothersTokenAndBinding": {
			`UPDATE merchants SET (access_token, access_token_key_id, access_token_binding) =
				(SELECT access_token, access_token_key_id, access_token_binding FROM merchants WHERE id = $2) WHERE id = $1`,
			"access_token", billing.TokenMisplaced,
		},
		"TheOtherColumns": {
			`UPDATE merchants SET access_token = refresh_token, access_token_binding = refresh_token_binding WHERE id = $1 AND id <> $2`,
			"access_token", billing.TokenMisplaced,
		},
		"RefreshToken": {
			`UPDATE merchants SET refresh_token = (SELECT refresh_token FROM merchants WHERE id = $2) WHERE id = $1`,
			"refresh_token", billing.TokenMisplaced,
		},
		"RolledBackUnderTheNewKeysID": {
			`UPDATE merchants SET access_token = (SELECT access_token FROM old WHERE id = $1),
				access_token_binding = (SELECT access_token_binding FROM old WHERE id = $1) WHERE id = $1 AND id <> $2`,
			"access_token", billing.TokenMisplaced,
		},
		"OnlyItsKeysIDTakenAway": {
			`UPDATE merchants SET access_token_key_id = NULL WHERE id = $1 AND id <> $2`, "access_token", billing.TokenMisplaced,
		},
		"UnderTheIDOfAKeyThatNobodyHolds": {
			`UPDATE merchants SET access_token_key_id = '0123456789abcdef' WHERE id = $1 AND id <> $2`, "access_token", billing.TokenKeyAbsent,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
			victim, other := db.Merchant(t), db.Merchant(t)
			db.SQL.MustExec(`CREATE TABLE old AS SELECT * FROM merchants`)
			s, _, alarm := holding(t, db, key, db.Key)
			reseal(t, s, 10)
			db.SQL.MustExec(attack.sql, victim.ID, other.ID)
			_, err := s.GetMerchant(ctx, victim.ID)
			wantCode(t, err, billing.CodeTokenUnreadable)
			opened, failed, err := s.GetMerchants(ctx, map[billing.MerchantID]billing.MerchantVersion{victim.ID: "", other.ID: ""})
			if err != nil || opened[other.ID].AccessToken.Reveal() != "sk_test_"+other.StripeConnectID {
				t.Errorf("the other merchant: %v", err)
			}
			want := []store.RefusedToken{{MerchantID: victim.ID, Column: attack.column, Fault: attack.fault}}
			if attack.column == "access_token" { // all that a call takes
				wantCode(t, failed[victim.ID], billing.CodeTokenUnreadable)
				want = append(want, want[0])
			}
			heard := alarm.heard()
			for i := range heard {
				heard[i].KeyID = ""
			}
			if diff := cmp.Diff(want, heard); diff != "" {
				t.Error(diff)
			}
			page, err := s.VerifyTokens(ctx, "", 10)
			if err != nil || len(page.Refused) != 1 || page.Refused[0].Fault != attack.fault || page.Merchants != 2 || page.Tokens != 4 {
				t.Errorf("%+v, %v", page, err)
			}
		})
	}
}

// TestAProcessWithoutARowsKey: that merchant alone cannot be served.
func TestAProcessWithoutARowsKey(t *testing.T) {
	t.Parallel()
	ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
	old := db.Merchant(t)
	s, _, _ := holding(t, db, key)
	mine, err := s.CreateMerchant(ctx, newMerchant(t, "acct_mine"))
	if err != nil {
		t.Fatal(err)
	}
	opened, failed, err := s.GetMerchants(ctx, map[billing.MerchantID]billing.MerchantVersion{old.ID: "", mine.ID: ""})
	if err != nil || len(opened) != 1 || opened[mine.ID].AccessToken.Empty() || billing.TokenFaultOf(failed[old.ID]) != billing.TokenKeyAbsent {
		t.Errorf("%d opened, %v, %v", len(opened), failed, err)
	}
}

// TestTokensOfOlderReleases: with neither key id nor binding they open, until bindings are demanded; and what a process of such a
// release stores beside a binding counts as not bound.
func TestTokensOfOlderReleases(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.Open(t)
	merchant, other := db.Merchant(t), db.Merchant(t)
	s, _, alarm := holding(t, db, newKey(t), db.Key)
	token, err := db.Vault.Encrypt("sk_test_by_an_older_api")
	if err != nil {
		t.Fatal(err)
	}
	refresh, err := db.Vault.Encrypt("rt_by_an_older_api")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.SQL.Connx(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, statement := range []string{`SET application_name = 'billonce-api'`, `UPDATE merchants SET access_token = '` + token + `', updated_at = now()
		WHERE id = '` + string(merchant.ID) + `'`, `UPDATE merchants SET refresh_token = '` + refresh + `', updated_at = now()
		WHERE id = '` + string(merchant.ID) + `'`} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.GetMerchant(ctx, merchant.ID)
	if err != nil || got.AccessToken.Reveal() != "sk_test_by_an_older_api" || got.RefreshToken.Reveal() != "rt_by_an_older_api" || alarm.unbound != 2 {
		t.Fatalf("%d unbound, %v", alarm.unbound, err)
	}

	strict, v, _ := holding(t, db, newKey(t), db.Key)
	v.RequireBinding()
	if _, err := strict.GetMerchant(ctx, merchant.ID); billing.TokenFaultOf(err) != billing.TokenUnbound {
		t.Errorf("%v", err)
	}
	if page, err := strict.Reseal(ctx, "", 10); err != nil || page.Resealed != 1 || len(page.Refused) != 2 {
		t.Errorf("whoever demands bindings makes none up: %+v, %v", page, err)
	}
	if _, err := strict.GetMerchant(ctx, other.ID); err != nil {
		t.Errorf("%v", err)
	}
	if heard := alarm.heard(); len(heard) != 0 {
		t.Errorf("%+v", heard)
	}
}

// TestSealingsAreCounted: never too few, whoever seals.
func TestSealingsAreCounted(t *testing.T) {
	t.Parallel()
	ctx, db, key := t.Context(), storetest.Open(t), newKey(t)
	s, _, alarm := holding(t, db, key)
	const merchants = 150 // with two tokens each
	var crowd sync.WaitGroup
	for range 5 {
		crowd.Go(func() {
			for range merchants / 5 {
				if _, err := s.CreateMerchant(ctx, newMerchant(t, "acct_"+storetest.NewID(t))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	crowd.Wait()
	n, err := db.DB.Sealings(ctx, key.ID())
	if err != nil || n < 2*merchants || n > 2*merchants+256 {
		t.Errorf("%d sealings counted, %v", n, err)
	}
	if diff := cmp.Diff([]int64{256, 512}, alarm.sealings); diff != "" {
		t.Error(diff)
	}
	again, _, _ := holding(t, db, newKey(t), key)
	reseal(t, again, 100)
	if page, err := again.Reseal(ctx, "", 100); err != nil || page.Found != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	db.SQL.MustExec(`UPDATE encryption_keys SET check_value = 'of another key'`)
	if _, err := again.CreateMerchant(ctx, newMerchant(t, "acct_last")); err != nil {
		t.Errorf("what was counted may be used: %v", err)
	}
	third, _, _ := holding(t, db, key)
	_, err = third.CreateMerchant(ctx, newMerchant(t, "acct_none"))
	wantCode(t, err, billing.CodeInternal)
}

// TestEveryUseOfAKeyIsTold: by which key a token was sealed and opened, and whether that went well.
func TestEveryUseOfAKeyIsTold(t *testing.T) {
	t.Parallel()
	ctx, db, second := t.Context(), storetest.Open(t), newKey(t)
	victim, fine := db.Merchant(t), db.Merchant(t)
	s, _, l := holding(t, db, second, db.Key)
	token := secret.New("sk_test_new_token")
	if _, err := s.UpdateMerchant(ctx, fine.ID, billing.MerchantChange{AccessToken: &token}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetMerchant(ctx, fine.ID); err != nil {
		t.Fatal(err)
	}
	db.SQL.MustExec(`UPDATE merchants SET access_token = refresh_token WHERE id = $1`, victim.ID)
	if _, err := s.GetMerchant(ctx, victim.ID); err == nil {
		t.Fatal("a moved token is opened")
	}
	want := map[string]int{
		fmt.Sprintln("sealed", second.ID(), true): 1, fmt.Sprintln("opened", second.ID(), true): 1, // the access token
		fmt.Sprintln("opened", db.Key.ID(), true): 1, fmt.Sprintln("opened", db.Key.ID(), false): 1, // a refresh token, a moved one
	}
	if diff := cmp.Diff(want, l.keys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
