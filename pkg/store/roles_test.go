package store_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/db/migrations"
	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

// pools opens the database once for each role.
func pools(t *testing.T, db *storetest.DB) map[store.Role]*sqlx.DB {
	t.Helper()
	if err := db.DB.ApplyRoles(t.Context()); err != nil { // what is granted on a database is not copied with it
		t.Fatal(err)
	}
	opened := map[store.Role]*sqlx.DB{}
	for _, role := range store.Roles() {
		pool, err := sqlx.Open("postgres", storetest.As(t, db.URL, role))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = pool.Close() })
		opened[role] = pool
	}
	return opened
}

func stateOf(err error) string {
	var failure *pq.Error
	if errors.As(err, &failure) {
		return string(failure.Code)
	}
	return ""
}

const denied = "42501"

// TestEachRoleIsRefused tries what a role must not be able to do. What each can do, the tests show that run the services under them.
func TestEachRoleIsRefused(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	schedule(t, db, newTask(t, merchant.ID))
	doubted := inDoubt(t, db, merchant.ID, worker)
	everybody := []store.Role{store.RoleAPI, store.RoleWorker, store.RoleRead, store.RoleRotate}
	all := pools(t, db)
	for statement, roles := range map[string][]store.Role{
		// Sealed tokens, in every way in which they could be asked for.
		`SELECT access_token FROM merchants`:                                                                     {store.RoleAPI, store.RoleRead},
		`SELECT refresh_token FROM merchants`:                                                                    {store.RoleAPI, store.RoleRead},
		`SELECT * FROM merchants`:                                                                                {store.RoleAPI, store.RoleRead},
		`SELECT merchants FROM merchants`:                                                                        {store.RoleAPI, store.RoleRead},
		`COPY merchants TO STDOUT`:                                                                               {store.RoleAPI, store.RoleRead},
		`SELECT name FROM merchants WHERE access_token LIKE 'a%'`:                                                {store.RoleAPI, store.RoleRead},
		`UPDATE merchants SET name = access_token`:                                                               {store.RoleAPI, store.RoleRead, store.RoleWorker, store.RoleRotate},
		`UPDATE merchants SET access_token = 'x' RETURNING access_token`:                                         {store.RoleAPI, store.RoleRead},
		`INSERT INTO merchants (id, name, stripe_connect_id) VALUES (gen_random_uuid(), 'a', 'acct_a')`:          {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`UPDATE merchants SET access_token = 'x'`:                                                                {store.RoleWorker, store.RoleRead},
		`UPDATE merchants SET stripe_connect_id = 'acct_b'`:                                                      everybody,
		`UPDATE merchants SET name = 'x', disconnected_at = now()`:                                               {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`DELETE FROM merchants`:                                                                                  everybody,
		`SELECT key FROM development_key`:                                                                        {store.RoleRead, store.RoleRotate},
		`UPDATE development_key SET key = 'x'`:                                                                   everybody,
		`UPDATE encryption_keys SET retired_at = NULL`:                                                           {store.RoleAPI, store.RoleWorker, store.RoleRead},
		`UPDATE encryption_keys SET check_value = 'x'`:                                                           everybody,
		`DELETE FROM encryption_keys`:                                                                            everybody,
		`INSERT INTO encryption_keys (key_id, check_value, active) VALUES ('a', 'b', false)`:                     {store.RoleRead},
		`INSERT INTO scheduled_tasks (id, merchant_id, kind) VALUES (gen_random_uuid(), gen_random_uuid(), 'k')`: {store.RoleWorker, store.RoleRead, store.RoleRotate},
		// The api cannot say of a task what only a worker can know, nor change what it asks for.
		`INSERT INTO scheduled_tasks (id, merchant_id, kind, status) VALUES (gen_random_uuid(), gen_random_uuid(), 'k', 'succeeded')`: everybody,
		`UPDATE scheduled_tasks SET first_sent_at = NULL, sent_auth = NULL, sent_account = NULL`:                                      {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`UPDATE scheduled_tasks SET attempt = 0`:                                                          {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`UPDATE scheduled_tasks SET result = '{}'`:                                                        {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`UPDATE scheduled_tasks SET request_body = 'amount=1'`:                                            everybody,
		`UPDATE scheduled_tasks SET params = '{}'`:                                                        everybody,
		`UPDATE scheduled_tasks SET merchant_id = gen_random_uuid()`:                                      everybody,
		`UPDATE scheduled_tasks SET max_attempts = 1000, retry_of = NULL`:                                 everybody,
		`UPDATE scheduled_tasks SET scheduled_for = now()`:                                                {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`DELETE FROM scheduled_tasks`:                                                                     {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`DELETE FROM task_keys`:                                                                           {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`INSERT INTO task_keys VALUES ('k', gen_random_uuid(), '', now(), now())`:                         {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`UPDATE task_attempts SET outcome = 'refused'`:                                                    everybody,
		`DELETE FROM task_attempts`:                                                                       {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`INSERT INTO task_resolutions (task_id, outcome, note) VALUES (gen_random_uuid(), 'failed', 'n')`: {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`UPDATE archived_tasks SET document = '{}'`:                                                       everybody,
		`DELETE FROM archived_tasks`:                                                                      everybody,
		`DELETE FROM workers`:                                                                             {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`UPDATE clock SET high_water = now()`:                                                             {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`UPDATE merchant_pace SET slowdown = 64`:                                                          {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`SELECT params FROM scheduled_tasks`:                                                              {store.RoleRotate},
		`SELECT document FROM archived_tasks`:                                                             {store.RoleRotate},
		`UPDATE workers SET draining_at = now()`:                                                          {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`INSERT INTO outcome_minutes (minute, worker_id) VALUES (now(), gen_random_uuid())`:               {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`UPDATE outcome_minutes SET succeeded = 0`:                                                        {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`UPDATE outcome_minutes SET minute = now()`:                                                       everybody,
		`DELETE FROM outcome_minutes`:                                                                     {store.RoleAPI, store.RoleRead, store.RoleRotate},
		`SELECT succeeded FROM outcome_minutes`:                                                           {store.RoleRotate},
		`SELECT schedule_after_decline('` + string(doubted) + `', gen_random_uuid(), '', 0)`:              {store.RoleAPI, store.RoleRead, store.RoleRotate},
		// Bindings, API keys, and the log that is only ever added to, whoever asks.
		`SELECT access_token_binding FROM merchants`: {store.RoleRead},
		`SELECT hash FROM api_keys`:                  {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`UPDATE api_keys SET scopes = '{admin}'`:     everybody,
		`DELETE FROM api_keys`:                       everybody,
		`INSERT INTO audit_log (id, actor, action, object) VALUES (gen_random_uuid(), 'a', 'b', 'c')`:                                                   {store.RoleWorker, store.RoleRead},
		`INSERT INTO audit_log (id, at, actor, action, object) VALUES (gen_random_uuid(), now() - interval '1 day', 'a', 'b', 'c')`:                     everybody,
		`INSERT INTO api_keys (id, name, hash, hint, scopes, created_at) VALUES (gen_random_uuid(), 'n', '', 'h', '{admin}', now() - interval '1 day')`: everybody,
		`UPDATE encryption_keys SET sealings = 0`:                    {store.RoleWorker, store.RoleRead},
		`UPDATE encryption_keys SET active = false, bound_at = NULL`: {store.RoleRotate, store.RoleRead},
		`UPDATE audit_log SET actor = 'x'`:                           append([]store.Role{store.RoleMigrate}, everybody...),
		`DELETE FROM audit_log`:                                      append([]store.Role{store.RoleMigrate}, everybody...),
		`TRUNCATE audit_log`:                                         append([]store.Role{store.RoleMigrate}, everybody...),
		`DELETE FROM goose_db_version`:                               everybody,
		// What is told to whoever watches: nobody can say when it was, or change what was said.
		`INSERT INTO event_watch (epoch, until, most) VALUES ('a', now(), 1)`: {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`UPDATE event_watch SET epoch = 'b'`:                                  everybody,
		`INSERT INTO task_events (at, tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats) SELECT now(), 0, 0, '{}', '{}', '{}', '{}', '{}', '{}', '{}'`: everybody,
		`UPDATE task_events SET statuses = '{}'`: everybody,
		`DELETE FROM task_events`:                {store.RoleRead, store.RoleRotate},
		`SELECT ids FROM task_events`:            {store.RoleRotate},
		// Who is signed in: the api alone, and nobody for longer than was said at first.
		`SELECT token_hash FROM console_sessions`:                                                   {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`SELECT admin_check FROM console_sessions`:                                                  {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`INSERT INTO console_sessions (token_hash, admin_check, expires_at) VALUES ('', '', now())`: {store.RoleWorker, store.RoleRead, store.RoleRotate},
		`UPDATE console_sessions SET expires_at = now() + interval '1 year'`:                        everybody,
		`DELETE FROM console_sessions`:                                                              {store.RoleWorker, store.RoleRead, store.RoleRotate},
		// Nobody changes the schema but billonce_migrate.
		`CREATE TABLE mine (id integer)`:                                  everybody,
		`CREATE TEMPORARY TABLE mine (id integer)`:                        everybody,
		`CREATE SCHEMA mine`:                                              everybody,
		`CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1`:    everybody,
		`ALTER TABLE scheduled_tasks DISABLE TRIGGER USER`:                everybody,
		`DROP TABLE archived_tasks`:                                       everybody,
		`TRUNCATE scheduled_tasks`:                                        everybody,
		`GRANT SELECT ON merchants TO billonce_api`:                       everybody,
		`SET ROLE billonce_migrate`:                                       everybody,
		`CREATE ROLE billonce_other`:                                      append([]store.Role{store.RoleMigrate}, everybody...),
		`ALTER ROLE billonce_api SUPERUSER`:                               append([]store.Role{store.RoleMigrate}, everybody...),
		`SELECT pg_read_file('PG_VERSION')`:                               append([]store.Role{store.RoleMigrate}, everybody...),
		`COPY goose_db_version (version_id) TO PROGRAM 'cat > /dev/null'`: append([]store.Role{store.RoleMigrate}, everybody...),
	} {
		for _, role := range roles {
			if _, err := all[role].Exec(statement); stateOf(err) != denied {
				t.Errorf("%s: %s: %v", role, statement, err)
			}
		}
	}
}

// TestRoleOfAWorkerSchedulesOnlyWhatFollowsADecline goes by the function that is left to it.
func TestRoleOfAWorkerSchedulesOnlyWhatFollowsADecline(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Minute)
	pool := pools(t, db)[store.RoleWorker]
	follow := func(of billing.TaskID) (scheduled bool) {
		t.Helper()
		if err := pool.Get(&scheduled, `SELECT schedule_after_decline($1, $2, '', 3600)`, of, storetest.NewID(t)); err != nil {
			t.Fatal(err)
		}
		return scheduled
	}
	plan := &billing.Dunning{RetryAfter: []time.Duration{time.Hour}}
	task := newTask(t, merchant.ID)
	task.OnDecline = plan
	schedule(t, db, task)
	if follow(task.ID) || follow(billing.TaskID(storetest.NewID(t))) {
		t.Error("a task that has not failed, or is not there, has a successor")
	}
	claims := claim(t, db, worker, 10)
	settle(t, db, settlement(claims[0], billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined))
	if !follow(task.ID) || follow(task.ID) {
		t.Error("a declined task has not exactly one successor")
	}
	var next billing.TaskID
	if err := db.SQL.Get(&next, `SELECT id FROM scheduled_tasks WHERE retry_of = $1`, task.ID); err != nil {
		t.Fatal(err)
	}
	db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'failed', finished_at = now() WHERE id = $1`, next)
	if follow(next) {
		t.Error("the plan is at its end, and there is another successor")
	}
	plain := newTask(t, merchant.ID)
	schedule(t, db, plain)
	settle(t, db, settlement(claim(t, db, worker, 10)[0], billing.Failed, billing.OutcomeRefused, billing.ReasonDeclined))
	if follow(plain.ID) {
		t.Error("a task without a plan has a successor")
	}
	impostor := `CREATE TEMPORARY TABLE scheduled_tasks (id uuid)`
	if _, err := pool.Exec(impostor); stateOf(err) != denied {
		t.Errorf("%s: %v", impostor, err)
	}
}

// TestRolesAreAppliedAgain: what somebody granted by hand is taken away, what was created by somebody else is handed over.
func TestRolesAreAppliedAgain(t *testing.T) {
	t.Parallel()
	address := storetest.Create(t, "")
	storetest.Migrate(t, address) // as an installation without roles did
	db := storetest.OpenURL(t, address, newKey(t))
	if renewed, err := db.DB.RenewGrants(t.Context()); err != nil || renewed {
		t.Fatalf("grants were renewed that nobody has made: %t, %v", renewed, err)
	}
	for range 2 {
		if err := db.DB.ApplyRoles(t.Context()); err != nil {
			t.Fatal(err)
		}
		db.SQL.MustExec(`GRANT SELECT, TRUNCATE ON merchants TO billonce_api;
			GRANT SELECT ON merchants TO billonce_worker WITH GRANT OPTION;
			SET ROLE billonce_worker; GRANT SELECT ON merchants TO billonce_read; RESET ROLE; GRANT UPDATE (params) ON scheduled_tasks TO billonce_worker;
			GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT EXECUTE ON FUNCTION schedule_after_decline TO PUBLIC;
			CREATE TABLE IF NOT EXISTS later (id bigint GENERATED ALWAYS AS IDENTITY)`)
	}
	owner, err := store.Open(store.Options{URL: secret.New(storetest.As(t, address, store.RoleMigrate))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	if err := db.DB.ApplyRoles(t.Context()); err != nil {
		t.Fatal(err)
	}
	if renewed, err := owner.RenewGrants(t.Context()); err != nil || !renewed { // without being a superuser
		t.Fatalf("the owner renews the grants: %t, %v", renewed, err)
	}
	var left []string
	err = db.SQL.Select(&left, `
		SELECT grantee || ' ' || privilege_type || ' ' || table_name FROM information_schema.role_table_grants
		WHERE table_schema = 'public' AND (grantee = 'PUBLIC' OR table_name = 'later' AND grantee <> 'billonce_migrate'
			OR grantee IN ('billonce_api', 'billonce_worker', 'billonce_read', 'billonce_rotate')
				AND (privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER') OR is_grantable = 'YES' OR table_name = 'merchants'))
		UNION ALL
		SELECT grantee || ' ' || privilege_type || ' ' || column_name FROM information_schema.role_column_grants
		WHERE grantee = 'billonce_worker' AND table_name = 'scheduled_tasks' AND privilege_type = 'UPDATE' AND column_name = 'params'
		UNION ALL
		SELECT 'owner of ' || relname || ' is ' || relowner::regrole FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S') AND relowner <> 'billonce_migrate'::regrole
		UNION ALL
		SELECT 'everybody calls ' || proname FROM pg_proc
		WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('billonce_read', oid, 'EXECUTE')`)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %s, %v", strings.Join(left, "; "), err)
	}
}

// TestRolesBeforeTheSchema are made all the same, so that one of them can migrate.
func TestRolesBeforeTheSchema(t *testing.T) {
	t.Parallel()
	db, provider, _ := migratedTo(t, migrations.Required-1)
	if err := db.ApplyRoles(t.Context()); err != nil {
		t.Fatal(err)
	}
	if renewed, err := db.RenewGrants(t.Context()); err != nil || renewed {
		t.Errorf("grants for a schema that is not this build's: %t, %v", renewed, err)
	}
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if renewed, err := db.RenewGrants(t.Context()); err != nil || !renewed {
		t.Errorf("after migrating: %t, %v", renewed, err)
	}
}

// TestTheApisRoleProvesNoKey: it may not read the tokens that would prove it. A worker does, and then the api goes on.
func TestTheApisRoleProvesNoKey(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	open := func(role store.Role) *store.DB {
		t.Helper()
		opened, err := store.Open(store.Options{URL: secret.New(storetest.As(t, db.URL, role))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = opened.Close() })
		return opened
	}
	key := store.KeyRecord{ID: db.Key.ID(), CheckValue: db.Key.CheckValue()}
	api, worker := open(store.RoleAPI), open(store.RoleWorker)
	if err := api.AdoptKey(t.Context(), db.Vault, key); err != nil {
		t.Errorf("without any token: %v", err)
	}
	db.SQL.MustExec(`DELETE FROM encryption_keys`)
	db.Merchant(t)
	wantCode(t, api.AdoptKey(t.Context(), db.Vault, key), billing.CodeUnavailable)
	for _, one := range []*store.DB{worker, api} {
		if err := one.AdoptKey(t.Context(), db.Vault, key); err != nil {
			t.Error(err)
		}
	}
}

// TestLetIn knows passwords by their hash alone, and refuses what PostgreSQL would change before it hashes it.
func TestLetIn(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	for _, password := range []string{"", "with space", "ümlaut", "tab\t"} {
		wantCode(t, db.DB.LetIn(t.Context(), store.RoleRead, secret.New(password)), billing.CodeInvalid)
	}
	var kept []string
	err := db.SQL.SelectContext(context.Background(), &kept,
		`SELECT rolpassword FROM pg_authid WHERE rolname = ANY ($1) AND rolcanlogin`, pq.Array(store.Roles()))
	if err != nil || len(kept) != len(store.Roles()) || slices.ContainsFunc(kept, func(p string) bool { return !strings.HasPrefix(p, "SCRAM-SHA-256$4096:") }) {
		t.Errorf("%d passwords, %v", len(kept), err)
	}
}

// TestWhoMayScheduleMayScheduleWhatFollows: an installation that has no roles of roles.sql, only a user with rights to tables, goes on
// after the migration as before.
func TestWhoMayScheduleMayScheduleWhatFollows(t *testing.T) {
	t.Parallel()
	const before = 10 // workers have scheduled by a function since
	_, provider, raw := migratedTo(t, before)
	suffix := strings.ReplaceAll(storetest.NewID(t), "-", "_")
	services, reader := "Services "+suffix, "reader_"+suffix
	for _, role := range []string{services, reader} {
		raw.MustExec(`CREATE ROLE ` + pq.QuoteIdentifier(role))
		t.Cleanup(func() {
			raw.MustExec(`DROP OWNED BY ` + pq.QuoteIdentifier(role) + `; DROP ROLE ` + pq.QuoteIdentifier(role))
		})
	}
	raw.MustExec(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ` + pq.QuoteIdentifier(services) + `;
		GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO ` + reader)
	if _, err := provider.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	var address string
	if err := raw.Get(&address, `SELECT current_database()`); err != nil {
		t.Fatal(err)
	}
	for role, may := range map[string]bool{services: true, reader: false} {
		parsed, err := url.Parse(storetest.ServerURL(t))
		if err != nil {
			t.Fatal(err)
		}
		parsed.Path = "/" + address
		query := parsed.Query()
		query.Set("options", "-c role="+strings.ReplaceAll(role, " ", `\ `))
		parsed.RawQuery = query.Encode()
		db, err := store.Open(store.Options{URL: secret.New(parsed.String())})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		_, err = store.New(db, nil).Claim(t.Context(), billing.WorkerID(storetest.NewID(t)), 1) // which writes events
		if may && err != nil {
			t.Errorf("%s cannot claim: %v", role, err)
		}
		err = db.RequireSuccession(t.Context())
		if may && err != nil || !may && (billing.CodeOf(err) != billing.CodeUnavailable || !strings.Contains(err.Error(), "GRANT EXECUTE")) {
			t.Errorf("%s: %v", role, err)
		}
		if err = db.RequireRecording(t.Context()); err != nil { // both may change tasks
			t.Errorf("%s cannot record: %v", role, err)
		}
	}
}

// TestRolesOfAnOlderSchema: a service that could neither schedule nor claim says so before it begins.
func TestRolesOfAnOlderSchema(t *testing.T) {
	t.Parallel()
	for missing, roles := range map[string][]store.Role{
		`REVOKE ALL ON task_events FROM billonce_api, billonce_worker`:       {store.RoleAPI, store.RoleWorker},
		`REVOKE ALL ON event_watch FROM billonce_api, billonce_worker`:       {store.RoleAPI, store.RoleWorker},
		`REVOKE INSERT (trace_context) ON scheduled_tasks FROM billonce_api`: {store.RoleAPI},
	} {
		db := storetest.Open(t)
		db.SQL.MustExec(missing)
		for _, role := range []store.Role{store.RoleAPI, store.RoleWorker} {
			err := storetest.OpenURL(t, storetest.As(t, db.URL, role), db.Key).DB.RequireRecording(t.Context())
			if slices.Contains(roles, role) != (billing.CodeOf(err) == billing.CodeUnavailable) || err != nil && !slices.Contains(roles, role) {
				t.Errorf("%s: %s: %v", missing, role, err)
			}
		}
	}
}

// TestRolesOfANewerSchema are left to a build that knows them.
func TestRolesOfANewerSchema(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	db.SQL.MustExec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, true)`, migrations.Required+1)
	db.SQL.MustExec(`GRANT SELECT (key) ON development_key TO billonce_read`)
	wantCode(t, db.DB.ApplyRoles(t.Context()), billing.CodeUnavailable)
	var kept bool
	if err := db.SQL.Get(&kept, `SELECT has_column_privilege('billonce_read', 'development_key', 'key', 'SELECT')`); err != nil || !kept {
		t.Errorf("a newer build's grant was taken away, %v", err)
	}
}
