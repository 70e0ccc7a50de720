package store

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq/oid"

	"billonce/pkg/billing"
)

// outdated finds the merchants that have a token which the key $1 has not sealed, or which is not bound.
const outdated = `(access_token IS NOT NULL AND (access_token_key_id IS DISTINCT FROM $1 OR access_token_binding IS NULL)
	OR refresh_token IS NOT NULL AND (refresh_token_key_id IS DISTINCT FROM $1 OR refresh_token_binding IS NULL))`

// outdatedPage finds up to $3 of them after the merchant $2.
const outdatedPage = outdated + ` AND id > $2 ORDER BY id LIMIT $3`

// How much one token takes, about: Stripe's have some hundred characters at most.
const (
	sealedSize  = 300
	bindingSize = 32
)

// tokenRow is what a merchant's row holds of its tokens.
type tokenRow struct {
	id              billing.MerchantID
	access, refresh sealedToken
}

// ResealedPage is what one step of a rotation did.
type ResealedPage struct {
	Found    int                // merchants that were not up to date; fewer than asked for at the end
	Resealed int                // merchants that are now
	Changed  int                // merchants that somebody else changed meanwhile: they are left as they are now
	Refused  []RefusedToken     // tokens that do not open: they are left as they are
	Last     billing.MerchantID // the last one looked at
}

// CountOutdated returns how many merchants [Store.Reseal] would find.
func (s *Store) CountOutdated(ctx context.Context) (n int, err error) {
	id, _ := s.cipher.SealingKey()
	err = s.db.sqlx.GetContext(ctx, &n, `SELECT count(*) FROM merchants WHERE `+outdated, id)
	if err != nil {
		return 0, translate("count outdated tokens", err)
	}
	return n, nil
}

// BindUnbound lets [Store.Reseal] bind tokens that have no binding even after bindings were demanded. It is called before anything else.
func (s *Store) BindUnbound() { s.bindUnbound = true }

// Reseal seals the tokens of up to limit merchants, those after the given one that are not up to date, with the present key, and binds
// them. Once bindings were demanded, a token without one is refused, whatever the cipher accepts: it may have been moved here. A token
// that is changed meanwhile stays as it was changed to. It may be repeated and run beside anything. Once the database is
// sealed with another key it changes nothing and returns a [*KeyMismatch].
func (s *Store) Reseal(ctx context.Context, after billing.MerchantID, limit int) (ResealedPage, error) {
	id, checkValue := s.cipher.SealingKey()
	demanded, err := s.db.BindingsDemanded(ctx) // before the rows: what is read now had its binding when they were demanded
	if err != nil {
		return ResealedPage{}, err
	}
	demanded = demanded && !s.bindUnbound
	rows, err := s.readTokens(ctx, outdatedPage, id, orBeginning(after), limit)
	if err != nil || len(rows) == 0 {
		return ResealedPage{Last: after}, err
	}
	if err := s.countSealings(ctx, int64(2*len(rows))); err != nil {
		return ResealedPage{}, err
	}
	page := ResealedPage{Found: len(rows), Last: rows[len(rows)-1].id}
	fresh, refusals := make([]tokenRow, len(rows)), make([][]RefusedToken, len(rows))
	if err := inParallel(len(rows), func(i int) (err error) {
		fresh[i], refusals[i], err = s.resealRow(rows[i], id, demanded)
		return err
	}); err != nil {
		return ResealedPage{}, fmt.Errorf("reseal tokens: %w", err)
	}
	changes := make([]change, 0, len(rows))
	for i, row := range rows {
		page.Refused = append(page.Refused, refusals[i]...)
		if fresh[i] != row { // at least one of them opened
			changes = append(changes, change{row, fresh[i]})
		}
	}
	if page.Resealed, err = s.writeResealed(ctx, id, changes); err != nil {
		return ResealedPage{}, err
	}
	if page.Changed = len(changes) - page.Resealed; page.Changed > 0 {
		err = s.db.CheckKey(ctx, KeyRecord{ID: id, CheckValue: checkValue})
	}
	return page, err
}

// resealRow returns the row with each token sealed anew that needs it and opens.
func (s *Store) resealRow(row tokenRow, keyID string, demanded bool) (fresh tokenRow, refusals []RefusedToken, err error) {
	fresh = row
	for _, field := range []struct {
		column string
		token  *sealedToken
	}{{accessToken, &fresh.access}, {refreshToken, &fresh.refresh}} {
		if field.token.Sealed == nil || field.token.KeyID == keyID && len(field.token.Binding) > 0 {
			continue
		}
		text, err := s.openToken(row.id, field.column, *field.token, demanded)
		if err != nil {
			refusals = append(refusals, refused(row.id, field.column, *field.token, err))
			continue
		}
		sealed, err := s.cipher.Seal(tokenAt(row.id, field.column), text)
		if err != nil {
			return tokenRow{}, nil, fmt.Errorf("seal a token: %w", err)
		}
		*field.token = sealedToken{&sealed}
	}
	return fresh, refusals, nil
}

