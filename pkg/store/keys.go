package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// keyLock serialises processes that register a key. The number is arbitrary and used for nothing else.
const keyLock = 7_203_114_690

// KeyRecord names an encryption key without being it.
type KeyRecord struct {
	ID         string `db:"key_id"`      // derived from the key, safe to show
	CheckValue string `db:"check_value"` // proves that two processes mean the same key
}

// KeyMismatch says that the database was sealed with a key that this process does not hold.
type KeyMismatch struct {
	Database string   // key id that the database is sealed with
	Process  []string // key ids that this process holds
}

// Error implements error.
func (m *KeyMismatch) Error() string {
	return fmt.Sprintf("the database is sealed with encryption key %s and this process holds %s",
		m.Database, strings.Join(m.Process, ", "))
}

// AdoptKey records that this process seals with primary and also opens with previous. It returns a [*KeyMismatch] when the
// database is sealed with another key, and a [*KeyRetired] when a rotation has replaced primary. The first key of a database that already holds sealed tokens must open one of them.
func (db *DB) AdoptKey(ctx context.Context, cipher Cipher, primary KeyRecord, previous ...KeyRecord) error {
	return db.inTx(ctx, "adopt the encryption key", func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, keyLock); err != nil {
			return err
		}
		active := KeyRecord{}
		err := tx.QueryRowxContext(ctx, `SELECT key_id, check_value FROM encryption_keys WHERE active`).
			Scan(&active.ID, &active.CheckValue)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if err := proveKey(ctx, tx, cipher, primary); err != nil {
				return err
			}
		case err != nil:
			return err
		case active == primary:
			return nil
		case !holds(previous, active):
			return &KeyMismatch{Database: active.ID, Process: idsOf(primary, previous)}
		}
		return activate(ctx, tx, primary, active.ID)
	})
}

// activate makes a key the active one, in place of another if there is one.
func activate(ctx context.Context, tx *transaction, key KeyRecord, instead string) error {
	var retired bool
	err := tx.GetContext(ctx, &retired,
		`SELECT EXISTS (SELECT FROM encryption_keys WHERE key_id = $1 AND retired_at IS NOT NULL)`, key.ID)
	switch {
	case err != nil:
		return err
	case retired:
		return &KeyRetired{Key: key.ID, Active: instead}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE encryption_keys SET active = false WHERE active`); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `
		INSERT INTO encryption_keys (key_id, check_value, active) VALUES ($1, $2, true)
		ON CONFLICT (key_id) DO UPDATE SET active = true WHERE encryption_keys.check_value = excluded.check_value`,
		key.ID, key.CheckValue)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, errors.New("the database knows another key by the id "+key.ID))
	}
	return nil
}

// CheckKey returns a [*KeyMismatch] when the database is sealed with a key that is not among held.
func (db *DB) CheckKey(ctx context.Context, held ...KeyRecord) error {
	active := KeyRecord{}
	err := db.sqlx.QueryRowxContext(ctx, `SELECT key_id, check_value FROM encryption_keys WHERE active`).
		Scan(&active.ID, &active.CheckValue)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return translate("check the encryption key", err)
	case !holds(held, active):
		return &KeyMismatch{Database: active.ID, Process: idsOf(KeyRecord{}, held)}
	}
	return nil
}

// DevelopmentKey stores candidate as the key that all development processes of this database share, unless one is stored,
// and returns the stored one.
func (db *DB) DevelopmentKey(ctx context.Context, candidate secret.Text) (secret.Text, error) {
	var stored string
	err := db.inTx(ctx, "share the development key", func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx,
			`INSERT INTO development_key (key) VALUES ($1) ON CONFLICT (singleton) DO NOTHING`, candidate.Reveal()); err != nil {
			return err
		}
		return tx.GetContext(ctx, &stored, `SELECT key FROM development_key`)
	})
	return secret.New(stored), err
}

// proveKey opens one sealed token of the database, if there is any. A role that may not read tokens cannot prove a key: it has to wait
// for a worker, whose role may.
func proveKey(ctx context.Context, tx *transaction, cipher Cipher, primary KeyRecord) error {
	var allowed, sealedAny bool
	err := tx.QueryRowxContext(ctx, `
		SELECT has_column_privilege('merchants', 'access_token', 'SELECT') AND has_column_privilege('merchants', 'refresh_token', 'SELECT'),
			EXISTS (SELECT FROM merchants WHERE has_access_token OR has_refresh_token)`).Scan(&allowed, &sealedAny)
	switch {
	case err != nil:
		return err
	case !sealedAny:
		return nil
	case !allowed:
		return &billing.Error{Code: billing.CodeUnavailable, Message: "the database holds tokens and names no key that opens them: " +
			"a worker has to prove its key first"}
	}
	row := merchantRow{}
	err = tx.GetContext(ctx, &row, `
		SELECT id, `+tokenColumns+` FROM merchants WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL LIMIT 1`)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	column, token := accessToken, tokenOf(row.AccessToken, row.AccessKeyID, row.AccessBinding)
	if token.Sealed == nil {
		column, token = refreshToken, tokenOf(row.RefreshToken, row.RefreshKeyID, row.RefreshBinding)
	}
	if _, err := cipher.Open(tokenAt(billing.MerchantID(row.ID), column), *token.Sealed); err != nil {
		return &billing.Error{Code: billing.CodeTokenUnreadable, Message: fmt.Sprintf(
			"the database holds tokens that encryption key %s does not open", primary.ID)}
	}
	return nil
}

func holds(records []KeyRecord, wanted KeyRecord) bool {
	for _, record := range records {
		if record == wanted {
			return true
		}
	}
	return false
}

func idsOf(primary KeyRecord, others []KeyRecord) []string {
	var ids []string
	if primary.ID != "" {
		ids = append(ids, primary.ID)
	}
	for _, record := range others {
		ids = append(ids, record.ID)
	}
	return ids
}
