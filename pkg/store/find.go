package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// A list that only the table's key serves is read in windows of the newest tasks not looked at yet, until there are enough that fit or
// searchBudget is over: what is rare in a large table costs each request the same, and the next one goes on from there.
const (
	searchBudget = 150 * time.Millisecond
	leastWindow  = 1_000
	mostWindow   = 16_000
	// mostCandidates is how many tasks a search looks at through the index on status and run_at, instead of going by windows.
	mostCandidates = 10_000
)

// newest comes after every id of a task.
const newest = "ffffffff-ffff-ffff-ffff-ffffffffffff"

const (
	// overdueSince is when a task was due that is overdue by now: [billing.OverdueAfter] ago.
	overdueSince = `now() - interval '5 minutes'`
	// unheld is of a task that nothing keeps from being carried out, neither its merchant nor another task.
	unheld = `held_at IS NULL AND waiting_since IS NULL`
	// attention is what [billing.TaskFilter.Attention] leaves.
	attention = `(status = 'in_doubt' OR status = 'pending' AND run_at < ` + overdueSince + ` AND ` + unheld + `)`
)

// narrow adds the filter, but for Query.
func (c *conditions) narrow(filter billing.TaskFilter) {
	if len(filter.Statuses) > 0 {
		c.add("status = ANY ($%d::text[])", pq.Array(filter.Statuses))
	}
	if !filter.From.IsZero() {
		c.add("run_at >= $%d", filter.From)
	}
	if !filter.To.IsZero() {
		c.add("run_at < $%d", filter.To)
	}
	if filter.Attention {
		c.terms = append(c.terms, attention)
	}
	c.narrowBeside(filter)
}

// narrowBeside is narrow without status and time.
func (c *conditions) narrowBeside(filter billing.TaskFilter) {
	if filter.MerchantID != "" {
		c.add("merchant_id = $%d", filter.MerchantID)
	}
	if filter.Kind != "" {
		c.add("kind = $%d", filter.Kind)
	}
	if filter.Target != "" {
		c.add("target = $%d", filter.Target)
	}
	if !filter.CreatedBefore.IsZero() {
		c.add("created_at < $%d", filter.CreatedBefore)
	}
	if filter.RetryOf != "" {
		c.add("retry_of = $%d", filter.RetryOf)
	}
}

// FindTasks returns up to limit tasks, newest first, beginning after the given one; with a Query, the ones that an index finds come
// first, and may come once more in their place on a later page. A page may end early: see [billing.TaskPage].
func (s *Store) FindTasks(ctx context.Context, filter billing.TaskFilter, limit int, after billing.TaskID) (billing.TaskPage, error) {
	quest, err := s.quest(ctx, filter, after == "")
	if err != nil {
		return billing.TaskPage{}, err
	}
	if after == "" {
		after = newest
	}
	switch {
	case quest.whole:
		return pageOf(slices.DeleteFunc(quest.tasks, func(task billing.Task) bool { return task.ID >= after }), limit), nil
	case quest.plain():
		query, args := listQuery(quest.filter, limit+1, after)
		tasks, err := s.selectTasks(ctx, query, args...)
		return pageOf(tasks, limit), err
	}
	return s.searchPage(ctx, quest, limit, after)
}

// pageOf cuts what is beyond the limit.
func pageOf(tasks []billing.Task, limit int) billing.TaskPage {
	if len(tasks) > limit {
		return billing.TaskPage{Tasks: tasks[:limit], Next: tasks[limit-1].ID}
	}
	return billing.TaskPage{Tasks: tasks}
}

func (s *Store) searchPage(ctx context.Context, quest quest, limit int, after billing.TaskID) (billing.TaskPage, error) {
	page := billing.TaskPage{Tasks: quest.tasks}
	want := limit - len(quest.tasks)
	if want <= 0 { // the search begins with the next page
		page.Next = newest
		return page, nil
	}
	found, err := s.search(ctx, quest, want+1, after, searchBudget)
	if err != nil {
		return billing.TaskPage{}, err
	}
	switch {
	case len(found.ids) > want:
		found.ids = found.ids[:want]
		page.Next = found.ids[want-1]
	case !found.ended:
		page.Next, page.SearchedTo = found.last, timeOf(found.last)
	}
	tasks, err := s.selectTasks(ctx, `SELECT `+taskColumns+` FROM scheduled_tasks WHERE id = ANY ($1::uuid[]) ORDER BY id DESC`, pq.Array(found.ids))
	for _, task := range tasks {
		if !slices.ContainsFunc(quest.tasks, func(indexed billing.Task) bool { return indexed.ID == task.ID }) {
			page.Tasks = append(page.Tasks, task)
		}
	}
	return page, err
}

