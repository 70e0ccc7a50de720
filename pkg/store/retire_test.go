package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
	"billonce/pkg/vault"
)

// TestARetiredKeyIsNotTakenUpAgain: once a rotation has ended, a process that was started with the old order of keys changes nothing,
// until somebody says that this is meant.
func TestARetiredKeyIsNotTakenUpAgain(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	ctx := billing.WithActor(context.Background(), billing.Actor{ID: billing.ActorBillctl})
	rotating, err := store.Open(store.Options{URL: secret.New(storetest.As(t, db.URL, store.RoleRotate))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rotating.Close() })
	old, next := newKey(t), newKey(t)
	adopt := func(primary vault.Key, previous ...store.KeyRecord) error {
		return db.DB.AdoptKey(ctx, db.Vault, record(primary), previous...)
	}
	wantActive := func(key vault.Key) {
		t.Helper()
		var active string
		if err := db.SQL.Get(&active, `SELECT key_id FROM encryption_keys WHERE active`); err != nil || active != key.ID() {
			t.Errorf("%s is active, %v", active, err)
		}
	}
	if err := rotating.RetireOthers(ctx, record(next)); err != nil {
		t.Errorf("before any service was started: %v", err)
	}
	for _, err := range []error{adopt(old), adopt(next, record(old)), adopt(old, record(next)), adopt(next, record(old))} {
		if err != nil {
			t.Fatalf("before the end of the rotation: %v", err)
		}
	}
	var mismatch *store.KeyMismatch
	if err := rotating.RetireOthers(ctx, record(old)); !errors.As(err, &mismatch) {
		t.Errorf("a rotation to a key that is not the active one has ended: %v", err)
	}
	for range 2 {
		if err := rotating.RetireOthers(ctx, record(next)); err != nil {
			t.Fatal(err)
		}
	}
	var retired *store.KeyRetired
	err = adopt(old, record(next))
	if !errors.As(err, &retired) || !strings.Contains(err.Error(), old.ID()) || !strings.Contains(err.Error(), next.ID()) {
		t.Errorf("%v", err)
	}
	wantActive(next)
	if err := db.DB.CheckKey(ctx, record(next)); err != nil {
		t.Errorf("a process that holds the new key alone: %v", err)
	}
	uses, err := db.DB.KeyUses(ctx)
	if err != nil || len(uses) != 2 || !uses[0].Retired || uses[1].Retired {
		t.Errorf("%+v, %v", uses, err)
	}
	if err := adopt(next, record(old)); err != nil {
		t.Errorf("the old key goes on opening: %v", err)
	}
	wantCode(t, rotating.ReinstateKey(ctx, "0123456789abcdef"), billing.CodeNotFound)
	for range 2 {
		if err := rotating.ReinstateKey(ctx, old.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if err := adopt(old, record(next)); err != nil {
		t.Error(err)
	}
	wantActive(old)
	for action, want := range map[billing.Action]int{billing.ActionEncryptionKeyRetire: 1, billing.ActionEncryptionKeyReinstate: 2} {
		entries, err := db.Store.ListAudit(ctx, billing.AuditFilter{Action: action, Object: old.ID()}, 10, billing.AuditMark{})
		if err != nil || len(entries) != want {
			t.Errorf("%s: %+v, %v", action, entries, err)
		}
	}
}
