package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

const headerRequestID = "X-Request-Id"

// acceptableRequestID is what a client's own id may look like; anything else is replaced, because it goes into logs and back
// out in a header. So is one that looks like a credential: somebody has mixed up two headers. Numbers are ids that clients do use.
var acceptableRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

var knownMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}

// observe gives the request its id, sets the headers of every answer, and writes one line and one measurement when it is
// done, whatever became of it.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		header := c.Response().Header()
		header.Set(headerRequestID, idOf(c.Request()))
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		if s.draining.Load() || len(c.Request().TransferEncoding) > 0 || !c.Request().ProtoAtLeast(1, 1) {
			// The next request had better go to a server that stays. After a body in chunks there is to be none: had the request a
			// length as well, a proxy in front may have gone by that, and have passed on somebody's bytes, not a request. net/http
			// does not tell the two cases apart. Of HTTP/1.0 it goes by the length itself, and does not show that there were chunks.
			header.Set("Connection", "close")
		}
		end := s.follow(c)
		defer func() {
			s.record(c, began)
			end()
		}()
		if err := next(c); err != nil {
			s.fail(c, err)
		}
		return nil
	}
}

// follow has the Tracer follow a request, unless it asks for nothing but our health, until end is called.
func (s *Server) follow(c echo.Context) (end func()) {
	request := c.Request()
	if s.deps.Tracer == nil || isHealth(request.URL.Path) {
		return func() {}
	}
	within, done := s.deps.Tracer.StartRequest(request.Context(), request.Header, methodOf(request), requestID(c))
	c.SetRequest(request.WithContext(within))
	return func() { done(s.routeOf(c), c.Response().Status) }
}

// traceContext is what is stored with the tasks that a request schedules.
func (s *Server) traceContext(ctx context.Context) string {
	if s.deps.Tracer == nil {
		return ""
	}
	return s.deps.Tracer.Context(ctx)
}

// guard turns a panic into a 500, and lets one panic not end the process.
func (s *Server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares a recovered value in the same way
				panic(value)
			}
			s.log.ErrorContext(c.Request().Context(), "handler panicked", slog.String("request_id", requestID(c)),
				slog.String("route", s.routeOf(c)), slog.String("panic", panicText(value)), slog.String("stack", string(debug.Stack())))
			if c.Response().Committed {
				panic(http.ErrAbortHandler) // half an answer must not pass for a whole one
			}
			err = &billing.Error{Code: billing.CodeInternal, Err: errPanicked}
		}()
		return next(c)
	}
}

// panicText says what panicked. Of a value that is not the runtime's own only the type: it may hold anything of the request.
func panicText(value any) string {
	if failure, ok := value.(runtime.Error); ok {
		return failure.Error()
	}
	return fmt.Sprintf("%T", value)
}

var errPanicked = errors.New("the handler panicked")

// answeredAt is where a handler whose answer has no end leaves the time of its beginning, which is what is measured.
const answeredAt = "answered at"

func (s *Server) record(c echo.Context, began time.Time) {
	request, response, took := c.Request(), c.Response(), time.Since(began)
	answer := took
	if at, ok := c.Get(answeredAt).(time.Time); ok {
		answer = at.Sub(began)
	}
	method, route := methodOf(request), s.routeOf(c)
	s.deps.Metrics.RequestDone(method, route, response.Status, answer)
	level := slog.LevelInfo
	if isHealth(route) {
		level = slog.LevelDebug
	}
	s.log.LogAttrs(request.Context(), level, "http request",
		slog.String("request_id", requestID(c)), slog.String("method", method), slog.String("route", route),
		slog.Int("status", response.Status), slog.Int64("bytes", response.Size),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("peer", c.RealIP()),
		slog.String("actor", callerOf(c).actor))
}

// methodOf returns the method, "OTHER" for one that a client has made up.
func methodOf(request *http.Request) string {
	if !slices.Contains(knownMethods, request.Method) {
		return "OTHER"
	}
	return request.Method
}

func isHealth(route string) bool {
	return route == "/healthz" || route == "/livez" || route == "/readyz"
}

func acceptOrMakeID(header http.Header) string {
	if given := header.Values(headerRequestID); len(given) == 1 && acceptableRequestID.MatchString(given[0]) && !secret.ResemblesCredential(given[0]) {
		return given[0]
	}
	return uuid.NewString()
}

// requestID returns the id under which the request is known to the client and in the log.
func requestID(c echo.Context) string { return c.Response().Header().Get(headerRequestID) }

// routeOf returns the route's template, "unmatched" where there is none: clients must not be able to write labels.
func (s *Server) routeOf(c echo.Context) string {
	if template, ok := s.templates[c.Path()]; ok {
		return template
	}
	return "unmatched"
}
