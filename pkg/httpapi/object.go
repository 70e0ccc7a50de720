package httpapi

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The functions of this file read JSON that [scan] has accepted. They copy nothing but strings: a value is the part of the
// body that spells it, so that a large batch is in memory once.

// member is one name and value of an object.
type member struct {
	name  string
	raw   []byte
	taken bool
}

// object reads the fields of one JSON object. What is wrong with them is added to faults at the field's own pointer.
type object struct {
	pointer string
	members []member
	faults  *faults
}

// readObject returns an empty object, and adds a fault, when raw is another kind of value.
func readObject(raw []byte, pointer string, into *faults) *object {
	o := &object{pointer: pointer, faults: into}
	if raw[0] != '{' {
		into.add(pointer, faultWrongType, "must be an object")
		return o
	}
	o.members = make([]member, 0, 8)
	for name, value := range members(raw) {
		o.members = append(o.members, member{name: name, raw: value})
	}
	return o
}

func (o *object) at(name string) string { return o.pointer + "/" + segment(name) }

func (o *object) fault(name, code, detail string) { o.faults.add(o.at(name), code, detail) }

// take returns the value of a field, nil when there is none.
func (o *object) take(name string) []byte {
	var raw []byte
	for i := range o.members {
		if o.members[i].name == name {
			o.members[i].taken = true
			raw = o.members[i].raw
		}
	}
	return raw
}

// required is take, with a fault when there is no value or null.
func (o *object) required(name string) []byte {
	raw := o.optional(name)
	if raw == nil {
		o.fault(name, faultRequired, "is required")
	}
	return raw
}

// optional is take, with null standing for no value.
func (o *object) optional(name string) []byte {
	raw := o.take(name)
	if isNull(raw) {
		return nil
	}
	return raw
}

// done adds a fault for each field that nobody took.
func (o *object) done() {
	for _, m := range o.members {
		if m.taken {
			continue
		}
		if len(m.name) > maxShownName {
			o.faults.add(o.pointer, faultUnknownField, "has a field that is not known")
			continue
		}
		o.fault(m.name, faultUnknownField, "is not known")
	}
}

// text reads a string of least to most characters. ok is false when raw is nil or wrong.
func (o *object) text(name string, raw []byte, least, most int) (text string, ok bool) {
	if raw == nil {
		return "", false
	}
	if raw[0] != '"' {
		o.fault(name, faultWrongType, "must be a string")
		return "", false
	}
	text = unquote(raw)
	if n := utf8.RuneCountInString(text); n < least || n > most {
		o.fault(name, faultLength, "must have "+strconv.Itoa(least)+" to "+strconv.Itoa(most)+" characters")
		return "", false
	}
	return text, true
}

