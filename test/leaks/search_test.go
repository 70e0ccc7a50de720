package leaks_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// piece is a text and the place where it was found. A place is what can be allowed: "database scheduled_tasks.params".
type piece struct{ place, text string }

// source is one thing that is searched.
type source struct {
	name   string
	pieces []piece
}

// hit is a canary where it was found. It does not show the text: this test's output is a log, too.
type hit struct{ canary, form, place string }

func (h hit) String() string { return fmt.Sprintf("%s, %s, in %s", h.canary, h.form, h.place) }

// pattern is one form of one part of a canary.
type pattern struct{ canary, form, text string }

// patterns are what a search looks for, found by their first bytes.
type patterns struct {
	byStart map[uint32][]pattern
	starts  [1 << 16]bool // of the first two bytes
}

const startBytes = 4

func newPatterns(all map[string]canary) *patterns {
	p := &patterns{byStart: map[uint32][]pattern{}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, needle := range all[name].needles {
			for form, text := range forms(needle) {
				start := startOf(text)
				p.byStart[start] = append(p.byStart[start], pattern{name, form, text})
				p.starts[start>>16] = true
			}
		}
	}
	return p
}

func startOf(text string) uint32 {
	return uint32(text[0])<<24 | uint32(text[1])<<16 | uint32(text[2])<<8 | uint32(text[3])
}

// in returns what of the patterns is in a piece, each canary once.
func (p *patterns) in(one piece) []hit {
	var found []hit
	seen := map[string]bool{}
	text := one.text
	for i := 0; i+startBytes <= len(text); i++ {
		if !p.starts[uint16(text[i])<<8|uint16(text[i+1])] {
			continue
		}
		for _, candidate := range p.byStart[startOf(text[i:])] {
			if !seen[candidate.canary] && strings.HasPrefix(text[i:], candidate.text) {
				seen[candidate.canary] = true
				found = append(found, hit{candidate.canary, candidate.form, one.place})
			}
		}
	}
	return found
}

// forms are the ways in which a text may have been written down, by name. Forms that are the text itself are left out.
func forms(needle string) map[string]string {
	inJSON, err := json.Marshal(needle) // escapes HTML as well
	if err != nil {
		panic(err) // a string can always be encoded
	}
	var unescaped strings.Builder
	encoder := json.NewEncoder(&unescaped)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(needle); err != nil {
		panic(err)
	}
	asHex := hex.EncodeToString([]byte(needle))
	all := map[string]string{
		"JSON":                   strings.Trim(string(inJSON), `"`),
		"JSON as PostgreSQL's":   strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(unescaped.String()), `"`), `"`),
		"JSON in JSON":           strings.ReplaceAll(strings.ReplaceAll(strings.Trim(string(inJSON), `"`), `\`, `\\`), `"`, `\"`),
		"quoted by Go":           strings.Trim(strconv.Quote(needle), `"`),
		"quoted by Go in ASCII":  strings.Trim(strconv.QuoteToASCII(needle), `"`),
		"URL-encoded":            url.QueryEscape(needle),
		"URL-encoded in a path":  url.PathEscape(needle),
		"URL-encoded, lowercase": lowerEscapes(url.QueryEscape(needle)),
		"HTML":                   html.EscapeString(needle),
		"hexadecimal":            asHex,
		"HEXADECIMAL":            strings.ToUpper(asHex),
		"a list of bytes":        strings.Trim(fmt.Sprint([]byte(needle)), "[]"),
		"backwards":              backwards(needle),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for offset := range 3 {
			all[fmt.Sprintf("%s at %d", name, offset)] = inside(encoding, needle, offset)
		}
	}
	maps.DeleteFunc(all, func(_, text string) bool { return text == needle })
	all["plain"] = needle
	return all
}

// inside is the part of a base64 text that stands for needle alone, when it begins offset bytes into a group of three.
func inside(encoding *base64.Encoding, needle string, offset int) string {
	encoded := encoding.EncodeToString([]byte(strings.Repeat("x", offset) + needle))
	return encoded[(offset*8+5)/6 : (offset+len(needle))*8/6]
}

// lowerEscapes writes %C3 as %c3.
func lowerEscapes(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			out.WriteString(strings.ToLower(text[i : i+3]))
			i += 2
			continue
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

func backwards(text string) string {
	raw := []byte(text)
	slices.Reverse(raw)
	return string(raw)
}

// document takes a JSON document apart: a piece for each text in it and for each name, whose place is where it stands, as
// in "answer $.data[].params.customer". What is no JSON is one piece.
func document(place, text string) []piece {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var pieces []piece
	for decoder.More() {
		var value any
		if err := decoder.Decode(&value); err != nil {
			return []piece{{place, text}}
		}
		pieces = append(pieces, leaves(place+" $", value)...)
	}
	return pieces
}

func leaves(place string, value any) []piece {
	var pieces []piece
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			pieces = append(pieces, piece{place, name})
			pieces = append(pieces, leaves(place+"."+name, member)...)
		}
	case []any:
		for _, member := range value {
			pieces = append(pieces, leaves(place+"[]", member)...)
		}
	case nil, bool:
	default:
		pieces = append(pieces, piece{place, fmt.Sprint(value)})
	}
	return pieces
}
