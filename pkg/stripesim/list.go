package stripesim

import (
	"slices"
)

const (
	defaultLimit = 10
	maxLimit     = 100
)

// collections are the reads that every kind of object has: one by id, and lists with the filters of API 2023-10-16.
func collections() []reading {
	return slices.Concat(
		collection("customers", "customer", "email:s test_clock:s", func(a *account) *table[*customer] { return &a.customers },
			func(c *call, o *customer) bool { return !o.Deleted && c.matches("email", o.Email) }),
		collection("payment_methods", "payment_method", "customer:s type:s", func(a *account) *table[*paymentMethod] { return &a.methods },
			func(c *call, o *paymentMethod) bool {
				return c.matches("customer", o.Customer) && c.matches("type", o.Type)
			}),
		collection("prices", "price", "active:b currency:s product:s type:s", func(a *account) *table[*price] { return &a.prices },
			func(c *call, o *price) bool {
				return c.matches("currency", o.Currency) && c.matches("product", o.Product) && c.matches("type", o.Type)
			}),
		collection("subscriptions", "subscription", "customer:s price:s status:s collection_method:s",
			func(a *account) *table[*subscription] { return &a.subscriptions }, (*call).listsSubscription),
		collection("invoices", "invoice", "customer:s subscription:s status:s collection_method:s",
			func(a *account) *table[*invoice] { return &a.invoices },
			func(c *call, o *invoice) bool {
				return c.matches("customer", o.Customer) && c.matches("subscription", o.Subscription) &&
					c.matches("status", o.Status) && c.matches("collection_method", o.CollectionMethod)
			}),
		collection("invoiceitems", "invoiceitem", "customer:s invoice:s pending:b",
			func(a *account) *table[*invoiceItem] { return &a.items },
			func(c *call, o *invoiceItem) bool {
				pending := !c.has("pending") || c.yes("pending") == (o.Invoice == "")
				return pending && c.matches("customer", o.Customer) && c.matches("invoice", o.Invoice)
			}),
		collection("payment_intents", "payment_intent", "customer:s", func(a *account) *table[*paymentIntent] { return &a.intents },
			func(c *call, o *paymentIntent) bool { return c.matches("customer", o.Customer) }),
		moneyCollections(),
	)
}

func moneyCollections() []reading {
	return slices.Concat(
		collection("charges", "charge", "customer:s payment_intent:s transfer_group:s",
			func(a *account) *table[*charge] { return &a.charges },
			func(c *call, o *charge) bool {
				return c.matches("customer", o.Customer) && c.matches("payment_intent", o.PaymentIntent) &&
					c.matches("transfer_group", o.TransferGroup)
			}),
		collection("refunds", "refund", "charge:s payment_intent:s", func(a *account) *table[*refund] { return &a.refunds },
			func(c *call, o *refund) bool {
				return c.matches("charge", o.Charge) && c.matches("payment_intent", o.PaymentIntent)
			}),
		collection("credit_notes", "credit_note", "customer:s invoice:s", func(a *account) *table[*creditNote] { return &a.notes },
			func(c *call, o *creditNote) bool {
				return c.matches("customer", o.Customer) && c.matches("invoice", o.Invoice)
			}),
		collection("subscription_schedules", "subscription_schedule", "customer:s scheduled:b",
			func(a *account) *table[*schedule] { return &a.schedules },
			func(c *call, o *schedule) bool {
				return c.matches("customer", o.Customer) && (!c.yes("scheduled") || o.Status == "not_started")
			}),
		collection("transfers", "transfer", "destination:s transfer_group:s", func(a *account) *table[*transfer] { return &a.transfers },
			func(c *call, o *transfer) bool {
				return c.matches("destination", o.Destination) && c.matches("transfer_group", o.TransferGroup)
			}),
		collection("payouts", "payout", "destination:s status:s", func(a *account) *table[*payout] { return &a.payouts },
			func(c *call, o *payout) bool {
				return c.matches("destination", o.Destination) && c.matches("status", o.Status)
			}),
	)
}

