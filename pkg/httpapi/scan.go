package httpapi

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"billonce/pkg/billing"
)

// Bounds of a JSON text. Stripe's deepest parameters are six levels down; numbers beyond these digits would not come out
// of the database as they went in.
const (
	maxDepth       = 32
	maxNumberBytes = 40
	maxExponent    = 40
	maxShownName   = 64 // longer names are not repeated in pointers
)

// step is one part of the path to the place being scanned: a member's name, or an element's index.
type step struct {
	name    string
	index   int
	element bool
}

type scanner struct {
	doc    []byte
	at     int
	path   []step
	names  []string // of the objects being scanned, so far
	faults faults
}

// manyNames is how many names of an object are rather kept in a map than looked through.
const manyNames = 16

// scan checks that doc is exactly one JSON text (RFC 8259) that every reader understands in the same way. What cannot be
// read at all is an error with code [billing.CodeMalformed]; what can be read in more than one way (a name given twice), or
// not be stored (U+0000, half of a surrogate pair, an absurd number), is a fault with its pointer.
//
// encoding/json is not used for this because it takes all of these silently, and matches names in any letter case.
func scan(doc []byte) (faults, error) {
	s := scanner{doc: doc}
	if !utf8.Valid(doc) {
		return nil, malformed("the body is not UTF-8")
	}
	s.space()
	if s.at == len(doc) {
		return nil, malformed("the body is empty")
	}
	if err := s.value(); err != nil {
		return nil, err
	}
	s.space()
	if s.at != len(doc) {
		return nil, malformed("the body goes on after the end of the JSON value")
	}
	return s.faults, nil
}

func malformed(message string) error {
	return &billing.Error{Code: billing.CodeMalformed, Message: message}
}

func (s *scanner) broken() error {
	return malformed(fmt.Sprintf("the body is not valid JSON at byte %d", s.at))
}

func (s *scanner) space() { s.at = skipSpace(s.doc, s.at) }

// peek returns the next byte, 0 at the end. A 0 in the text is no part of any JSON token, so the two need no telling apart.
func (s *scanner) peek() byte {
	if s.at < len(s.doc) {
		return s.doc[s.at]
	}
	return 0
}

func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if len(s.path) >= maxDepth {
			return malformed("the body is nested too deeply")
		}
		if c == '{' {
			return s.object()
		}
		return s.array()
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || isDigit(c):
		return s.number()
	}
	for _, literal := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.doc[s.at:], []byte(literal)) {
			s.at += len(literal)
			return nil
		}
	}
	return s.broken()
}

func (s *scanner) object() error {
	s.at++
	var seen map[string]bool
	begin := len(s.names)
	defer func() { s.names = s.names[:begin] }()
	for first := true; ; first = false {
		s.space()
		if s.peek() == '}' && first {
			s.at++
			return nil
		}
		if s.peek() != '"' {
			return s.broken()
		}
		spelled, err := s.text()
		if err != nil {
			return err
		}
		name := nameOf(spelled)
		s.path = append(s.path, step{name: name})
		if seen[name] || seen == nil && slices.Contains(s.names[begin:], name) {
			s.fault(faultDuplicate, "is given more than once")
		}
		if s.names = append(s.names, name); len(s.names)-begin > manyNames {
			seen = remember(seen, s.names[begin:])
		}
		s.space()
		if s.peek() != ':' {
			return s.broken()
		}
		s.at++
		s.space()
		if err := s.value(); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		if done, err := s.next('}'); done || err != nil {
			return err
		}
	}
}

// remember adds the last of names to seen, or all when there is no map yet.
func remember(seen map[string]bool, names []string) map[string]bool {
	if seen == nil {
		seen = make(map[string]bool, 2*len(names))
		for _, name := range names {
			seen[name] = true
		}
	}
	seen[names[len(names)-1]] = true
	return seen
}

func (s *scanner) array() error {
	s.at++
	s.space()
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for index := 0; ; index++ {
		s.path = append(s.path, step{index: index, element: true})
		s.space()
		if err := s.value(); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		if done, err := s.next(']'); done || err != nil {
			return err
		}
	}
}

// next reads the comma before another element, or the end.
func (s *scanner) next(end byte) (done bool, err error) {
	s.space()
	switch s.peek() {
	case end:
		s.at++
		return true, nil
	case ',':
		s.at++
		return false, nil
	}
	return false, s.broken()
}

// text reads a string and returns it as it is spelled; what cannot be stored in it is a fault at the current place.
func (s *scanner) text() ([]byte, error) {
	start := s.at
	s.at++
	for {
		for s.at < len(s.doc) && s.doc[s.at] >= ' ' && s.doc[s.at] != '"' && s.doc[s.at] != '\\' {
			s.at++
		}
		switch s.peek() {
		case '"':
			s.at++
			return s.doc[start:s.at], nil
		case '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default: // a control character, or the end of the body
			return nil, s.broken()
		}
	}
}

func (s *scanner) escape() error {
	s.at++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
	default:
		return s.broken()
	}
	unit, err := s.unit()
	if err != nil {
		return err
	}
	switch {
	case unit == 0:
		s.fault(faultCharacter, "must not contain U+0000")
	case unit >= 0xdc00 && unit <= 0xdfff:
		s.fault(faultCharacter, "must not contain half of a surrogate pair")
	case unit >= 0xd800 && unit <= 0xdbff:
		if !bytes.HasPrefix(s.doc[s.at:], []byte(`\u`)) {
			s.fault(faultCharacter, "must not contain half of a surrogate pair")
			return nil
		}
		s.at++
		before := s.at
		low, err := s.unit()
		if err != nil {
			return err
		}
		if low < 0xdc00 || low > 0xdfff {
			s.fault(faultCharacter, "must not contain half of a surrogate pair")
			s.at = before - 1 // it may be half of a pair, or U+0000, itself
		}
	}
	return nil
}

// unit reads the "uXXXX" of an escape.
func (s *scanner) unit() (uint64, error) {
	digits := s.doc[s.at+1 : min(s.at+5, len(s.doc))]
	for _, c := range digits {
		if !isHex(c) {
			return 0, s.broken()
		}
	}
	unit, err := strconv.ParseUint(string(digits), 16, 16)
	if err != nil || len(digits) != 4 {
		return 0, s.broken()
	}
	s.at += 5
	return unit, nil
}

func (s *scanner) number() error {
	start := s.at
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if s.digits() == 0 {
		return s.broken()
	}
	if s.peek() == '.' {
		s.at++
		if s.digits() == 0 {
			return s.broken()
		}
	}
	exponent := 0
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		from := s.at
		if s.digits() == 0 {
			return s.broken()
		}
		var err error
		if exponent, err = strconv.Atoi(string(s.doc[from:s.at])); err != nil {
			exponent = maxExponent + 1
		}
	}
	if s.at-start > maxNumberBytes || exponent > maxExponent {
		s.fault(faultRange, "is a number with too many digits")
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	return s.at - start
}

func (s *scanner) fault(code, detail string) {
	if !s.faults.full() {
		s.faults.add(s.pointer(), code, detail)
	}
}

// pointer is the place being scanned; under a name too long to be repeated, the object that has it.
func (s *scanner) pointer() string {
	var text []byte
	for _, part := range s.path {
		if part.element {
			text = strconv.AppendInt(append(text, '/'), int64(part.index), 10)
			continue
		}
		if len(part.name) > maxShownName {
			break
		}
		text = append(append(text, '/'), segment(part.name)...)
	}
	return string(text)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')
}
