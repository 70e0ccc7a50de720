package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

func newAPIKey(t testing.TB, merchant billing.MerchantID) billing.NewAPIKey {
	t.Helper()
	id := storetest.NewID(t)
	return billing.NewAPIKey{
		ID: billing.APIKeyID(id), Name: "shop", Hash: sha256.Sum256([]byte(id)), Hint: "bo_live_abcd",
		Scopes: []billing.Scope{billing.ScopeTasksRead}, MerchantID: merchant,
	}
}

func TestAnAPIKeyIsKeptAsItIs(t *testing.T) {
	t.Parallel()
	ctx := billing.WithActor(context.Background(), billing.Actor{ID: billing.ActorAdmin, Address: "10.0.0.1", RequestID: "r-1"})
	db := storetest.Open(t)
	merchant := db.Merchant(t).ID
	key := newAPIKey(t, merchant)
	key.Scopes = []billing.Scope{billing.ScopeTasksWrite, billing.ScopeMerchantsRead}
	key.ExpiresAt = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	created, err := db.Store.CreateAPIKey(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	found, err := db.Store.FindAPIKey(ctx, key.Hash)
	if err != nil || found.ID != created.ID || found.Hash != key.Hash || found.MerchantID != merchant || found.CreatedBy != billing.ActorAdmin ||
		fmt.Sprint(found.Scopes) != fmt.Sprint(key.Scopes) || !found.ExpiresAt.Equal(key.ExpiresAt) || found.Status != billing.APIKeyActive ||
		found.UsableFor <= 59*time.Minute || found.UsableFor > time.Hour {
		t.Errorf("%+v, %v", found, err)
	}
	_, err = db.Store.FindAPIKey(ctx, sha256.Sum256(nil))
	wantCode(t, err, billing.CodeNotFound)
	for _, bad := range []func(*billing.NewAPIKey){
		func(key *billing.NewAPIKey) { key.MerchantID = billing.MerchantID(storetest.NewID(t)) },
		func(key *billing.NewAPIKey) { key.ExpiresAt = time.Now().Add(-time.Hour) },
		func(key *billing.NewAPIKey) { key.ExpiresAt = time.Now().Add(10*365*24*time.Hour + time.Minute) },
		func(key *billing.NewAPIKey) { key.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) },
	} {
		key := newAPIKey(t, "")
		bad(&key)
		_, err := db.Store.CreateAPIKey(ctx, key)
		wantCode(t, err, billing.CodeInvalid)
	}
	// What the API refuses, the database refuses too.
	for _, statement := range []string{
		`UPDATE api_keys SET scopes = '{}'`, `UPDATE api_keys SET scopes = '{everything}'`, `UPDATE api_keys SET scopes = '{admin}'`,
		`UPDATE api_keys SET hash = 'short'`,
	} {
		if _, err := db.SQL.Exec(statement); err == nil {
			t.Errorf("%s is taken", statement)
		}
	}
}

func TestOneOfManyRotationsWins(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	key := newAPIKey(t, "")
	if _, err := db.Store.CreateAPIKey(ctx, key); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		id := storetest.NewID(t)
		group.Go(func() {
			_, results[i] = db.Store.RotateAPIKey(ctx, key.ID, billing.Rotation{ID: billing.APIKeyID(id), Hash: sha256.Sum256([]byte(id)), Hint: "bo_live_next"})
		})
	}
	group.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
			continue
		}
		wantCode(t, err, billing.CodeConflict)
	}
	old, err := db.Store.GetAPIKey(ctx, key.ID)
	if keys, listErr := db.Store.ListAPIKeys(ctx, billing.APIKeyFilter{}, 10, ""); won != 1 || len(keys) != 2 || listErr != nil || err != nil {
		t.Errorf("%d won, %d keys, %v, %v", won, len(keys), listErr, err)
	}
	if old.ReplacedBy == "" || old.UsableFor < 23*time.Hour || old.UsableFor > billing.DefaultKeyOverlap {
		t.Errorf("%+v", old)
	}
	if left, err := db.Store.ListAudit(ctx, billing.AuditFilter{}, 10, billing.AuditMark{}); err != nil || len(left) != 0 {
		t.Errorf("what nobody asked for is recorded: %v, %v", left, err)
	}
}

