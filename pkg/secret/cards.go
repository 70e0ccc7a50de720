package secret

import "strings"

// layouts are how the digits of a card's number are grouped when people write them; the longest first.
var layouts = [][]int{{4, 4, 4, 4, 3}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}}

// scrubCards returns text with the numbers of payment cards replaced by [Redacted].
func scrubCards(text string) string {
	start, end := findCard(text, 0)
	if start < 0 {
		return text
	}
	var scrubbed strings.Builder
	from := 0
	for start >= 0 {
		scrubbed.WriteString(text[from:start])
		scrubbed.WriteString(Redacted)
		from = end
		start, end = findCard(text, from)
	}
	scrubbed.WriteString(text[from:])
	return scrubbed.String()
}

// findCard returns where the first number of a card at or after from begins and ends, -1 if there is none. It is no part of a
// longer number, nor followed by a letter, as the digits of most hashes are.
func findCard(text string, from int) (start, end int) {
	for i := from; i < len(text); {
		if !isDigit(text[i]) {
			i++
			continue
		}
		next := endOfDigits(text, i)
		if i > 0 && text[i-1] == '%' && next-i > 2 {
			i += 2 // of an escape: "%20"
		}
		switch n := next - i; {
		case n >= 13 && n <= 19:
			if endsThere(text, next) && isCard(text[i:next]) {
				return i, next
			}
		case n == 4:
			if end := findGrouped(text, i); end > 0 {
				return i, end
			}
		}
		i = next
	}
	return -1, -1
}

// findGrouped returns where the grouped number of a card that begins at i ends, 0 if there is none.
func findGrouped(text string, i int) int {
	for _, layout := range layouts {
		if end := endOfLayout(text, i, layout); end > 0 && endsThere(text, end) && isCard(text[i:end]) && !inUUID(text, i) {
			return end
		}
	}
	return 0
}

// endOfLayout returns where the groups of digits that begin at i end, 0 if they are of other lengths.
func endOfLayout(text string, i int, layout []int) int {
	for n, length := range layout {
		if n > 0 {
			gap := separatorAt(text, i)
			if gap == 0 {
				return 0
			}
			i += gap
		}
		if endOfDigits(text, i)-i != length {
			return 0
		}
		i += length
	}
	return i
}

// separatorAt returns the length of what stands at i between two groups of digits, 0 if that is nothing of the kind.
func separatorAt(text string, i int) int {
	if i >= len(text) {
		return 0
	}
	switch text[i] {
	case ' ', '-', '.', '_', '+', '\t':
		return 1
	case 0xC2: // a space that does not break
		if strings.HasPrefix(text[i:], "\u00a0") {
			return 2
		}
	case 0xE2: // spaces and hyphens of typesetters
		if rest := text[i:]; len(rest) > 2 && rest[1] == 0x80 && (rest[2] <= 0x95 || rest[2] == 0xAF) {
			return 3
		}
	case '%':
		if strings.HasPrefix(text[i:], "%20") {
			return 3
		}
	}
	return 0
}

func endOfDigits(text string, i int) int {
	for i < len(text) && isDigit(text[i]) {
		i++
	}
	return i
}

func endsThere(text string, end int) bool { return end == len(text) || !isLetter(text[end]) }

// inUUID reports whether the groups at i belong to a UUID: they would begin with the end of its first group, or its second.
func inUUID(text string, i int) bool {
	for _, start := range []int{i - 4, i - 9} {
		if start >= 0 && len(text) >= start+36 && isUUID(text[start:start+36]) {
			return true
		}
	}
	return false
}

func isUUID(text string) bool {
	for i := range len(text) {
		switch i {
		case 8, 13, 18, 23:
			if text[i] != '-' {
				return false
			}
		default:
			if c := text[i] | 0x20; !isDigit(text[i]) && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// isCard reports whether some brand's numbers begin and are as long as this one, and whether the last digit is the check digit
// of the others, by Luhn's formula: of the numbers that are not of cards, nine in ten have another.
func isCard(number string) bool {
	var digits [19]byte
	n := 0
	for i := 0; i < len(number); i++ {
		switch c := number[i]; {
		case c == '%':
			i += len("20")
		case isDigit(c):
			digits[n] = c - '0'
			n++
		}
	}
	sum := 0
	for i := range n {
		digit := int(digits[n-1-i])
		if i%2 == 1 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0 && isBrand(digits[:n])
}

func isBrand(digits []byte) bool {
	switch digits[0] {
	case 2: // Mastercard's second range
		begin := int(digits[0])*1000 + int(digits[1])*100 + int(digits[2])*10 + int(digits[3])
		return len(digits) == 16 && begin >= 2221 && begin <= 2720
	case 3:
		switch digits[1] {
		case 4, 7: // American Express
			return len(digits) == 15
		case 0, 6, 8, 9: // Diners Club
			return len(digits) >= 14
		case 5: // JCB
			return len(digits) >= 16
		}
		return false
	case 4, 5, 6:
		return true
	}
	return false
}
