package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
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
