package leaks_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lib/pq"
)

// sources are all things that are searched.
func (w *world) sources() []source {
	w.t.Helper()
	return []source{
		{"what the programs wrote", w.said},
		{"the database", w.database()},
		{"what the database says that it is doing", w.activity},
		{"what the api answered", w.book.all()},
		{"the pages for operators", w.metrics},
		{"the traces", w.traces()},
		{"the stream of events", w.tale.lines},
		{"the console", w.pages},
	}
}

// traces is every text of every span that was sent.
func (w *world) traces() []piece {
	w.t.Helper()
	var pieces []piece
	for _, message := range w.spans.Raw() {
		pieces = append(pieces, document("trace", message)...)
	}
	return pieces
}

// database is every value of every column of every table.
func (w *world) database() []piece {
	w.t.Helper()
	var columns []struct{ Schema, Table, Column, Type string }
	if err := w.db.SQL.Select(&columns, `
		SELECT n.nspname AS schema, c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type
		FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
		WHERE c.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema')
			AND n.nspname NOT LIKE 'pg_toast%'
		ORDER BY 1, 2, a.attnum`); err != nil {
		w.t.Fatal(err)
	}
	var pieces []piece
	for _, one := range columns {
		place := "database " + one.Table + "." + one.Column
		expression := pq.QuoteIdentifier(one.Column) + "::text"
		if one.Type == "bytea" {
			expression = pq.QuoteIdentifier(one.Column) // as the bytes are
		}
		rows, err := w.db.SQL.Query(fmt.Sprintf(`SELECT %s FROM %s.%s`, expression, pq.QuoteIdentifier(one.Schema), pq.QuoteIdentifier(one.Table)))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, text := range texts(w, rows) {
			if strings.HasPrefix(one.Type, "json") && json.Valid([]byte(text)) {
				pieces = append(pieces, document(place, text)...)
				continue
			}
			pieces = append(pieces, piece{place, text})
		}
	}
	return pieces
}

// lookAtActivity notes the statements of the services, which must not have values written into them.
func (w *world) lookAtActivity() {
	w.t.Helper()
	rows, err := w.db.SQL.Query(`SELECT concat_ws(' ', application_name, query) FROM pg_stat_activity WHERE datname = current_database()`)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, text := range texts(w, rows) {
		w.activity = append(w.activity, piece{"pg_stat_activity", text})
	}
}

func texts(w *world, rows *sql.Rows) []string {
	w.t.Helper()
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, text.String)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// watch notes what operators see of the services at the moment.
func (w *world) watch() {
	w.t.Helper()
	for _, ops := range w.ops {
		for _, path := range []string{
			"/metrics", "/livez", "/readyz", "/readyz?verbose", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1",
		} {
			_, content := ops.send("GET", path, "")
			w.metrics = append(w.metrics, piece{"page for operators " + path, content})
		}
	}
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		w.api.send("GET", path, "", "Authorization", "")
	}
}
