package store_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"github.com/pressly/goose/v3"

	"billonce/db/migrations"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
	"billonce/pkg/vault"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	address := storetest.Create(t, "")
	db, err := store.Open(store.Options{URL: secret.New(address)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()

	err = db.RequireSchema(ctx)
	wantCode(t, err, billing.CodeUnavailable)
	if !strings.Contains(err.Error(), "at version 0") || !strings.Contains(err.Error(), "needs version") {
		t.Errorf("the error does not name both versions: %v", err)
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() { storetest.Migrate(t, address) })
	}
	group.Wait()
	if err := db.RequireSchema(ctx); err != nil {
		t.Error(err)
	}
	all, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var applied int
	raw := storetest.OpenURL(t, address, newKey(t))
	if err := raw.SQL.Get(&applied, `SELECT count(*) FROM goose_db_version WHERE version_id > 0`); err != nil || applied != len(all) {
		t.Errorf("%d migrations were applied, %v", applied, err)
	}
	if _, err := raw.SQL.Exec(`DELETE FROM goose_db_version WHERE version_id = $1`, migrations.Required); err != nil {
		t.Fatal(err)
	}
	wantCode(t, db.RequireSchema(ctx), billing.CodeUnavailable)
}

// migratedTo opens an empty database at an earlier version of the schema, with what migrates it further.
func migratedTo(t *testing.T, version int64) (db *store.DB, provider *goose.Provider, raw *sqlx.DB) {
	t.Helper()
	address := storetest.Create(t, "")
	db, err := store.Open(store.Options{URL: secret.New(address), Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	if provider, err = db.Migrations(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	raw = sqlx.MustConnect("postgres", address)
	t.Cleanup(func() { _ = raw.Close() })
	return db, provider, raw
}

// TestDoubtsOfAnEarlierVersionAreNotForgotten migrates a database on which that version left doubts, two of them at one object.
func TestDoubtsOfAnEarlierVersionAreNotForgotten(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const before = 2
	db, provider, raw := migratedTo(t, before)
	merchant, first, second := storetest.NewID(t), storetest.NewID(t), storetest.NewID(t)
	raw.MustExec(`INSERT INTO merchants (id, name, stripe_connect_id, livemode) VALUES ($1, 'M', 'acct_1', false)`, merchant)
	for _, id := range []string{first, second} {
		raw.MustExec(`INSERT INTO scheduled_tasks (id, merchant_id, kind, target, params, metadata, request_method, request_path, request_body,
				request_version, request_hash, run_at, scheduled_for, max_attempts, status, attempt, first_sent_at, sent_auth, sent_account)
			VALUES ($1, $2, 'invoice.pay', 'in_1', '{}', '{}', 'POST', '/v1/invoices/in_1/pay', '', '2023-10-16', decode(repeat('00', 32), 'hex'),
				now(), now(), 5, 'in_doubt', 1, now(), 'token', 'acct_1')`, id, merchant)
	}
	_, err := provider.Up(ctx)
	var refused *pq.Error
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "1 objects have more than one task") ||
		!strings.Contains(refused.Detail, "in_1") || !strings.Contains(refused.Detail, second) || refused.Hint == "" {
		t.Fatalf("%v", err)
	}
	if version, err := db.SchemaVersion(ctx); err != nil || version != before {
		t.Errorf("at version %d, %v", version, err)
	}
	raw.MustExec(`UPDATE scheduled_tasks SET status = 'failed', finished_at = now() WHERE id = $1`, second)
	if _, err := provider.Up(ctx); err != nil {
		t.Fatal(err)
	}
	var due []string
	if err := raw.Select(&due, `SELECT id FROM scheduled_tasks WHERE look_at <= now()`); err != nil || len(due) != 1 || due[0] != first {
		t.Errorf("%v are looked at, want %s: %v", due, first, err)
	}
}

func TestOpenNeverShowsTheURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://user:canary@host:port/db", "canary", "postgres://u:canary@h/%zz", "host=h password='canary"} {
		db, err := store.Open(store.Options{URL: secret.New(address)})
		if err == nil {
			err = db.Ping(context.Background())
			_ = db.Close()
		}
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v", err)
		}
	}
}

func newKey(t testing.TB) vault.Key {
	t.Helper()
	key, err := vault.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func record(key vault.Key) store.KeyRecord {
	return store.KeyRecord{ID: key.ID(), CheckValue: key.CheckValue()}
}

func TestAdoptKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	first, second := newKey(t), newKey(t)
	db.Merchant(t)

	t.Run("RefusesAFirstKeyThatOpensNothing", func(t *testing.T) {
		other, err := vault.New(first)
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, db.DB.AdoptKey(ctx, other, record(first)), billing.CodeTokenUnreadable)
	})
	db.SQL.MustExec(`UPDATE merchants SET access_token = NULL, refresh_token = NULL`)
	t.Run("OneOfManyProcessesRegisters", func(t *testing.T) {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if err := db.DB.AdoptKey(ctx, db.Vault, record(first)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
	t.Run("RefusesAnotherKeyNamingBoth", func(t *testing.T) {
		err := db.DB.AdoptKey(ctx, db.Vault, record(second))
		var mismatch *store.KeyMismatch
		if !errors.As(err, &mismatch) || !strings.Contains(err.Error(), first.ID()) || !strings.Contains(err.Error(), second.ID()) {
			t.Errorf("got %v", err)
		}
		if err := db.DB.CheckKey(ctx, record(second)); !errors.As(err, &mismatch) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("AdoptsANewKeyBesideTheOld", func(t *testing.T) {
		if err := db.DB.AdoptKey(ctx, db.Vault, record(second), record(first)); err != nil {
			t.Fatal(err)
		}
		if err := db.DB.CheckKey(ctx, record(second)); err != nil {
			t.Error(err)
		}
		var mismatch *store.KeyMismatch
		if err := db.DB.AdoptKey(ctx, db.Vault, record(first)); !errors.As(err, &mismatch) {
			t.Errorf("a process with the old key alone: %v", err)
		}
	})
}

func TestDevelopmentKeyIsShared(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	keys := make([]string, 8)
	var group sync.WaitGroup
	for i := range keys {
		candidate := newKey(t).Encode()
		group.Go(func() {
			key, err := db.DB.DevelopmentKey(context.Background(), candidate)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key.Reveal()
		})
	}
	group.Wait()
	for _, key := range keys {
		if key != keys[0] || key == "" {
			t.Fatal("processes got different keys")
		}
	}
}
