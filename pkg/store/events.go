package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// What watching takes.
const (
	watchLasts   = 2 * time.Minute  // without being renewed
	eventsLast   = 15 * time.Minute // in the table
	mostEvents   = 500              // tasks that are told at once one by one; of more only that there were
	calmEvents   = mostEvents / 4   // so few at once, and details are written again
	detailed     = mostEvents       // event_watch.most, as a rule
	undetailed   = 1                // event_watch.most while there is too much anyway
	eventsWeight = 200_000          // of what is kept: a task weighs 1, a statement 10
	eventsExcess = 10               // times as much is kept while a long transaction may still have to be told of
)

// The parts of a statement around what it changed, which together write that down for whoever watches: behind tell stands what to take
// it from, with the columns id, merchant_id, kind, target, status, attempt (as the API counts) and run_at; counting stands behind it once
// more.
//
// While nobody watches, event_watch is empty, the limit is 0, and nothing of it is read or written. That it is, each statement sees
// for itself, in its own snapshot: see [Store.WatchTasks].
const (
	tell = `, told AS (
	INSERT INTO task_events (tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
	SELECT (SELECT count(*) FROM `
	telling = `), count(*), array_agg(id), array_agg(merchant_id), array_agg(kind), array_agg(target), array_agg(status), array_agg(attempt),
		array_agg(run_at)
	FROM (SELECT id, merchant_id, kind, target, status, attempt, run_at FROM `
	toldAll = ` LIMIT coalesce((SELECT most FROM event_watch), 0)) AS part
	HAVING count(*) > 0
)`
	// toldColumns are the columns that tell reads, of an UPDATE of t.
	toldColumns = `t.id, t.merchant_id, t.kind, t.target, t.status, t.attempt - t.released - t.looks AS attempt, t.run_at`
)

// tellCreated is for statements whose part made returns new tasks with the time for which they were asked for.
const tellCreated = tell + `made` + telling + `(
		SELECT id, merchant_id, kind, target, 'pending' AS status, 0 AS attempt, greatest(scheduled_for, now()) AS run_at FROM made
	) AS made` + toldAll

// tellChanged is for statements whose part changed returns one task as the API shows it.
const tellChanged = tell + `changed` + telling + `(
		SELECT id, merchant_id, kind, target, status, attempt - released - looks AS attempt,
			CASE WHEN attempt = 0 AND run_at BETWEEN scheduled_for AND scheduled_for + interval '1 millisecond' -- see spreadWithin
				THEN scheduled_for ELSE run_at END AS run_at
		FROM changed
	) AS changed` + toldAll

// tellTask writes down one task that the same transaction has scheduled by other means.
const tellTask = `
WITH made AS (SELECT id, merchant_id, kind, target, scheduled_for FROM scheduled_tasks WHERE id = $1)` + tellCreated + `
SELECT count(*) FROM made`

// readEventsQuery returns what lies between the marks $2 and $3 (NULL: now) of the epoch $1, if that is still known ($4 tasks at most).
// Its first column says where the reading ends. There is one row at least; one without a task tells only what stands before it.
//
// A row was written by a transaction that the mark's snapshot does not see, if that one had not begun or was under way then.
const readEventsQuery = `
WITH watch AS MATERIALIZED (
	SELECT most, complete AND epoch = $1 AND horizon < pg_snapshot_xmin($2::pg_snapshot)
		AND pg_snapshot_xmax($2::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot()) AS known
	FROM event_watch
), found AS MATERIALIZED (
	SELECT id AS place, at, tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats -- not read before they are unnested
	FROM (
		SELECT ` + eventColumns + ` FROM task_events WHERE xact >= pg_snapshot_xmax($2::pg_snapshot)
		UNION ALL
		SELECT ` + eventColumns + ` FROM task_events WHERE xact = ANY (ARRAY(SELECT pg_snapshot_xip($2::pg_snapshot)))
	) AS e
	WHERE (SELECT known FROM watch) AND ($3::pg_snapshot IS NULL OR pg_visible_in_snapshot(xact, $3::pg_snapshot))
), total AS MATERIALIZED (
	SELECT coalesce(sum(tasks), 0)::bigint AS tasks, coalesce(sum(kept), 0)::bigint AS kept FROM found
)
SELECT coalesce($3::pg_snapshot, pg_current_snapshot())::text AS snapshot, coalesce((SELECT known FROM watch), false) AS known,
	coalesce((SELECT most FROM watch), 0) AS most, total.tasks AS total, total.tasks > total.kept OR total.tasks > $4 AS too_many, one.*
FROM total LEFT JOIN LATERAL (
	SELECT found.place, found.at, c.id, c.merchant_id, c.kind, c.target, c.status, c.attempt, c.run_at
	FROM found CROSS JOIN LATERAL unnest(ids, merchant_ids, kinds, targets, statuses, attempts, run_ats)
		AS c (id, merchant_id, kind, target, status, attempt, run_at)
	WHERE total.tasks = total.kept AND total.tasks <= $4
) AS one ON true
ORDER BY one.place`

