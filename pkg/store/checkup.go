package store

import (
	"context"
	"time"

	"github.com/lib/pq"

	"billonce/db/migrations"
	"billonce/pkg/billing"
)

// Checkup looks at a database for faults of its server, its schema and its content. It changes nothing. Of tasks it reads what an index
// leads to, and counts up to 10,000: it may be made at any time, on a table of any size.
type Checkup struct{ db *DB }

// Checkup returns one for the database.
func (db *DB) Checkup() Checkup { return Checkup{db} }

// Ping reports whether the database answers.
func (c Checkup) Ping(ctx context.Context) error { return c.db.Ping(ctx) }

// KeyUses is [DB.KeyUses].
func (c Checkup) KeyUses(ctx context.Context) ([]KeyUse, error) { return c.db.KeyUses(ctx) }

// Server is what a server says of itself.
type Server struct {
	Version    int    `db:"version"` // 160004 for 16.4
	Name       string `db:"name"`    // "16.4"
	User       string `db:"username"`
	InRecovery bool   `db:"in_recovery"`
	XIDAge     int64  `db:"xid_age"` // transactions since the oldest row of this database that is not frozen
	// Settings as sessions get them that set none themselves, as this package's do.
	Settings map[string]string `db:"-"`
}

// serverSettings are those of which durability and the cost of statements depend.
var serverSettings = []string{ //nolint:gochecknoglobals // a constant
	"autovacuum", "fsync", "full_page_writes", "idle_in_transaction_session_timeout", "jit", "synchronous_commit", "track_counts",
}

// Server asks the server for its version and settings.
func (c Checkup) Server(ctx context.Context) (server Server, err error) {
	err = c.db.sqlx.GetContext(ctx, &server, `
		SELECT current_setting('server_version_num')::integer AS version, current_setting('server_version') AS name, current_user AS username,
			pg_is_in_recovery() AS in_recovery, age(datfrozenxid)::bigint AS xid_age
		FROM pg_database WHERE datname = current_database()`)
	if err != nil {
		return server, translate("ask the server for its version", err)
	}
	var rows []struct {
		Name  string `db:"name"`
		Value string `db:"value"`
	}
	err = c.db.sqlx.SelectContext(ctx, &rows, `
		SELECT name, coalesce(reset_val, '') AS value FROM pg_settings WHERE name = ANY ($1)`, pq.Array(serverSettings))
	if err != nil {
		return server, translate("ask the server for its settings", err)
	}
	server.Settings = make(map[string]string, len(rows))
	for _, row := range rows {
		server.Settings[row.Name] = row.Value
	}
	return server, nil
}

// Schema returns the version of the schema and the one that this build needs.
func (c Checkup) Schema(ctx context.Context) (version, required int64, err error) {
	version, err = c.db.SchemaVersion(ctx)
	return version, migrations.Required, err
}

// Grants returns what is wrong with the rights of the roles, in words. roles is false where nobody has run deploy/roles.sql.
func (c Checkup) Grants(ctx context.Context) (wrong []string, roles bool, err error) {
	if roles, err = c.db.HasRoles(ctx); err != nil || !roles {
		return nil, roles, err
	}
	var missing []string
	err = c.db.sqlx.SelectContext(ctx, &missing, `
		SELECT 'there is no role ' || name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
		ORDER BY name`, pq.Array(Roles()))
	if err != nil || len(missing) > 0 {
		return missing, true, translateIf("look for the roles", err)
	}
	err = c.db.sqlx.SelectContext(ctx, &wrong, grantsQuery)
	return wrong, true, translateIf("look at the roles' rights", err)
}

func translateIf(operation string, err error) error {
	if err == nil {
		return nil
	}
	return translate(operation, err)
}