// listQuery asks for tasks that an index serves, newest first.
func listQuery(filter billing.TaskFilter, limit int, after billing.TaskID) (query string, args []any) {
	where := conditions{}
	where.narrow(filter)
	where.add("id < $%d", after)
	query = `SELECT ` + taskColumns + ` FROM scheduled_tasks` + where.sql() + ` ORDER BY id DESC LIMIT ` + where.arg(limit)
	return query, where.args
}

func (s *Store) selectTasks(ctx context.Context, query string, args ...any) ([]billing.Task, error) {
	rows := []taskRow{}
	if err := s.db.sqlx.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, translate("list tasks", err)
	}
	tasks := make([]billing.Task, len(rows))
	for i, row := range rows {
		task, err := row.task()
		if err != nil {
			return nil, fmt.Errorf("list tasks: %w", err)
		}
		tasks[i] = task
	}
	return tasks, nil
}

// finds is what a search came to.
type finds struct {
	ids   []billing.TaskID // newest first
	last  billing.TaskID   // looked at last
	ended bool             // all there are were looked at
}

// search looks for up to want tasks before the given one, newest first, for about as long as the budget allows, and at a window of them
// at least.
func (s *Store) search(ctx context.Context, quest quest, want int, after billing.TaskID, budget time.Duration) (finds, error) {
	began := time.Now() //nolint:forbidigo // how long the search takes; no task is judged by it
	all := finds{last: after}
	if want < leastWindow { // most pages are full after a look at the newest tasks, which costs less than to count
		seen, err := s.searchWindow(ctx, quest, want, leastWindow, &all)
		if err != nil {
			return finds{}, err
		}
		if all.ended = seen < leastWindow; all.ended || len(all.ids) >= want {
			return all, nil
		}
	}
	if few, err := s.areFew(ctx, quest.filter); err != nil {
		return finds{}, err
	} else if few {
		return s.searchFew(ctx, quest, want, after)
	}
	for window := leastWindow; ; {
		step := time.Now() //nolint:forbidigo // as above
		seen, err := s.searchWindow(ctx, quest, want-len(all.ids), window, &all)
		if err != nil {
			return finds{}, err
		}
		if len(all.ids) >= want {
			return all, nil
		}
		if all.ended = seen < window; all.ended {
			return all, nil
		}
		took := time.Since(step)
		if time.Since(began)+took > budget {
			return all, nil
		}
		if window < mostWindow && took < searchBudget/8 {
			window *= 2
		}
	}
}

// searchWindow looks at the next tasks of a window, and returns how many it saw.
func (s *Store) searchWindow(ctx context.Context, quest quest, want, window int, into *finds) (seen int, err error) {
	query, args := windowQuery(quest, want, window, into.last)
	var last *string
	var ids pq.StringArray
	if err := s.db.sqlx.QueryRowxContext(ctx, query, args...).Scan(&seen, &last, &ids); err != nil {
		return 0, translate("search tasks", err)
	}
	for _, id := range ids {
		into.ids = append(into.ids, billing.TaskID(id))
	}
	if last != nil {
		into.last = billing.TaskID(*last)
	}
	return seen, nil
}

func windowQuery(quest quest, want, window int, after billing.TaskID) (query string, args []any) {
	fits := quest.conditions()
	query = `
		WITH looked AS MATERIALIZED (
			SELECT id, ` + fits.all() + ` AS fits FROM scheduled_tasks WHERE id < ` + fits.arg(after) + ` ORDER BY id DESC LIMIT ` + fits.arg(window) + `
		)
		SELECT (SELECT count(*) FROM looked), (SELECT id::text FROM looked ORDER BY id LIMIT 1),
			ARRAY(SELECT id::text FROM looked WHERE fits ORDER BY id DESC LIMIT ` + fits.arg(want) + `)`
	return query, fits.args
}

