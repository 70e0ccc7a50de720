package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// HistoryFilter narrows the history; empty fields match everything.
type HistoryFilter struct {
	Status     billing.Status
	MerchantID billing.MerchantID
	// From and To bound a task's creation, or its end if ByEnd is set, which then leaves out what has not ended. To is exclusive.
	From, To time.Time
	ByEnd    bool
}

// HistoryTask is a task, living or archived, with all its attempts, first to last.
type HistoryTask struct {
	Task     billing.Task
	Attempts []billing.Attempt
}

// HistoryRange is a part of the history, in the order of ids, which is that in which tasks were scheduled.
type HistoryRange struct {
	After billing.TaskID // exclusive; "": from the beginning
	UpTo  billing.TaskID // inclusive
}

// HistoryPage is what one step through the history found.
type HistoryPage struct {
	Tasks []HistoryTask // that match, oldest first
	Seen  int           // tasks looked at; fewer than asked for at the end of the range
	Last  billing.TaskID
}

// beginning comes before every id of a task.
const beginning = "00000000-0000-0000-0000-000000000000"

func (r HistoryRange) after() string {
	if r.After == "" {
		return beginning
	}
	return string(r.After)
}

// HistoryUpTo returns the range of all tasks after the given one that there are now, and roughly how many those are: exactly if
// they are few, by the planner's statistics otherwise.
func (db *DB) HistoryUpTo(ctx context.Context, after billing.TaskID) (of HistoryRange, estimate int, err error) {
	of = HistoryRange{After: after, UpTo: after}
	err = db.sqlx.GetContext(ctx, &of.UpTo, `
		SELECT id FROM (
			(SELECT id FROM scheduled_tasks WHERE id > $1 ORDER BY id DESC LIMIT 1)
			UNION ALL
			(SELECT id FROM archived_tasks WHERE id > $1 ORDER BY id DESC LIMIT 1)
		) AS ends ORDER BY id DESC LIMIT 1`, of.after())
	if errors.Is(err, sql.ErrNoRows) {
		return of, 0, nil
	}
	if err != nil {
		return HistoryRange{}, 0, translate("find the end of the history", err)
	}
	for _, table := range []string{"scheduled_tasks", "archived_tasks"} {
		rows, err := db.countRoughly(ctx, table, of)
		if err != nil {
			return HistoryRange{}, 0, translate("estimate the history", err)
		}
		estimate += rows
	}
	return of, estimate, nil
}

// countRoughly counts up to a bound and believes the planner beyond it.
func (db *DB) countRoughly(ctx context.Context, table string, of HistoryRange) (int, error) {
	const bound = 20_000
	var counted int
	err := db.sqlx.GetContext(ctx, &counted,
		`SELECT count(*) FROM (SELECT FROM `+table+` WHERE id > $1 AND id <= $2 LIMIT $3) AS first`, of.after(), of.UpTo, bound)
	if err != nil || counted < bound {
		return counted, err
	}
	// Without statistics the planner still knows the size of the whole table, but takes a range for a small part of it.
	explain, args := `EXPLAIN (FORMAT JSON) SELECT FROM `+table, []any{}
	if of.After != "" {
		explain, args = explain+` WHERE id > $1`, append(args, of.After)
	}
	var text string
	if err := db.sqlx.GetContext(ctx, &text, explain, args...); err != nil {
		return 0, err
	}
	var plans []struct {
		Plan struct {
			Rows int `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) != 1 {
		return 0, fmt.Errorf("read a plan: %w", err)
	}
	return max(counted, plans[0].Plan.Rows), nil
}

// HistoryPage looks at up to limit tasks of the range, oldest first, and returns those that match. Each page is a moment of its
// own, in which a task is either in the queue or in the archive; so a task that moves between two pages is found once, wherever
// it is then, and no snapshot is held for longer than one page takes.
func (db *DB) HistoryPage(ctx context.Context, filter HistoryFilter, of HistoryRange, limit int) (page HistoryPage, err error) {
	tx, err := db.sqlx.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return HistoryPage{}, translate("read the history", err)
	}
	defer func() { _ = tx.Rollback() }() // there is nothing to commit
	// Before the snapshot is taken: a migration that copies a table would leave it with nothing to see.
	if _, err := tx.ExecContext(ctx, `LOCK TABLE scheduled_tasks, archived_tasks IN ACCESS SHARE MODE`); err != nil {
		return HistoryPage{}, translate("read the history", err)
	}
	places := []struct {
		ID       string `db:"id"`
		Archived bool   `db:"archived"`
	}{}
	err = tx.SelectContext(ctx, &places, `
		SELECT id, archived FROM (
			(SELECT id, false AS archived FROM scheduled_tasks WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3)
			UNION ALL
			(SELECT id, true AS archived FROM archived_tasks WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3)
		) AS every ORDER BY id LIMIT $3`, of.after(), of.UpTo, limit)
	if err != nil {
		return HistoryPage{}, translate("read the history", err)
	}
	living, archived := []string{}, []string{}
	for _, place := range places {
		if place.Archived {
			archived = append(archived, place.ID)
		} else {
			living = append(living, place.ID)
		}
	}
	found := map[string]HistoryTask{}
	if err := readHistory(ctx, tx, found, filter, living, livingHistory); err != nil {
		return HistoryPage{}, err
	}
	if err := readHistory(ctx, tx, found, filter, archived, archivedHistory); err != nil {
		return HistoryPage{}, err
	}
	page = HistoryPage{Seen: len(places), Last: of.After}
	for _, place := range places {
		page.Last = billing.TaskID(place.ID)
		if task, matches := found[place.ID]; matches {
			page.Tasks = append(page.Tasks, task)
		}
	}
	return page, nil
}

// livingHistory and archivedHistory read tasks with their attempts; %s is the WHERE clause.
const (
	livingHistory = `
		SELECT ` + taskColumns + `, (` + attemptsOf + ` WHERE a.task_id = scheduled_tasks.id) AS attempts
		FROM scheduled_tasks%s`
	archivedHistory = `
		SELECT ` + archivedColumns + `, document->'attempts' AS attempts
		FROM (SELECT id AS archived_id, document FROM archived_tasks%s) AS a` + archivedRows
)

func readHistory(ctx context.Context, tx *sqlx.Tx, found map[string]HistoryTask, filter HistoryFilter, ids []string, query string) error {
	if len(ids) == 0 {
		return nil
	}
	where := conditions{}
	where.add("id = ANY ($%d::uuid[])", pq.Array(ids))
	if filter.Status != "" {
		where.add("status = $%d", filter.Status)
	}
	if filter.MerchantID != "" {
		where.add("merchant_id = $%d", filter.MerchantID)
	}
	moment := "created_at"
	if filter.ByEnd {
		moment = "finished_at"
	}
	if !filter.From.IsZero() {
		where.add(moment+" >= $%d", filter.From.UTC())
	}
	if !filter.To.IsZero() {
		where.add(moment+" < $%d", filter.To.UTC())
	}
	rows := []struct {
		taskRow
		Attempts sql.NullString `db:"attempts"`
	}{}
	if err := tx.SelectContext(ctx, &rows, fmt.Sprintf(query, where.sql()), where.args...); err != nil {
		return translate("read the history", err)
	}
	for _, row := range rows {
		task, err := row.task()
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		attempts, err := readAttempts(row.Attempts)
		if err != nil {
			return fmt.Errorf("read the history of task %s: %w", row.ID, err)
		}
		found[row.ID] = HistoryTask{Task: task, Attempts: attempts}
	}
	return nil
}
