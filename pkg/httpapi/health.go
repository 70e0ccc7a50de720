package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// Anybody may ask for readiness, so one answer of the dependencies serves all who ask within readyFor.
const (
	readyFor     = time.Second
	readyTimeout = time.Second
)

var errDraining = errors.New("the server is shutting down")

type readiness struct {
	mu      sync.Mutex
	checked time.Time
	err     error
}

// Ready tells whether requests should be sent here: not while shutting down, nor while [Health] says no. The answer may be
// a second old.
func (s *Server) Ready(ctx context.Context) error {
	if s.draining.Load() {
		return errDraining
	}
	s.readiness.mu.Lock()
	defer s.readiness.mu.Unlock()
	if time.Since(s.readiness.checked) < readyFor {
		return s.readiness.err
	}
	// Not the asker's context: who hangs up must not make the next ones believe that the database is down.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	before := s.readiness.err
	s.readiness.err = s.deps.Health.Ready(ctx)
	s.readiness.checked = time.Now()
	switch {
	case s.readiness.err != nil && before == nil:
		s.log.WarnContext(ctx, "not ready", slog.Any("error", s.readiness.err))
	case s.readiness.err == nil && before != nil:
		s.log.InfoContext(ctx, "ready again")
	}
	return s.readiness.err
}

type healthAnswer struct {
	Status string `json:"status"`
}

// alive says only that the process answers.
func (s *Server) alive(c echo.Context) error {
	return s.answer(c, http.StatusOK, healthAnswer{"ok"})
}

func (s *Server) ready(c echo.Context) error {
	if s.Ready(c.Request().Context()) != nil {
		return s.notReady(c)
	}
	return s.answer(c, http.StatusOK, healthAnswer{"ok"})
}

// notReady says so and, unlike fail, logs nothing: it may be asked every second.
func (s *Server) notReady(c echo.Context) error {
	s.tell(c, &billing.Error{Code: billing.CodeUnavailable})
	return nil
}
