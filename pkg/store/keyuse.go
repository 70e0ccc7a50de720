package store

import (
	"context"
	"fmt"
	"time"

	"billonce/pkg/billing"
)

// VerifiedPage is what one step through all tokens found.
type VerifiedPage struct {
	Merchants int // looked at, those that have a token; fewer than asked for at the end
	Tokens    int
	Refused   []RefusedToken
	Last      billing.MerchantID
}

// CountSealed returns how many merchants have a token.
func (s *Store) CountSealed(ctx context.Context) (n int, err error) {
	err = s.db.sqlx.GetContext(ctx, &n, `SELECT count(*) FROM merchants WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL`)
	if err != nil {
		return 0, translate("count tokens", err)
	}
	return n, nil
}

// VerifyTokens opens the tokens of up to limit merchants after the given one, and says which do not open; once bindings were demanded, also
// which have none. Nothing that was opened is
// kept, nor is anybody alarmed: whoever asks is told.
func (s *Store) VerifyTokens(ctx context.Context, after billing.MerchantID, limit int) (VerifiedPage, error) {
	rows, err := s.readTokens(ctx, `(access_token IS NOT NULL OR refresh_token IS NOT NULL) AND id > $1 ORDER BY id LIMIT $2`,
		orBeginning(after), limit)
	if err != nil || len(rows) == 0 {
		return VerifiedPage{Last: after}, err
	}
	demanded, err := s.db.BindingsDemanded(ctx)
	if err != nil {
		return VerifiedPage{}, err
	}
	refusals := make([][]RefusedToken, len(rows))
	_ = inParallel(len(rows), func(i int) error { // it returns what we return: nothing
		for _, field := range rows[i].fields() {
			if _, err := s.openToken(rows[i].id, field.column, field.token, demanded); err != nil {
				refusals[i] = append(refusals[i], refused(rows[i].id, field.column, field.token, err))
			}
		}
		return nil
	})
	page := VerifiedPage{Merchants: len(rows), Last: rows[len(rows)-1].id}
	for i, row := range rows {
		page.Tokens += len(row.fields())
		page.Refused = append(page.Refused, refusals[i]...)
	}
	return page, nil
}

// field is one token of a merchant and the column that holds it.
type field struct {
	column string
	token  sealedToken
}

// fields are the tokens that the merchant has.
func (r tokenRow) fields() (fields []field) {
	for _, one := range []field{{accessToken, r.access}, {refreshToken, r.refresh}} {
		if one.token.Sealed != nil {
			fields = append(fields, one)
		}
	}
	return fields
}

// KeyUse is a key that the database knows, and what it is used for.
type KeyUse struct {
	ID        string     `db:"key_id"`
	Known     bool       `db:"known"` // recorded as one that some process sealed with
	Active    bool       `db:"active"`
	CreatedAt time.Time  `db:"created_at"` // zero unless known
	Sealings  int64      `db:"sealings"`   // since version 9 of the schema, at most
	Retired   bool       `db:"retired"`    // a rotation to another key has ended
	RetiredAt *time.Time `db:"retired_at"`
	Tokens    int        `db:"tokens"`  // that it has sealed, of those stored now
	Unbound   int        `db:"unbound"` // of these, those without a binding
}

// KeyUses returns every key that is recorded or that a token names, the oldest first. The one without an id stands for the tokens that
// name none, if there are any: older releases sealed them.
func (db *DB) KeyUses(ctx context.Context) (uses []KeyUse, err error) {
	err = db.sqlx.SelectContext(ctx, &uses, `
		WITH tokens AS (
			SELECT coalesce(access_token_key_id, '') AS key_id, access_token_binding IS NULL AS unbound
			FROM merchants WHERE has_access_token
			UNION ALL
			SELECT coalesce(refresh_token_key_id, ''), refresh_token_binding IS NULL
			FROM merchants WHERE has_refresh_token
		), counted AS (
			SELECT key_id, count(*) AS tokens, count(*) FILTER (WHERE unbound) AS unbound FROM tokens GROUP BY key_id
		), named AS (
			SELECT key_id FROM encryption_keys UNION SELECT key_id FROM counted
		)
		SELECT n.key_id, k.key_id IS NOT NULL AS known, coalesce(k.active, false) AS active,
			coalesce(k.created_at, '0001-01-01 00:00:00+00') AS created_at, coalesce(k.sealings, 0) AS sealings,
			k.retired_at IS NOT NULL AS retired, k.retired_at, coalesce(c.tokens, 0) AS tokens, coalesce(c.unbound, 0) AS unbound
		FROM named AS n
		LEFT JOIN encryption_keys AS k ON k.key_id = n.key_id
		LEFT JOIN counted AS c ON c.key_id = n.key_id
		ORDER BY k.created_at NULLS FIRST, n.key_id`)
	if err != nil {
		return nil, translate("read the use of keys", err)
	}
	return uses, nil
}