// spans are the parts of the index on status and run_at that hold all tasks which a filter may leave.
type spans struct {
	statuses     []string
	overdue      []bool // of each status: only what is overdue
	since, until time.Time
}

func spansOf(filter billing.TaskFilter) spans {
	of := spans{since: filter.From, until: filter.To}
	for _, status := range billing.Statuses() {
		if len(filter.Statuses) > 0 && !slices.Contains(filter.Statuses, status) ||
			filter.Attention && status != billing.Pending && status != billing.InDoubt {
			continue
		}
		of.statuses = append(of.statuses, string(status))
		of.overdue = append(of.overdue, filter.Attention && status == billing.Pending)
	}
	return of
}

// source yields a row of_status, overdue for each span, to be joined with what within finds of it.
func (of spans) source(c *conditions) string {
	return `unnest(` + c.arg(pq.Array(of.statuses)) + `::text[], ` + c.arg(pq.Array(of.overdue)) + `::bool[]) AS span (of_status, overdue)`
}

// within is the condition on a task of one span.
func (of spans) within(c *conditions) string {
	since, until := `'-infinity'::timestamptz`, `'infinity'::timestamptz`
	if !of.since.IsZero() {
		since = c.arg(of.since) + `::timestamptz`
	}
	if !of.until.IsZero() {
		until = c.arg(of.until) + `::timestamptz`
	}
	return `scheduled_tasks.status = span.of_status AND scheduled_tasks.run_at >= ` + since + `
		AND scheduled_tasks.run_at < CASE WHEN span.overdue THEN least(` + until + `, ` + overdueSince + `) ELSE ` + until + ` END`
}

// areFew reports whether what the filter says of status and time leaves so few tasks that each of them can be looked at.
func (s *Store) areFew(ctx context.Context, filter billing.TaskFilter) (bool, error) {
	if len(filter.Statuses) == 0 && !filter.Attention && filter.From.IsZero() && filter.To.IsZero() {
		return false, nil
	}
	var n int
	query, args := fewQuery(filter)
	if err := s.db.sqlx.GetContext(ctx, &n, query, args...); err != nil {
		return false, translate("count tasks", err)
	}
	return n <= mostCandidates, nil
}

func fewQuery(filter billing.TaskFilter) (query string, args []any) {
	c, of := conditions{}, spansOf(filter)
	query = `
		SELECT count(*) FROM ` + of.source(&c) + ` CROSS JOIN LATERAL (
			SELECT FROM scheduled_tasks WHERE ` + of.within(&c) + ` LIMIT ` + c.arg(mostCandidates+1) + `
		) AS one`
	return query, c.args
}

// searchFew looks at all tasks that the filter's status and time leave.
func (s *Store) searchFew(ctx context.Context, quest quest, want int, after billing.TaskID) (finds, error) {
	var ids pq.StringArray
	query, args := candidatesQuery(quest, want, after)
	if err := s.db.sqlx.GetContext(ctx, &ids, query, args...); err != nil {
		return finds{}, translate("search tasks", err)
	}
	found := finds{ended: true}
	for _, id := range ids {
		found.ids = append(found.ids, billing.TaskID(id))
	}
	return found, nil
}

func candidatesQuery(quest quest, want int, after billing.TaskID) (query string, args []any) {
	fits, of := quest.conditions(), spansOf(quest.filter)
	query = `
		SELECT ARRAY(
			SELECT one.id::text FROM ` + of.source(&fits) + ` CROSS JOIN LATERAL (
				SELECT id FROM scheduled_tasks WHERE ` + of.within(&fits) + ` AND id < ` + fits.arg(after) + ` AND ` + fits.all() + `
				LIMIT ` + fits.arg(mostCandidates+1) + `
			) AS one ORDER BY one.id DESC LIMIT ` + fits.arg(want) + `)`
	return query, fits.args
}

// timeOf is when a task got its id, as far as a UUIDv7 tells.
func timeOf(id billing.TaskID) time.Time {
	parsed, err := uuid.Parse(string(id))
	if err != nil {
		return time.Time{}
	}
	var millis int64
	for _, b := range parsed[:6] {
		millis = millis<<8 | int64(b)
	}
	return time.UnixMilli(millis).UTC()
}
