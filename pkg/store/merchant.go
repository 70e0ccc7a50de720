package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

const oneConnected = "merchants_one_connected"

// merchantProfile are the columns that say everything of a merchant but the tokens: all that the api's role may read.
const merchantProfile = `id, name, stripe_connect_id, livemode, has_access_token, has_refresh_token,
	coalesce(pause_reason, '') AS pause_reason, pause_detail,
	disconnected_at IS NOT NULL AS disconnected, created_at, updated_at`

// merchantRow is a merchant as stored. The token columns hold ciphertext and are filled by the Get methods alone.
type merchantRow struct {
	ID              string         `db:"id"`
	Name            string         `db:"name"`
	StripeConnectID string         `db:"stripe_connect_id"`
	Livemode        bool           `db:"livemode"`
	HasAccessToken  bool           `db:"has_access_token"`
	HasRefreshToken bool           `db:"has_refresh_token"`
	PauseReason     string         `db:"pause_reason"`
	PauseDetail     string         `db:"pause_detail"`
	Disconnected    bool           `db:"disconnected"`
	CreatedAt       time.Time      `db:"created_at"`
	UpdatedAt       time.Time      `db:"updated_at"`
	AccessToken     sql.NullString `db:"access_token"`
	AccessKeyID     sql.NullString `db:"access_token_key_id"`
	AccessBinding   []byte         `db:"access_token_binding"`
	RefreshToken    sql.NullString `db:"refresh_token"`
	RefreshKeyID    sql.NullString `db:"refresh_token_key_id"`
	RefreshBinding  []byte         `db:"refresh_token_binding"`
}

func (row merchantRow) merchant() billing.Merchant {
	status := billing.MerchantActive
	switch {
	case row.Disconnected:
		status = billing.MerchantDisconnected
	case row.PauseReason != "":
		status = billing.MerchantPaused
	}
	return billing.Merchant{
		ID: billing.MerchantID(row.ID), Name: row.Name, StripeConnectID: row.StripeConnectID, Livemode: row.Livemode,
		Status: status, PauseReason: billing.PauseReason(row.PauseReason), PauseDetail: row.PauseDetail,
		HasAccessToken: row.HasAccessToken, HasRefreshToken: row.HasRefreshToken,
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}
}

// CreateMerchant seals the tokens and connects a merchant. The error has code [billing.CodeConflict] when the Stripe
// account is connected already in the same mode.
func (s *Store) CreateMerchant(ctx context.Context, merchant billing.NewMerchant) (billing.Merchant, error) {
	access, err := s.seal(ctx, merchant.ID, accessToken, merchant.AccessToken)
	if err != nil {
		return billing.Merchant{}, fmt.Errorf("create merchant: %w", err)
	}
	refresh, err := s.seal(ctx, merchant.ID, refreshToken, merchant.RefreshToken)
	if err != nil {
		return billing.Merchant{}, fmt.Errorf("create merchant: %w", err)
	}
	return s.changeMerchant(ctx, "create merchant", entry{action: billing.ActionMerchantCreate}, `
		INSERT INTO merchants (id, name, stripe_connect_id, livemode, access_token, access_token_key_id, access_token_binding,
			refresh_token, refresh_token_key_id, refresh_token_binding)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING `+merchantProfile,
		merchant.ID, merchant.Name, merchant.StripeConnectID, merchant.Livemode,
		access.text(), access.keyID(), access.binding(), refresh.text(), refresh.keyID(), refresh.binding())
}

// UpdateMerchant changes what change names, sealing new tokens. The error has code [billing.CodeNotFound], or
// [billing.CodeConflict] for a merchant that is disconnected.
func (s *Store) UpdateMerchant(ctx context.Context, id billing.MerchantID, change billing.MerchantChange) (billing.Merchant, error) {
	set := []string{"updated_at = now()"}
	args := []any{id}
	assign := func(column string, value any) {
		args = append(args, value)
		set = append(set, fmt.Sprintf("%s = $%d", column, len(args)))
	}
	if change.Name != nil {
		assign("name", *change.Name)
	}
	for column, token := range map[string]*secret.Text{accessToken: change.AccessToken, refreshToken: change.RefreshToken} {
		if token == nil {
			continue
		}
		sealed, err := s.seal(ctx, id, column, *token)
		if err != nil {
			return billing.Merchant{}, fmt.Errorf("update merchant: %w", err)
		}
		assign(column, sealed.text())
		assign(column+"_key_id", sealed.keyID())
		assign(column+"_binding", sealed.binding())
	}
	return s.changeConnected(ctx, id, "update merchant", entry{action: billing.ActionMerchantUpdate, detail: changedFields(change)}, `
		UPDATE merchants SET `+strings.Join(set, ", ")+`
		WHERE id = $1 AND disconnected_at IS NULL RETURNING `+merchantProfile, args...)
}

