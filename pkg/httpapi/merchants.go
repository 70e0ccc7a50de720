package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

const (
	maxMerchantName = 200
	maxTokenBytes   = 512
)

var connectID = regexp.MustCompile(`^acct_[A-Za-z0-9_]{1,64}$`)

func (s *Server) createMerchant(c echo.Context) error {
	if callerOf(c).merchant != "" {
		return &billing.Error{Code: billing.CodeForbidden, Message: "the API key is for one merchant, and this would be another"}
	}
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a merchant id: %w", err)
	}
	merchant := billing.NewMerchant{ID: billing.MerchantID(id.String())}
	o := readObject(raw, "", &found)
	merchant.Name, _ = o.name(o.required("name"))
	if text, ok := o.text("stripe_connect_id", o.required("stripe_connect_id"), 0, maxTokenBytes); ok {
		if merchant.StripeConnectID = text; !connectID.MatchString(text) {
			o.fault("stripe_connect_id", faultFormat, "must be the id of a Stripe account, beginning with acct_")
		}
	}
	merchant.AccessToken, _ = o.token("access_token", o.optional("access_token"))
	merchant.RefreshToken, _ = o.token("refresh_token", o.optional("refresh_token"))
	live, told := tokenMode(merchant.AccessToken)
	livemode, given := o.boolean("livemode", o.optional("livemode"))
	switch {
	case given:
		merchant.Livemode = livemode
		if told && live != livemode {
			o.fault("access_token", faultMode, "is not a token of the mode that livemode names")
		}
	case told: // the token says it
		merchant.Livemode = live
	}
	o.done()
	if err := found.err(); err != nil {
		return err
	}
	created, err := s.deps.Merchants.CreateMerchant(c.Request().Context(), merchant)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/merchants/"+string(created.ID))
	return s.answer(c, http.StatusCreated, showMerchant(created))
}

// updateMerchant changes the fields that are given. A null token erases the stored one. Nothing to change is a fault: the answer would
// show the merchant to a key that may write and not read.
func (s *Server) updateMerchant(c echo.Context) error {
	id, err := merchantID(c)
	if err != nil {
		return err
	}
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	var change billing.MerchantChange
	o := readObject(raw, "", &found)
	if raw := o.take("name"); raw != nil {
		if name, ok := o.name(raw); ok {
			change.Name = &name
		}
	}
	change.AccessToken = o.changedToken("access_token")
	change.RefreshToken = o.changedToken("refresh_token")
	o.done()
	if len(found) == 0 && change == (billing.MerchantChange{}) {
		found.add("", faultRequired, "must name what is to be changed: name, access_token or refresh_token")
	}
	if err := found.err(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	if change.AccessToken != nil {
		if live, told := tokenMode(*change.AccessToken); told {
			merchant, err := s.deps.Merchants.ViewMerchant(ctx, id)
			if err != nil {
				return err
			}
			if merchant.Livemode != live {
				o.fault("access_token", faultMode, "is not a token of the merchant's mode")
				return found.err()
			}
		}
	}
	return s.answerMerchant(c)(s.deps.Merchants.UpdateMerchant(ctx, id, change))
}

func (s *Server) viewMerchant(c echo.Context) error {
	id, err := merchantID(c)
	if err != nil {
		return err
	}
	return s.answerMerchant(c)(s.deps.Merchants.ViewMerchant(c.Request().Context(), id))
}

// disconnectMerchant answers 200 with the merchant as it is kept: without tokens, with its history.
func (s *Server) disconnectMerchant(c echo.Context) error {
	id, err := merchantID(c)
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	return s.answerMerchant(c)(s.deps.Merchants.DisconnectMerchant(c.Request().Context(), id))
}

func (s *Server) pauseMerchant(c echo.Context) error {
	id, err := merchantID(c)
	if err != nil {
		return err
	}
	ctx, err := readReason(c)
	if err != nil {
		return err
	}
	return s.answerMerchant(c)(s.deps.Merchants.PauseMerchant(ctx, id, billing.PauseRequested, ""))
}

func (s *Server) resumeMerchant(c echo.Context) error {
	id, err := merchantID(c)
	if err != nil {
		return err
	}
	ctx, err := readReason(c)
	if err != nil {
		return err
	}
	return s.answerMerchant(c)(s.deps.Merchants.ResumeMerchant(ctx, id))
}

func (s *Server) listMerchants(c echo.Context) error {
	q := readQuery(c, "merchants")
	limit := q.limit()
	after := billing.MerchantID(q.after(isMerchantID))
	filter := billing.MerchantFilter{
		ID: callerOf(c).merchant, StripeConnectID: q.values.Get("stripe_connect_id"), Status: billing.MerchantStatus(q.values.Get("status")),
	}
	if filter.Status != "" && !filter.Status.Known() {
		q.fault("status", faultUnknownValue, "is not a status of merchants")
	}
	if filter.StripeConnectID != "" && !connectID.MatchString(filter.StripeConnectID) {
		q.fault("stripe_connect_id", faultFormat, "must be the id of a Stripe account, beginning with acct_")
	}
	if err := q.faults.err(); err != nil {
		return err
	}
	merchants, err := s.deps.Merchants.ListMerchants(c.Request().Context(), filter, limit+1, after)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, pageOf(q, merchants, limit, showMerchant,
		func(merchant billing.Merchant) string { return string(merchant.ID) }))
}

func (s *Server) answerMerchant(c echo.Context) func(billing.Merchant, error) error {
	return func(merchant billing.Merchant, err error) error {
		if err != nil {
			return err
		}
		return s.answer(c, http.StatusOK, showMerchant(merchant))
	}
}

func (o *object) name(raw []byte) (string, bool) {
	text, ok := o.text("name", raw, 1, maxMerchantName)
	if ok && (strings.ContainsFunc(text, unicode.IsControl) || strings.TrimSpace(text) == "") {
		o.fault("name", faultCharacter, "must be one line that is not blank")
		return "", false
	}
	return text, ok
}

// token reads a credential of visible characters.
func (o *object) token(name string, raw []byte) (secret.Text, bool) {
	text, ok := o.text(name, raw, 1, maxTokenBytes)
	if !ok {
		return secret.Text{}, false
	}
	if strings.ContainsFunc(text, isNotVisible) {
		o.fault(name, faultFormat, "must be visible ASCII characters")
		return secret.Text{}, false
	}
	return secret.New(text), true
}

// changedToken returns nil for an absent field and an empty secret for null, which erases.
func (o *object) changedToken(name string) *secret.Text {
	raw := o.take(name)
	if isNull(raw) {
		return &secret.Text{}
	}
	if token, ok := o.token(name, raw); ok {
		return &token
	}
	return nil
}

// tokenMode reads the mode from a Stripe key's prefix ("sk_live_", "rk_test_"); told is false where it says nothing.
func tokenMode(token secret.Text) (live, told bool) {
	text := token.Reveal()
	for _, prefix := range []string{"sk_", "rk_"} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return strings.HasPrefix(rest, "live_"), strings.HasPrefix(rest, "live_") || strings.HasPrefix(rest, "test_")
		}
	}
	return false, false
}