func (c *call) matches(param, value string) bool { return !c.has(param) || c.text(param) == value }

// listsSubscription leaves out canceled subscriptions unless they are asked for.
func (c *call) listsSubscription(sub *subscription) bool {
	c.expire(sub)
	switch status := c.text("status"); status {
	case "all":
	case "":
		if sub.Status == "canceled" || sub.Status == "incomplete_expired" {
			return false
		}
	case "ended":
		if sub.EndedAt == 0 {
			return false
		}
	default:
		if sub.Status != status {
			return false
		}
	}
	if id := c.text("price"); id != "" && !slices.ContainsFunc(sub.Items.Data, func(i *subscriptionItem) bool { return i.Price.ID == id }) {
		return false
	}
	return c.matches("customer", sub.Customer) && c.matches("collection_method", sub.CollectionMethod)
}

// collection makes the reads of one kind of object.
func collection[T record](plural, object, filters string, of func(*account) *table[T], match func(*call, T) bool) []reading {
	get := func(c *call) (any, *refusal) {
		if object == "payment_method" {
			c.acct.method(c.id, c.now) // those that exist by being named
		}
		found, refused := target(c, of(c.acct), object)
		if refused != nil {
			return nil, refused
		}
		if sub, ok := any(found).(*subscription); ok {
			c.expire(sub)
		}
		return found, nil
	}
	list := func(c *call) (any, *refusal) {
		t := of(c.acct)
		span, refused := c.span(len(t.rows), func(id string) (int, bool) { i, ok := t.at[id]; return i, ok }, object)
		if refused != nil {
			return nil, refused
		}
		data, more := collect(span, func(i int) (T, bool) {
			one := t.rows[i]
			return one, c.createdWithin(one.base().Created) && match(c, one)
		})
		return &page[T]{Object: "list", Data: data, HasMore: more, URL: "/v1/" + plural}, nil
	}
	return append([]reading{
		{plural + "/*", object + ".get", "", get},
		{plural, object + ".list", filters + listing, list},
	}, searching(plural, object, of)...)
}

// span is a way through rows kept oldest first.
type span struct {
	from, step, end int
	limit           int
}

// span reads limit and cursor. Lists go from the newest to the oldest; ending_before turns the way around.
func (c *call) span(rows int, at func(id string) (int, bool), object string) (span, *refusal) {
	s := span{from: rows - 1, step: -1, end: -1, limit: int(c.number("limit", defaultLimit))}
	if s.limit < 1 || s.limit > maxLimit {
		return s, invalid("parameter_invalid_integer", "limit", "Invalid limit: must be between 1 and %d", maxLimit)
	}
	for _, param := range []string{"starting_after", "ending_before"} {
		id := c.text(param)
		if id == "" {
			continue
		}
		i, ok := at(id)
		if !ok {
			return s, noSuch(param, object, id)
		}
		s.from = i - 1
		if param == "ending_before" {
			s.from, s.step, s.end = i+1, 1, rows
		}
	}
	return s, nil
}

// collect walks the span and takes what passes, newest first.
func collect[T any](s span, pick func(int) (T, bool)) (data []T, more bool) {
	data = []T{}
	for i := s.from; i != s.end; i += s.step {
		one, ok := pick(i)
		if !ok {
			continue
		}
		if len(data) == s.limit {
			more = true
			break
		}
		data = append(data, one)
	}
	if s.step > 0 {
		slices.Reverse(data)
	}
	return data, more
}

// createdWithin applies the filter created, exact or as bounds.
func (c *call) createdWithin(created int64) bool {
	f := c.params.get("created")
	if f == nil {
		return true
	}
	if exact, ok := f.number(); ok {
		return created == exact
	}
	for _, name := range f.keys {
		bound, ok := f.kids[name].number()
		if !ok {
			continue
		}
		switch {
		case name == "gt" && created <= bound, name == "gte" && created < bound,
			name == "lt" && created >= bound, name == "lte" && created > bound:
			return false
		}
	}
	return true
}
