package gateway

import (
	"math/big"
	"strconv"
	"strings"
)

// maxNumberBytes bounds the spelling of a number; Stripe's finest decimals have twelve places.
const maxNumberBytes = 40

// wholeNumber reads a JSON number that must be an integer, exactly.
func wholeNumber(text string) (n int64, code, detail string) {
	if strings.ContainsAny(text, ".eE") {
		return 0, faultWrongType, "must be a whole number, written without fraction and exponent"
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, faultOutOfRange, "must be a number of 64 bits"
	}
	return n, "", ""
}

// decimalNumber reads a decimal that stripe-go writes with the given number of places, or with as many as needed when
// places is -1. A value that would be rounded on its way to Stripe is refused.
func decimalNumber(text string, places int) (n float64, code, detail string) {
	const inexact = "has more digits than can be sent exactly"
	exact, ok := exactly(text)
	if !ok {
		return 0, faultOutOfRange, "must be a decimal number of at most " + strconv.Itoa(maxNumberBytes) + " characters"
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, faultOutOfRange, "must be a decimal number in the range of 64 bits"
	}
	sent, ok := new(big.Rat).SetString(strconv.FormatFloat(n, 'f', places, 64))
	if !ok || sent.Cmp(exact) != 0 {
		return 0, faultInexact, inexact
	}
	return n, "", ""
}

// exactly returns the value of a JSON number. Long spellings and large exponents are refused before any arithmetic, because
// a few bytes could ask for gigabytes of digits.
func exactly(text string) (*big.Rat, bool) {
	if len(text) > maxNumberBytes || strings.Trim(text, "-+.0123456789eE") != "" {
		return nil, false
	}
	if _, exponent, found := strings.Cut(strings.ToLower(text), "e"); found {
		if n, err := strconv.Atoi(exponent); err != nil || n < -maxNumberBytes || n > maxNumberBytes {
			return nil, false
		}
	}
	return new(big.Rat).SetString(text)
}
