package store

import (
	"context"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

const (
	// mostCounted is where counting stops: a number that a person reads must not cost a scan of the table.
	mostCounted = 10_000
	// mostLooked is how many tasks of a status are looked at where the index alone cannot tell which ones count.
	mostLooked = 2 * mostCounted
)

// CountTasks counts the tasks that fit by their status, each up to 10,000: among the last 20,000 of the status by run_at, where the
// filter is about more than status and time, and with a Query among those that a search of one page's time finds.
func (s *Store) CountTasks(ctx context.Context, filter billing.TaskFilter) ([]billing.StatusCount, error) {
	if filter.Query != "" || filter.RetryOf != "" {
		return s.countFound(ctx, filter)
	}
	rows := []countRow{}
	query, args := countQuery(filter)
	if err := s.db.sqlx.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, translate("count tasks", err)
	}
	return allStatuses(rows, false), nil
}

type countRow struct {
	Status string `db:"status"`
	N      int    `db:"n"`
	Capped bool   `db:"capped"`
}

// allStatuses gives each status its count, 0 where there is none. capped says that there may be more of any.
func allStatuses(rows []countRow, capped bool) []billing.StatusCount {
	var counts []billing.StatusCount
	for _, status := range billing.Statuses() {
		count := billing.StatusCount{Status: status, Count: billing.Count{Capped: capped}}
		for _, row := range rows {
			if row.Status == string(status) {
				count.N, count.Capped = min(row.N, mostCounted), capped || row.Capped || row.N > mostCounted
			}
		}
		counts = append(counts, count)
	}
	return counts
}

func countQuery(filter billing.TaskFilter) (query string, args []any) {
	fits, of := conditions{}, spansOf(filter)
	fits.narrowBeside(filter)
	if filter.Attention { // the rest of it is in the span
		fits.terms = append(fits.terms, unheld)
	}
	most := mostCounted
	if len(fits.terms) > 0 {
		most = mostLooked
	}
	query = `
		SELECT span.of_status AS status, looked.n, looked.seen > ` + fits.arg(most) + `::int AS capped
		FROM ` + of.source(&fits) + ` CROSS JOIN LATERAL (
			SELECT count(*) AS seen, count(*) FILTER (WHERE fits) AS n FROM (
				SELECT ` + fits.all() + ` AS fits FROM scheduled_tasks WHERE ` + of.within(&fits) + `
				ORDER BY run_at DESC LIMIT ` + fits.arg(most+1) + `
			) AS one
		) AS looked`
	return query, fits.args
}

// countFound counts what a search finds.
func (s *Store) countFound(ctx context.Context, filter billing.TaskFilter) ([]billing.StatusCount, error) {
	quest, err := s.quest(ctx, filter, true)
	if err != nil {
		return nil, err
	}
	if !quest.whole && quest.plain() {
		query, args := listQuery(quest.filter, mostIndexed, newest)
		quest.tasks, err = s.selectTasks(ctx, query, args...)
		quest.whole = true
	}
	if err != nil || quest.whole {
		return countEach(quest.tasks), err
	}
	found, err := s.search(ctx, quest, mostCounted+1, newest, searchBudget)
	if err != nil {
		return nil, err
	}
	for _, task := range quest.tasks {
		found.ids = append(found.ids, task.ID)
	}
	rows := []countRow{}
	err = s.db.sqlx.SelectContext(ctx, &rows, `
		SELECT status, count(*) AS n, false AS capped FROM scheduled_tasks WHERE id = ANY ($1::uuid[]) GROUP BY status`, pq.Array(found.ids))
	if err != nil {
		return nil, translate("count tasks", err)
	}
	return allStatuses(rows, !found.ended), nil
}

func countEach(tasks []billing.Task) []billing.StatusCount {
	counts := allStatuses(nil, false)
	for _, task := range tasks {
		for i := range counts {
			if counts[i].Status == task.Status {
				counts[i].N++
			}
		}
	}
	return counts
}
