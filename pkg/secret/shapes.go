package secret

import (
	"regexp"
	"strings"
)

// shapes are texts that look like credentials whatever they are called: Stripe's keys, tokens and client secrets, keys of
// this service, bearer headers, passwords in URLs, and numbers of payment cards.
var shapes = regexp.MustCompile(`\b(?:sk|rk|rt|ac|whsec|pi|seti|cs|bo)_(?:live|test)?_?[A-Za-z0-9_]{8,}_?(?:secret_[A-Za-z0-9]+)?|` +
	`(?i:\b(?:bearer|basic))\s+\S+|://[^/\s:@]*:[^\s]*@|\b[3-6]\d{12,18}\b|\b[3-6]\d{3}(?:[ -]\d{4}){3}\b`)

// Scrub returns text with everything in it that looks like a credential or a card's number replaced by [Redacted].
//
// It is the last net, for texts of other people's making: what is known to be confidential is a [Text], and never gets
// this far. The ids of Stripe's objects stay as they are.
func Scrub(text string) string {
	return shapes.ReplaceAllStringFunc(text, func(found string) string {
		switch {
		case strings.HasPrefix(found, "://"):
			return "://" + Redacted + "@"
		case isObject(found):
			if id, _, ok := strings.Cut(found, clientSecret); ok {
				return id + clientSecret + Redacted
			}
			return found
		case found[0] >= '3' && found[0] <= '6' && !isCard(found):
			return found
		}
		return Redacted
	})
}

// Resembles reports whether there is anything in text that [Scrub] would replace.
func Resembles(text string) bool { return Scrub(text) != text }

const clientSecret = "_secret_" // between an object's id and what lets anybody act on the object

// isObject reports whether a shape begins with the id of one of Stripe's objects, which alone is no secret.
func isObject(found string) bool {
	for _, prefix := range []string{"pi_", "seti_", "cs_"} {
		if strings.HasPrefix(found, prefix) {
			return true
		}
	}
	return false
}

// isCard reports whether the last digit is the check digit of the others, by Luhn's formula: of the numbers that are not of
// cards, nine in ten have another.
func isCard(number string) bool {
	sum, doubled := 0, false
	for i := len(number) - 1; i >= 0; i-- {
		if number[i] < '0' || number[i] > '9' {
			continue
		}
		digit := int(number[i] - '0')
		if doubled {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum, doubled = sum+digit, !doubled
	}
	return sum%10 == 0
}
