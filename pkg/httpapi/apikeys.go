package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

const faultScope = "unfit_scope"

type apiKeyAnswer struct {
	ID         billing.APIKeyID     `json:"id"`
	Name       string               `json:"name"`
	Hint       string               `json:"hint"` // how the key begins
	Scopes     []billing.Scope      `json:"scopes"`
	MerchantID *billing.MerchantID  `json:"merchant_id"`
	Status     billing.APIKeyStatus `json:"status"`
	CreatedAt  time.Time            `json:"created_at"`
	CreatedBy  *string              `json:"created_by"`
	ExpiresAt  *time.Time           `json:"expires_at"`
	LastUsedAt *time.Time           `json:"last_used_at"`
	RevokedAt  *time.Time           `json:"revoked_at"`
	ReplacedBy *billing.APIKeyID    `json:"replaced_by"`
}

// madeKeyAnswer is the one answer that holds a key.
type madeKeyAnswer struct {
	apiKeyAnswer
	Key string `json:"key"`
}

func showAPIKey(key billing.APIKey) apiKeyAnswer {
	return apiKeyAnswer{
		ID: key.ID, Name: key.Name, Hint: key.Hint, Scopes: key.Scopes, MerchantID: orNull(key.MerchantID), Status: key.Status,
		CreatedAt: key.CreatedAt.UTC(), CreatedBy: orNull(key.CreatedBy), ExpiresAt: utc(key.ExpiresAt), LastUsedAt: utc(key.LastUsedAt),
		RevokedAt: utc(key.RevokedAt), ReplacedBy: orNull(key.ReplacedBy),
	}
}

func (s *Server) createAPIKey(c echo.Context) error {
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	id, err := newAPIKeyID()
	if err != nil {
		return err
	}
	made := makeKey()
	key := billing.NewAPIKey{ID: id, Hash: made.hash, Hint: made.hint}
	o := readObject(raw, "", &found)
	key.Name, _ = o.name(o.required("name"))
	key.Scopes = o.scopes("scopes")
	if text, ok := o.text("merchant_id", o.optional("merchant_id"), 0, maxTargetBytes); ok {
		if key.MerchantID, err = billing.ParseMerchantID(text); err != nil {
			o.fault("merchant_id", faultFormat, "must be the id of a merchant")
		}
		if slices.Contains(key.Scopes, billing.ScopeAdmin) {
			o.fault("scopes", faultScope, "must not include admin in a key for one merchant")
		}
	}
	key.ExpiresAt = o.end("expires_at")
	o.done()
	if err := found.err(); err != nil {
		return err
	}
	created, err := s.deps.Keys.CreateAPIKey(c.Request().Context(), key)
	if err != nil {
		return err
	}
	return s.answerMadeKey(c, created, made)
}

// rotateAPIKey makes a key in place of another, which goes on for a while so that its users can change over.
func (s *Server) rotateAPIKey(c echo.Context) error {
	id, err := billing.ParseAPIKeyID(c.Param("id"))
	if err != nil {
		return err
	}
	made := makeKey()
	rotation := billing.Rotation{Hash: made.hash, Hint: made.hint}
	if rotation.ID, err = newAPIKeyID(); err != nil {
		return err
	}
	if c.Request().ContentLength != 0 { // every field may be left out
		var found faults
		raw, err := readDocument(c, maxBody, &found)
		if err != nil {
			return err
		}
		o := readObject(raw, "", &found)
		rotation.OldUntil = o.end("old_valid_until")
		rotation.ExpiresAt = o.end("expires_at")
		o.done()
		if err := found.err(); err != nil {
			return err
		}
	}
	created, err := s.deps.Keys.RotateAPIKey(c.Request().Context(), id, rotation)
	s.keys.stale() // whatever is said: a commit whose answer is lost may have been made
	if err != nil {
		return err
	}
	return s.answerMadeKey(c, created, made)
}

func (s *Server) answerMadeKey(c echo.Context, created billing.APIKey, made madeKey) error {
	s.log.InfoContext(c.Request().Context(), "api key made", slog.String("request_id", requestID(c)),
		slog.String("key_id", string(created.ID)))
	c.Response().Header().Set(echo.HeaderLocation, "/v1/api_keys/"+string(created.ID))
	return s.answer(c, http.StatusCreated, madeKeyAnswer{showAPIKey(created), made.text.Reveal()})
}

func (s *Server) getAPIKey(c echo.Context) error {
	id, err := billing.ParseAPIKeyID(c.Param("id"))
	if err != nil {
		return err
	}
	return s.answerAPIKey(c)(s.deps.Keys.GetAPIKey(c.Request().Context(), id))
}

func (s *Server) revokeAPIKey(c echo.Context) error {
	id, err := billing.ParseAPIKeyID(c.Param("id"))
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	key, err := s.deps.Keys.RevokeAPIKey(c.Request().Context(), id)
	s.keys.stale()
	return s.answerAPIKey(c)(key, err)
}

func (s *Server) answerAPIKey(c echo.Context) func(billing.APIKey, error) error {
	return func(key billing.APIKey, err error) error {
		if err != nil {
			return err
		}
		return s.answer(c, http.StatusOK, showAPIKey(key))
	}
}

func (s *Server) listAPIKeys(c echo.Context) error {
	q := readQuery(c, "api_keys")
	limit := q.limit()
	after := billing.APIKeyID(q.after(isAPIKeyID))
	filter := billing.APIKeyFilter{MerchantID: q.merchant("merchant_id")}
	if err := q.faults.err(); err != nil {
		return err
	}
	keys, err := s.deps.Keys.ListAPIKeys(c.Request().Context(), filter, limit+1, after)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, pageOf(q, keys, limit, showAPIKey, func(key billing.APIKey) string { return string(key.ID) }))
}

func isAPIKeyID(text string) bool {
	id, err := billing.ParseAPIKeyID(text)
	return err == nil && string(id) == text
}

func newAPIKeyID() (billing.APIKeyID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make the id of an API key: %w", err)
	}
	return billing.APIKeyID(id.String()), nil
}

// scopes reads a required list of scopes, each once.
func (o *object) scopes(name string) []billing.Scope {
	var read []billing.Scope
	most := len(billing.Scopes())
	o.each(name, o.required(name), 1, most, func(list *object, at, text string) {
		scope := billing.Scope(text)
		switch {
		case !scope.Known():
			list.fault(at, faultUnknownValue, "is not a scope")
		case slices.Contains(read, scope):
			list.fault(at, faultDuplicate, "stands in the list already, at "+strconv.Itoa(slices.Index(read, scope)))
		}
		read = append(read, scope)
	})
	return read
}

// end reads an optional time, zero when there is none. The store judges it by its clock.
func (o *object) end(name string) time.Time {
	at, _ := o.moment(name, o.optional(name))
	return at.Truncate(time.Microsecond)
}
