package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"billonce/pkg/billing"
)

// columnsOfKey are a key as the API shows it, judged by the database's clock. What never ends is good for a year from now.
const columnsOfKey = `id, name, hash, hint, scopes, merchant_id, created_at, created_by, expires_at, last_used_at, revoked_at, replaced_by,
	CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END AS status,
	CASE WHEN revoked_at IS NOT NULL THEN 0
		ELSE greatest(extract(epoch FROM least(expires_at, now() + interval '1 year') - now()), 0) END::float8 AS usable_seconds`

type apiKeyRow struct {
	ID            string         `db:"id"`
	Name          string         `db:"name"`
	Hash          []byte         `db:"hash"`
	Hint          string         `db:"hint"`
	Scopes        pq.StringArray `db:"scopes"`
	MerchantID    sql.NullString `db:"merchant_id"`
	Status        string         `db:"status"`
	CreatedAt     time.Time      `db:"created_at"`
	CreatedBy     string         `db:"created_by"`
	ExpiresAt     *time.Time     `db:"expires_at"`
	LastUsedAt    *time.Time     `db:"last_used_at"`
	RevokedAt     *time.Time     `db:"revoked_at"`
	ReplacedBy    sql.NullString `db:"replaced_by"`
	UsableSeconds float64        `db:"usable_seconds"`
}

func (row apiKeyRow) key() billing.APIKey {
	key := billing.APIKey{
		ID: billing.APIKeyID(row.ID), Name: row.Name, Hint: row.Hint, MerchantID: billing.MerchantID(row.MerchantID.String),
		Status: billing.APIKeyStatus(row.Status), CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy, ExpiresAt: row.ExpiresAt,
		LastUsedAt: row.LastUsedAt, RevokedAt: row.RevokedAt, ReplacedBy: billing.APIKeyID(row.ReplacedBy.String),
		UsableFor: time.Duration(row.UsableSeconds * float64(time.Second)),
	}
	copy(key.Hash[:], row.Hash)
	for _, scope := range row.Scopes {
		key.Scopes = append(key.Scopes, billing.Scope(scope))
	}
	return key
}

// FindAPIKey returns the key with the given hash, whatever its status. The error has code [billing.CodeNotFound] when there is none.
func (s *Store) FindAPIKey(ctx context.Context, hash [billing.APIKeyHashBytes]byte) (billing.APIKey, error) {
	return s.readAPIKey(ctx, "find API key", `SELECT `+columnsOfKey+` FROM api_keys WHERE hash = $1`, hash[:])
}

// GetAPIKey returns a key by its id. The error has code [billing.CodeNotFound] when there is none.
func (s *Store) GetAPIKey(ctx context.Context, id billing.APIKeyID) (billing.APIKey, error) {
	return s.readAPIKey(ctx, "get API key", `SELECT `+columnsOfKey+` FROM api_keys WHERE id = $1`, id)
}

func (s *Store) readAPIKey(ctx context.Context, operation, query string, args ...any) (billing.APIKey, error) {
	row := apiKeyRow{}
	if err := s.db.sqlx.GetContext(ctx, &row, query, args...); err != nil {
		return billing.APIKey{}, apiKeyError(operation, err)
	}
	return row.key(), nil
}

// ListAPIKeys returns up to limit keys, newest first, beginning after the given one.
func (s *Store) ListAPIKeys(ctx context.Context, filter billing.APIKeyFilter, limit int, after billing.APIKeyID) ([]billing.APIKey, error) {
	where := conditions{}
	if filter.MerchantID != "" {
		where.add("merchant_id = $%d", filter.MerchantID)
	}
	if after != "" {
		where.add("id < $%d", after)
	}
	rows := []apiKeyRow{}
	query := `SELECT ` + columnsOfKey + ` FROM api_keys` + where.sql() + ` ORDER BY id DESC LIMIT ` + where.arg(limit)
	if err := s.db.sqlx.SelectContext(ctx, &rows, query, where.args...); err != nil {
		return nil, translate("list API keys", err)
	}
	keys := make([]billing.APIKey, len(rows))
	for i, row := range rows {
		keys[i] = row.key()
	}
	return keys, nil
}