// TestEndsOfARotation: the old key never lives longer than it would have, and the new one never beyond ten years, however long the old one
// was to live.
func TestEndsOfARotation(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	ctx := billing.WithActor(context.Background(), billing.Actor{ID: billing.ActorAdmin})
	decade := 10 * 365 * 24 * time.Hour
	for name, tc := range map[string]struct {
		life             string // of the old key when it was made, "" for ever
		left             string // of it
		oldUntil, renew  time.Duration
		oldLives, expiry time.Duration // 0: for ever
	}{
		"AnHourIsLeft":           {"30 days", "1 hour", 0, 0, time.Hour, 30 * 24 * time.Hour},
		"AnHourIsLeftAndAskFor2": {"30 days", "1 hour", 2 * time.Hour, 0, time.Hour, 30 * 24 * time.Hour},
		"LessThanIsLeft":         {"30 days", "20 days", time.Hour, 2 * time.Hour, time.Hour, 2 * time.Hour},
		"ForEver":                {"", "", 0, 0, billing.DefaultKeyOverlap, 0},
		"AThousandYears":         {"1000 years", "999 years", 0, 0, billing.DefaultKeyOverlap, decade},
	} {
		key := newAPIKey(t, "")
		if _, err := db.Store.CreateAPIKey(ctx, key); err != nil {
			t.Fatal(err)
		}
		if tc.life != "" {
			db.SQL.MustExec(`UPDATE api_keys SET expires_at = now() + $2::interval, created_at = now() + $2::interval - $3::interval WHERE id = $1`,
				key.ID, tc.left, tc.life)
		}
		id := storetest.NewID(t)
		rotation := billing.Rotation{ID: billing.APIKeyID(id), Hash: sha256.Sum256([]byte(id)), Hint: "bo_live_next"}
		if tc.oldUntil > 0 {
			rotation.OldUntil = time.Now().Add(tc.oldUntil)
		}
		if tc.renew > 0 {
			rotation.ExpiresAt = time.Now().Add(tc.renew)
		}
		made, err := db.Store.RotateAPIKey(ctx, key.ID, rotation)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		old, err := db.Store.GetAPIKey(ctx, key.ID)
		if err != nil {
			t.Fatal(err)
		}
		for whose, pair := range map[string]struct {
			got  *time.Time
			want time.Duration
		}{"the old": {old.ExpiresAt, tc.oldLives}, "the new": {made.ExpiresAt, tc.expiry}} {
			if pair.want == 0 && pair.got == nil {
				continue
			}
			if pair.want == 0 || pair.got == nil || time.Until(*pair.got)-pair.want > time.Second || pair.want-time.Until(*pair.got) > time.Minute {
				t.Errorf("%s: %s key lives until %v, want %s from now", name, whose, pair.got, pair.want)
			}
		}
		entries, err := db.Store.ListAudit(ctx, billing.AuditFilter{Action: billing.ActionKeyCreate, Object: id}, 10, billing.AuditMark{})
		if err != nil || len(entries) != 1 || !strings.Contains(string(entries[0].Detail), `"replaces": "`+string(key.ID)+`"`) {
			t.Errorf("%s: the new key's entry: %+v, %v", name, entries, err)
		}
	}
}

func TestTheLatestUseIsKept(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	var keys []billing.APIKeyID
	for range 20 {
		key := newAPIKey(t, "")
		if _, err := db.Store.CreateAPIKey(ctx, key); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.ID)
	}
	var group sync.WaitGroup
	for i := range 8 { // in every order, at once
		uses := []billing.KeyUse{{ID: billing.APIKeyID(storetest.NewID(t))}} // one that nobody has
		for j := range keys {
			uses = append(uses, billing.KeyUse{ID: keys[(i*7+j*3)%len(keys)], Ago: time.Duration(i+1) * time.Minute})
		}
		group.Go(func() {
			if err := db.Store.UseAPIKeys(ctx, uses); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	var wrong int
	if err := db.SQL.Get(&wrong, `SELECT count(*) FROM api_keys WHERE last_used_at IS NULL OR NOT last_used_at BETWEEN now() - interval '2 minutes' AND now() - interval '1 minute'`); err != nil || wrong != 0 {
		t.Errorf("%d keys were used at another time, %v", wrong, err)
	}
}

// TestAWorkersPauseIsNotAnActors: what a worker does by itself is in the log of the worker, not in that of who asked for what.
func TestAWorkersPauseIsNotAnActors(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	if _, err := db.Store.PauseMerchant(ctx, merchant.ID, billing.PauseNeedsReauth, "x"); err != nil {
		t.Fatal(err)
	}
	asked := billing.WithActor(ctx, billing.Actor{ID: billing.ActorAdmin})
	if _, err := db.Store.ResumeMerchant(asked, merchant.ID); err != nil {
		t.Fatal(err)
	}
	entries, err := db.Store.ListAudit(ctx, billing.AuditFilter{}, 10, billing.AuditMark{})
	if err != nil || len(entries) != 1 || entries[0].Action != billing.ActionMerchantResume || entries[0].Object != string(merchant.ID) {
		t.Errorf("%+v, %v", entries, err)
	}
}
