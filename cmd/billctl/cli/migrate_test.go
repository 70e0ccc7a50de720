package cli_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/lib/pq" // the driver

	"billonce/cmd/billctl/schema"
	"billonce/db/migrations"
	"billonce/pkg/store/storetest"
)

// query returns one value of a database.
func query[T any](t *testing.T, address, statement string) T {
	t.Helper()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var value T
	if err := db.QueryRowContext(t.Context(), statement).Scan(&value); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return value
}

func tables(t *testing.T, address string) int {
	t.Helper()
	return query[int](t, address, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version'`)
}

// migrationNames are the files of this build's migrations.
func migrationNames(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d migrations, %v", len(names), err)
	}
	return names
}

func TestMigrateUpByTenAtOnceAppliesEachOnce(t *testing.T) {
	t.Parallel()
	address := storetest.Create(t, "")
	outputs := make([]string, 10)
	var group sync.WaitGroup
	for i := range outputs {
		command := billctl(t, []string{"DATABASE_URL=" + address, "DATABASE_URL_FILE="}, "migrate", "up")
		group.Go(func() {
			output, err := command.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, output)
			}
			outputs[i] = string(output)
		})
	}
	group.Wait()
	all := strings.Join(outputs, "")
	names := migrationNames(t)
	for _, name := range names {
		if strings.Count(all, "applied "+name) != 1 {
			t.Errorf("%s is said %d times in\n%s", name, strings.Count(all, name), all)
		}
	}
	if applied := query[int](t, address, `SELECT count(*) FROM goose_db_version WHERE version_id > 0`); applied != len(names) {
		t.Errorf("goose_db_version has %d rows, want %d", applied, len(names))
	}
}

func TestMigrateDownAndStatus(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": storetest.Create(t, "")}
	status := func(want string) {
		t.Helper()
		got := run(t, env, "migrate", "status")
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("no %q in %+v", want, got)
		}
	}
	needs := fmt.Sprintf("this build needs version %d.", schema.Required)
	status("The database is at version 0; " + needs)
	if got := run(t, env, "migrate", "down"); got.code != 0 || got.out != "nothing to roll back\n" {
		t.Errorf("%+v", got)
	}
	if got := run(t, env, "migrate", "up"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if got := run(t, env, "migrate", "up"); got.code != 0 || got.out != "nothing to apply\n" {
		t.Errorf("%+v", got)
	}
	status(fmt.Sprintf("The database is at version %d; %s", schema.Required, needs))
	if entry := query[string](t, env["DATABASE_URL"], `SELECT actor || ' ' || action || ' ' || object || ' ' || detail::text FROM audit_log`); !strings.HasPrefix(
		entry, fmt.Sprintf(`billctl schema.migrate_up %d {"versions": [1, 2, `, schema.Required)) {
		t.Errorf("recorded as %s", entry)
	}
	kept := 0 // how often it took more to go on, because the log has entries
	for range migrationNames(t) {
		got := run(t, env, "migrate", "down")
		if got.code == 1 && strings.Contains(got.err, "the audit log has entries") {
			kept++
			got = run(t, env, "migrate", "down", "--lose-audit-log")
		}
		if got.code != 0 || !strings.HasPrefix(got.out, "rolled back ") {
			t.Errorf("%+v", got)
		}
	}
	status("The database is at version 0; ")
	if kept != 1 {
		t.Errorf("the audit log was kept %d times", kept)
	}
	if left := tables(t, env["DATABASE_URL"]); left != 0 {
		t.Errorf("%d tables are left", left)
	}
}

// lateServer refuses the first connections and then hands every other one on to the test server.
func lateServer(t *testing.T, address string, refuse int32) (late string, refused *atomic.Int32) {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused = &atomic.Int32{}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	server := target.Host
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if refused.Load() < refuse {
				refused.Add(1)
				_ = conn.Close()
				continue
			}
			serving.Go(func() { join(conn, server) })
		}
	})
	target.Host = listener.Addr().String()
	return target.String(), refused
}

func join(conn net.Conn, server string) {
	defer func() { _ = conn.Close() }()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(conn, upstream)
		_ = conn.Close()
	})
	_, _ = io.Copy(upstream, conn)
	_ = upstream.Close()
	back.Wait()
}

