package gateway

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"billonce/pkg/billing"
)

// Bounds of what is read. Stripe itself takes no parameter nested deeper than six levels and no list longer than a few
// hundred entries.
const (
	maxParamsBytes = 64 << 10
	maxDepth       = 16
	maxElements    = 1000
	maxFaults      = 100
	maxNameBytes   = 64 // of a name that may be repeated in a pointer
)

// The codes of faults.
const (
	faultUnknownKind      = "unknown_kind"
	faultNotEnabled       = "not_enabled"
	faultRequired         = "required"
	faultForbidden        = "forbidden"
	faultInvalid          = "invalid"
	faultWrongObject      = "wrong_object"
	faultUnknownParameter = "unknown_parameter"
	faultWrongType        = "wrong_type"
	faultNull             = "null"
	faultDuplicate        = "duplicate"
	faultReserved         = "reserved"
	faultOutOfRange       = "out_of_range"
	faultInexact          = "inexact"
	faultTooLong          = "too_long"
	faultTooDeep          = "too_deep"
	faultMalformed        = "malformed"
	faultEncoding         = "encoding"
)

// faults collects what is wrong, up to a bound that keeps an answer readable.
type faults struct{ list []billing.Fault }

func (f *faults) add(pointer, code, detail string) {
	if len(f.list) < maxFaults {
		f.list = append(f.list, billing.Fault{Pointer: pointer, Code: code, Detail: detail})
	}
}

// at returns the pointer to a member of what pointer points to. A name too long to be a parameter's is not repeated: the
// pointer then stays where it is.
func at(pointer, name string) string {
	if len(name) > maxNameBytes {
		return pointer
	}
	return pointer + "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// shape is the type of a JSON value.
type shape int

const (
	isNull shape = iota
	isBool
	isNumber
	isText
	isArray
	isObject
)

// value is a JSON value whose order and number spelling are kept. Under a name that came twice, the first value stays.
type value struct {
	shape   shape
	text    string // of a text or a number
	truth   bool
	names   []string // of an object's members
	members []value  // of an object or array
}

// member returns the value under name.
func (v value) member(name string) (value, bool) {
	if i := slices.Index(v.names, name); i >= 0 {
		return v.members[i], true
	}
	return value{}, false
}

// readDocument reads a JSON object strictly. Nothing at all is an empty object. It reports false when the faults leave
// nothing to look at.
func readDocument(raw json.RawMessage, pointer string, into *faults) (value, bool) {
	switch {
	case len(raw) == 0:
		return value{shape: isObject}, true
	case len(raw) > maxParamsBytes:
		into.add(pointer, faultTooLong, "must be at most "+strconv.Itoa(maxParamsBytes)+" bytes")
	case !utf8.Valid(raw):
		into.add(pointer, faultEncoding, "must be UTF-8")
	case !json.Valid(raw):
		into.add(pointer, faultMalformed, "must be JSON")
	case hasLoneSurrogate(raw):
		into.add(pointer, faultEncoding, "must escape characters as whole surrogate pairs")
	default:
		reader := reader{text: string(raw), faults: into}
		document, ok := reader.value(&place{name: pointer}, 0)
		if ok && document.shape == isNull {
			into.add(pointer, faultNull, "must be an object; leave it out if there is nothing to say")
		} else if ok && document.shape != isObject {
			into.add(pointer, faultWrongType, "must be an object")
		}
		return document, ok && document.shape == isObject
	}
	return value{}, false
}

// hasLoneSurrogate reports whether valid JSON escapes one half of a surrogate pair alone, which a decoder would replace
// unnoticed by another character.
func hasLoneSurrogate(raw []byte) bool {
	high := false
	for i := 0; i < len(raw); i++ {
		escape := raw[i] == '\\' && raw[i+1] == 'u'
		isHigh, isLow := false, false
		if escape {
			unit, err := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
			if err != nil {
				return true
			}
			isHigh, isLow = unit&0xfc00 == 0xd800, unit&0xfc00 == 0xdc00
		}
		if high != isLow {
			return true
		}
		high = isHigh
		switch {
		case escape:
			i += 5
		case raw[i] == '\\':
			i++
		}
	}
	return high
}
