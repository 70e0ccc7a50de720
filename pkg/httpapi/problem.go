package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// kindOfProblem is how one code is told to clients.
type kindOfProblem struct {
	status int
	title  string
	detail string // shown when the error has no message that is safe to show
}

// problemOf is the one table from codes to answers. A code that has no row here would be a 500.
func problemOf(code billing.Code) kindOfProblem {
	switch code {
	case billing.CodeInvalid:
		return kindOfProblem{http.StatusUnprocessableEntity, "The request is not valid", "errors lists what is wrong and where"}
	case billing.CodeMalformed:
		return kindOfProblem{http.StatusBadRequest, "The request cannot be read", "the request is malformed"}
	case billing.CodeTooLarge:
		return kindOfProblem{http.StatusRequestEntityTooLarge, "The body is too long", "the body is longer than this route accepts"}
	case billing.CodeUnsupportedType:
		return kindOfProblem{http.StatusUnsupportedMediaType, "The media type is not supported", "the body must be application/json in UTF-8, not compressed"}
	case billing.CodeUnauthenticated:
		return kindOfProblem{http.StatusUnauthorized, "A valid API key is required", "send an API key as a bearer token, in the header Authorization"}
	case billing.CodeForbidden:
		return kindOfProblem{http.StatusForbidden, "The API key does not allow this", "the API key lacks the scope of this route"}
	case billing.CodeNotFound:
		return kindOfProblem{http.StatusNotFound, "Not found", "there is nothing at this address"}
	case billing.CodeMethod:
		return kindOfProblem{http.StatusMethodNotAllowed, "The method is not allowed", "the Allow header lists the methods of this address"}
	case billing.CodeConflict:
		return kindOfProblem{http.StatusConflict, "The present state does not allow it", "the object's status does not allow this change"}
	case billing.CodeKeyReused:
		return kindOfProblem{http.StatusUnprocessableEntity, "The Idempotency-Key was used for another request", "choose a new key for a new request"}
	case billing.CodeKeyInProgress:
		return kindOfProblem{http.StatusConflict, "The first request with this Idempotency-Key is in progress", "send the same request again in a moment"}
	case billing.CodeKeyRequired:
		return kindOfProblem{http.StatusBadRequest, "An Idempotency-Key is required", "send an Idempotency-Key with each task to be scheduled"}
	case billing.CodeIntentTaken:
		return kindOfProblem{http.StatusConflict, "Another task has this intent", "a task with this intent is under way or done"}
	case billing.CodeLeaseLost:
		return kindOfProblem{http.StatusConflict, "The task has another owner", "another worker holds the task"}
	case billing.CodeRateLimited:
		return kindOfProblem{http.StatusTooManyRequests, "Too many tries", "too many wrong API keys came from this address; Retry-After says when to try again"}
	case billing.CodeUnavailable:
		return kindOfProblem{http.StatusServiceUnavailable, "The service is not available now", "a part that this needs does not answer; try again in a moment"}
	case billing.CodeTokenUnreadable, billing.CodeInternal:
		return internalProblem()
	}
	return internalProblem()
}

func internalProblem() kindOfProblem {
	return kindOfProblem{http.StatusInternalServerError, "Something went wrong on our side", "the request could not be completed; the log has the cause under request_id"}
}

// problem is the document of RFC 9457.
type problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail"`
	Code      billing.Code   `json:"code"`
	RequestID string         `json:"request_id"`
	Errors    []problemFault `json:"errors,omitempty"`
}

// problemFault is one fault: of the body at Pointer, or of the query parameter named in Query (Pointer is empty then).
type problemFault struct {
	Pointer string `json:"pointer"`
	Query   string `json:"query,omitempty"`
	Code    string `json:"code"`
	Detail  string `json:"detail"`
}

// atQuery is the pointer, within this package, of a query parameter. No RFC 6901 pointer begins with "?".
func atQuery(name string) string { return "?" + name }