// grantsQuery names what the design rests on, and what a migration by plain goose leaves behind: tables that are nobody's.
const grantsQuery = `
WITH tables AS MATERIALIZED (
	SELECT oid, relname::text AS name, relowner, relacl FROM pg_class
	WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
)
SELECT text FROM (
	SELECT 1 AS place, 'billonce_api may read stored tokens' AS text WHERE has_column_privilege('billonce_api', 'merchants', 'access_token', 'SELECT')
	UNION ALL
	SELECT 2, 'billonce_read may read stored tokens' WHERE has_column_privilege('billonce_read', 'merchants', 'access_token', 'SELECT')
	UNION ALL
	SELECT 3, 'billonce_worker may not read stored tokens' WHERE NOT has_column_privilege('billonce_worker', 'merchants', 'access_token', 'SELECT')
	UNION ALL
	SELECT 4, 'billonce_worker may schedule tasks' WHERE has_any_column_privilege('billonce_worker', 'scheduled_tasks', 'INSERT')
	UNION ALL
	SELECT 5, 'billonce_api may not schedule tasks' WHERE NOT has_any_column_privilege('billonce_api', 'scheduled_tasks', 'INSERT')
	UNION ALL
	SELECT 6, 'billonce_worker may not settle tasks' WHERE NOT has_column_privilege('billonce_worker', 'scheduled_tasks', 'result', 'UPDATE')
	UNION ALL
	SELECT 7, 'billonce_worker may not call schedule_after_decline' WHERE NOT coalesce(has_function_privilege('billonce_worker',
		to_regprocedure('schedule_after_decline(uuid,uuid,bytea,double precision)'), 'EXECUTE'), false)
	UNION ALL
	SELECT 8, 'no role has any right to ' || name FROM tables AS t
	WHERE NOT EXISTS (
		SELECT FROM unnest(ARRAY['billonce_api', 'billonce_worker', 'billonce_read', 'billonce_rotate']) AS role
		WHERE has_table_privilege(role::name, t.oid, 'SELECT, INSERT, UPDATE, DELETE') OR has_any_column_privilege(role::name, t.oid, 'SELECT, INSERT, UPDATE'))
	UNION ALL
	SELECT DISTINCT 9, 'everybody who comes into the database has rights to ' || t.name FROM tables AS t CROSS JOIN LATERAL aclexplode(t.relacl) AS acl
	WHERE acl.grantee = 0
	UNION ALL
	SELECT 10, t.name || ' does not belong to billonce_migrate' FROM tables AS t WHERE pg_get_userbyid(t.relowner) <> 'billonce_migrate'
) AS wrong
ORDER BY place, text
LIMIT 20`

// UnsealedTokens returns how many stored tokens do not look as if anything had sealed them: somebody wrote them by hand.
func (c Checkup) UnsealedTokens(ctx context.Context) (n int, err error) {
	err = c.db.sqlx.GetContext(ctx, &n, `
		SELECT count(*) FILTER (WHERE access_token !~ '^[^:]+:[^:]+:[^:]*$') + count(*) FILTER (WHERE refresh_token !~ '^[^:]+:[^:]+:[^:]*$')
		FROM merchants WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL`)
	return n, translateIf("look for tokens that are not sealed", err)
}

// ClockState is the database's clock.
type ClockState struct {
	Now       time.Time  `db:"now"`
	Steps     int        `db:"steps"`      // back, within the last week
	LastStep  *time.Time `db:"last_step"`  // when, by the clock after it
	StepsBack float64    `db:"steps_back"` // by how many seconds, the largest
}

// Clock reads the database's clock, and how often it was seen to be stepped back.
func (c Checkup) Clock(ctx context.Context) (state ClockState, err error) {
	err = c.db.sqlx.GetContext(ctx, &state, `
		SELECT clock_timestamp() AS now, count(*) AS steps, max(seen_at) AS last_step, coalesce(max(extract(epoch FROM back)), 0)::float8 AS steps_back
		FROM clock_steps WHERE seen_at > now() - interval '7 days'`)
	return state, translateIf("read the clock", err)
}

// Now reads the database's clock alone.
func (c Checkup) Now(ctx context.Context) (now time.Time, err error) {
	err = c.db.sqlx.GetContext(ctx, &now, `SELECT clock_timestamp()`)
	return now, translateIf("read the clock", err)
}

// SeenWorker is a worker as the database knows it.
type SeenWorker struct {
	ID      billing.WorkerID `db:"id"`
	Host    string           `db:"hostname"`
	Version string           `db:"version"`
	Slots   int              `db:"concurrency"`
	Silent  float64          `db:"silent"` // seconds since it was heard of
	Alive   bool             `db:"alive"`
}

// Workers returns up to 1,000 workers.
func (c Checkup) Workers(ctx context.Context) (workers []SeenWorker, err error) {
	err = c.db.sqlx.SelectContext(ctx, &workers, `
		SELECT id, hostname, version, concurrency, extract(epoch FROM now() - heartbeat_at)::float8 AS silent,
			heartbeat_at BETWEEN now() - lease AND now() + lease AS alive
		FROM workers ORDER BY id LIMIT 1000`)
	return workers, translateIf("list the workers", err)
}

// Backlog is what should not be there, or not be there for long.
type Backlog struct {
	Overdue   int     `db:"overdue"`    // due for long, and neither held nor waiting for another
	OldestDue float64 `db:"oldest_due"` // seconds that the first of them has been due; 0 when there is none
	Orphaned  int     `db:"orphaned"`   // running on a worker that has lost its lease
	InDoubt   int     `db:"in_doubt"`
	Left      int     `db:"left_over"` // of these, those that nobody will look at again: a person decides
	Capped    bool    `db:"capped"`    // there may be more of any
}

// Backlog looks for tasks that are stuck: due for longer than overdue, running nowhere, or in doubt.
func (c Checkup) Backlog(ctx context.Context, overdue time.Duration) (found Backlog, err error) {
	err = c.db.sqlx.GetContext(ctx, &found, backlogQuery, overdue.Seconds())
	return found, translateIf("look for tasks that are stuck", err)
}

