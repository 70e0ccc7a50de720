package stripesim

import (
	"fmt"
	"maps"
	"math"
	"strconv"
)

// call is one execution of one operation. It runs with s.mu held, from the first look at the objects to the last.
type call struct {
	sim       *Simulator
	acct      *account
	op        string
	id        string // of the object in the path
	params    *form
	key       string
	unkeyed   bool // key is noted, though a DELETE has none
	requestID string
	stranger  bool // another program's request: its events name an id and a key of its own, which no book keeps
	now       int64

	amount   int64 // what the effect moved
	currency string
	happened []happening
}

// happening becomes an event when the call commits, with the object as it is then.
type happening struct {
	kind   string
	object record
}

func (c *call) emit(kind string, object record) {
	c.happened = append(c.happened, happening{kind, object})
}

// moved says how much money the operation was about.
func (c *call) moved(amount int64, currency string) { c.amount, c.currency = amount, currency }

func (c *call) text(path ...string) string { return c.params.get(path...).value() }

func (c *call) has(path ...string) bool { return c.params.has(path...) }

func (c *call) yes(path ...string) bool { return c.params.get(path...).yes() }

// number is the parameter, or other where it was not sent.
func (c *call) number(name string, other int64) int64 {
	if n, ok := c.params.get(name).number(); ok {
		return n
	}
	return other
}

// unit reads the price of one: unit_amount, or unit_amount_decimal rounded.
func unit(f *form) (amount int64, ok bool) {
	if n, ok := f.get("unit_amount").number(); ok {
		return n, true
	}
	decimal, err := strconv.ParseFloat(f.get("unit_amount_decimal").value(), 64)
	return int64(math.Round(decimal)), err == nil
}

// moment reads a time in seconds, or the word "now".
func (c *call) moment(f *form, other int64) int64 {
	if f.value() == "now" {
		return c.now
	}
	if n, ok := f.number(); ok {
		return n
	}
	return other
}

// set overwrites the field with the parameter where it was sent; sent empty, it clears it.
func (c *call) set(field *string, name string) {
	if f := c.params.get(name); f != nil {
		*field = f.value()
	}
}

// create starts a new object with the metadata sent.
func (c *call) create(prefix, object string) common {
	h := c.acct.header(c.sim.newID(prefix), object, c.now)
	h.Metadata = mergeMetadata(nil, c.params.get("metadata"))
	return h
}

// derive starts an object that the operation makes beside its own.
func (c *call) derive(prefix, object string) common {
	return c.acct.header(c.sim.newID(prefix), object, c.now)
}

// remember merges the metadata sent into the object's.
func (c *call) remember(object record) {
	if f := c.params.get("metadata"); f != nil {
		base := object.base()
		base.Metadata = mergeMetadata(base.Metadata, f)
	}
}

// mergeMetadata follows Stripe: a name sent empty is removed, and an empty metadata removes all. The old map is left
// alone: answers already given may share it.
func mergeMetadata(old map[string]string, sent *form) map[string]string {
	merged := make(map[string]string, len(old))
	if sent != nil && sent.leaf {
		return merged
	}
	maps.Copy(merged, old)
	if sent == nil {
		return merged
	}
	for name, value := range sent.kids {
		if value.value() == "" {
			delete(merged, name)
			continue
		}
		merged[name] = value.value()
	}
	return merged
}

// customer finds the customer that the parameter of that name names.
func (c *call) customer() (*customer, *refusal) {
	id := c.text("customer")
	found, ok := c.acct.customers.get(id)
	if !ok || found.Deleted {
		return nil, noSuch("customer", "customer", id)
	}
	return found, nil
}

// method finds the payment method that a parameter names; nil without a refusal where none is named.
func (c *call) method(path ...string) (*paymentMethod, *refusal) {
	id := c.text(path...)
	if id == "" {
		return nil, nil
	}
	found, ok := c.acct.method(id, c.now)
	if !ok {
		return nil, noSuch(paramName(path), "PaymentMethod", id)
	}
	return found, nil
}

func paramName(path []string) string {
	name := path[0]
	for _, part := range path[1:] {
		name += "[" + part + "]"
	}
	return name
}

// methodNamed is the first of the ids that names a payment method; nil if none does.
func (c *call) methodNamed(ids ...string) *paymentMethod {
	for _, id := range ids {
		if id == "" {
			continue
		}
		if found, ok := c.acct.method(id, c.now); ok {
			return found
		}
	}
	return nil
}

// target finds the object in the path.
func target[T record](c *call, t *table[T], kind string) (T, *refusal) {
	found, ok := t.get(c.id)
	if !ok {
		return found, missing(kind, c.id)
	}
	return found, nil
}

// showAmount renders an amount as Stripe's messages do.
func showAmount(amount int64, currency string) string {
	return fmt.Sprintf("%d.%02d %s", amount/100, amount%100, currency)
}