// CreateAPIKey keeps a new key. The error has code [billing.CodeInvalid] for an unknown merchant or an end that lies in the past or
// beyond ten years.
func (s *Store) CreateAPIKey(ctx context.Context, key billing.NewAPIKey) (billing.APIKey, error) {
	row := apiKeyRow{}
	actor, _ := billing.ActorOf(ctx)
	err := s.db.inTx(ctx, "create API key", func(tx *transaction) error {
		if err := checkKeyEnds(ctx, tx, map[string]time.Time{"/expires_at": key.ExpiresAt}); err != nil {
			return err
		}
		err := tx.GetContext(ctx, &row, `
			INSERT INTO api_keys (id, name, hash, hint, scopes, merchant_id, created_by, expires_at)
			VALUES ($1, $2, $3, $4, $5, nullif($6, '')::uuid, $7, $8) RETURNING `+columnsOfKey,
			key.ID, key.Name, key.Hash[:], key.Hint, pq.Array(key.Scopes), string(key.MerchantID), actor.ID, orNull(key.ExpiresAt))
		if hasState(err, stateForeignKey) {
			return &billing.Error{Code: billing.CodeInvalid, Faults: []billing.Fault{{
				Pointer: "/merchant_id", Code: "unknown_merchant", Detail: "no merchant has this id",
			}}}
		}
		if err != nil {
			return err
		}
		return note(ctx, tx, entry{action: billing.ActionKeyCreate, object: row.ID, merchant: key.MerchantID, detail: map[string]any{
			"name": key.Name, "hint": key.Hint, "scopes": key.Scopes, "expires_at": row.ExpiresAt,
		}})
	})
	return row.key(), err
}

// RevokeAPIKey ends a key now and for ever. Revoking twice is no error. The error has code [billing.CodeNotFound] when there is none.
func (s *Store) RevokeAPIKey(ctx context.Context, id billing.APIKeyID) (billing.APIKey, error) {
	row := apiKeyRow{}
	err := s.db.inTx(ctx, "revoke API key", func(tx *transaction) error {
		err := tx.GetContext(ctx, &row, `
			UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING `+columnsOfKey, id)
		if err != nil {
			return err
		}
		return note(ctx, tx, entry{
			action: billing.ActionKeyRevoke, object: row.ID, merchant: billing.MerchantID(row.MerchantID.String),
		})
	})
	if err != nil {
		return billing.APIKey{}, apiKeyError("revoke API key", err)
	}
	return row.key(), nil
}

// RotateAPIKey makes a key that replaces the given one, which goes on until rotation.OldUntil and no longer than it would have. The
// error has code [billing.CodeNotFound], [billing.CodeInvalid] for times in the past or too far ahead, or [billing.CodeConflict] when
// the key is not active or has been replaced already.
func (s *Store) RotateAPIKey(ctx context.Context, id billing.APIKeyID, rotation billing.Rotation) (billing.APIKey, error) {
	row := apiKeyRow{}
	err := s.db.inTx(ctx, "rotate API key", func(tx *transaction) error {
		old := apiKeyRow{}
		if err := tx.GetContext(ctx, &old, `SELECT `+columnsOfKey+` FROM api_keys WHERE id = $1 FOR UPDATE`, id); err != nil {
			return err
		}
		switch {
		case old.ReplacedBy.Valid:
			return &billing.Error{Code: billing.CodeConflict, Message: "the key has been replaced already, by " + old.ReplacedBy.String}
		case old.Status != string(billing.APIKeyActive):
			return &billing.Error{Code: billing.CodeConflict, Message: "the key is " + old.Status + "; create a new one"}
		}
		err := checkKeyEnds(ctx, tx, map[string]time.Time{"/expires_at": rotation.ExpiresAt, "/old_valid_until": rotation.OldUntil})
		if err != nil {
			return err
		}
		if row, err = replaceAPIKey(ctx, tx, id, rotation); err != nil {
			return err
		}
		merchant := billing.MerchantID(row.MerchantID.String)
		err = note(ctx, tx, entry{action: billing.ActionKeyCreate, object: row.ID, merchant: merchant, detail: map[string]any{
			"name": row.Name, "hint": row.Hint, "scopes": row.Scopes, "expires_at": row.ExpiresAt, "replaces": old.ID,
		}})
		if err != nil {
			return err
		}
		return note(ctx, tx, entry{
			action: billing.ActionKeyRotate, object: old.ID, merchant: merchant,
			detail: map[string]any{"replaced_by": row.ID, "hint": row.Hint},
		})
	})
	if err != nil {
		return billing.APIKey{}, apiKeyError("rotate API key", err)
	}
	return row.key(), nil
}

