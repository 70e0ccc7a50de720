package gateway

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/stripe/stripe-go/v76/form"

	"billonce/pkg/billing"
)

// Nearly all parameters say nothing unusual: they are right, nothing is unset by an empty value, no text is escaped. Of such the body
// is written in one pass, without filling and reading stripe-go's structures; everything else, all faults among it, is left to
// [Freezer.encode]. A test holds the two against each other.

// plainShape is what a parameter must be to be written plainly.
type plainShape int

const (
	plainNever plainShape = iota
	plainText
	plainBool
	plainWhole
	plainDecimal
	plainObject
	plainTexts   // a list
	plainObjects // a list
	plainNotes   // metadata
)

// plainField is one parameter.
type plainField struct {
	index  int // stripe-go writes in the order of the struct
	shape  plainShape
	places int         // of a decimal
	inner  plainFields // of objects
}

type plainFields map[string]plainField

// plainly learns from the schema how the parameters of a struct are written; known are the structs that were asked for before.
func (s schema) plainly(typ reflect.Type, known map[reflect.Type]plainFields) plainFields {
	if fields, ok := known[typ]; ok {
		return fields
	}
	fields := plainFields{}
	known[typ] = fields
	for name, from := range s[typ] {
		to := plainField{index: from.index, shape: plainShapeOf(from.typ), places: from.places}
		if to.shape == plainObject || to.shape == plainObjects {
			inner := from.typ.Elem()
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if to.inner = s.plainly(inner, known); !s.isPlain(inner) {
				to.shape = plainNever
			}
		}
		fields[name] = to
	}
	return fields
}

// isPlain reports whether stripe-go writes the fields of a struct and no more. A struct may append by itself, and is taken to append
// the words in place of numbers if it has flags for them.
func (s schema) isPlain(typ reflect.Type) bool {
	if !reflect.PointerTo(typ).Implements(reflect.TypeFor[form.Appender]()) {
		return true
	}
	for _, field := range s[typ] {
		if len(field.literals) > 0 {
			return true
		}
	}
	return false
}

func plainShapeOf(typ reflect.Type) plainShape {
	switch typ {
	case reflect.TypeFor[*string]():
		return plainText
	case reflect.TypeFor[*bool]():
		return plainBool
	case reflect.TypeFor[*int64]():
		return plainWhole
	case reflect.TypeFor[*float64]():
		return plainDecimal
	case reflect.TypeFor[[]*string]():
		return plainTexts
	case reflect.TypeFor[map[string]string]():
		return plainNotes
	}
	switch {
	case typ.Kind() == reflect.Pointer && typ.Elem().Kind() == reflect.Struct:
		return plainObject
	case typ.Kind() == reflect.Slice && typ.Elem().Elem().Kind() == reflect.Struct:
		return plainObjects
	}
	return plainNever
}

// plainWriter writes one body. What it needs is kept for the next.
type plainWriter struct {
	tokens []token
	id     billing.TaskID // for the object's own metadata, "" for none
	key    []byte         // of what is being written, escaped
	body   []byte
}

var plainWriters = sync.Pool{New: func() any { return new(plainWriter) }} //nolint:gochecknoglobals // a pool

// encodePlainly returns the body of a task, and false for parameters that are not plain.
func (f Freezer) encodePlainly(id billing.TaskID, kind billing.Kind, operation operation, params []byte) (string, bool) {
	if len(params) > maxParamsBytes || !utf8.Valid(params) || operation.plain == nil {
		return "", false
	}
	w := plainWriters.Get().(*plainWriter) //nolint:forcetypeassert,errcheck // nothing else is put there
	defer func() {
		clear(w.tokens) // they hold on to the request
		plainWriters.Put(w)
	}()
	var ok bool
	if w.tokens, ok = readPlain(w.tokens[:0], params); !ok || !w.has(operation.required) {
		return "", false
	}
	w.key, w.body, w.id = w.key[:0], w.body[:0], ""
	if kind.Creates() {
		w.id = id
	}
	if !w.object(0, operation.plain) {
		return "", false
	}
	return string(w.body), true
}

// has reports whether there is one parameter of each group.
func (w *plainWriter) has(required [][]string) bool {
	for _, group := range required {
		found := false
		for at := 1; at < w.tokens[0].end && !found; at = w.tokens[at].end {
			found = slices.Contains(group, string(w.tokens[at].name))
		}
		if !found {
			return false
		}
	}
	return true
}

// member is a parameter of the document with what is known about it; at is 0 for metadata that only the mark is in.
type member struct {
	field plainField
	at    int
}

