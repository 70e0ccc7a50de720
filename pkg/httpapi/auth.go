package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// caller is whose key a request carries, and what it allows.
type caller struct {
	actor    string             // an API key's id, or [billing.ActorAdmin]
	name     string             // of the key
	merchant billing.MerchantID // "": every merchant
	scopes   []billing.Scope
	expires  *time.Time
	hash     keyHash // of an API key
	allows   func(billing.Scope) bool
}

type callerKey struct{}

// callerOf returns who was let in; the zero caller, which may do nothing, on routes that are open.
func callerOf(c echo.Context) caller {
	who, _ := c.Request().Context().Value(callerKey{}).(caller)
	return who
}

// authenticate demands Authorization: Bearer with the admin key or an API key that is active. It says no word about what was wrong
// with another one, and compares in a time that tells nothing.
//
// Wrong keys make their address wait. Whose key was found in the database a while ago need not wait with it: 256 random bits are
// not found by trying, and a client must not be locked out by a neighbour behind the same proxy. The admin key, which a person may
// have thought of, waits.
func (s *Server) authenticate(c echo.Context) (caller, error) {
	shown, ok := s.presented(c.Request())
	if !ok {
		s.deps.Metrics.KeyRefused(refusedAbsent)
		return caller{}, &billing.Error{Code: billing.CodeUnauthenticated}
	}
	now, peer := time.Now(), c.RealIP()
	var key billing.APIKey
	var fresh, known bool
	if !shown.admin {
		key, fresh, known = s.keys.known(shown.hash, now)
	}
	if !known && !shown.inside {
		if wait := s.throttle.wait(peer, now); wait > 0 {
			s.deps.Metrics.KeyRefused(refusedThrottled)
			c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			return caller{}, &billing.Error{Code: billing.CodeRateLimited}
		}
	}
	if shown.admin {
		return caller{
			actor: billing.ActorAdmin, scopes: []billing.Scope{billing.ScopeAdmin}, allows: func(wanted billing.Scope) bool { return wanted != "" },
		}, nil
	}
	if !fresh {
		var err error
		if key, err = s.lookUp(c.Request().Context(), shown); err != nil {
			if billing.CodeOf(err) == billing.CodeUnauthenticated && !shown.inside {
				s.throttle.missed(peer, now)
				s.deps.Metrics.KeyRefused(refusedUnknown)
			}
			return caller{}, err
		}
	}
	if key.Status != billing.APIKeyActive || key.UsableFor <= 0 {
		s.deps.Metrics.KeyRefused(refusedInactive)
		return caller{}, &billing.Error{Code: billing.CodeUnauthenticated}
	}
	s.uses.note(key.ID, now)
	return caller{
		actor: string(key.ID), name: key.Name, merchant: key.MerchantID, scopes: key.Scopes, expires: key.ExpiresAt, hash: shown.hash, allows: key.Allows,
	}, nil
}

// credential is what a request shows of its key.
type credential struct {
	hash   keyHash
	admin  bool // it is the admin key
	formed bool // it has the form of an API key
	inside bool // the key was shown before, and a session stands for it: see [AsKey]
}

// presented returns what a request shows; ok is false if that is nothing.
func (s *Server) presented(r *http.Request) (shown credential, ok bool) {
	if who, inside := r.Context().Value(identityKey{}).(identity); inside {
		return credential{hash: who.hash, admin: who.admin, formed: true, inside: true}, !who.admin || !s.deps.AdminKey.Empty()
	}
	given, ok := bearerOf(r.Header)
	if !ok {
		return credential{}, false
	}
	shown = credential{hash: sha256.Sum256([]byte(given)), formed: isKeyText(given)}
	shown.admin = subtle.ConstantTimeCompare(shown.hash[:], s.adminHash[:]) == 1 && !s.deps.AdminKey.Empty()
	return shown, true
}

// lookUp asks the database for a key, unless its form already says that there is none.
func (s *Server) lookUp(ctx context.Context, shown credential) (billing.APIKey, error) {
	if !shown.formed {
		return billing.APIKey{}, &billing.Error{Code: billing.CodeUnauthenticated}
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.RequestTimeout)
	defer cancel()
	key, err := s.keys.look(ctx, shown.hash)
	if billing.CodeOf(err) == billing.CodeNotFound {
		return billing.APIKey{}, &billing.Error{Code: billing.CodeUnauthenticated}
	}
	return key, err
}

func bearerOf(header http.Header) (key string, ok bool) {
	given := header.Values("Authorization")
	if len(given) != 1 {
		return "", false
	}
	scheme, key, _ := strings.Cut(given[0], " ")
	key = strings.TrimSpace(key)
	return key, strings.EqualFold(scheme, "Bearer") && key != ""
}

// admit lets a caller through whose key allows the route, and returns the context under which the request is handled.
func (s *Server) admit(c echo.Context, r route) (context.Context, error) {
	who, err := s.authenticate(c)
	if err != nil {
		return nil, err
	}
	ctx := context.WithValue(c.Request().Context(), callerKey{}, who)
	c.SetRequest(c.Request().WithContext(ctx)) // the log names the caller even when it is turned away
	if !r.anyKey && !who.allows(r.scope) {
		s.deps.Metrics.KeyRefused(refusedScope)
		return nil, &billing.Error{Code: billing.CodeForbidden}
	}
	return billing.WithActor(ctx, s.actor(c, who)), nil
}

func (s *Server) actor(c echo.Context, who caller) billing.Actor {
	return billing.Actor{ID: who.actor, Name: who.name, Address: c.RealIP(), RequestID: requestID(c)}
}