// ViewMerchant returns a merchant without its tokens.
func (s *Store) ViewMerchant(ctx context.Context, id billing.MerchantID) (billing.Merchant, error) {
	row := merchantRow{}
	err := s.db.sqlx.GetContext(ctx, &row, `SELECT `+merchantProfile+` FROM merchants WHERE id = $1`, id)
	if err != nil {
		return billing.Merchant{}, merchantError("view merchant", err)
	}
	return row.merchant(), nil
}

// ListMerchants returns up to limit merchants, newest first, beginning after the given one; none have tokens.
func (s *Store) ListMerchants(ctx context.Context, filter billing.MerchantFilter, limit int, after billing.MerchantID) ([]billing.Merchant, error) {
	rows := []merchantRow{}
	query, args := listMerchantsQuery(filter, limit, after)
	if err := s.db.sqlx.SelectContext(ctx, &rows, query, args...); err != nil {
		return nil, translate("list merchants", err)
	}
	merchants := make([]billing.Merchant, len(rows))
	for i, row := range rows {
		merchants[i] = row.merchant()
	}
	return merchants, nil
}

func listMerchantsQuery(filter billing.MerchantFilter, limit int, after billing.MerchantID) (query string, args []any) {
	where := conditions{}
	if filter.StripeConnectID != "" {
		where.add("stripe_connect_id = $%d", filter.StripeConnectID)
	}
	if filter.ID != "" {
		where.add("id = $%d", filter.ID)
	}
	switch filter.Status { // as merchantRow tells it, and as the partial indexes do
	case "":
	case billing.MerchantActive:
		where.terms = append(where.terms, `paused_at IS NULL AND disconnected_at IS NULL`)
	case billing.MerchantPaused:
		where.terms = append(where.terms, `paused_at IS NOT NULL AND disconnected_at IS NULL`)
	case billing.MerchantDisconnected:
		where.terms = append(where.terms, `disconnected_at IS NOT NULL`)
	default:
		where.terms = append(where.terms, `false`)
	}
	if after != "" {
		where.add("id < $%d", after)
	}
	query = `SELECT ` + merchantProfile + ` FROM merchants` + where.sql() + ` ORDER BY id DESC LIMIT ` + where.arg(limit)
	return query, where.args
}

// GetMerchant returns a merchant with its tokens opened. The error has code [billing.CodeNotFound], or
// [billing.CodeTokenUnreadable] when a stored token was not sealed by a key at hand, was changed since, or was sealed for another
// place; [billing.TokenFaultOf] tells which.
func (s *Store) GetMerchant(ctx context.Context, id billing.MerchantID) (billing.Merchant, error) {
	return s.getMerchant(ctx, "get merchant", `id = $1`, id)
}

// GetMerchantByStripeUserID returns the connected merchant of a Stripe account and mode with its tokens opened. Errors are
// those of [Store.GetMerchant].
func (s *Store) GetMerchantByStripeUserID(ctx context.Context, stripeUserID string, livemode bool) (billing.Merchant, error) {
	return s.getMerchant(ctx, "get merchant by Stripe user id",
		`stripe_connect_id = $1 AND livemode = $2 AND disconnected_at IS NULL`, stripeUserID, livemode)
}

func (s *Store) getMerchant(ctx context.Context, operation, condition string, args ...any) (billing.Merchant, error) {
	row := merchantRow{}
	err := s.db.sqlx.GetContext(ctx, &row,
		`SELECT `+merchantProfile+`, `+tokenColumns+` FROM merchants WHERE `+condition, args...)
	if err != nil {
		return billing.Merchant{}, merchantError(operation, err)
	}
	merchant, err := s.open(ctx, row)
	if err != nil {
		return billing.Merchant{}, fmt.Errorf("%s: %w", operation, err)
	}
	return merchant, nil
}