// object writes the members of an object in the order of the struct.
func (w *plainWriter) object(object int, fields plainFields) bool {
	var room [12]member
	members := room[:0]
	marked := object != 0 || w.id == ""
	for at := object + 1; at < w.tokens[object].end; at = w.tokens[at].end {
		field, ok := fields[string(w.tokens[at].name)]
		if !ok {
			return false
		}
		members = append(members, member{field, at})
		marked = marked || field.shape == plainNotes && string(w.tokens[at].name) == metadataName
	}
	if !marked {
		members = append(members, member{fields[metadataName], 0})
	}
	slices.SortFunc(members, func(a, b member) int { return a.field.index - b.field.index })
	for i, one := range members {
		if i > 0 && one.field.index == members[i-1].field.index {
			return false // it is there twice
		}
		name := w.tokens[one.at].name
		if one.at == 0 {
			name = []byte(metadataName)
		}
		before := w.under(name)
		if !w.parameter(one.at, one.field, object == 0 && w.id != "" && string(name) == metadataName) {
			return false
		}
		w.key = w.key[:before]
	}
	return true
}

// parameter writes one parameter under the key that has been set. marked is for metadata to which the task's id belongs.
func (w *plainWriter) parameter(at int, field plainField, marked bool) bool {
	token := w.tokens[at]
	switch field.shape {
	case plainText:
		return token.shape == isText && w.text(token.text)
	case plainBool:
		return token.shape == isBool && w.text(token.text)
	case plainWhole:
		if token.shape != isNumber {
			return false
		}
		n, code, _ := wholeNumber(string(token.text))
		w.begin()
		w.body = strconv.AppendInt(w.body, n, 10)
		return code == ""
	case plainDecimal:
		if token.shape != isNumber && token.shape != isText {
			return false
		}
		n, code, _ := decimalNumber(string(token.text), field.places)
		w.begin()
		w.body = strconv.AppendFloat(w.body, n, 'f', field.places, 64)
		return code == ""
	case plainObject:
		return token.shape == isObject && w.object(at, field.inner)
	case plainTexts, plainObjects:
		return token.shape == isArray && w.list(at, field)
	case plainNotes:
		return w.notes(at, marked)
	case plainNever:
	}
	return false
}

func (w *plainWriter) list(list int, field plainField) bool {
	number := 0
	for at := list + 1; at < w.tokens[list].end; at = w.tokens[at].end {
		var digits [8]byte
		before, written := w.under(strconv.AppendInt(digits[:0], int64(number), 10)), len(w.body)
		element := w.tokens[at]
		ok := element.shape == isText && field.shape == plainTexts && w.text(element.text) ||
			element.shape == isObject && field.shape == plainObjects && w.object(at, field.inner)
		if !ok || len(w.body) == written {
			return false
		}
		w.key = w.key[:before]
		number++
	}
	return number > 0
}

// notes writes metadata, sorted by name.
func (w *plainWriter) notes(notes int, marked bool) bool {
	type note struct{ name, text []byte }
	var room [12]note
	list := room[:0]
	if notes != 0 {
		if w.tokens[notes].shape != isObject {
			return false
		}
		for at := notes + 1; at < w.tokens[notes].end; at = w.tokens[at].end {
			token := w.tokens[at]
			if token.shape != isText || utf8.RuneCount(token.text) > maxMetadataValue || !isPlainName(token.name) {
				return false
			}
			list = append(list, note{token.name, token.text})
		}
	}
	if marked {
		list = append(list, note{[]byte(taskIDMetadata), []byte(w.id)})
	}
	slices.SortFunc(list, func(a, b note) int { return bytes.Compare(a.name, b.name) })
	for i, one := range list {
		before := w.under(one.name)
		if i > 0 && bytes.Equal(one.name, list[i-1].name) || !w.text(one.text) {
			return false
		}
		w.key = w.key[:before]
	}
	return len(list) <= maxMetadataKeys
}

// isPlainName reports whether a note may have the name, which then needs no escaping.
func isPlainName(name []byte) bool {
	for _, c := range name {
		if !isUnreserved(c) {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= maxMetadataKey && string(name) != taskIDMetadata
}

// under moves the key to a member, and returns the length that it had.
func (w *plainWriter) under(name []byte) int {
	before := len(w.key)
	if before == 0 {
		w.key = append(w.key, name...)
		return before
	}
	w.key = append(append(append(w.key, '['), name...), ']')
	return before
}

func (w *plainWriter) begin() {
	if len(w.body) > 0 {
		w.body = append(w.body, '&')
	}
	w.body = append(append(w.body, w.key...), '=')
}

// text writes a value as url.QueryEscape does; an empty one is not plain.
func (w *plainWriter) text(text []byte) bool {
	const hex = "0123456789ABCDEF"
	w.begin()
	written := 0
	for i, c := range text {
		if isUnreserved(c) {
			continue
		}
		w.body = append(w.body, text[written:i]...)
		written = i + 1
		if c == ' ' {
			w.body = append(w.body, '+')
		} else {
			w.body = append(w.body, '%', hex[c>>4], hex[c&15])
		}
	}
	w.body = append(w.body, text[written:]...)
	return len(text) > 0
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~'
}
