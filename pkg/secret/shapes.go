package secret

import (
	"regexp"
	"strings"
)

// credentials are texts that give somebody access whatever they are called, and what is put in their place. Where a name
// belongs to no key unless it stands alone, it may follow an escape of another encoding, whose last character is none of its own.
//
// A shape that is added here must be found by [mayHoldCredential] as well, or it is never looked for.
var credentials = []struct {
	shape *regexp.Regexp
	with  string
}{
	// Stripe's keys and tokens, and keys of this service
	{regexp.MustCompile(`(?:sk|rk|ek|rt|ac|bo)_(?:live|test)_[A-Za-z0-9_]{8,}|whsec_[A-Za-z0-9_+/=]{8,}`), Redacted},
	{regexp.MustCompile(`(^|[^A-Za-z0-9]|%[0-9A-Fa-f]{2}|\\[bfnrtv]|\\u[0-9A-Fa-f]{4})(?:sk|rk|ek|rt|ac|bo)_[A-Za-z0-9_]{8,}`), "${1}" + Redacted},
	// What lets anybody act on the object that is named before it; the id alone is no secret.
	{regexp.MustCompile(`_secret_[A-Za-z0-9_%]+`), "_secret_" + Redacted},
	// Headers. Without the header's name these are words as well: "basic plan".
	{regexp.MustCompile(`(?i)(authorization(?:\W|%3A|%20)+)(?:bearer|basic)(?:\s|%20|\+)+\S+`), "${1}" + Redacted},
	{regexp.MustCompile(`(?i)(?:bearer|basic)(?:\s|%20|\+)+[A-Za-z0-9+/=._~-]{8,}`), Redacted},
	// Passwords in the URL of a database, and in its other form
	{regexp.MustCompile(`://[^/\s:@]*:[^\s]*@`), "://" + Redacted + "@"},
	{regexp.MustCompile(`(?i)(password(?:\s*=\s*|%3D))(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?|[^\s&]+)`), "${1}" + Redacted},
}

// Scrub returns text with everything in it that looks like a credential or a card's number replaced by [Redacted].
//
// It is the last net, for texts of other people's making: what is known to be confidential is a [Text], and never gets
// this far. The ids of Stripe's objects stay as they are.
func Scrub(text string) string {
	if mayHoldCredential(text) {
		text = scrubCredentials(text)
	}
	return scrubCards(text)
}

// Resembles reports whether there is anything in text that [Scrub] would replace.
func Resembles(text string) bool {
	start, _ := findCard(text, 0)
	return start >= 0 || ResemblesCredential(text)
}

// ResemblesCredential is [Resembles] for texts that may well be a number: of those, one in ten could be a card's.
func ResemblesCredential(text string) bool {
	return mayHoldCredential(text) && scrubCredentials(text) != text
}

func scrubCredentials(text string) string {
	for _, each := range credentials {
		text = each.shape.ReplaceAllString(text, each.with)
	}
	return text
}

// mayHoldCredential reports whether there is anything in text that every one of the credentials has. Regular expressions
// cost more than all else that is done with a line of the log, of which hardly any holds one.
func mayHoldCredential(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '_':
			if mayBeKey(text, i) {
				return true
			}
		case ':':
			if strings.HasPrefix(text[i:], "://") && strings.IndexByte(text[i:], '@') > 0 {
				return true
			}
		case 'b', 'B':
			if hasPrefixFold(text[i:], "bearer") || hasPrefixFold(text[i:], "basic") {
				return true
			}
		case 'p', 'P':
			if hasPrefixFold(text[i:], "password") {
				return true
			}
		}
	}
	return false
}

// mayBeKey reports whether the underscore at i could be the first of a key, or the one before a client secret.
func mayBeKey(text string, i int) bool {
	after := text[i+1:]
	if strings.HasPrefix(after, "secret_") || strings.HasSuffix(text[:i], "whsec") {
		return true
	}
	if i < 2 {
		return false
	}
	switch text[i-2 : i] {
	case "sk", "rk", "ek", "rt", "ac", "bo":
	default:
		return false
	}
	if strings.HasPrefix(after, "live_") || strings.HasPrefix(after, "test_") {
		return true
	}
	before := text[:i-2]
	n := len(before)
	return n == 0 || !isAlphanumeric(before[n-1]) || // or behind an escape: "%20", "\n", "\u0026"
		n >= 3 && before[n-3] == '%' || n >= 2 && before[n-2] == '\\' || n >= 6 && before[n-6] == '\\'
}

// hasPrefixFold is strings.HasPrefix for a prefix of small ASCII letters, whatever the case in text. The regular expressions
// also take the long s, which Unicode folds to s, for which this returns true before it has seen the rest.
func hasPrefixFold(text, prefix string) bool {
	if len(text) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if text[i] >= 0x80 && prefix[i] == 's' {
			return true
		}
		if text[i]|0x20 != prefix[i] {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool { return isDigit(c) || isLetter(c) }
func isLetter(c byte) bool       { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool        { return c >= '0' && c <= '9' }
