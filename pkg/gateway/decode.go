package gateway

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stripe/stripe-go/v76/form"
)

// Stripe's limits on metadata.
const (
	maxMetadataKeys  = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// decoder fills one parameter struct from one document.
type decoder struct {
	schema    schema
	emptyable []string
	reserve   int // metadata keys that the object's own metadata must leave free
	faults    *faults
	emptied   [][]string // form keys to be sent with an empty value
}

// place is where in the document somebody stands. What it is called is only worked out when somebody wants to know.
type place struct {
	parent   *place // nil for the whole, whose name is its pointer
	name     string
	anywhere bool // the name is a position, or of the caller's choice
}

func (p *place) member(name string) *place { return &place{parent: p, name: name} }

func (p *place) element(name string) *place { return &place{parent: p, name: name, anywhere: true} }

func (p *place) pointer() string {
	if p.parent == nil {
		return p.name
	}
	return at(p.parent.pointer(), p.name)
}

// keys are for the form.
func (p *place) keys() []string {
	if p.parent == nil {
		return nil
	}
	return append(p.parent.keys(), p.name)
}

// rule is like the keys, with stars for positions and names, as in operation.emptyable.
func (p *place) rule() string {
	switch {
	case p.parent == nil:
		return ""
	case p.anywhere:
		return join(p.parent.rule(), "*")
	}
	return join(p.parent.rule(), p.name)
}

func join(rule, name string) string {
	if rule == "" {
		return name
	}
	return rule + "/" + name
}

func (d *decoder) fault(p *place, code, detail string) { d.faults.add(p.pointer(), code, detail) }

// object fills a struct.
func (d *decoder) object(v value, target reflect.Value, p *place) {
	fields := d.schema[target.Type()]
	for i, name := range v.names {
		known, ok := fields[name]
		if !ok {
			d.fault(p.member(name), faultUnknownParameter, "is not a parameter that Stripe has here")
			continue
		}
		d.parameter(v.members[i], known, target, p.member(name))
	}
}

// parameter fills one field of a struct.
func (d *decoder) parameter(v value, known field, target reflect.Value, p *place) {
	if v.shape == isText {
		for _, literal := range known.literals {
			if v.text == literal.word {
				yes := true
				target.Field(literal.index).Set(reflect.ValueOf(&yes))
				return
			}
		}
		if v.text == "" && d.mayBeEmpty(p.rule()) {
			if known.typ.Kind() == reflect.Slice {
				target.Field(known.index).Set(reflect.MakeSlice(known.typ, 0, 0))
			} else {
				d.emptied = append(d.emptied, p.keys())
			}
			return
		}
	}
	d.value(v, known, target.Field(known.index), p)
}

// mayBeEmpty reports whether Stripe unsets the parameter on an empty value.
func (d *decoder) mayBeEmpty(rule string) bool {
	parent := ""
	if i := strings.LastIndexByte(rule, '/'); i >= 0 {
		parent = rule[:i]
	}
	return slices.Contains(d.emptyable, rule) || slices.Contains(d.emptyable, join(parent, "*"))
}

// value fills anything settable with v.
func (d *decoder) value(v value, known field, target reflect.Value, p *place) {
	if v.shape == isNull {
		d.fault(p, faultNull, "must not be null; leave it out, or send an empty text where Stripe unsets it so")
		return
	}
	switch target.Kind() {
	case reflect.Pointer:
		inner := reflect.New(target.Type().Elem())
		d.value(v, known, inner.Elem(), p)
		target.Set(inner)
	case reflect.Struct:
		if d.is(v, isObject, p, "must be an object") {
			d.object(v, target, p)
		}
	case reflect.Slice:
		d.list(v, known, target, p)
	case reflect.Map:
		d.named(v, known, target, p)
	default:
		d.scalar(v, known, target, p)
	}
}

func (d *decoder) is(v value, want shape, p *place, detail string) bool {
	if v.shape != want {
		d.fault(p, faultWrongType, detail)
	}
	return v.shape == want
}

func (d *decoder) scalar(v value, known field, target reflect.Value, p *place) {
	switch target.Kind() {
	case reflect.String:
		if d.is(v, isText, p, "must be a text") {
			target.SetString(v.text)
		}
	case reflect.Bool:
		if d.is(v, isBool, p, "must be true or false") {
			target.SetBool(v.truth)
		}
	case reflect.Int64:
		if v.shape == isText && len(known.literals) > 0 {
			d.fault(p, faultWrongType, "must be a whole number or "+wordsOf(known.literals))
			return
		}
		if !d.is(v, isNumber, p, "must be a whole number") {
			return
		}
		n, code, detail := wholeNumber(v.text)
		if code != "" {
			d.fault(p, code, detail)
			return
		}
		target.SetInt(n)
	case reflect.Float64:
		if v.shape != isNumber && v.shape != isText {
			d.fault(p, faultWrongType, "must be a decimal number")
			return
		}
		n, code, detail := decimalNumber(v.text, known.places)
		if code != "" {
			d.fault(p, code, detail)
			return
		}
		target.SetFloat(n)
	}
}

func wordsOf(literals []literal) string {
	quoted := make([]string, len(literals))
	for i, literal := range literals {
		quoted[i] = strconv.Quote(literal.word)
	}
	return strings.Join(quoted, " or ")
}

// list fills a slice. An empty list is sent as an empty value, by which Stripe clears some lists; it refuses the others.
func (d *decoder) list(v value, known field, target reflect.Value, p *place) {
	if !d.is(v, isArray, p, "must be a list") {
		return
	}
	if len(v.members) == 0 && !d.mayBeEmpty(p.rule()) {
		d.fault(p, faultRequired, "must not be empty")
		return
	}
	list := reflect.MakeSlice(target.Type(), len(v.members), len(v.members))
	for i, member := range v.members {
		d.entry(member, known, list.Index(i), p.element(strconv.Itoa(i)))
	}
	target.Set(list)
}

// entry fills an entry of a list or a map. One of which nothing would be sent is refused: Stripe would see the others
// move up.
func (d *decoder) entry(v value, known field, target reflect.Value, p *place) {
	faultsBefore, emptiedBefore := len(d.faults.list), len(d.emptied)
	d.value(v, known, target, p)
	var sent form.Values
	if v.shape == isObject && len(d.faults.list) == faultsBefore && len(d.emptied) == emptiedBefore {
		if form.AppendToPrefixed(&sent, target.Interface(), []string{"entry"}); sent.Empty() {
			d.fault(p, faultRequired, "must not be empty: nothing of it could be sent")
		}
	}
}

// named fills a map: metadata, or objects under names of the caller's choice.
func (d *decoder) named(v value, known field, target reflect.Value, p *place) {
	if !d.is(v, isObject, p, "must be an object") {
		return
	}
	named := reflect.MakeMapWithSize(target.Type(), len(v.names))
	if target.Type().Elem().Kind() == reflect.String {
		d.metadataSize(v, p)
	}
	for i, name := range v.names {
		here := p.element(name)
		if n := utf8.RuneCountInString(name); n < 1 || n > maxMetadataKey || strings.ContainsAny(name, "[]\x00") {
			d.fault(here, faultInvalid, fmt.Sprintf("must have a name of 1 to %d characters, without square brackets", maxMetadataKey))
			continue
		}
		if name == taskIDMetadata {
			d.fault(here, faultReserved, "is written by the scheduler itself")
			continue
		}
		inner := reflect.New(target.Type().Elem()).Elem()
		d.entry(v.members[i], known, inner, here)
		if inner.Kind() == reflect.String && utf8.RuneCountInString(inner.String()) > maxMetadataValue {
			d.fault(here, faultTooLong, fmt.Sprintf("must be at most %d characters", maxMetadataValue))
		}
		named.SetMapIndex(reflect.ValueOf(name), inner)
	}
	target.Set(named)
}

func (d *decoder) metadataSize(v value, p *place) {
	limit := maxMetadataKeys
	if p.rule() == "metadata" {
		limit -= d.reserve
	}
	if len(v.names) > limit {
		d.fault(p, faultTooLong, fmt.Sprintf("must have at most %d keys", limit))
	}
}
