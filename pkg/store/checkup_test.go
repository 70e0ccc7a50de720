package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

func TestACheckupFindsNothingInANewDatabase(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	checkup := db.DB.Checkup()
	server, err := checkup.Server(t.Context())
	if err != nil || server.Version < 140000 || server.Settings["jit"] == "" || server.Settings["synchronous_commit"] == "" {
		t.Errorf("%+v, %v", server, err)
	}
	version, required, err := checkup.Schema(t.Context())
	if err != nil || version != required {
		t.Errorf("%d, %d, %v", version, required, err)
	}
	if wrong, roles, err := checkup.Grants(t.Context()); err != nil || !roles || len(wrong) != 0 {
		t.Errorf("%v, %t, %v", wrong, roles, err)
	}
	if found, err := checkup.Backlog(t.Context(), time.Minute); err != nil || found != (store.Backlog{}) {
		t.Errorf("%+v, %v", found, err)
	}
	if n, err := checkup.UnsealedTokens(t.Context()); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if state, err := checkup.Clock(t.Context()); err != nil || state.Now.IsZero() || state.Steps != 0 || state.LastStep != nil {
		t.Errorf("%+v, %v", state, err)
	}
	if workers, err := checkup.Workers(t.Context()); err != nil || len(workers) != 0 {
		t.Errorf("%v, %v", workers, err)
	}
	tables, err := checkup.Tables(t.Context())
	if err != nil || len(tables) < 10 {
		t.Errorf("%v, %v", tables, err)
	}
	if found, _, err := checkup.LongTransactions(t.Context(), time.Hour); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// TestACheckupFindsWhatIsWrong: each fault is made by hand, and found.
func TestACheckupFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	checkup := db.DB.Checkup()
	merchant := db.Merchant(t)
	insert := func(status, runAt, more string) {
		t.Helper()
		db.SQL.MustExec(`
			INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at, first_sent_at, sent_auth, sent_account, worker_id, claimed_at, held_at, waiting_since)
			SELECT gen_random_uuid(), $1, 'invoice.create', $2::text, `+runAt+`, CASE WHEN $2::text <> 'pending' THEN now() END,
				CASE WHEN $2::text <> 'pending' THEN 'token' END, CASE WHEN $2::text <> 'pending' THEN 'acct_1' END, `+more, merchant.ID, status)
	}
	insert("pending", "now() - interval '10 minutes'", "NULL, NULL, NULL, NULL")
	insert("pending", "now() - interval '20 minutes'", "NULL, NULL, now(), NULL")
	insert("pending", "now() - interval '1 second'", "NULL, NULL, NULL, NULL")
	insert("running", "now()", "gen_random_uuid(), now(), NULL, NULL")
	insert("in_doubt", "now()", "NULL, NULL, NULL, NULL")
	found, err := checkup.Backlog(t.Context(), 5*time.Minute)
	if err != nil || found.Overdue != 1 || found.Orphaned != 1 || found.InDoubt != 1 || found.Left != 1 || found.Capped ||
		found.OldestDue < 599 || found.OldestDue > 700 {
		t.Errorf("%+v, %v", found, err)
	}
	db.SQL.MustExec(`UPDATE merchants SET access_token = 'sk_live_by_hand' WHERE id = $1`, merchant.ID)
	if n, err := checkup.UnsealedTokens(t.Context()); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	db.SQL.MustExec(`INSERT INTO clock_steps (seen_at, high_water, back) VALUES (now(), now() + interval '90 seconds', interval '90 seconds')`)
	if state, err := checkup.Clock(t.Context()); err != nil || state.Steps != 1 || state.StepsBack != 90 || state.LastStep == nil {
		t.Errorf("%+v, %v", state, err)
	}
	db.SQL.MustExec(`INSERT INTO workers (id, hostname, pid, version, concurrency, lease, heartbeat_at) VALUES
		(gen_random_uuid(), 'alive', 1, 'v1', 4, interval '30 seconds', now()),
		(gen_random_uuid(), 'silent', 1, 'v2', 4, interval '30 seconds', now() - interval '1 minute')`)
	workers, err := checkup.Workers(t.Context())
	if err != nil || len(workers) != 2 {
		t.Fatalf("%v, %v", workers, err)
	}
	for _, worker := range workers {
		if worker.Alive != (worker.Host == "alive") {
			t.Errorf("%+v", worker)
		}
	}
}

