package store

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// quest is a filter whose Query was understood, by its shape and by what indexes know of it.
type quest struct {
	filter    billing.TaskFilter // without Query
	terms     []string           // more conditions, constant ones
	but       time.Time          // not those that are scheduled for this time, unless it is zero
	merchants []string           // those of an account; none: it is about none
	possible  []billing.Status   // in which what is to be done can be done; none: nothing is
	told      string             // what is to be compared with the tasks' fields; "" when the rest says everything

	tasks []billing.Task // what an index has found, newest first
	whole bool           // there is nothing else
}

// mostIndexed bounds what is looked up by an index beside the search; the indexes hold one task of each merchant.
const mostIndexed = 200

var stripeID = regexp.MustCompile(`^[a-z]+_[A-Za-z0-9_]+$`)

// conditions are what a task must fulfil.
func (q quest) conditions() conditions {
	c := conditions{}
	c.narrow(q.filter)
	c.terms = append(c.terms, q.terms...)
	if !q.but.IsZero() {
		c.add("scheduled_for <> $%d", q.but)
	}
	if len(q.merchants) > 0 {
		c.add("merchant_id = ANY ($%d::uuid[])", pq.Array(q.merchants))
	}
	if q.told != "" {
		c.terms = append(c.terms, q.telling(c.arg(q.told)+"::text"))
	}
	return c
}

// plain reports whether an index leads to the tasks one after the other.
func (q quest) plain() bool {
	if q.told != "" || len(q.merchants) > 0 || len(q.terms) > 0 {
		return false
	}
	c := q.conditions()
	return len(c.terms) == 0 || q.filter.RetryOf != ""
}

// telling is the condition that a field of a task is what was told. What byIndex finds is not left out of it: a task that is claimed while
// the search goes on is found by this alone.
func (q quest) telling(told string) string {
	values := `jsonb_build_object('told', ` + told + `)`
	terms := []string{
		`target = ` + told,
		`intent = ` + told,
		`result->>'id' = ` + told,
		`metadata <> '{}' AND jsonb_path_exists(metadata, '$.* ? (@ == $told)', ` + values + `)`,
	}
	switch {
	case strings.HasPrefix(q.told, "req_"):
		terms = append(terms, `result->>'request_id' = `+told, `last_error->>'request_id' = `+told, `attempt > 0 AND (
			SELECT 1 FROM task_attempts AS a WHERE a.task_id = scheduled_tasks.id AND a.request_id = `+told+` LIMIT 1) IS NOT NULL`)
	case stripeID.MatchString(q.told): // of a customer, say
		terms = append(terms, `params <> '{}' AND jsonb_path_exists(params, '$.* ? (@ == $told)', `+values+`)`)
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// The tasks that scheduled_tasks_one_per_object and scheduled_tasks_one_per_intent hold.
const (
	atWork      = `target <> '' AND first_sent_at IS NOT NULL AND finished_at IS NULL`
	holdsIntent = `intent <> '' AND status NOT IN ('failed', 'canceled')`
)

// quest understands a filter's Query. What it finds by itself is for the first page.
func (s *Store) quest(ctx context.Context, filter billing.TaskFilter, first bool) (quest, error) {
	q := quest{filter: filter}
	told := filter.Query
	q.filter.Query = ""
	if told == "" {
		return q, nil
	}
	if id, err := billing.ParseTaskID(strings.TrimPrefix(told, "task_")); err == nil {
		if known, err := s.questByID(ctx, &q, id); known || err != nil {
			return q, err
		}
	}
	if strings.HasPrefix(told, "acct_") {
		where := conditions{}
		where.add("stripe_connect_id = $%d", told)
		if filter.MerchantID != "" {
			where.add("id = $%d", filter.MerchantID)
		}
		query := `SELECT id FROM merchants` + where.sql() + ` LIMIT ` + where.arg(mostIndexed)
		if err := s.db.sqlx.SelectContext(ctx, &q.merchants, query, where.args...); err != nil {
			return q, translate("find the merchants of an account", err)
		}
		if len(q.merchants) > 0 {
			return q, nil
		}
	}
	var err error
	if first {
		q.tasks, err = s.byIndex(ctx, q, told)
	}
	q.told = told
	return q, err
}

// questByID reports whether an id is one of a task, living or archived, that the filter leaves, or of the merchant that it leaves.
// Another merchant's is as unknown as one of nothing.
func (s *Store) questByID(ctx context.Context, q *quest, id billing.TaskID) (known bool, err error) {
	query, args := byIDQuery(*q, id)
	if q.tasks, err = s.selectTasks(ctx, query, args...); err != nil {
		return false, err
	}
	if len(q.tasks) > 0 {
		q.whole = true
		return true, nil
	}
	row := taskRow{}
	switch err := s.db.sqlx.GetContext(ctx, &row, archivedByID, id); {
	case err == nil:
		task, err := row.task()
		if err != nil || q.filter.Fits(task) {
			q.tasks, q.whole = []billing.Task{task}, true
			return true, err
		}
	case !errors.Is(err, sql.ErrNoRows):
		return false, translate("find a task", err)
	}
	if q.filter.MerchantID != "" && string(q.filter.MerchantID) != string(id) {
		return false, nil
	}
	if err := s.db.sqlx.GetContext(ctx, &known, `SELECT EXISTS (SELECT FROM merchants WHERE id = $1)`, id); err != nil {
		return false, translate("find a merchant", err)
	}
	if known {
		q.filter.MerchantID = billing.MerchantID(id)
	}
	return known, nil
}

// byIDQuery asks for a task and for the one that repeats it.
func byIDQuery(q quest, id billing.TaskID) (query string, args []any) {
	where := q.conditions()
	wanted := where.arg(id) + "::uuid"
	query = `SELECT ` + taskColumns + ` FROM scheduled_tasks
		WHERE id = ANY (ARRAY(SELECT ` + wanted + ` UNION ALL SELECT r.id FROM scheduled_tasks AS r WHERE r.retry_of = ` + wanted + `))
			AND ` + where.all() + `
		ORDER BY id DESC`
	return query, where.args
}

// byIndex looks up what was told where an index has it: tasks at work at the object, the one that holds a merchant's intent, and the one
// that was scheduled under the text as its Idempotency-Key.
func (s *Store) byIndex(ctx context.Context, q quest, told string) ([]billing.Task, error) {
	query, args := byIndexQuery(q, told)
	return s.selectTasks(ctx, query, args...)
}

func byIndexQuery(q quest, told string) (query string, args []any) {
	where := q.conditions()
	text := where.arg(told)
	find := `SELECT id FROM scheduled_tasks WHERE target = ` + text + ` AND ` + atWork
	if q.filter.MerchantID != "" {
		merchant := where.arg(q.filter.MerchantID)
		find += ` AND merchant_id = ` + merchant + `
			UNION SELECT id FROM scheduled_tasks WHERE merchant_id = ` + merchant + ` AND intent = ` + text + ` AND ` + holdsIntent
	}
	most := where.arg(mostIndexed)
	query = `SELECT ` + taskColumns + ` FROM scheduled_tasks
		WHERE id = ANY (ARRAY(SELECT id FROM (` + find + `) AS found LIMIT ` + most + `)
			|| ARRAY(SELECT task_id FROM task_keys WHERE key = ` + text + `)) AND ` + where.all() + `
		ORDER BY id DESC`
	return query, where.args
}