// TokensByKey counts the stored tokens by the key that sealed them; "" stands for those that name none. Unlike [DB.KeyUses] it needs no
// right to read tokens.
func (db *DB) TokensByKey(ctx context.Context) (map[string]int, error) {
	rows := []struct {
		ID     string `db:"key_id"`
		Tokens int    `db:"tokens"`
	}{}
	err := db.sqlx.SelectContext(ctx, &rows, `
		SELECT key_id, sum(tokens)::bigint AS tokens
		FROM (
			SELECT coalesce(access_token_key_id, '') AS key_id, count(*) AS tokens FROM merchants WHERE has_access_token GROUP BY 1
			UNION ALL
			SELECT coalesce(refresh_token_key_id, ''), count(*) FROM merchants WHERE has_refresh_token GROUP BY 1
		) AS t
		GROUP BY key_id`)
	if err != nil {
		return nil, translate("count tokens by key", err)
	}
	tokens := make(map[string]int, len(rows))
	for _, row := range rows {
		tokens[row.ID] = row.Tokens
	}
	return tokens, nil
}

// Sealings returns how often a key has sealed since version 9 of the schema, at most: what was sealed before nobody has counted.
func (db *DB) Sealings(ctx context.Context, keyID string) (n int64, err error) {
	err = db.sqlx.GetContext(ctx, &n, `SELECT coalesce(sum(sealings), 0)::bigint FROM encryption_keys WHERE key_id = $1`, keyID)
	if err != nil {
		return 0, translate("read the use of keys", err)
	}
	return n, nil
}

// BindingsMissing says that tokens are bound to no place.
type BindingsMissing struct{ Tokens int }

// Error implements error.
func (m *BindingsMissing) Error() string {
	return fmt.Sprintf("%d tokens are bound to no place; `billctl keys rotate` binds them", m.Tokens)
}

// BindingsDemanded reports whether a process that demands bindings has once found none missing, so that one which is missing now was
// taken away.
func (db *DB) BindingsDemanded(ctx context.Context) (demanded bool, err error) {
	err = db.sqlx.GetContext(ctx, &demanded, demandedQuery)
	if err != nil {
		return false, translate("read whether bindings are demanded", err)
	}
	return demanded, nil
}

const demandedQuery = `SELECT EXISTS (SELECT FROM encryption_keys WHERE bound_at IS NOT NULL)`

// DemandBindings returns a [*BindingsMissing] when tokens are bound to no place, until it has once found none. From then on one whose
// binding was taken away is the fault of its merchant alone, and keeps no process from starting.
func (db *DB) DemandBindings(ctx context.Context) error {
	return db.inTx(ctx, "demand bindings", func(tx *transaction) error {
		var done bool
		err := tx.GetContext(ctx, &done, demandedQuery)
		if err != nil || done {
			return err
		}
		missing := &BindingsMissing{}
		err = tx.GetContext(ctx, &missing.Tokens, `
			SELECT count(*) FILTER (WHERE has_access_token AND access_token_binding IS NULL)
				+ count(*) FILTER (WHERE has_refresh_token AND refresh_token_binding IS NULL)
			FROM merchants`)
		if err != nil {
			return err
		}
		if missing.Tokens > 0 {
			return missing
		}
		result, err := tx.ExecContext(ctx, `UPDATE encryption_keys SET bound_at = now() WHERE active AND bound_at IS NULL`)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n > 1 { // none: another process was quicker
			err = fmt.Errorf("%d keys are active", n)
		}
		return err
	})
}
