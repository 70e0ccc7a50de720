package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"strings"
	"testing"

	"billonce/pkg/secret"
	"billonce/pkg/store"
)

// Build prepares an empty database, to which address leads a superuser, as an installation is prepared: with the roles of
// deploy/roles.sql, and a schema that the role for it has made. The roles can log in as [As] says.
func Build(t testing.TB, address string) {
	t.Helper()
	asSuperuser, err := store.Open(store.Options{URL: secret.New(address)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = asSuperuser.Close() }()
	if err := asSuperuser.ApplyRoles(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, role := range store.Roles() {
		if err := asSuperuser.LetIn(context.Background(), role, password(t, address)); err != nil {
			t.Fatal(err)
		}
	}
	Migrate(t, As(t, address, store.RoleMigrate))
	asOwner, err := store.Open(store.Options{URL: secret.New(As(t, address, store.RoleMigrate))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = asOwner.Close() }()
	if renewed, err := asOwner.RenewGrants(context.Background()); err != nil || !renewed {
		t.Fatalf("renew the grants: %t, %v", renewed, err)
	}
}

// As returns the URL of the same database for one of its roles.
func As(t testing.TB, address string, role store.Role) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address of the database is not a URL")
	}
	parsed.User = url.UserPassword(string(role), password(t, address).Reveal())
	return parsed.String()
}

// password is that of every role, derived from the superuser's.
func password(t testing.TB, address string) secret.Text {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address of the database is not a URL")
	}
	known, _ := parsed.User.Password()
	sum := sha256.Sum256([]byte("roles of billonce's tests, " + known))
	return secret.New(hex.EncodeToString(sum[:]))
}

// EnvironOf returns the environment of a program with DATABASE_URL for the program's role. What is no URL, or is a role's already,
// stays, and so does what any other program is given than the services and `billctl keys`.
func EnvironOf(t testing.TB, program string, env map[string]string) map[string]string {
	t.Helper()
	role, ok := map[string]store.Role{"api": store.RoleAPI, "worker": store.RoleWorker, "billctl keys": store.RoleRotate}[program]
	parsed, err := url.Parse(env["DATABASE_URL"])
	if !ok || err != nil || parsed.User == nil || strings.HasPrefix(parsed.User.Username(), "billonce_") {
		return env
	}
	changed := maps.Clone(env)
	changed["DATABASE_URL"] = As(t, env["DATABASE_URL"], role)
	return changed
}
