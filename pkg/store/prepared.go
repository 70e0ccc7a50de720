package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"
)

// prepared is one statement that runs so often that parsing and planning it each time would cost as much as a tenth of running it.
// It keeps a connection on which it is prepared; a run that finds that one busy gets another. Nothing is ever run twice: after an
// error the connection is given up, and the caller decides.
type prepared struct {
	db    *DB
	query string
	most  int // connections that it keeps for itself between its runs

	mu   sync.Mutex
	idle []*preparedConn
}

type preparedConn struct {
	conn  *sql.Conn
	stmt  *sql.Stmt
	until time.Time // connections are renewed after a while
}

// run calls fn with the statement, prepared on a connection that nobody else uses meanwhile.
func (p *prepared) run(ctx context.Context, operation string, fn func(*sql.Stmt) error) error {
	line, err := p.take(ctx)
	if err != nil {
		return translate(operation, err)
	}
	if err := fn(line.stmt); err != nil {
		line.close()
		return translate(operation, err)
	}
	p.give(line)
	return nil
}

// runTx is run in a transaction of its own, which commits if fn says so and returns no error.
func (p *prepared) runTx(ctx context.Context, operation string, fn func(*sql.Stmt) (commit bool, err error)) error {
	line, err := p.take(ctx)
	if err != nil {
		return translate(operation, err)
	}
	if err := line.inTx(ctx, fn); err != nil {
		line.discard()
		return translate(operation, err)
	}
	p.give(line)
	return nil
}

func (line *preparedConn) inTx(ctx context.Context, fn func(*sql.Stmt) (commit bool, err error)) error {
	if _, err := line.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	commit, err := fn(line.stmt)
	if err != nil {
		return err
	}
	end := "ROLLBACK"
	if commit {
		end = "COMMIT"
	}
	_, err = line.conn.ExecContext(ctx, end)
	return err
}

func (p *prepared) take(ctx context.Context) (*preparedConn, error) {
	for line := p.kept(); line != nil; line = p.kept() {
		if time.Now().Before(line.until) { //nolint:forbidigo // the age of a connection, not of a task
			return line, nil
		}
		line.close() // asks the server: not under the lock
	}
	conn, err := p.db.sqlx.Conn(ctx)
	if err != nil {
		return nil, unconnected("prepare a statement", err)
	}
	stmt, err := conn.PrepareContext(ctx, p.query)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("prepare the statement: %w", err)
	}
	return &preparedConn{conn: conn, stmt: stmt, until: time.Now().Add(connMaxLifetime)}, nil //nolint:forbidigo // as above
}

// kept takes out one of the connections that are kept, nil when there is none.
func (p *prepared) kept() *preparedConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	line := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return line
}

func (p *prepared) give(line *preparedConn) {
	p.mu.Lock()
	keep := len(p.idle) < p.most
	if keep {
		p.idle = append(p.idle, line)
	}
	p.mu.Unlock()
	if !keep {
		line.close()
	}
}

// close gives up the connections that are kept.
func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.idle {
		line.close()
	}
	p.idle = nil
}

// discard is close for a connection that may be within a transaction: nobody else must get it.
func (line *preparedConn) discard() {
	_ = line.stmt.Close()
	_ = line.conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it
	_ = line.conn.Close()
}

func (line *preparedConn) close() {
	_ = line.stmt.Close()
	_ = line.conn.Close()
}
