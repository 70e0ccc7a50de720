package httpapi

import (
	"net/http"
	"strings"

	"billonce/pkg/billing"
)

const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotent-Replayed"
	maxKeyBytes    = 255
)

// keyOf reads the Idempotency-Key header, "" when there is none. Both spellings in use are taken: the structured-field
// string in quotes of the IETF draft, and the bare text that Stripe and everybody else send.
func keyOf(header http.Header) (string, error) {
	given := header.Values(headerKey)
	if len(given) == 0 {
		return "", nil
	}
	key := given[0]
	ok := len(given) == 1
	if strings.HasPrefix(key, `"`) {
		key, ok = unquoteKey(key)
		ok = ok && len(given) == 1
	}
	if !ok || !isKey(key) {
		return "", malformed("Idempotency-Key must be one text of 1 to 255 printable ASCII characters, bare or in quotes")
	}
	return key, nil
}

func isKey(key string) bool {
	return strings.TrimSpace(key) != "" && len(key) <= maxKeyBytes && !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' })
}

// unquoteKey reads a structured-field string. RFC 9651, section 3.3.3.
func unquoteKey(text string) (key string, ok bool) {
	var out strings.Builder
	for at := 1; at < len(text); at++ {
		switch text[at] {
		case '"':
			return out.String(), at == len(text)-1
		case '\\':
			at++
			if at == len(text) || (text[at] != '"' && text[at] != '\\') {
				return "", false
			}
		}
		out.WriteByte(text[at])
	}
	return "", false
}

func keyRequired(found faults) error {
	return &billing.Error{Code: billing.CodeKeyRequired, Faults: found}
}
