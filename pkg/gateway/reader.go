package gateway

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// reader reads a text that is known to be valid JSON. What it returns are parts of the text: of all that is scheduled nearly every
// parameter is read once, here, and encoding/json's decoder would allocate several times for each.
type reader struct {
	text   string
	at     int
	faults *faults
}

// value reads one value; it reports false when it gave up.
func (r *reader) value(p *place, depth int) (value, bool) {
	if depth > maxDepth {
		r.faults.add(p.pointer(), faultTooDeep, "is nested too deeply")
		return value{}, false
	}
	r.space()
	switch c := r.text[r.at]; c {
	case '{':
		return r.object(p, depth)
	case '[':
		return r.array(p, depth)
	case '"':
		text := r.string()
		if strings.Contains(text, "\x00") {
			r.faults.add(p.pointer(), faultEncoding, "must not contain the character U+0000")
			text = ""
		}
		return value{shape: isText, text: text}, true
	default:
		begin := r.at
		for r.at < len(r.text) && !strings.ContainsRune(",]} \t\r\n", rune(r.text[r.at])) {
			r.at++
		}
		switch c {
		case 'n':
			return value{shape: isNull}, true
		case 't', 'f':
			return value{shape: isBool, truth: c == 't'}, true
		}
		return value{shape: isNumber, text: r.text[begin:r.at]}, true
	}
}

func (r *reader) array(p *place, depth int) (value, bool) {
	array := value{shape: isArray}
	for i := 0; r.more(']'); i++ {
		if i == maxElements {
			r.faults.add(p.pointer(), faultTooLong, "must have at most "+strconv.Itoa(maxElements)+" entries")
			return value{}, false
		}
		element, ok := r.value(p.element(strconv.Itoa(i)), depth+1)
		if !ok {
			return value{}, false
		}
		array.members = append(array.members, element)
	}
	return array, true
}

func (r *reader) object(p *place, depth int) (value, bool) {
	const few = 16 // names among which a search is faster than a map
	object := value{shape: isObject}
	var seen map[string]bool
	for r.more('}') {
		name := r.string()
		r.space()
		r.at++ // the colon
		here := p.member(name)
		member, ok := r.value(here, depth+1)
		if !ok {
			return value{}, false
		}
		if seen[name] || len(object.names) <= few && slices.Contains(object.names, name) {
			r.faults.add(here.pointer(), faultDuplicate, "is there more than once")
			continue
		}
		object.names = append(object.names, name)
		object.members = append(object.members, member)
		switch {
		case seen != nil:
			seen[name] = true
		case len(object.names) > few:
			seen = make(map[string]bool, 2*few)
			for _, name := range object.names {
				seen[name] = true
			}
		}
	}
	return object, true
}

// more goes to the next member, past the bracket or comma before it; false is the end, which is passed too.
func (r *reader) more(end byte) bool {
	r.space()
	first := r.text[r.at] == '{' || r.text[r.at] == '['
	if r.text[r.at] == end {
		r.at++
		return false
	}
	r.at++ // the opening bracket, or a comma
	r.space()
	if first && r.text[r.at] == end {
		r.at++
		return false
	}
	return true
}

func (r *reader) space() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

// string reads a string.
func (r *reader) string() string {
	begin, plain := r.at, true
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			r.at++
			plain = false
		}
	}
	r.at++
	if plain {
		return r.text[begin+1 : r.at-1]
	}
	text := ""
	if err := json.Unmarshal([]byte(r.text[begin:r.at]), &text); err != nil {
		panic("gateway: a string of valid JSON that is no string")
	}
	return text
}
