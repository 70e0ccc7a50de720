package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the description is a part of the program
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

//go:embed openapi.yaml
var description []byte

// docs is made from the description by tools/apigen; a test there says when it is not what would be made now.
//
//go:embed docs.html
var docs []byte

// Description returns openapi.yaml, which says what this package serves. The caller owns the slice.
func Description() []byte { return slices.Clone(description) }

// fixed serves a document that is a part of the program. Whoever has it already is told so.
func fixed(document []byte, mediaType, policy string) echo.HandlerFunc {
	sum := sha256.Sum256(document)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("ETag", tag)
		header.Set("Cache-Control", "public, no-cache") // kept, and asked for again: the next release may say something else
		if policy != "" {
			header.Set("Content-Security-Policy", policy)
			header.Set("Referrer-Policy", "no-referrer")
		}
		for given := range strings.SplitSeq(c.Request().Header.Get("If-None-Match"), ",") {
			if given = strings.TrimPrefix(strings.TrimSpace(given), "W/"); given == tag || given == "*" {
				return c.NoContent(http.StatusNotModified)
			}
		}
		if c.Request().Method == http.MethodHead {
			header.Set(echo.HeaderContentType, mediaType)
			return c.NoContent(http.StatusOK)
		}
		return c.Blob(http.StatusOK, mediaType, document)
	}
}

// docsPolicy lets the page use its own style sheet, and nothing else at all.
func docsPolicy(page []byte) string {
	_, style, _ := bytes.Cut(page, []byte("<style>"))
	style, _, _ = bytes.Cut(style, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