// resealQuery replaces tokens that still are what was read, unless the services have gone over to another key than $10 meanwhile. No two
// sealings of one token are the same text, so the text alone says whether it was changed; updated_at stays, as nothing of the merchant
// changes.
const resealQuery = `
	UPDATE merchants AS m
	SET access_token = n.access, access_token_key_id = n.access_key, access_token_binding = n.access_binding,
		refresh_token = n.refresh, refresh_token_key_id = n.refresh_key, refresh_token_binding = n.refresh_binding
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::bytea[])
		AS n (id, old_access, old_refresh, access, access_key, access_binding, refresh, refresh_key, refresh_binding)
	WHERE m.id = n.id AND m.access_token IS NOT DISTINCT FROM n.old_access AND m.refresh_token IS NOT DISTINCT FROM n.old_refresh
		AND NOT EXISTS (SELECT FROM encryption_keys WHERE active AND key_id <> $10)`

// writeResealed returns how many of the changes were still possible.
func (s *Store) writeResealed(ctx context.Context, keyID string, changes []change) (written int, err error) {
	if len(changes) == 0 {
		return 0, nil
	}
	args, err := resealArgs(keyID, changes)
	if err != nil {
		return 0, fmt.Errorf("reseal tokens: %w", err)
	}
	err = s.db.onConn(ctx, "reseal tokens", func(conn *sqlx.Conn) error {
		result, err := conn.ExecContext(ctx, resealQuery, args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		written = int(n)
		return err
	})
	return written, err
}

// change is a row of tokens as it was read and as it is to be.
type change struct{ before, after tokenRow }

// resealArgs are the parameters of resealQuery, arrays in PostgreSQL's binary format.
func resealArgs(keyID string, changes []change) ([]any, error) {
	n := len(changes)
	ids := newArray(oid.T_uuid, n, 16)
	for _, one := range changes {
		if err := ids.addUUID(string(one.before.id)); err != nil {
			return nil, err
		}
	}
	text := func(of func(change) sql.NullString) []byte {
		column := newArray(oid.T_text, n, sealedSize)
		for _, one := range changes {
			if value := of(one); value.Valid {
				column.addText(value.String)
			} else {
				column.addNull()
			}
		}
		return column.text
	}
	binding := func(of func(change) sealedToken) []byte {
		column := newArray(oid.T_bytea, n, bindingSize)
		for _, one := range changes {
			if token := of(one); token.Sealed != nil && len(token.Binding) > 0 {
				column.addBytes(token.Binding)
			} else {
				column.addNull()
			}
		}
		return column.text
	}
	return []any{
		ids.text,
		text(func(c change) sql.NullString { return c.before.access.text() }),
		text(func(c change) sql.NullString { return c.before.refresh.text() }),
		text(func(c change) sql.NullString { return c.after.access.text() }),
		text(func(c change) sql.NullString { return c.after.access.keyID() }),
		binding(func(c change) sealedToken { return c.after.access }),
		text(func(c change) sql.NullString { return c.after.refresh.text() }),
		text(func(c change) sql.NullString { return c.after.refresh.keyID() }),
		binding(func(c change) sealedToken { return c.after.refresh }),
		keyID,
	}, nil
}

const selectTokens = `SELECT id, ` + tokenColumns + ` FROM merchants WHERE `

// readTokens reads the tokens of merchants; where is constant text.
func (s *Store) readTokens(ctx context.Context, where string, args ...any) ([]tokenRow, error) {
	var rows []merchantRow
	if err := s.db.sqlx.SelectContext(ctx, &rows, selectTokens+where, args...); err != nil {
		return nil, translate("read tokens", err)
	}
	tokens := make([]tokenRow, len(rows))
	for i, row := range rows {
		tokens[i] = tokenRow{
			id:      billing.MerchantID(row.ID),
			access:  tokenOf(row.AccessToken, row.AccessKeyID, row.AccessBinding),
			refresh: tokenOf(row.RefreshToken, row.RefreshKeyID, row.RefreshBinding),
		}
	}
	return tokens, nil
}

func orBeginning(after billing.MerchantID) string {
	if after == "" {
		return beginning
	}
	return string(after)
}

// inParallel calls do for 0 to n-1 on all processors and returns the first error.
func inParallel(n int, do func(int) error) error {
	crews := min(runtime.GOMAXPROCS(0), n)
	failures := make([]error, crews)
	var crew sync.WaitGroup
	for hand := range crews {
		crew.Go(func() {
			for i := hand; i < n && failures[hand] == nil; i += crews {
				failures[hand] = do(i)
			}
		})
	}
	crew.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}
