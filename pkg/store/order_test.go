package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/store/storetest"
)

// everyState are rows in every combination of a status with what may or may not be set beside it.
const everyState = `
INSERT INTO states (id, merchant_id, kind, status, first_sent_at, sent_auth, sent_account, finished_at, worker_id, claimed_at,
	final_outcome, final_reason, held_at, waiting_since, parked_at, look_at, attempt, released, looks)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(row_number() OVER ()), 12, '0'))::uuid, (SELECT id FROM merchants), 'invoice.pay', status,
	sent, CASE WHEN auth THEN 'token' END, CASE WHEN account THEN 'acct_1' END, finished, worker, claimed, outcome, reason, held, waiting,
	parked, look, 3, 1, 1
FROM unnest(ARRAY['pending', 'running', 'succeeded', 'failed', 'in_doubt', 'canceled', 'x']) AS status,
	unnest(ARRAY[NULL, now()]) AS sent, unnest(ARRAY[false, true]) AS auth, unnest(ARRAY[false, true]) AS account,
	unnest(ARRAY[NULL, now()]) AS finished, unnest(ARRAY[NULL, gen_random_uuid()]) AS worker, unnest(ARRAY[NULL, now()]) AS claimed,
	unnest(ARRAY[NULL, 'succeeded', 'refused', 'not_sent', 'unknown']) AS outcome, unnest(ARRAY[NULL, 'done']) AS reason,
	unnest(ARRAY[NULL, now()]) AS held, unnest(ARRAY[NULL, now()]) AS waiting, unnest(ARRAY[NULL, now()]) AS parked,
	unnest(ARRAY[NULL, now()]) AS look`

// everyCount are rows with numbers and intents around their bounds.
const everyCount = `
INSERT INTO states (id, merchant_id, kind, attempt, released, looks, max_attempts, declines, intent)
SELECT gen_random_uuid(), (SELECT id FROM merchants), 'invoice.pay', attempt, released, looks, most, declines, intent
FROM unnest(ARRAY[-1, 0, 1, 2]) AS attempt, unnest(ARRAY[-1, 0, 1]) AS released, unnest(ARRAY[-1, 0, 1]) AS looks,
	unnest(ARRAY[0, 1, 1000, 1001]) AS most, unnest(ARRAY[-1, 0]) AS declines,
	unnest(ARRAY['', 'x', repeat('ä', 255), repeat('x', 256)]) AS intent`

// TestTheCopyOfTheTasksIsExact: migration 8 copies every row as it is, allows what was allowed before and nothing else, and leaves behind
// what belongs to the table. So does going back.
func TestTheCopyOfTheTasksIsExact(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, provider, raw := migratedTo(t, 7)
	fillEveryState(t, raw)
	tasks, attempts := lines(t, raw, `SELECT to_jsonb(t)::text FROM scheduled_tasks AS t`), lines(t, raw, `SELECT to_jsonb(a)::text FROM attempts AS a`)
	shape, allowed := lines(t, raw, shapeQuery), lines(t, raw, allowedQuery(t, raw))
	if len(tasks) < 28 || len(allowed) < 70 {
		t.Fatalf("%d tasks, %d states are allowed", len(tasks), len(allowed))
	}
	check := func(version string) {
		t.Helper()
		same(t, version+": tasks", tasks, lines(t, raw, `SELECT to_jsonb(t)::text FROM scheduled_tasks AS t`))
		same(t, version+": attempts", attempts, lines(t, raw, `SELECT to_jsonb(a)::text FROM attempts AS a`))
		same(t, version+": shape", shape, lines(t, raw, shapeQuery))
		same(t, version+": allowed states", allowed, lines(t, raw, allowedQuery(t, raw)))
	}
	if _, err := provider.UpTo(ctx, 8); err != nil {
		t.Fatal(err)
	}
	check("up")
	if _, err := provider.DownTo(ctx, 7); err != nil {
		t.Fatal(err)
	}
	check("down")
}

