// Package storetest gives each test a billonce database of its own on a real PostgreSQL.
//
// It promises that a test fails, and is never skipped, when there is no server: BILLONCE_TEST_DATABASE_URL names one, and
// `make test` starts one. It is imported by tests only.
package storetest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq" // the driver for plain connections

	"billonce/db/migrations"
	"billonce/deploy"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/vault"
)

const (
	urlVariable  = "BILLONCE_TEST_DATABASE_URL"
	templateLock = 7_203_114_691
	patience     = time.Minute
)

// DB is one test's database.
type DB struct {
	URL   string
	DB    *store.DB
	Store *store.Store
	SQL   *sqlx.DB // for looking at rows and changing them by hand
	Vault *vault.Vault
	Key   vault.Key
}

// ServerURL returns the URL of the test server's maintenance database.
func ServerURL(t testing.TB) string {
	t.Helper()
	server := os.Getenv(urlVariable)
	if server == "" {
		t.Fatalf("%s is not set: run the tests with `make test`, or start a server with `bin/billctl dev exec -- go test ./...`", urlVariable)
	}
	return server
}

// Open creates a migrated database, cloned from a template that the first test makes, and drops it when the test ends.
func Open(t testing.TB) *DB {
	t.Helper()
	address := Create(t, template(t))
	key, err := vault.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return OpenURL(t, address, key)
}

// OpenURL opens an existing database with the given key.
func OpenURL(t testing.TB, address string, key vault.Key) *DB {
	t.Helper()
	sealer, err := vault.New(key)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(store.Options{URL: secret.New(address), Name: "storetest"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sqlx.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = raw.Close()
		_ = db.Close()
	})
	return &DB{URL: address, DB: db, Store: store.New(db, sealer), SQL: raw, Vault: sealer, Key: key}
}

// Create makes a database from a template ("" for an empty one) and drops it when the test ends. It returns its URL.
func Create(t testing.TB, from string) string {
	t.Helper()
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	statement := "CREATE DATABASE " + name
	if from != "" {
		statement += " TEMPLATE " + from
	}
	admin(t, statement)
	t.Cleanup(func() { admin(t, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return withDatabase(t, name)
}

// template makes the migrated template once per set of migrations and returns its name.
func template(t testing.TB) string {
	t.Helper()
	name := "template_" + migrationsHash(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server, err := sql.Open("postgres", ServerURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	conn, err := server.Conn(ctx)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer func() { _ = conn.Close() }() // also ends the advisory lock
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		t.Fatal(err)
	}
	var exists bool
	if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		t.Fatal(err)
	}
	if exists {
		return name
	}
	building := name + "_building"
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + building + " WITH (FORCE)", "CREATE DATABASE " + building} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	Build(t, withDatabase(t, building))
	if _, err := conn.ExecContext(ctx, "ALTER DATABASE "+building+" RENAME TO "+name); err != nil {
		t.Fatal(err)
	}
	return name
}

// Migrate applies every migration to the database at address.
func Migrate(t testing.TB, address string) {
	t.Helper()
	db, err := store.Open(store.Options{URL: secret.New(address)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	provider, err := db.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Merchant creates a merchant with a token of its own for a new Stripe account.
func (db *DB) Merchant(t testing.TB) billing.Merchant {
	t.Helper()
	account := "acct_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:16]
	merchant, err := db.Store.CreateMerchant(context.Background(), billing.NewMerchant{
		ID: billing.MerchantID(NewID(t)), Name: "Test merchant", StripeConnectID: account,
		AccessToken: secret.New("sk_test_" + account), RefreshToken: secret.New("rt_" + account),
	})
	if err != nil {
		t.Fatal(err)
	}
	return merchant
}

// NewID returns a new UUIDv7.
func NewID(t testing.TB) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

func admin(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	server, err := sql.Open("postgres", ServerURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	if _, err := server.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func withDatabase(t testing.TB, name string) string {
	t.Helper()
	address, err := url.Parse(ServerURL(t))
	if err != nil {
		t.Fatalf("%s is not a URL", urlVariable)
	}
	address.Path = "/" + name
	return address.String()
}

func migrationsHash(t testing.TB) string {
	t.Helper()
	sum := sha256.New()
	_, _ = sum.Write([]byte(deploy.Roles))
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := migrations.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}
