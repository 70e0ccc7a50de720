package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"billonce/pkg/billing"
)

// SQLSTATEs that callers must tell apart. https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	stateUniqueViolation   = "23505"
	stateForeignKey        = "23503"
	stateLockNotAvailable  = "55P03"
	stateQueryCanceled     = "57014"
	stateReadOnly          = "25006"
	stateDeadlock          = "40P01"
	stateCompletionUnknown = "40003"
	stateUndefinedTable    = "42P01"
	stateNoPrivilege       = "42501"
)

// translate wraps err with the operation and gives it a code, judged by SQLSTATE and never by message text. An error that
// already has a code keeps it.
func translate(operation string, err error) error {
	var known *billing.Error
	if errors.As(err, &known) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if refusesContent(err) {
		err = contentError{err}
	}
	if hasState(err, stateNoPrivilege) {
		err = fmt.Errorf("%w: %w", billing.ErrDenied, err)
	}
	return &billing.Error{Code: codeOf(err), Err: fmt.Errorf("%s: %w", operation, err)}
}

// contentError is a statement's refusal for the values in it. PostgreSQL's sentence quotes them, customers' data among
// them, so its text says where it happened instead.
type contentError struct{ cause error }

// Error implements error.
func (e contentError) Error() string {
	text := billing.ErrContent.Error()
	var failure *pq.Error
	if !errors.As(e.cause, &failure) {
		return text
	}
	text += ": SQLSTATE " + string(failure.Code)
	for _, place := range []struct{ is, name string }{
		{"table", failure.Table}, {"column", failure.Column}, {"constraint", failure.Constraint}, {"type", failure.DataTypeName},
	} {
		if place.name != "" {
			text += ", " + place.is + " " + place.name
		}
	}
	return text
}

// Unwrap keeps [billing.ErrContent] and the driver's error in the chain.
func (e contentError) Unwrap() []error { return []error{billing.ErrContent, e.cause} }

// unconnected is translate for an error that came before any statement: whatever it says, the database cannot be had now.
func unconnected(operation string, err error) error {
	return &billing.Error{Code: billing.CodeUnavailable, Err: fmt.Errorf("%s: connect: %w", operation, err)}
}

// refusesContent reports whether a statement was refused for the values in it.
func refusesContent(err error) bool {
	var failure *pq.Error
	if !errors.As(err, &failure) {
		return false
	}
	class := failure.Code.Class()
	return class == "22" || class == "23" // data exceptions, violated constraints
}

func codeOf(err error) billing.Code {
	var failure *pq.Error
	if errors.As(err, &failure) {
		switch {
		case failure.Code == stateQueryCanceled, failure.Code == stateLockNotAvailable, failure.Code == stateReadOnly,
			failure.Code == stateNoPrivilege:
			return billing.CodeUnavailable
		}
		switch failure.Code.Class() {
		case "08", "25", "53", "57", "58": // connection, transaction ended by the server, resources (a full disk), operator intervention, system
			return billing.CodeUnavailable
		case "28", "3D": // a password that is being changed, a database that is being restored
			return billing.CodeUnavailable
		case "40": // serialization, deadlock
			return billing.CodeUnavailable
		}
		return billing.CodeInternal
	}
	var (
		network     net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &certificate), errors.As(err, &record), errors.Is(err, pq.ErrSSLNotSupported):
		return billing.CodeUnavailable
	case errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled):
		return billing.CodeUnavailable
	}
	return billing.CodeInternal
}

// violates reports whether err is a violation of the named unique constraint or index.
func violates(err error, constraint string) bool {
	var failure *pq.Error
	return errors.As(err, &failure) && failure.Code == stateUniqueViolation && failure.Constraint == constraint
}

// hasState reports whether err carries the given SQLSTATE.
func hasState(err error, state pqerror.Code) bool {
	var failure *pq.Error
	return errors.As(err, &failure) && failure.Code == state
}
