package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"billonce/pkg/billing"
)

// Limits of bodies in bytes. A batch is in memory while it is scheduled, so its limit and [Config.BatchSlots] bound what
// the process needs.
const (
	maxBody      = 64 << 10
	maxBatchBody = 16 << 20
)

// readDocument reads and scans the body. The faults that scan found are in into; the typed reading adds its own.
func readDocument(c echo.Context, limit int64, into *faults) ([]byte, error) {
	body, err := readBody(c, limit)
	if err != nil {
		return nil, err
	}
	found, err := scan(body)
	if err != nil {
		return nil, err
	}
	*into = append(*into, found...)
	return bytes.TrimSpace(body), nil
}

// readNothing is for routes that take no fields: no body, or an empty object.
func readNothing(c echo.Context) error {
	if c.Request().ContentLength == 0 {
		return nil
	}
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return err
	}
	readObject(raw, "", &found).done()
	return found.err()
}

// maxReason is how many characters a reason may have.
const maxReason = 500

// readReason is for routes that take nothing but why, which may be left out, as may the whole body. It returns the context of a change
// that is made for that reason.
func readReason(c echo.Context) (context.Context, error) {
	ctx := c.Request().Context()
	if c.Request().ContentLength == 0 {
		return ctx, nil
	}
	var found faults
	raw, err := readDocument(c, maxBody, &found)
	if err != nil {
		return nil, err
	}
	o := readObject(raw, "", &found)
	reason := o.reason(o.optional("reason"))
	o.done()
	return billing.WithReason(ctx, reason), found.err()
}

// reason reads why something is done, "" where it is not said.
func (o *object) reason(raw []byte) string {
	text, ok := o.text("reason", raw, 1, maxReason)
	if text = strings.TrimSpace(text); ok && text == "" {
		o.fault("reason", faultRequired, "must say why")
	}
	return text
}

func readBody(c echo.Context, limit int64) ([]byte, error) {
	request := c.Request()
	if request.ContentLength == 0 {
		return nil, malformed("the body is empty")
	}
	if request.ContentLength > limit {
		return nil, &billing.Error{Code: billing.CodeTooLarge}
	}
	if !isJSON(request.Header) {
		return nil, &billing.Error{Code: billing.CodeUnsupportedType}
	}
	// The plain writer, not echo's: net/http closes the connection of a body that goes on, if it knows its own writer.
	limited := http.MaxBytesReader(c.Response().Writer, request.Body, limit)
	var body bytes.Buffer
	if request.ContentLength > 0 {
		body.Grow(int(request.ContentLength) + bytes.MinRead)
	}
	if _, err := io.Copy(&body, limited); err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return nil, &billing.Error{Code: billing.CodeTooLarge, Err: err}
		}
		return nil, &billing.Error{Code: billing.CodeMalformed, Message: "the body ended early or came too slowly", Err: err}
	}
	return body.Bytes(), nil
}

func isJSON(header http.Header) bool {
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	if len(header.Values(echo.HeaderContentType)) != 1 {
		return false
	}
	mediaType, parameters, err := mime.ParseMediaType(header.Get(echo.HeaderContentType))
	if err != nil || mediaType != echo.MIMEApplicationJSON {
		return false
	}
	charset, given := parameters["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}
