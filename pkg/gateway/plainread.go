package gateway

import "bytes"

// token is a value of a document that is read plainly. An array or object is followed by what is in it, up to end.
type token struct {
	name  []byte // under which it stands in an object
	text  []byte // of a text, a number or a truth value, as it is spelled
	shape shape
	end   int // of the tokens that belong to it
}

// readPlain reads an object into tokens. It reports false for whatever is not JSON, and for what has to be looked at more closely:
// escapes, nulls, exponents, depth and length.
func readPlain(tokens []token, raw []byte) ([]token, bool) {
	r := plainReader{raw: raw, tokens: tokens}
	r.space()
	ok := r.peek() == '{' && r.value(nil, 0)
	r.space()
	return r.tokens, ok && r.at == len(r.raw)
}

type plainReader struct {
	raw    []byte
	at     int
	tokens []token
}

func (r *plainReader) peek() byte {
	if r.at < len(r.raw) {
		return r.raw[r.at]
	}
	return 0 // no part of any token
}

func (r *plainReader) space() {
	for r.at < len(r.raw) && (r.raw[r.at] == ' ' || r.raw[r.at] == '\n' || r.raw[r.at] == '\t' || r.raw[r.at] == '\r') {
		r.at++
	}
}

// value reads one value, and the space after it.
func (r *plainReader) value(name []byte, depth int) bool {
	own := len(r.tokens)
	r.tokens = append(r.tokens, token{name: name, end: own + 1})
	ok := false
	switch c := r.peek(); {
	case depth >= maxDepth:
	case c == '{' || c == '[':
		r.tokens[own].shape = isObject
		if c == '[' {
			r.tokens[own].shape = isArray
		}
		ok = r.members(c+2, depth+1) // the closing bracket, in both cases
		r.tokens[own].end = len(r.tokens)
	case c == '"':
		r.tokens[own].shape = isText
		r.tokens[own].text, ok = r.string()
	case c == 't' || c == 'f':
		r.tokens[own].shape = isBool
		r.tokens[own].text, ok = r.truth()
	default:
		r.tokens[own].shape = isNumber
		r.tokens[own].text, ok = r.number()
	}
	r.space()
	return ok
}

// members reads what is in an array or object, past its end.
func (r *plainReader) members(end byte, depth int) bool {
	r.at++
	r.space()
	if r.peek() == end {
		r.at++
		return true
	}
	for range maxElements {
		var name []byte
		if end == '}' {
			var ok bool
			if name, ok = r.string(); !ok {
				return false
			}
			r.space()
			if r.peek() != ':' {
				return false
			}
			r.at++
			r.space()
		}
		if !r.value(name, depth) {
			return false
		}
		next := r.peek()
		r.at++
		if next == end {
			return true
		}
		if next != ',' {
			return false
		}
		r.space()
	}
	return false
}

func (r *plainReader) string() ([]byte, bool) {
	if r.peek() != '"' {
		return nil, false
	}
	r.at++
	begin := r.at
	for ; r.at < len(r.raw); r.at++ {
		switch c := r.raw[r.at]; {
		case c == '"':
			r.at++
			return r.raw[begin : r.at-1], true
		case c == '\\' || c < ' ':
			return nil, false
		}
	}
	return nil, false
}

func (r *plainReader) truth() ([]byte, bool) {
	for _, word := range [...]string{"true", "false"} {
		if bytes.HasPrefix(r.raw[r.at:], []byte(word)) {
			r.at += len(word)
			return r.raw[r.at-len(word) : r.at], true
		}
	}
	return nil, false
}

func (r *plainReader) number() ([]byte, bool) {
	begin := r.at
	if r.peek() == '-' {
		r.at++
	}
	whole := r.at
	ok := r.digits() && (r.raw[whole] != '0' || r.at == whole+1)
	if r.peek() == '.' {
		r.at++
		ok = r.digits() && ok
	}
	return r.raw[begin:r.at], ok
}

func (r *plainReader) digits() bool {
	begin := r.at
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		r.at++
	}
	return r.at > begin
}