// asError reduces any error to one of ours. What echo made is judged by its status.
func asError(err error) *billing.Error {
	var known *billing.Error
	if errors.As(err, &known) {
		return known
	}
	var made *echo.HTTPError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return &billing.Error{Code: billing.CodeTooLarge, Err: err}
	case errors.As(err, &made):
		return &billing.Error{Code: codeOfStatus(made.Code), Err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &billing.Error{Code: billing.CodeUnavailable, Err: err}
	}
	return &billing.Error{Code: billing.CodeInternal, Err: err}
}

func codeOfStatus(status int) billing.Code {
	switch status {
	case http.StatusUnauthorized:
		return billing.CodeUnauthenticated
	case http.StatusForbidden:
		return billing.CodeForbidden
	case http.StatusNotFound:
		return billing.CodeNotFound
	case http.StatusMethodNotAllowed:
		return billing.CodeMethod
	case http.StatusRequestEntityTooLarge:
		return billing.CodeTooLarge
	case http.StatusUnsupportedMediaType:
		return billing.CodeUnsupportedType
	case http.StatusServiceUnavailable:
		return billing.CodeUnavailable
	}
	if status >= 400 && status < 500 {
		return billing.CodeMalformed
	}
	return billing.CodeInternal
}

// fail answers with the problem document of err. Faults of ours are logged here, once; the client gets a fixed sentence.
func (s *Server) fail(c echo.Context, err error) {
	known := asError(err)
	kind := problemOf(known.Code)
	ctx := c.Request().Context()
	if kind.status >= http.StatusInternalServerError {
		level := slog.LevelError
		if known.Code == billing.CodeUnavailable {
			level = slog.LevelWarn
		}
		s.log.LogAttrs(ctx, level, "request failed", slog.String("request_id", requestID(c)),
			slog.String("route", s.routeOf(c)), slog.String("code", string(known.Code)), slog.Any("error", err))
	}
	if !c.Response().Committed {
		s.tell(c, known)
	}
}

// tell answers with the problem document of an error.
func (s *Server) tell(c echo.Context, known *billing.Error) {
	kind := problemOf(known.Code)
	answer := problem{
		Type: "urn:billonce:problem:" + string(known.Code), Title: kind.title, Status: kind.status,
		Detail: kind.detail, Code: known.Code, RequestID: requestID(c),
	}
	if known.Message != "" && kind.status < http.StatusInternalServerError {
		answer.Detail = known.Message
	}
	for _, fault := range known.Faults[:min(len(known.Faults), maxFaults)] {
		told := problemFault{Pointer: fault.Pointer, Code: fault.Code, Detail: fault.Detail}
		if name, ok := strings.CutPrefix(fault.Pointer, "?"); ok {
			told.Pointer, told.Query = "", name
		}
		answer.Errors = append(answer.Errors, told)
	}
	header := c.Response().Header()
	switch kind.status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "2")
	case http.StatusTooManyRequests:
		if header.Get("Retry-After") == "" { // who limits knows better
			header.Set("Retry-After", "1")
		}
	}
	if known.Code == billing.CodeKeyInProgress {
		header.Set("Retry-After", "1")
	}
	s.write(c, kind.status, "application/problem+json", answer)
}

// write answers with a JSON document. One that cannot be encoded becomes a 500 and not half an answer. One that cannot be delivered has
// no reader left, so the error is logged at the level of details.
func (s *Server) write(c echo.Context, status int, mediaType string, document any) {
	response := c.Response()
	body, err := encode(document)
	if err != nil {
		response.Header().Del(echo.HeaderLocation)
		s.fail(c, fmt.Errorf("encode the answer: %w", err)) // a problem is made of texts, and can be
		return
	}
	response.Header().Set(echo.HeaderContentType, mediaType)
	response.WriteHeader(status)
	if c.Request().Method == http.MethodHead {
		return
	}
	if _, err := response.Write(body); err != nil {
		s.notDelivered(c, err)
	}
}

func (s *Server) notDelivered(c echo.Context, err error) {
	s.log.DebugContext(c.Request().Context(), "answer not delivered",
		slog.String("request_id", requestID(c)), slog.Any("error", err))
}

func (s *Server) answer(c echo.Context, status int, document any) error {
	s.write(c, status, echo.MIMEApplicationJSON, document)
	return nil
}
