package storetest

import (
	"context"
	"testing"

	"github.com/jmoiron/sqlx"
)

// Gate holds whoever archives tasks that succeeded at the end of the statement: all that it locks is locked then, and nothing is
// committed.
type Gate struct {
	db   *DB
	conn *sqlx.Conn // holds the lock that stands for the gate
}

// GateArchive closes a gate before the archive. It opens with the end of the test at the latest.
func (db *DB) GateArchive(t testing.TB) *Gate {
	t.Helper()
	db.SQL.MustExec(`
		CREATE FUNCTION pass_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_xact_lock(1) FROM moved WHERE status = 'succeeded' LIMIT 1;
			RETURN NULL;
		END $$;
		CREATE TRIGGER gate AFTER INSERT ON archived_tasks REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION pass_the_gate()`)
	conn, err := db.SQL.Connx(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(context.Background(), `SELECT pg_advisory_lock(1)`); err != nil {
		t.Fatal(err)
	}
	g := &Gate{db: db, conn: conn}
	t.Cleanup(func() {
		g.Open(t)
		_ = conn.Close()
	})
	return g
}

// Waiting reports whether somebody stands before the gate.
func (g *Gate) Waiting() bool {
	var n int
	err := g.db.SQL.Get(&n, `SELECT count(*) FROM pg_locks
		WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	return err == nil && n > 0
}

// Open lets everybody pass from now on.
func (g *Gate) Open(t testing.TB) {
	t.Helper()
	if _, err := g.conn.ExecContext(context.Background(), `SELECT pg_advisory_unlock_all()`); err != nil {
		t.Error(err)
	}
}
