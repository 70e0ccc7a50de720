package store

import (
	"context"
	"database/sql"
	"fmt"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// The columns that hold sealed tokens. Beside each stand the id of its key (…_key_id) and its binding (…_binding).
const (
	accessToken  = "access_token"
	refreshToken = "refresh_token"
	tokenColumns = `access_token, access_token_key_id, access_token_binding, refresh_token, refresh_token_key_id, refresh_token_binding`
)

// Cipher seals and opens tokens for their places. pkg/vault implements it.
type Cipher interface {
	// SealingKey names the key that seals.
	SealingKey() (id, checkValue string)
	Seal(at billing.Place, text secret.Text) (billing.Sealed, error)
	// Open returns errors that say nothing of the content and that [billing.TokenFaultOf] tells apart.
	Open(at billing.Place, sealed billing.Sealed) (secret.Text, error)
}

// Alarm is told what a person may have to look at.
type Alarm interface {
	// TokenRefused: a stored token was not opened.
	TokenRefused(ctx context.Context, refused RefusedToken)
	// SealingsCounted: the present key has sealed so often, at most. It is told now and then.
	SealingsCounted(ctx context.Context, keyID string, sealings int64)
	// TokenOpenedUnbound: a stored token was opened that is bound to no place.
	TokenOpenedUnbound()
	// TokenSealed and TokenOpened: that was tried with the key, "" where the row names none. ok says whether it went well.
	TokenSealed(keyID string, ok bool)
	TokenOpened(keyID string, ok bool)
}

// SetAlarm tells the store whom to alarm. It is called before anything else.
func (s *Store) SetAlarm(alarm Alarm) { s.alarm = alarm }

// RefusedToken is a stored token that was not opened.
type RefusedToken struct {
	MerchantID billing.MerchantID
	Column     string
	KeyID      string // of the key that sealed it, as the row says; "": it does not
	Fault      billing.TokenFault
}

// sealedToken is what a row holds of one token: nothing if it is nil.
type sealedToken struct{ *billing.Sealed }

func (t sealedToken) text() sql.NullString {
	if t.Sealed == nil {
		return sql.NullString{}
	}
	return sql.NullString{String: t.Text, Valid: true}
}

func (t sealedToken) keyID() sql.NullString {
	if t.Sealed == nil {
		return sql.NullString{}
	}
	return sql.NullString{String: t.KeyID, Valid: t.KeyID != ""}
}

// binding is NULL where there is none; an empty slice would be an empty text.
func (t sealedToken) binding() any {
	if t.Sealed == nil || len(t.Binding) == 0 {
		return nil
	}
	return t.Binding
}

func tokenOf(text, keyID sql.NullString, binding []byte) sealedToken {
	if !text.Valid {
		return sealedToken{}
	}
	return sealedToken{&billing.Sealed{Text: text.String, KeyID: keyID.String, Binding: binding}}
}

// tokenAt is the place of a merchant's token. Ids are in lower case wherever they come from the database or a parser.
func tokenAt(id billing.MerchantID, column string) billing.Place {
	return billing.Place{Table: "merchants", Column: column, Row: string(id)}
}

// seal seals a token for its place, and counts it first. An empty token is nothing.
func (s *Store) seal(ctx context.Context, id billing.MerchantID, column string, token secret.Text) (sealedToken, error) {
	if token.Empty() {
		return sealedToken{}, nil
	}
	if err := s.countSealings(ctx, 1); err != nil {
		return sealedToken{}, err
	}
	sealed, err := s.cipher.Seal(tokenAt(id, column), token)
	if s.alarm != nil {
		keyID, _ := s.cipher.SealingKey()
		s.alarm.TokenSealed(keyID, err == nil)
	}
	if err != nil {
		return sealedToken{}, fmt.Errorf("seal a token: %w", err)
	}
	return sealedToken{&sealed}, nil
}

// openToken opens a token; an error is not reported to anybody but the caller. demanded says that it must be bound, whatever the cipher
// accepts.
func (s *Store) openToken(id billing.MerchantID, column string, token sealedToken, demanded bool) (text secret.Text, err error) {
	if token.Sealed == nil {
		return secret.Text{}, nil
	}
	if demanded && len(token.Binding) == 0 {
		err = billing.ErrUnbound
	} else {
		text, err = s.cipher.Open(tokenAt(id, column), *token.Sealed)
	}
	if err == nil {
		return text, nil
	}
	by := ""
	if token.KeyID != "" {
		by = " by key " + token.KeyID
	}
	return secret.Text{}, &billing.Error{
		Code: billing.CodeTokenUnreadable, Err: fmt.Errorf("open %s of merchant %s, sealed%s: %w", column, id, by, err),
	}
}

// open opens what a row holds of a merchant's tokens. One that is refused raises an alarm.
func (s *Store) open(ctx context.Context, row merchantRow) (billing.Merchant, error) {
	merchant := row.merchant()
	for _, field := range []struct {
		column string
		token  sealedToken
		into   *secret.Text
	}{
		{accessToken, tokenOf(row.AccessToken, row.AccessKeyID, row.AccessBinding), &merchant.AccessToken},
		{refreshToken, tokenOf(row.RefreshToken, row.RefreshKeyID, row.RefreshBinding), &merchant.RefreshToken},
	} {
		text, err := s.openToken(merchant.ID, field.column, field.token, false) // the cipher demands it where it is to be
		if s.alarm != nil && field.token.Sealed != nil {
			s.alarm.TokenOpened(field.token.KeyID, err == nil)
		}
		if err != nil {
			if s.alarm != nil {
				s.alarm.TokenRefused(ctx, refused(merchant.ID, field.column, field.token, err))
			}
			return billing.Merchant{}, err
		}
		if s.alarm != nil && field.token.Sealed != nil && len(field.token.Binding) == 0 {
			s.alarm.TokenOpenedUnbound()
		}
		*field.into = text
	}
	return merchant, nil
}

func refused(id billing.MerchantID, column string, token sealedToken, err error) RefusedToken {
	return RefusedToken{MerchantID: id, Column: column, KeyID: token.KeyID, Fault: billing.TokenFaultOf(err)}
}
