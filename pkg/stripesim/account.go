package stripesim

import (
	"strconv"
	"strings"
)

// tenant is one plane of data: test and live mode of an account share nothing.
type tenant struct {
	account string
	live    bool
}

// table keeps objects of one type in the order of their creation.
type table[T record] struct {
	at   map[string]int
	rows []T
}

func (t *table[T]) get(id string) (found T, ok bool) {
	i, ok := t.at[id]
	if !ok {
		return found, false
	}
	return t.rows[i], true
}

// put adds the object, or replaces the one with its id.
func (t *table[T]) put(object T) {
	if t.at == nil {
		t.at = make(map[string]int)
	}
	id := object.base().ID
	if i, ok := t.at[id]; ok {
		t.rows[i] = object
		return
	}
	t.at[id] = len(t.rows)
	t.rows = append(t.rows, object)
}

func (t *table[T]) find(id string) (record, bool) { return t.get(id) }

// account holds all objects of one tenant.
type account struct {
	tenant
	customers     table[*customer]
	methods       table[*paymentMethod]
	prices        table[*price]
	subscriptions table[*subscription]
	invoices      table[*invoice]
	items         table[*invoiceItem]
	intents       table[*paymentIntent]
	charges       table[*charge]
	refunds       table[*refund]
	notes         table[*creditNote]
	schedules     table[*schedule]
	transfers     table[*transfer]
	payouts       table[*payout]
	events        []*event
	balance       map[string]int64 // by currency
	invoiced      int64            // invoices numbered so far
}

// find looks an object up by its id alone, for expansions.
func (a *account) find(id string) (record, bool) {
	for _, t := range []interface{ find(string) (record, bool) }{
		&a.customers, &a.methods, &a.prices, &a.subscriptions, &a.invoices, &a.items, &a.intents, &a.charges, &a.refunds,
		&a.notes, &a.schedules, &a.transfers, &a.payouts,
	} {
		if object, ok := t.find(id); ok {
			return object, true
		}
	}
	return nil, false
}

// The fixtures that every account has from the start.
const (
	fixtureBalance = 1_000_000_000_00 // in minor units, of each currency asked for
	basicAmount    = 1500
	yearlyAmount   = 15000
	productID      = "prod_basic"
	defaultPrice   = "price_basic"
	defaultPerson  = "cus_ok"
)

// account returns the tenant's objects, with the fixtures at first contact. The caller holds s.mu.
func (s *Simulator) account(who tenant) *account {
	if a, ok := s.accounts[who]; ok {
		return a
	}
	a := &account{tenant: who, balance: make(map[string]int64)}
	s.accounts[who] = a
	now := s.now().Unix()
	for _, person := range []struct{ id, method string }{
		{defaultPerson, "pm_ok"}, {"cus_declined", "pm_decline_insufficient_funds"}, {"cus_action", "pm_action"},
	} {
		c := newCustomer(a.header(person.id, "customer", now))
		c.Name, c.Email = "Fixture "+person.id, person.id+"@example.com"
		c.InvoiceSettings.DefaultPaymentMethod = person.method
		a.customers.put(c)
		method, _ := a.method(person.method, now)
		method.Customer = person.id
	}
	a.prices.put(newPrice(a.header(defaultPrice, "price", now), basicAmount, "usd", "month"))
	a.prices.put(newPrice(a.header("price_yearly", "price", now), yearlyAmount, "usd", "year"))
	return a
}

func (a *account) header(id, object string, now int64) common {
	return common{ID: id, Object: object, Created: now, Livemode: a.live, Metadata: map[string]string{}}
}

func newCustomer(h common) *customer {
	prefix := strings.ToUpper(strings.TrimPrefix(h.ID, "cus_"))
	return &customer{common: h, InvoicePrefix: prefix[:min(len(prefix), 8)], PreferredLocales: []string{}, TaxExempt: "none"}
}

func newPrice(h common, amount int64, currency, interval string) *price {
	p := &price{
		common: h, Active: true, BillingScheme: "per_unit", Currency: currency, Product: productID,
		TaxBehavior: "unspecified", Type: "one_time", UnitAmount: amount, UnitDecimal: strconv.FormatInt(amount, 10),
	}
	if interval != "" {
		p.Type, p.Recurring = "recurring", &recurring{Interval: interval, IntervalCount: 1, UsageType: "licensed"}
	}
	return p
}

// funds is the balance in the currency.
func (a *account) funds(currency string) int64 {
	if _, ok := a.balance[currency]; !ok {
		a.balance[currency] = fixtureBalance
	}
	return a.balance[currency]
}

// move adds amount, which may be negative, to the balance.
func (a *account) move(amount int64, currency string) {
	a.balance[currency] = a.funds(currency) + amount
}