func TestACheckupFindsLongTransactions(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	tx, err := db.SQL.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(`SELECT 1`); err != nil {
		t.Fatal(err)
	}
	found, _, err := db.DB.Checkup().LongTransactions(t.Context(), 0)
	if err != nil || len(found) != 1 || found[0].State != "idle in transaction" || found[0].PID == 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestACheckupFindsWrongGrants(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.SQL.MustExec(`GRANT SELECT (access_token) ON merchants TO billonce_api`)
	db.SQL.MustExec(`CREATE TABLE forgotten (id integer)`)
	db.SQL.MustExec(`GRANT SELECT ON audit_log TO PUBLIC`)
	wrong, roles, err := db.DB.Checkup().Grants(t.Context())
	if err != nil || !roles {
		t.Fatal(err)
	}
	all := strings.Join(wrong, "\n")
	for _, want := range []string{
		"billonce_api may read stored tokens", "no role has any right to forgotten", "everybody who comes into the database has rights to audit_log",
		"forgotten does not belong to billonce_migrate",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if len(wrong) != 4 {
		t.Errorf("%q", wrong)
	}
}

// TestACheckupIsAllowedToWhoReads: what billonce_read may not see is said, and the rest is seen.
func TestACheckupIsAllowedToWhoReads(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	read, err := store.Open(store.Options{URL: secret.New(storetest.As(t, db.URL, store.RoleRead))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	checkup := read.Checkup()
	for name, look := range map[string]func(context.Context) error{
		"Server":       func(ctx context.Context) error { _, err := checkup.Server(ctx); return err },
		"Schema":       func(ctx context.Context) error { _, _, err := checkup.Schema(ctx); return err },
		"Grants":       func(ctx context.Context) error { _, _, err := checkup.Grants(ctx); return err },
		"Clock":        func(ctx context.Context) error { _, err := checkup.Clock(ctx); return err },
		"Workers":      func(ctx context.Context) error { _, err := checkup.Workers(ctx); return err },
		"Backlog":      func(ctx context.Context) error { _, err := checkup.Backlog(ctx, time.Minute); return err },
		"Finished":     func(ctx context.Context) error { _, err := checkup.OldestFinished(ctx); return err },
		"Tables":       func(ctx context.Context) error { _, err := checkup.Tables(ctx); return err },
		"Transactions": func(ctx context.Context) error { _, _, err := checkup.LongTransactions(ctx, time.Minute); return err },
	} {
		if err := look(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := checkup.UnsealedTokens(t.Context()); err == nil {
		t.Error("billonce_read sees tokens")
	}
}

// TestTheCheckupReadsTasksByTheirIndex, however old the statistics are.
func TestTheCheckupReadsTasksByTheirIndex(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	check := func(t *testing.T) {
		t.Helper()
		explainPrepared(t, db, store.BacklogQuery, "300").walk(func(p plan) {
			if p.Relation == "scheduled_tasks" && (!strings.HasPrefix(p.Type, "Index") || p.Index != "idx_scheduled_tasks_status_run_at") {
				t.Errorf("scheduled_tasks is read by %s %s", p.Type, p.Index)
			}
		})
	}
	t.Run("Empty", check)
	merchant := db.Merchant(t)
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at)
		SELECT gen_random_uuid(), $1, 'invoice.create', 'pending', now() - n * interval '1 second' FROM generate_series(1, 20000) AS n`, merchant.ID)
	t.Run("StaleStatistics", check)
	db.SQL.MustExec(`ANALYZE scheduled_tasks`)
	t.Run("FreshStatistics", check)
	if found, err := db.DB.Checkup().Backlog(t.Context(), 5*time.Minute); err != nil || found.Overdue != 10000 || !found.Capped {
		t.Errorf("%+v, %v", found, err)
	}
}