// integer reads a whole number of least to most. ok is false when raw is nil or wrong.
func (o *object) integer(name string, raw []byte, least, most int) (n int, ok bool) {
	if raw == nil {
		return 0, false
	}
	if (raw[0] != '-' && !isDigit(raw[0])) || bytes.ContainsAny(raw, ".eE") {
		o.fault(name, faultWrongType, "must be a whole number")
		return 0, false
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < least || n > most {
		o.fault(name, faultRange, "must be "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
		return 0, false
	}
	return n, true
}

// boolean reads true or false. ok is false when raw is nil or wrong.
func (o *object) boolean(name string, raw []byte) (value, ok bool) {
	if raw == nil {
		return false, false
	}
	if raw[0] != 't' && raw[0] != 'f' {
		o.fault(name, faultWrongType, "must be true or false")
		return false, false
	}
	return raw[0] == 't', true
}

// isTimestamp looks at the form of RFC 3339; time.Parse takes more (a comma before the fraction, a single digit, a zone of 24 hours).
func isTimestamp(text string) bool {
	rest, ok := fits(text, "dddd-dd-ddTdd:dd:dd")
	if fraction, found := strings.CutPrefix(rest, "."); found {
		rest = strings.TrimLeft(fraction, "0123456789")
		ok = ok && rest != fraction
	}
	if rest == "Z" {
		return ok
	}
	after, zone := fits(strings.Replace(rest, "+", "-", 1), "-dd:dd")
	return ok && zone && after == "" && rest[1:3] < "24" && rest[4] < '6'
}

// fits compares the beginning of text with a form in which d is any digit, and returns the rest.
func fits(text, form string) (rest string, ok bool) {
	if len(text) < len(form) {
		return text, false
	}
	for i := range len(form) {
		if form[i] == 'd' && !isDigit(text[i]) || form[i] != 'd' && text[i] != form[i] {
			return text, false
		}
	}
	return text[len(form):], true
}

// moment reads an RFC 3339 time. ok is false when raw is nil or wrong. Refused are the zero time, which means "now" within, what
// lies before it, which the database reads as no time, and what has five digits to its year in UTC, which no answer could show.
func (o *object) moment(name string, raw []byte) (at time.Time, ok bool) {
	if raw == nil {
		return time.Time{}, false
	}
	if raw[0] != '"' {
		o.fault(name, faultWrongType, "must be a string")
		return time.Time{}, false
	}
	text := unquote(raw)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || !isTimestamp(text) {
		o.fault(name, faultFormat, "must be a time as in RFC 3339, like 2030-01-31T09:00:00Z")
		return time.Time{}, false
	}
	at = at.UTC()
	switch {
	case !at.After(time.Time{}):
		o.fault(name, faultPast, "must not lie in the past")
		return time.Time{}, false
	case at.Year() > 9999:
		o.fault(name, faultFar, "must not lie after the year 9999")
		return time.Time{}, false
	}
	return at, true
}

func isNull(raw []byte) bool { return len(raw) > 0 && raw[0] == 'n' }

// members yields the names and values of an object.
func members(raw []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for at := skipSpace(raw, 1); raw[at] == '"'; {
			end := skipValue(raw, at)
			name := nameOf(raw[at:end])
			at = skipSpace(raw, skipSpace(raw, end)+1) // past the colon
			end = skipValue(raw, at)
			if !yield(name, raw[at:end]) {
				return
			}
			at = skipSpace(raw, end)
			if raw[at] != ',' {
				return
			}
			at = skipSpace(raw, at+1)
		}
	}
}

// elements yields the indexes and values of an array.
func elements(raw []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		at := skipSpace(raw, 1)
		if raw[at] == ']' {
			return
		}
		for index := 0; ; index++ {
			end := skipValue(raw, at)
			if !yield(index, raw[at:end]) {
				return
			}
			at = skipSpace(raw, end)
			if raw[at] != ',' {
				return
			}
			at = skipSpace(raw, at+1)
		}
	}
}

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\n' || raw[at] == '\r') {
		at++
	}
	return at
}

// skipValue returns where the value that begins at at ends.
func skipValue(raw []byte, at int) int {
	depth := 0
	for at < len(raw) {
		switch raw[at] {
		case '"':
			at = skipString(raw, at)
			if depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return at + 1
			}
			if depth < 0 {
				return at
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return at
			}
		}
		at++
	}
	return at
}

func skipString(raw []byte, at int) int {
	at++
	if end := at + bytes.IndexByte(raw[at:], '"'); bytes.IndexByte(raw[at:end], '\\') < 0 {
		return end + 1
	}
	for ; raw[at] != '"'; at++ {
		if raw[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// nameOf is unquote for names, of which a batch repeats the same ones thousands of times.
func nameOf(raw []byte) string {
	switch string(raw) { // compared without a copy
	case `"merchant_id"`:
		return "merchant_id"
	case `"kind"`:
		return "kind"
	case `"target"`:
		return "target"
	case `"params"`:
		return "params"
	case `"run_at"`:
		return "run_at"
	case `"metadata"`:
		return "metadata"
	case `"idempotency_key"`:
		return fieldIdempotencyKey
	case `"amount"`:
		return "amount"
	case `"currency"`:
		return "currency"
	case `"customer"`:
		return "customer"
	case `"description"`:
		return "description"
	}
	return unquote(raw)
}

// unquote returns the content of a JSON string.
func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	text := ""
	if err := json.Unmarshal(raw, &text); err != nil {
		panic("httpapi: unquote of a string that was not scanned")
	}
	return text
}