func TestMigrateWait(t *testing.T) {
	t.Parallel()
	t.Run("goes on when the database answers", func(t *testing.T) {
		t.Parallel()
		late, refused := lateServer(t, storetest.Create(t, ""), 5)
		if got := run(t, map[string]string{"DATABASE_URL": late}, "migrate", "up", "--wait", "30s"); got.code != 0 {
			t.Errorf("%+v", got)
		}
		if refused.Load() != 5 {
			t.Errorf("%d connections were refused", refused.Load())
		}
	})
	t.Run("gives up in time, without the password", func(t *testing.T) {
		t.Parallel()
		env := map[string]string{"DATABASE_URL": "postgres://u:canary@127.0.0.1:1/x?sslmode=disable"}
		got := run(t, env, "migrate", "up", "--wait", "300ms")
		if got.code != 1 || !strings.Contains(got.err, "wait 300ms for the database") || strings.Contains(got.err, "canary") {
			t.Errorf("%+v", got)
		}
	})
}

func TestPlainGooseUpDownUp(t *testing.T) {
	t.Parallel()
	goose := buildGoose(t)
	address := storetest.Create(t, "")
	call := func(args ...string) {
		t.Helper()
		args = append([]string{"-dir", "../../../db/migrations", "postgres", address}, args...)
		if output, err := exec.CommandContext(t.Context(), goose, args...).CombinedOutput(); err != nil {
			t.Fatalf("goose %v: %v\n%s", args[4:], err, output)
		}
	}
	var shapes []string
	for range 2 {
		call("up")
		shapes = append(shapes, shape(t, address))
		if got := query[int64](t, address, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`); got != schema.Required {
			t.Errorf("goose went up to version %d, want %d", got, schema.Required)
		}
		call("up") // again: nothing to do
		call("down-to", "0")
		if left := tables(t, address); left != 0 {
			t.Errorf("%d tables are left after down", left)
		}
	}
	call("up")
	if shapes = append(shapes, shape(t, address)); shapes[0] != shapes[1] || shapes[1] != shapes[2] {
		t.Errorf("the schema is not the same each time:\n%s", strings.Join(shapes, "\n\n"))
	}
	for range migrationNames(t) {
		call("down")
	}
	call("up")
	if again := shape(t, address); again != shapes[0] {
		t.Errorf("one by one, the schema became\n%s", again)
	}
	// What the plain tool has made, billctl takes for done.
	if got := run(t, map[string]string{"DATABASE_URL": address}, "migrate", "up"); got.out != "nothing to apply\n" {
		t.Errorf("%+v", got)
	}
}

// shape describes columns, constraints and indexes as one text.
func shape(t *testing.T, address string) string {
	t.Helper()
	return query[string](t, address, `SELECT string_agg(line, E'\n' ORDER BY line) FROM (
		SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS line
		FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
		FROM pg_constraint WHERE connamespace = 'public'::regnamespace) AS lines`)
}

// gooseVersion is the version of the library in go.mod.
const (
	gooseVersion = "v3.29.0"
	gooseTags    = "no_azuresql no_clickhouse no_duckdb no_libsql no_mssql no_mysql no_sqlite3 no_turso no_vertica no_ydb"
)

// buildGoose builds the plain command once, outside the product's go.mod, into the user's cache.
func buildGoose(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	tools := filepath.Join(cache, "billonce", "bin")
	goose := filepath.Join(tools, "goose-"+gooseVersion+"-"+runtime.Version())
	if _, err := os.Stat(goose); err == nil {
		return goose
	}
	if err := os.MkdirAll(tools, 0o755); err != nil {
		t.Fatal(err)
	}
	building, err := os.MkdirTemp(tools, "building.*") //nolint:usetesting // on the file system of its final place
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(building) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "install", "-trimpath", "-tags", gooseTags, "github.com/pressly/goose/v3/cmd/goose@"+gooseVersion)
	build.Dir = building
	build.Env = append(os.Environ(), "GOBIN="+building, "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build goose: %v\n%s", err, output)
	}
	if err := os.Rename(filepath.Join(building, "goose"), goose); err != nil { // in one step: two builds at once do no harm
		t.Fatal(err)
	}
	return goose
}
