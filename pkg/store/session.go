package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/pkg/billing"
)

// OpenSession keeps a session of the console under the hash of what its browser holds, records that somebody has signed in, and
// deletes sessions that have ended.
func (s *Store) OpenSession(ctx context.Context, hash [billing.SessionHashBytes]byte, session billing.Session) error {
	return s.db.inTx(ctx, "open a session", func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM console_sessions WHERE expires_at <= now() OR last_seen_at <= now() - $1 * interval '1 second'
				OR api_key_id IN (SELECT id FROM api_keys WHERE revoked_at IS NOT NULL OR expires_at <= now())`, wholeSeconds(billing.SessionIdle))
		if err != nil {
			return err
		}
		var check any
		if session.KeyID == "" {
			check = session.Check
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO console_sessions (token_hash, api_key_id, admin_check, expires_at)
			VALUES ($1, nullif($2, '')::uuid, $3::bytea, now() + $4 * interval '1 second')`,
			hash[:], string(session.KeyID), check, wholeSeconds(billing.SessionLength))
		if err != nil {
			return err
		}
		return note(ctx, tx, entry{action: billing.ActionSessionOpen, object: session.Actor()})
	})
}

// openSession is a session that has not ended, nor its key.
const openSession = `
	SELECT s.token_hash, s.api_key_id, s.admin_check, k.hash
	FROM console_sessions AS s LEFT JOIN api_keys AS k ON k.id = s.api_key_id
	WHERE s.token_hash = $1 AND s.expires_at > now() AND s.last_seen_at > now() - $2 * interval '1 second'
		AND (s.api_key_id IS NULL OR k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()))`

type sessionRow struct {
	KeyID   sql.NullString `db:"api_key_id"`
	KeyHash []byte         `db:"hash"`
	Check   []byte         `db:"admin_check"`
}

// FindSession returns a session that has not ended; it is not used by that. The error has code [billing.CodeNotFound] when there is none,
// or its key has ended.
func (s *Store) FindSession(ctx context.Context, hash [billing.SessionHashBytes]byte) (billing.Session, error) {
	row := sessionRow{}
	err := s.db.sqlx.GetContext(ctx, &row, `SELECT api_key_id, admin_check, hash FROM (`+openSession+`) AS found`,
		hash[:], wholeSeconds(billing.SessionIdle))
	if err != nil {
		err = translate("find a session", err)
	}
	return row.session(err)
}

// UseSession returns a session as [Store.FindSession] does, and notes once a minute that it is used.
func (s *Store) UseSession(ctx context.Context, hash [billing.SessionHashBytes]byte) (billing.Session, error) {
	row := sessionRow{}
	err := s.db.onConn(ctx, "use a session", func(conn *sqlx.Conn) error {
		return conn.GetContext(ctx, &row, `
			WITH found AS MATERIALIZED (`+openSession+`), seen AS (
				UPDATE console_sessions SET last_seen_at = now() FROM found
				WHERE console_sessions.token_hash = found.token_hash AND console_sessions.last_seen_at < now() - interval '1 minute'
			)
			SELECT api_key_id, admin_check, hash FROM found`, hash[:], wholeSeconds(billing.SessionIdle))
	})
	return row.session(err)
}

// session is what was read, unless it could not be.
func (row sessionRow) session(err error) (billing.Session, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return billing.Session{}, &billing.Error{Code: billing.CodeNotFound, Message: "no such session"}
	}
	if err != nil {
		return billing.Session{}, err
	}
	session := billing.Session{KeyID: billing.APIKeyID(row.KeyID.String), Check: row.Check}
	copy(session.KeyHash[:], row.KeyHash)
	return session, nil
}

// CloseSession deletes a session and records that somebody has signed out. One that is not there any more is no error.
func (s *Store) CloseSession(ctx context.Context, hash [billing.SessionHashBytes]byte) error {
	return s.db.inTx(ctx, "close a session", func(tx *transaction) error {
		var key sql.NullString
		err := tx.GetContext(ctx, &key, `DELETE FROM console_sessions WHERE token_hash = $1 RETURNING api_key_id`, hash[:])
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		session := billing.Session{KeyID: billing.APIKeyID(key.String)}
		return note(ctx, tx, entry{action: billing.ActionSessionClose, object: session.Actor()})
	})
}

func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }
