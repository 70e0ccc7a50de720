package chaos_test

import (
	"fmt"
	"strings"
	"time"
)

// aged is a table and its columns that hold moments.
type aged struct {
	name    string
	columns []string
}

// shift is the statement that makes all rows older.
func (a aged) shift(by time.Duration) string {
	sets := make([]string, len(a.columns))
	for i, column := range a.columns {
		sets[i] = fmt.Sprintf("%s = %s - interval '%d seconds'", column, column, int(by.Seconds()))
	}
	return "UPDATE " + a.name + " SET " + strings.Join(sets, ", ")
}

// ofEvents tells the tables by which followers are told.
func (a aged) ofEvents() bool { return a.name == "event_watch" || a.name == "task_events" }

func (w *world) tables() []string {
	w.t.Helper()
	var names []string
	if err := w.db.Select(&names, `SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`); err != nil {
		w.t.Fatal(err)
	}
	return names
}

// timeColumns finds every column of the schema that holds a moment, so that none is forgotten when time passes. The audit log does not
// grow older: nobody can change it, and nothing rests on its times.
func (w *world) timeColumns() []aged {
	w.t.Helper()
	rows := []struct {
		Table  string `db:"table_name"`
		Column string `db:"column_name"`
	}{}
	w.eventually("the schema is read", func() bool {
		rows = rows[:0]
		return w.db.Select(&rows, `
			SELECT c.table_name, c.column_name FROM information_schema.columns AS c
			JOIN pg_tables AS t ON t.tablename = c.table_name AND t.schemaname = 'public'
			WHERE c.table_schema = 'public' AND c.data_type = 'timestamp with time zone' AND c.table_name <> 'audit_log'
			ORDER BY c.table_name, c.ordinal_position`) == nil && len(rows) > 0
	})
	var found []aged
	for _, r := range rows {
		if len(found) == 0 || found[len(found)-1].name != r.Table {
			found = append(found, aged{name: r.Table})
		}
		last := &found[len(found)-1]
		last.columns = append(last.columns, r.Column)
	}
	return found
}

func list(value any) []object {
	items, _ := value.([]any)
	found := make([]object, len(items))
	for i, item := range items {
		found[i], _ = item.(object)
	}
	return found
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func texts(value any) []string {
	items, _ := value.([]any)
	found := make([]string, len(items))
	for i, item := range items {
		found[i] = text(item)
	}
	return found
}

func count(value any) int {
	n, _ := value.(float64)
	return int(n)
}