// DisconnectMerchant erases the tokens and holds the merchant's tasks; history is kept. Disconnecting twice is no error.
func (s *Store) DisconnectMerchant(ctx context.Context, id billing.MerchantID) (billing.Merchant, error) {
	return s.changeMerchant(ctx, "disconnect merchant", entry{action: billing.ActionMerchantDisconnect}, `
		UPDATE merchants SET access_token = NULL, access_token_key_id = NULL, access_token_binding = NULL,
			refresh_token = NULL, refresh_token_key_id = NULL, refresh_token_binding = NULL, updated_at = now(),
			disconnected_at = coalesce(disconnected_at, now())
		WHERE id = $1 RETURNING `+merchantProfile, id)
}

// PauseMerchant holds the merchant's tasks until [Store.ResumeMerchant]; detail says what is wrong and what to do, in our own
// words. A merchant that is paused already keeps its first reason. The error has code [billing.CodeNotFound], or [billing.CodeConflict] for a disconnected merchant.
func (s *Store) PauseMerchant(ctx context.Context, id billing.MerchantID, reason billing.PauseReason, detail string) (billing.Merchant, error) {
	return s.changeConnected(ctx, id, "pause merchant", entry{action: billing.ActionMerchantPause}, `
		UPDATE merchants SET paused_at = coalesce(paused_at, now()), pause_reason = coalesce(pause_reason, $2),
			pause_detail = CASE WHEN paused_at IS NULL THEN $3 ELSE pause_detail END, updated_at = now()
		WHERE id = $1 AND disconnected_at IS NULL RETURNING `+merchantProfile, id, reason, detail)
}

// ResumeMerchant ends a pause: held tasks that are due run at once, in the order for which they were scheduled. Resuming
// twice is no error. The error has code [billing.CodeNotFound], or [billing.CodeConflict] for a disconnected merchant.
func (s *Store) ResumeMerchant(ctx context.Context, id billing.MerchantID) (billing.Merchant, error) {
	merchant, err := s.changeConnected(ctx, id, "resume merchant", entry{action: billing.ActionMerchantResume}, `
		UPDATE merchants SET paused_at = NULL, pause_reason = NULL, pause_detail = '', resumed_at = now(), updated_at = now()
		WHERE id = $1 AND disconnected_at IS NULL RETURNING `+merchantProfile, id)
	if err != nil {
		return billing.Merchant{}, err
	}
	if _, err := s.FreeHeld(ctx); err != nil {
		return billing.Merchant{}, err
	}
	s.Wake()
	return merchant, nil
}

func (s *Store) changeConnected(ctx context.Context, id billing.MerchantID, operation string, of entry, query string, args ...any) (billing.Merchant, error) {
	merchant, err := s.changeMerchant(ctx, operation, of, query, args...)
	if billing.CodeOf(err) != billing.CodeNotFound {
		return merchant, err
	}
	if _, viewErr := s.ViewMerchant(ctx, id); viewErr != nil {
		return billing.Merchant{}, viewErr
	}
	return billing.Merchant{}, &billing.Error{Code: billing.CodeConflict, Message: "the merchant is disconnected"}
}

// changeMerchant runs one statement and records what it did in the same transaction.
func (s *Store) changeMerchant(ctx context.Context, operation string, of entry, query string, args ...any) (billing.Merchant, error) {
	row := merchantRow{}
	err := s.db.inTx(ctx, operation, func(tx *transaction) error {
		if err := tx.GetContext(ctx, &row, query, args...); err != nil {
			return err
		}
		of.object, of.merchant = row.ID, billing.MerchantID(row.ID)
		return note(ctx, tx, of)
	})
	if err != nil {
		return billing.Merchant{}, merchantError(operation, err)
	}
	return row.merchant(), nil
}

// changedFields names what an update changes.
func changedFields(of billing.MerchantChange) map[string]any {
	fields := []string{}
	for _, field := range []struct {
		name  string
		given bool
	}{{"name", of.Name != nil}, {"access_token", of.AccessToken != nil}, {"refresh_token", of.RefreshToken != nil}} {
		if field.given {
			fields = append(fields, field.name)
		}
	}
	return map[string]any{"fields": fields}
}

func merchantError(operation string, err error) error {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return &billing.Error{Code: billing.CodeNotFound, Message: "no such merchant"}
	case violates(err, oneConnected):
		return &billing.Error{Code: billing.CodeConflict, Message: "the Stripe account is connected already"}
	}
	return translate(operation, err)
}
