package gateway

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	stripe "github.com/stripe/stripe-go/v76"
)

// field is one parameter of a parameter struct.
type field struct {
	index int
	typ   reflect.Type
	// literals are the words that Stripe takes in place of a number, with the flag that makes stripe-go write them.
	literals []literal
	places   int // decimals that stripe-go writes, -1 for as many as needed
}

type literal struct {
	word  string
	index int
}

// schema knows the parameters of every struct that was [schema.learn]ed. It is read-only after that.
type schema map[reflect.Type]map[string]field

// words are the endings of the flags beside a number, and what they make stripe-go write.
var words = [...]struct{ ending, word string }{{"Now", "now"}, {"Unchanged", "unchanged"}}

// learn reads the form names of a parameter struct and of all that it contains. It panics on a shape that the decoder
// does not know, which another version of stripe-go might bring: better at start-up than a parameter lost.
func (s schema) learn(typ reflect.Type) {
	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		s.learn(typ.Elem())
		return
	case reflect.Struct:
	case reflect.String, reflect.Bool, reflect.Int64, reflect.Float64:
		return
	default:
		panic(fmt.Sprintf("gateway: a parameter of type %s", typ))
	}
	if _, known := s[typ]; known {
		return
	}
	fields := map[string]field{}
	s[typ] = fields
	for i := range typ.NumField() {
		structField := typ.Field(i)
		if structField.Type == reflect.TypeFor[stripe.Params]() {
			continue // headers, and old spellings of fields that each struct has itself
		}
		name, options, _ := strings.Cut(structField.Tag.Get("form"), ",")
		if name == "-" {
			if !isWordFlag(typ, structField) {
				panic(fmt.Sprintf("gateway: %s.%s is no parameter of its own", typ, structField.Name))
			}
			continue
		}
		if _, twice := fields[name]; twice || name == "" || name == "*" || !isParameter(structField.Type) {
			panic(fmt.Sprintf("gateway: %s.%s has the form name %q", typ, structField.Name, name))
		}
		found := field{index: i, typ: structField.Type, places: 4, literals: literalsOf(typ, structField)}
		if options == "high_precision" {
			found.places = -1
		}
		fields[name] = found
		s.learn(structField.Type)
	}
}

// isParameter reports whether absence can be told from a zero value: a pointer, a list of pointers, or a map.
func isParameter(typ reflect.Type) bool {
	switch typ.Kind() {
	case reflect.Pointer:
		return slices.Contains([]reflect.Kind{reflect.String, reflect.Bool, reflect.Int64, reflect.Float64, reflect.Struct}, typ.Elem().Kind())
	case reflect.Slice:
		return typ.Elem().Kind() == reflect.Pointer
	case reflect.Map:
		return typ.Key().Kind() == reflect.String
	default:
		return false
	}
}

// literalsOf finds the flags beside a number: TrialEndNow beside TrialEnd makes stripe-go write trial_end=now.
func literalsOf(typ reflect.Type, number reflect.StructField) []literal {
	var found []literal
	for _, word := range words {
		flag, ok := typ.FieldByName(number.Name + word.ending)
		if ok && flag.Tag.Get("form") == "-" {
			found = append(found, literal{word: word.word, index: flag.Index[0]})
		}
	}
	return found
}

// isWordFlag reports whether a field without a form name is one that [literalsOf] finds.
func isWordFlag(typ reflect.Type, flag reflect.StructField) bool {
	if flag.Type != reflect.TypeFor[*bool]() {
		return false
	}
	for _, word := range words {
		base, found := strings.CutSuffix(flag.Name, word.ending)
		if number, ok := typ.FieldByName(base); found && ok && number.Type == reflect.TypeFor[*int64]() {
			return true
		}
	}
	return false
}
