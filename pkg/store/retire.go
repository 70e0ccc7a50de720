package store

import (
	"context"
	"errors"
	"fmt"

	"billonce/pkg/billing"
)

// KeyRetired says that a process is to seal with a key that a rotation has replaced.
type KeyRetired struct {
	Key    string // its id
	Active string // id of the key that the database is sealed with
}

// Error implements error.
func (r *KeyRetired) Error() string {
	return fmt.Sprintf("encryption key %s was retired when a rotation ended; the database is sealed with %s", r.Key, r.Active)
}

// RetireOthers records that a rotation to the active key has ended: from now on no process makes another one active that was active
// before. They go on opening what they sealed. It returns a [*KeyMismatch] when another key is active meanwhile.
func (db *DB) RetireOthers(ctx context.Context, active KeyRecord) error {
	return db.inTx(ctx, "retire encryption keys", func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, keyLock); err != nil {
			return err
		}
		var now []KeyRecord
		if err := tx.SelectContext(ctx, &now, `SELECT key_id, check_value FROM encryption_keys WHERE active`); err != nil {
			return err
		}
		switch {
		case len(now) == 0: // no service has been started yet
			return nil
		case now[0] != active:
			return &KeyMismatch{Database: now[0].ID, Process: []string{active.ID}}
		}
		var retired []string
		err := tx.SelectContext(ctx, &retired, `
			UPDATE encryption_keys SET retired_at = now() WHERE NOT active AND retired_at IS NULL RETURNING key_id`)
		if err != nil {
			return err
		}
		for _, id := range retired {
			of := entry{action: billing.ActionEncryptionKeyRetire, object: id, detail: map[string]any{"active": active.ID}}
			if err := note(ctx, tx, of); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReinstateKey lets processes make a retired key active again. A key that is not retired stays as it is. The error has code
// [billing.CodeNotFound] when the database knows none of this id.
func (db *DB) ReinstateKey(ctx context.Context, id string) error {
	return db.inTx(ctx, "reinstate an encryption key", func(tx *transaction) error {
		result, err := tx.ExecContext(ctx, `UPDATE encryption_keys SET retired_at = NULL WHERE key_id = $1`, id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, &billing.Error{Code: billing.CodeNotFound, Message: "no encryption key has this id"})
		}
		return note(ctx, tx, entry{action: billing.ActionEncryptionKeyReinstate, object: id})
	})
}
