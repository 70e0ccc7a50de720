package cli_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/cmd/billctl/dev/postgres"
	"billonce/pkg/store/storetest"
)

// TestRolesApply goes the way of a composition, on a server of its own, because roles and their passwords are the whole server's:
// the superuser makes the roles, the owner's role migrates, and the rest logs in by the files.
func TestRolesApply(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	if err := server.CreateDatabase(ctx, "billonce"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(role string) string { return filepath.Join(dir, role, "database_url") }
	for _, role := range []string{"migrate", "api", "read"} {
		if err := os.Mkdir(filepath.Join(dir, role), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	super := map[string]string{"DATABASE_URL": server.URL("billonce").Reveal()}
	contents := map[string]string{}
	for _, again := range []bool{false, true} {
		got := run(t, super, "roles", "apply", "--dir", dir)
		if got.code != 0 || strings.Count(got.out, "logs in by ") != 3 {
			t.Fatalf("%+v", got)
		}
		for _, role := range []string{"migrate", "api", "read"} {
			content, err := os.ReadFile(file(role))
			if err != nil || again && contents[role] != string(content) {
				t.Errorf("%s: changed by running it again, or %v", role, err)
			}
			contents[role] = string(content)
			if address, err := url.Parse(strings.TrimSpace(string(content))); err != nil || address.User.Username() != "billonce_"+role {
				t.Errorf("the url of %s is of another role, or %v", role, err)
			} else if password, _ := address.User.Password(); strings.Contains(got.out+got.err, password) {
				t.Error("a password is shown")
			}
		}
		if got := run(t, map[string]string{"DATABASE_URL_FILE": file("migrate")}, "migrate", "up"); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	if got := run(t, map[string]string{"DATABASE_URL_FILE": file("read")}, "tasks", "export"); got.code != 0 {
		t.Errorf("the role that reads cannot export: %+v", got)
	}
	for _, role := range []string{"api", "read"} {
		if got := run(t, map[string]string{"DATABASE_URL_FILE": file(role)}, "migrate", "down"); got.code != 1 {
			t.Errorf("%s migrates: %+v", role, got)
		}
	}
	if got := run(t, super, "roles", "apply", "--dir", t.TempDir()); got.code != 1 || !strings.Contains(got.err, "no folder named after a role") {
		t.Errorf("%+v", got)
	}
	if err := os.WriteFile(file("read"), []byte(contents["api"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, super, "roles", "apply", "--dir", dir); got.code != 1 || !strings.Contains(got.err, "it is no URL of the role billonce_read") {
		t.Errorf("%+v", got)
	}
	if got := run(t, nil, "roles", "apply"); got.code != 78 {
		t.Errorf("%+v", got)
	}
}

// TestRolesApplyByAnOwner who is no superuser and may create roles, on a server of its own where there are none yet.
func TestRolesApplyByAnOwner(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := postgres.Start(ctx, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(ctx)) })
	super := sqlx.MustConnect("postgres", server.URL("postgres").Reveal())
	defer func() { _ = super.Close() }()
	super.MustExec(`CREATE ROLE holder LOGIN CREATEROLE PASSWORD 'canary'`)
	super.MustExec(`CREATE DATABASE held OWNER holder`)
	address, err := url.Parse(server.URL("held").Reveal())
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("holder", "canary")
	holder := map[string]string{"DATABASE_URL": address.String()}
	for _, command := range [][]string{{"migrate", "up"}, {"roles", "apply"}, {"roles", "apply"}, {"migrate", "up"}} {
		if got := run(t, holder, command...); got.code != 0 {
			t.Fatalf("%v: %+v", command, got)
		}
	}
	if owner := query[string](t, address.String(), `SELECT relowner::regrole FROM pg_class WHERE oid = 'merchants'::regclass`); owner != "billonce_migrate" {
		t.Errorf("the tables belong to %s", owner)
	}
	if !query[bool](t, address.String(), `SELECT has_table_privilege('billonce_read', 'audit_log', 'SELECT')`) {
		t.Error("billonce_read cannot read the log")
	}
}

// TestMigrateUpSaysThatItDidNotRenewGrants: it went by a user to whom the schema was not to belong.
func TestMigrateUpSaysThatItDidNotRenewGrants(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": storetest.Create(t, "")}
	const warning = "was not renewed"
	if got := run(t, env, "roles", "apply"); got.code != 0 { // before the first migration
		t.Fatalf("%+v", got)
	}
	if got := run(t, env, "migrate", "up"); got.code != 0 || !strings.Contains(got.err, warning) || !strings.Contains(got.err, "billctl roles apply") {
		t.Errorf("%+v", got)
	}
	if got := run(t, env, "roles", "apply"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if got := run(t, env, "migrate", "up"); got.code != 0 || got.err != "" {
		t.Errorf("%+v", got)
	}
	env["DATABASE_URL"] = storetest.Create(t, "") // the server has roles, this database does not use them
	if got := run(t, env, "migrate", "up"); got.code != 0 || got.err != "" {
		t.Errorf("%+v", got)
	}
}

// TestRolesApplyGivesUp rather than have everybody wait behind somebody who reads for long.
func TestRolesApplyGivesUp(t *testing.T) {
	t.Parallel()
	address := storetest.Create(t, "")
	env := map[string]string{"DATABASE_URL": address}
	if got := run(t, env, "migrate", "up"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	reader := sqlx.MustConnect("postgres", address)
	defer func() { _ = reader.Close() }()
	reading := reader.MustBegin()
	defer func() { _ = reading.Rollback() }()
	reading.MustExec(`SELECT count(*) FROM scheduled_tasks`)
	owners := `SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace`
	before, began := query[string](t, address, owners), time.Now()
	got := run(t, env, "roles", "apply")
	if got.code != 1 || !strings.Contains(got.err, "somebody is using the tables") || time.Since(began) > 30*time.Second {
		t.Errorf("after %s: %+v", time.Since(began), got)
	}
	if after := query[string](t, address, owners); after != before || strings.Contains(after, "billonce_migrate") {
		t.Errorf("the tables belonged to %s and belong to %s", before, after)
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := run(t, env, "roles", "apply"); got.code != 0 {
		t.Errorf("%+v", got)
	}
}

// TestProductionRefusesToMigrateInClear as the services do.
func TestProductionRefusesToMigrateInClear(t *testing.T) {
	t.Parallel()
	env := map[string]string{"APP_ENV": "production", "DATABASE_URL": "postgres://u:canary@db.invalid/b?sslmode=disable"}
	for _, command := range [][]string{{"migrate", "up"}, {"roles", "apply"}, {"tasks", "export"}} {
		if got := run(t, env, command...); got.code != 78 || !strings.Contains(got.err, "sslmode=verify-full") || strings.Contains(got.err, "canary") {
			t.Errorf("%v: %+v", command, got)
		}
	}
	for given, code := range map[string]int{"true": 1, "1": 1, "T": 1, "false": 78, "0": 78, "canary": 78} { // 1: it goes on, and finds no server
		env["DATABASE_ALLOW_PLAINTEXT"] = given
		if got := run(t, env, "migrate", "up"); got.code != code || strings.Contains(got.err, "canary") {
			t.Errorf("told %q: %+v", given, got)
		}
	}
	env["DATABASE_URL"], env["DATABASE_ALLOW_PLAINTEXT"] = storetest.Create(t, ""), ""
	if got := run(t, env, "migrate", "up"); got.code != 0 {
		t.Errorf("on this machine: %+v", got)
	}
}
