package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// Console are the pages for operators, which are served beside the API and call it within this process.
type Console interface {
	http.Handler
	// Paths are those that it serves, as templates like /tasks/{id}.
	Paths() []string
}

// identity is as whom a call within this process is made. It stands for a key that was presented once, and is judged at each call as
// that key would be.
type identity struct {
	admin bool
	hash  keyHash
}

type identityKey struct{}

// AsAdmin returns a context under which calls of this process are made as the admin key, for as long as there is one. Nothing that
// comes over the network can set it.
func AsAdmin(ctx context.Context) context.Context {
	return context.WithValue(ctx, identityKey{}, identity{admin: true})
}

// AsKey returns a context under which calls of this process are made as the API key with the given hash, while that key is active.
func AsKey(ctx context.Context, hash [billing.APIKeyHashBytes]byte) context.Context {
	return context.WithValue(ctx, identityKey{}, identity{hash: hash})
}

// addressInside is addressOf for calls within this process as well: those come from where their page's request came from.
func addressInside(outside echo.IPExtractor) echo.IPExtractor {
	return func(r *http.Request) string {
		if from, ok := billing.ActorOf(r.Context()); ok {
			return from.Address
		}
		return outside(r)
	}
}

// idOf is the id of a request: that of its page's request for calls within this process, else acceptOrMakeID's.
func idOf(r *http.Request) string {
	if from, ok := billing.ActorOf(r.Context()); ok && from.RequestID != "" {
		return from.RequestID
	}
	return acceptOrMakeID(r.Header)
}

// addConsole serves the pages for operators, and shows people who ask for what there is not a page as well. Programs go on getting
// problem documents.
func (s *Server) addConsole() {
	if s.deps.Console == nil {
		return
	}
	serve := func(c echo.Context) error { //nolint:unparam // echo's form of a handler
		from := billing.Actor{Address: c.RealIP(), RequestID: requestID(c)}
		c.Response().Before(func() {
			if strings.HasPrefix(c.Response().Header().Get(echo.HeaderContentType), eventStream) {
				c.Set(answeredAt, time.Now()) // it ends when somebody closes a page
			}
		})
		s.deps.Console.ServeHTTP(c.Response(), c.Request().WithContext(billing.WithActor(c.Request().Context(), from)))
		return nil
	}
	for _, template := range s.deps.Console.Paths() {
		path := strings.NewReplacer("{", ":", "}", "").Replace(template)
		s.templates[path] = template
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			s.echo.Add(method, path, serve)
		}
	}
	s.echo.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			if errors.Is(err, echo.ErrNotFound) && wantsPage(c.Request()) { // the router's own: handlers make errors of billing
				return serve(c)
			}
			return err
		}
	})
}

// wantsPage reports whether a browser asks, and for nothing of the API's.
func wantsPage(r *http.Request) bool {
	return r.URL.Path != "/v1" && !strings.HasPrefix(r.URL.Path, "/v1/") && strings.Contains(r.Header.Get(echo.HeaderAccept), "text/html")
}