// replaceAPIKey writes the new key, and when the old one, which the caller has locked, ends: never later than it would have anyway.
func replaceAPIKey(ctx context.Context, tx *transaction, id billing.APIKeyID, rotation billing.Rotation) (apiKeyRow, error) {
	row := apiKeyRow{}
	actor, _ := billing.ActorOf(ctx)
	err := tx.GetContext(ctx, &row, `
		INSERT INTO api_keys (id, name, hash, hint, scopes, merchant_id, created_by, expires_at)
		SELECT $2::uuid, name, $3::bytea, $4, scopes, merchant_id, $5, coalesce($6::timestamptz,
			CASE WHEN expires_at IS NOT NULL THEN least(now() + (expires_at - created_at), now() + $7 * interval '1 second') END)
		FROM api_keys WHERE id = $1 RETURNING `+columnsOfKey,
		id, rotation.ID, rotation.Hash[:], rotation.Hint, actor.ID, orNull(rotation.ExpiresAt), int64(futureLimit/time.Second))
	if err != nil {
		return apiKeyRow{}, err
	}
	ended, err := tx.ExecContext(ctx, `
		UPDATE api_keys SET replaced_by = $2,
			expires_at = least(expires_at, coalesce($3::timestamptz, now() + $4 * interval '1 second'))
		WHERE id = $1 AND revoked_at IS NULL AND replaced_by IS NULL`,
		id, rotation.ID, orNull(rotation.OldUntil), int64(billing.DefaultKeyOverlap/time.Second))
	if err != nil {
		return apiKeyRow{}, err
	}
	if n, err := ended.RowsAffected(); err != nil || n != 1 {
		return apiKeyRow{}, fmt.Errorf("%d keys were replaced: %w", n, errors.Join(err, sql.ErrNoRows))
	}
	return row, nil
}

// checkKeyEnds judges when keys end, by the database's clock. Zero times are not judged.
func checkKeyEnds(ctx context.Context, tx *transaction, ends map[string]time.Time) error {
	var now time.Time
	if err := tx.GetContext(ctx, &now, `SELECT now()`); err != nil {
		return err
	}
	var faults []billing.Fault
	for _, pointer := range []string{"/expires_at", "/old_valid_until"} {
		end, given := ends[pointer]
		switch {
		case !given || end.IsZero():
		case end.Before(now.Add(-pastTolerance)), pointer == "/expires_at" && !end.After(now):
			faults = append(faults, billing.Fault{Pointer: pointer, Code: "in_the_past", Detail: "must not lie in the past"})
		case pointer == "/expires_at" && end.After(now.Add(futureLimit)):
			faults = append(faults, billing.Fault{Pointer: pointer, Code: "too_far", Detail: "must lie within ten years"})
		case pointer == "/old_valid_until" && end.After(now.Add(billing.MaxKeyOverlap)):
			faults = append(faults, billing.Fault{Pointer: pointer, Code: "too_far", Detail: "must lie within 90 days"})
		}
	}
	if len(faults) > 0 {
		return &billing.Error{Code: billing.CodeInvalid, Faults: faults}
	}
	return nil
}

// UseAPIKeys records when keys were used last. A key of which another process has recorded a later use stays as it is, and so does
// one that is not there any more after a restore: neither is an error.
func (s *Store) UseAPIKeys(ctx context.Context, uses []billing.KeyUse) error {
	ids, ago := make([]string, len(uses)), make([]int64, len(uses))
	for i, use := range uses {
		ids[i], ago[i] = string(use.ID), use.Ago.Microseconds()
	}
	return s.db.onConn(ctx, "record the use of API keys", func(conn *sqlx.Conn) error {
		_, err := conn.ExecContext(ctx, `
			WITH used AS MATERIALIZED (
				SELECT k.id, now() - n.ago * interval '1 microsecond' AS at
				FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS ago) AS n JOIN api_keys AS k ON k.id = n.id
				ORDER BY k.id FOR UPDATE OF k -- in one order by everybody
			)
			UPDATE api_keys SET last_used_at = used.at
			FROM used WHERE api_keys.id = used.id AND (last_used_at IS NULL OR last_used_at < used.at)`, pq.Array(ids), pq.Array(ago))
		return err
	})
}

func apiKeyError(operation string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return &billing.Error{Code: billing.CodeNotFound, Message: "no such API key"}
	}
	return translate(operation, err)
}

func orNull(at time.Time) sql.NullTime { return sql.NullTime{Time: at.UTC(), Valid: !at.IsZero()} }
