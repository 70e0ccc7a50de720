package store

import (
	"context"
	"database/sql/driver"
	"strings"
)

// driverConn is what a connection of lib/pq's can do.
type driverConn interface {
	driver.Conn
	driver.Pinger
	driver.ExecerContext
	driver.QueryerContext
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

// guarded is a connection that is not handed on when it is stuck. lib/pq 1.12 believes for ever that a query is still being
// processed when a peer, a pooler for example, answers with an error and then closes the connection, and does not tell database/sql
// that it is of no more use (lib/pq#1320).
type guarded struct {
	driverConn
	failed bool // the last statement ended with an error
	stuck  bool
}

// stuckText is the only sign of it; the error has no type of its own. Nothing was sent when it is returned.
const stuckText = "already a query being processed"

// judge notes what a statement ended with, and makes of the stuck driver's error one that database/sql understands.
func (g *guarded) judge(err error) error {
	g.failed = err != nil
	if err != nil && strings.Contains(err.Error(), stuckText) {
		g.stuck = true
		return driver.ErrBadConn
	}
	return err
}

// QueryContext implements driver.QueryerContext.
func (g *guarded) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := g.driverConn.QueryContext(ctx, query, args)
	return rows, g.judge(err)
}

// ExecContext implements driver.ExecerContext.
func (g *guarded) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := g.driverConn.ExecContext(ctx, query, args)
	return result, g.judge(err)
}

// PrepareContext implements driver.ConnPrepareContext.
func (g *guarded) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := g.driverConn.PrepareContext(ctx, query)
	return stmt, g.judge(err)
}

// BeginTx implements driver.ConnBeginTx.
func (g *guarded) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := g.driverConn.BeginTx(ctx, opts)
	return tx, g.judge(err)
}

// ResetSession implements driver.SessionResetter. It comes before the connection is used anew: after an error it asks whether
// anybody is still there.
func (g *guarded) ResetSession(ctx context.Context) error {
	if err := g.driverConn.ResetSession(ctx); err != nil {
		return err
	}
	if g.failed && g.judge(g.Ping(ctx)) != nil {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid implements driver.Validator.
func (g *guarded) IsValid() bool { return !g.stuck && g.driverConn.IsValid() }