const backlogQuery = `
WITH due AS MATERIALIZED (
	SELECT run_at, ` + unheld + ` AS free
	FROM scheduled_tasks WHERE status = 'pending' AND run_at < now() - make_interval(secs => $1)
	ORDER BY run_at LIMIT 10000
), running AS MATERIALIZED (
	SELECT worker_id FROM scheduled_tasks WHERE status = 'running' ORDER BY run_at LIMIT 10000
), doubted AS MATERIALIZED (
	SELECT look_at FROM scheduled_tasks WHERE status = 'in_doubt' ORDER BY run_at LIMIT 10000
)
SELECT (SELECT count(*) FROM due WHERE free) AS overdue,
	coalesce(extract(epoch FROM now() - (SELECT min(run_at) FROM due WHERE free)), 0)::float8 AS oldest_due,
	(SELECT count(*) FROM running AS r WHERE NOT EXISTS (
		SELECT FROM workers AS w WHERE w.id = r.worker_id AND w.heartbeat_at BETWEEN now() - w.lease AND now() + w.lease)) AS orphaned,
	(SELECT count(*) FROM doubted) AS in_doubt,
	(SELECT count(*) FROM doubted WHERE look_at IS NULL) AS left_over,
	greatest((SELECT count(*) FROM due), (SELECT count(*) FROM running), (SELECT count(*) FROM doubted)) >= 10000 AS capped`

// OldestFinished is [Store.OldestFinished].
func (c Checkup) OldestFinished(ctx context.Context) (time.Duration, error) {
	return (&Store{db: c.db}).OldestFinished(ctx)
}

// Table is how one table stands.
type Table struct {
	Name  string  `db:"name"`
	Bytes int64   `db:"bytes"` // of its rows, without indexes and what is stored out of line
	Live  int64   `db:"live"`
	Dead  int64   `db:"dead"`
	Need  float64 `db:"need"` // bytes that the live rows would need; 0 where the user may not know
	// Vacuumed is how many seconds ago it was last vacuumed; less than 0: never.
	Vacuumed float64 `db:"vacuumed"`
}

// Tables returns how the tables stand, by the server's statistics: none is read.
func (c Checkup) Tables(ctx context.Context) (tables []Table, err error) {
	err = c.db.sqlx.SelectContext(ctx, &tables, `
		SELECT c.relname AS name, pg_relation_size(c.oid) AS bytes, coalesce(s.n_live_tup, 0) AS live, coalesce(s.n_dead_tup, 0) AS dead,
			CASE WHEN has_table_privilege(c.oid, 'SELECT') THEN greatest(c.reltuples, 0) * (32 + coalesce((
				SELECT sum((1 - p.null_frac) * p.avg_width) FROM pg_stats AS p
				WHERE p.schemaname = current_schema() AND p.tablename = c.relname), 0))
			ELSE 0 END::float8 AS need,
			coalesce(extract(epoch FROM now() - greatest(s.last_vacuum, s.last_autovacuum)), -1)::float8 AS vacuumed
		FROM pg_class AS c LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
		ORDER BY c.relname`)
	return tables, translateIf("read the tables' statistics", err)
}

// LongTransaction is one that has been open for long. It keeps dead rows from being taken away.
type LongTransaction struct {
	PID         int     `db:"pid"` // 0: a prepared one, which no session holds
	User        string  `db:"username"`
	Application string  `db:"application"`
	State       string  `db:"state"`
	Age         float64 `db:"age"` // seconds
}

// LongTransactions returns up to 20 transactions of this database that have been open for longer than the given time, the oldest first.
// What other users do is hidden from a user without pg_read_all_stats: hidden is how many sessions that are.
func (c Checkup) LongTransactions(ctx context.Context, longer time.Duration) (found []LongTransaction, hidden int, err error) {
	err = c.db.sqlx.SelectContext(ctx, &found, `
		SELECT pid, coalesce(usename, '')::text AS username, coalesce(application_name, '') AS application, coalesce(state, '') AS state,
			extract(epoch FROM now() - xact_start)::float8 AS age
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < now() - make_interval(secs => $1)
		UNION ALL
		SELECT 0, owner::text, 'prepared transaction', 'prepared', extract(epoch FROM now() - prepared)::float8
		FROM pg_prepared_xacts
		WHERE database = current_database() AND prepared < now() - make_interval(secs => $1)
		ORDER BY age DESC
		LIMIT 20`, longer.Seconds())
	if err != nil {
		return nil, 0, translate("look for long transactions", err)
	}
	err = c.db.sqlx.GetContext(ctx, &hidden, `
		SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND usename <> current_user AND NOT pg_has_role(usesysid, 'USAGE')
			AND NOT pg_has_role('pg_read_all_stats', 'USAGE')`)
	return found, hidden, translateIf("look for long transactions", err)
}
