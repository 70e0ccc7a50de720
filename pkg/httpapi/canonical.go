package httpapi

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// appendCanonical appends raw, which [scan] has accepted, in the one form that all spellings of the same value share:
// members sorted by name, no space, the fewest escapes, numbers written out. Answers show a task's params in this form, so
// that a replayed answer is the first one byte by byte although the database keeps jsonb.
func appendCanonical(dst, raw []byte) []byte {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case '{':
		sorted := make([]member, 0, 8)
		for name, value := range members(raw) {
			sorted = append(sorted, member{name: name, raw: value})
		}
		slices.SortFunc(sorted, func(a, b member) int { return strings.Compare(a.name, b.name) })
		dst = append(dst, '{')
		for i, m := range sorted {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, m.name), ':')
			dst = appendCanonical(dst, m.raw)
		}
		return append(dst, '}')
	case '[':
		dst = append(dst, '[')
		for i, value := range elements(raw) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, value)
		}
		return append(dst, ']')
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return append(dst, raw...) // nothing in it needs an escape
		}
		return appendText(dst, unquote(raw))
	case 't', 'f', 'n':
		return append(dst, raw...)
	}
	return appendNumber(dst, string(raw))
}

func appendText(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	written := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(append(dst, text[written:i]...), '\\')
		written = i + 1
		if c < ' ' {
			dst = append(dst, 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return append(append(dst, text[written:]...), '"')
}

// appendNumber writes a number without an exponent and without a negative zero, as PostgreSQL's numeric does.
func appendNumber(dst []byte, text string) []byte {
	if text[0] >= '1' && text[0] <= '9' && strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0 {
		return append(dst, text...)
	}
	mantissa, power, scientific := strings.Cut(strings.ToLower(text), "e")
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if scientific {
		shift, err := strconv.Atoi(power)
		if err != nil || shift > maxExponent || shift < -maxExponent {
			return append(dst, text...) // scan has refused it; never write it out
		}
		if shift >= 0 {
			fraction += strings.Repeat("0", max(shift-len(fraction), 0))
			whole, fraction = whole+fraction[:shift], fraction[shift:]
		} else {
			whole = strings.Repeat("0", max(-shift-len(whole), 0)) + whole
			whole, fraction = whole[:len(whole)+shift], whole[len(whole)+shift:]+fraction
		}
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if negative && strings.Trim(whole+fraction, "0") != "" {
		dst = append(dst, '-')
	}
	dst = append(dst, whole...)
	if fraction != "" {
		dst = append(append(dst, '.'), fraction...)
	}
	return dst
}