func fillEveryState(t *testing.T, raw *sqlx.DB) {
	t.Helper()
	raw.MustExec(`INSERT INTO merchants (id, name, stripe_connect_id, livemode) VALUES ($1, 'M', 'acct_1', false)`, storetest.NewID(t))
	raw.MustExec(`CREATE TABLE states (LIKE scheduled_tasks INCLUDING DEFAULTS)`)
	raw.MustExec(everyState)
	raw.MustExec(`INSERT INTO scheduled_tasks SELECT * FROM states WHERE ` + checks(t, raw))
	raw.MustExec(everyCount)
	raw.MustExec(`UPDATE scheduled_tasks SET target = 'in_' || right(id::text, 12), intent = 'i' || right(id::text, 12),
		result = '{"request_id": "req_1"}', last_error = '{"code": "x"}', on_decline = '{}', request_method = 'POST', request_path = '/x',
		request_version = 'v', request_hash = '\x01', request_body = 'b', params = '{"a": 1}', metadata = '{"b": "2"}', max_attempts = 7,
		declines = 4, run_at = now() + interval '1 hour', scheduled_for = now() + interval '2 hours',
		created_at = now() - interval '3 hours', updated_at = now() - interval '4 hours'`)
	raw.MustExec(`INSERT INTO task_keys (key, task_id, fingerprint, scheduled_for, run_at) SELECT id::text, id, '\x01', now(), now() FROM scheduled_tasks`)
	raw.MustExec(`INSERT INTO task_resolutions (task_id, outcome, note) SELECT id, 'failed', 'n' FROM scheduled_tasks WHERE status = 'failed'`)
	raw.MustExec(`INSERT INTO task_attempts (task_id, attempt, worker_id, started_at, outcome, reason)
		SELECT id, 1, gen_random_uuid(), now(), 'unknown', 'x' FROM scheduled_tasks`)
	raw.MustExec(`UPDATE scheduled_tasks SET retry_of = (SELECT min(id::text)::uuid FROM scheduled_tasks WHERE status = 'failed')
		WHERE id = (SELECT min(id::text)::uuid FROM scheduled_tasks WHERE status = 'pending')`)
	raw.MustExec(`GRANT SELECT, UPDATE ON scheduled_tasks TO PUBLIC; GRANT SELECT ON attempts TO PUBLIC`)
}

// shapeQuery tells everything of the tables that migration 8 is to keep.
const shapeQuery = `
SELECT 'column ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '-')
FROM information_schema.columns WHERE table_name = 'scheduled_tasks'
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE tablename = 'scheduled_tasks'
UNION ALL SELECT 'key ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid IN ('scheduled_tasks'::regclass, 'task_resolutions'::regclass) AND contype IN ('p', 'f')
UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'scheduled_tasks'::regclass AND NOT tgisinternal
UNION ALL SELECT 'view ' || pg_get_viewdef('attempts'::regclass)
UNION ALL SELECT 'granted ' || relname || ' ' || pg_get_userbyid(relowner) || ' ' || a.grantee || a.privilege_type
	FROM pg_class AS c CROSS JOIN LATERAL aclexplode(relacl) AS a WHERE relname IN ('scheduled_tasks', 'attempts')`

// checks is a condition that holds for the rows that the CHECKs of scheduled_tasks allow.
func checks(t *testing.T, raw *sqlx.DB) string {
	t.Helper()
	return strings.Join(lines(t, raw, `SELECT '(' || pg_get_expr(conbin, conrelid) || ') IS NOT FALSE' FROM pg_constraint
		WHERE conrelid = 'scheduled_tasks'::regclass AND contype = 'c'`), " AND ")
}

func allowedQuery(t *testing.T, raw *sqlx.DB) string {
	t.Helper()
	return `SELECT id::text FROM states WHERE ` + checks(t, raw)
}

func lines(t *testing.T, raw *sqlx.DB, query string) []string {
	t.Helper()
	list := []string{}
	if err := raw.Select(&list, query); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func same(t *testing.T, what string, before, after []string) {
	t.Helper()
	if slices.Equal(before, after) {
		return
	}
	in := map[string]int{}
	for _, line := range before {
		in[line]++
	}
	for _, line := range after {
		in[line]--
	}
	told := 0
	for line, n := range in {
		if n != 0 && told < 10 {
			told++
			t.Errorf("%s: %s", what, map[bool]string{true: "lost ", false: "new "}[n > 0]+fmt.Sprint(line))
		}
	}
}