const eventColumns = `id, xact, at, tasks, kept, ids, merchant_ids, kinds, targets, statuses, attempts, run_ats`

// watching is what this process knows of a recording that is about to begin.
type watching struct {
	mu      sync.Mutex
	epoch   string
	earlier []string // transactions that may not have seen that it begins
}

// WatchTasks makes changes of tasks be recorded from now on, for two minutes from each call. It returns the mark from where on
// [Store.ReadEvents] knows them all. The zero mark says that some statement is still under way that began before and records
// nothing; the caller asks again in a moment.
//
// A statement takes its locks before its snapshot. So whoever may not write into task_events yet, once the row of event_watch is
// committed, will see the row; those that may now are waited for, by looking, and nobody has to wait for us. Who only reads the tables,
// as pg_dump does for hours, is no matter.
func (s *Store) WatchTasks(ctx context.Context) (billing.EventMark, error) {
	var mark billing.EventMark
	err := s.db.onConn(ctx, "watch tasks", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `
			INSERT INTO event_watch (epoch, until, most)
			VALUES (left(replace(gen_random_uuid()::text, '-', ''), 12), now() + make_interval(secs => $1), $2)
			ON CONFLICT (the_only) DO UPDATE SET until = excluded.until`, watchLasts.Seconds(), detailed)
		if err != nil {
			return err
		}
		state, err := readWatch(ctx, conn)
		if err != nil {
			return err
		}
		if !state.Complete {
			if state.Complete, err = s.allKnow(ctx, conn, state.Epoch); err != nil || !state.Complete {
				return err
			}
			if state, err = readWatch(ctx, conn); err != nil { // a mark from before would promise too much
				return err
			}
		}
		if state.Complete {
			mark = billing.EventMark{Epoch: state.Epoch, Snapshot: state.Snapshot}
		}
		return nil
	})
	return mark, err
}

type watchRow struct {
	Epoch    string `db:"epoch"`
	Complete bool   `db:"complete"`
	Snapshot string `db:"snapshot"`
}

func readWatch(ctx context.Context, conn *sqlx.Conn) (watchRow, error) {
	row := watchRow{}
	err := conn.GetContext(ctx, &row, `SELECT epoch, complete, pg_current_snapshot()::text AS snapshot FROM event_watch`)
	if errors.Is(err, sql.ErrNoRows) { // somebody has ended it at this moment; the next call begins anew
		return watchRow{}, nil
	}
	return row, err
}

// allKnow reports whether every transaction that may not have seen the row of the epoch has ended, and notes that.
func (s *Store) allKnow(ctx context.Context, conn *sqlx.Conn, epoch string) (bool, error) {
	var now pq.StringArray
	err := conn.QueryRowxContext(ctx, `
		SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
		WHERE locktype = 'relation' AND relation = 'task_events'::regclass AND mode = 'RowExclusiveLock' AND granted
			AND pid <> pg_backend_pid()
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&now)
	if err != nil {
		return false, err
	}
	s.watching.mu.Lock()
	defer s.watching.mu.Unlock()
	if s.watching.epoch != epoch {
		s.watching.epoch, s.watching.earlier = epoch, now
	}
	s.watching.earlier = slices.DeleteFunc(s.watching.earlier, func(one string) bool { return !slices.Contains(now, one) })
	if len(s.watching.earlier) > 0 {
		return false, nil
	}
	_, err = conn.ExecContext(ctx, `UPDATE event_watch SET complete = true WHERE epoch = $1 AND NOT complete`, epoch)
	return err == nil, err
}

type eventRow struct {
	Snapshot   string         `db:"snapshot"`
	Known      bool           `db:"known"`
	Most       int            `db:"most"`
	Total      int            `db:"total"`
	TooMany    bool           `db:"too_many"`
	Place      sql.NullInt64  `db:"place"`
	At         sql.NullTime   `db:"at"`
	ID         sql.NullString `db:"id"`
	MerchantID sql.NullString `db:"merchant_id"`
	Kind       sql.NullString `db:"kind"`
	Target     sql.NullString `db:"target"`
	Status     sql.NullString `db:"status"`
	Attempt    sql.NullInt64  `db:"attempt"`
	RunAt      sql.NullTime   `db:"run_at"`
}

// columns are where the columns of a row go, one after the other.
func (row *eventRow) columns() []any {
	return []any{
		&row.Snapshot, &row.Known, &row.Most, &row.Total, &row.TooMany, &row.Place, &row.At, &row.ID, &row.MerchantID, &row.Kind,
		&row.Target, &row.Status, &row.Attempt, &row.RunAt,
	}
}

func (row *eventRow) event() billing.TaskEvent {
	return billing.TaskEvent{
		ID: billing.TaskID(row.ID.String), MerchantID: billing.MerchantID(row.MerchantID.String), Kind: billing.Kind(row.Kind.String),
		Target: row.Target.String, Status: billing.Status(row.Status.String), Attempt: int(row.Attempt.Int64), RunAt: row.RunAt.Time.UTC(),
		At: row.At.Time.UTC(),
	}
}

// ReadEvents returns what has changed between two marks; the zero one as the second means now. Every change that was committed
// between them is there, or Lost says why not: a task that changed several times is told of once.
//
// A mark stays good for a quarter of an hour, while somebody watches. PostgreSQL's crash ends it, and so does a flood of changes.
func (s *Store) ReadEvents(ctx context.Context, after, upTo billing.EventMark) (billing.EventPage, error) {
	if after.IsZero() || !upTo.IsZero() && upTo.Epoch != after.Epoch {
		return billing.EventPage{Next: upTo, Lost: billing.ResetForgotten}, nil
	}
	var end any
	if !upTo.IsZero() {
		end = upTo.Snapshot
	}
	var head eventRow
	var events []billing.TaskEvent
	err := s.events.run(ctx, "read events", func(stmt *sql.Stmt) error {
		rows, err := stmt.QueryContext(ctx, after.Epoch, after.Snapshot, end, mostEvents)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for into := head.columns(); rows.Next(); {
			if err := rows.Scan(into...); err != nil {
				return fmt.Errorf("read an event: %w", err)
			}
			if head.Place.Valid {
				events = append(events, head.event())
			}
		}
		return rows.Err()
	})
	switch {
	case err != nil:
		return billing.EventPage{}, err
	case !head.Known:
		return billing.EventPage{Next: upTo, Lost: billing.ResetForgotten}, nil
	}
	page := billing.EventPage{Next: billing.EventMark{Epoch: after.Epoch, Snapshot: head.Snapshot}}
	if upTo.IsZero() {
		s.writeDetails(ctx, head)
	}
	if head.TooMany {
		page.Lost = billing.ResetTooMany
		return page, nil
	}
	page.Events = lastOfEach(events)
	return page, nil
}

// writeDetails lets statements write no details while there is more than anybody is told of anyway. That it fails is no matter: it is
// about cost.
func (s *Store) writeDetails(ctx context.Context, head eventRow) {
	most := head.Most
	switch {
	case head.TooMany:
		most = undetailed
	case head.Total <= calmEvents:
		most = detailed
	}
	if most == head.Most {
		return
	}
	_ = s.db.onConn(ctx, "write events", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `UPDATE event_watch SET most = $1 WHERE most <> $1`, most)
		return err
	})
}

// lastOfEach keeps the last event of each task.
func lastOfEach(events []billing.TaskEvent) []billing.TaskEvent {
	last := make(map[billing.TaskID]int, len(events))
	for i := range events {
		last[events[i].ID] = i
	}
	if len(last) == len(events) {
		return events
	}
	kept := events[:0]
	for i := range events {
		if last[events[i].ID] == i {
			kept = append(kept, events[i])
		}
	}
	return kept
}

// foreign is about a transaction that this server cannot have had yet: a dump has brought the row from another one, where the numbers were
// higher. It would be told of again and again until they come here.
const foreign = ` >= pg_snapshot_xmax(pg_current_snapshot())`

// TidyEvents ends the recording when nobody has asked for it for two minutes, and deletes events that are old or too many. Any
// number of processes may do it at once.
func (s *Store) TidyEvents(ctx context.Context) error {
	return s.db.onConn(ctx, "tidy events", func(conn *sqlx.Conn) error {
		if _, err := conn.ExecContext(ctx, `DELETE FROM event_watch WHERE until < now() OR horizon`+foreign); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, `DELETE FROM task_events WHERE xact`+foreign); err != nil {
			return err
		}
		// What a transaction that is under way could still have to be told of stays, within bounds: a mark may name it.
		_, err := conn.ExecContext(ctx, `
			WITH ranked AS MATERIALIZED (
				SELECT xact, at, sum(10 + kept) OVER (ORDER BY xact DESC, id DESC) AS weight FROM task_events
			), bound AS MATERIALIZED (
				SELECT xact FROM ranked
				WHERE xact < pg_snapshot_xmin(pg_current_snapshot()) AND (at < now() - make_interval(secs => $1) OR weight > $2)
					OR weight > $2 * $3
				ORDER BY xact DESC
				LIMIT 1
			), gone AS (
				DELETE FROM task_events WHERE xact <= (SELECT xact FROM bound)
			)
			UPDATE event_watch SET horizon = greatest(horizon, (SELECT xact FROM bound)) WHERE (SELECT xact FROM bound) IS NOT NULL`,
			eventsLast.Seconds(), eventsWeight, eventsExcess)
		return err
	})
}
