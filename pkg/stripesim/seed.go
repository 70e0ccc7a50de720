package stripesim

import (
	"errors"
	"fmt"
	"slices"
)

// Object is one object to be put into an account as it is, without an effect or an event. What is left empty gets a
// sensible value: customer cus_ok, price price_basic, payment method pm_ok, currency usd.
type Object struct {
	Object        string            `json:"object"` // customer, price, payment_method, subscription, invoice, invoiceitem, payment_intent, charge, subscription_schedule, payout, balance
	ID            string            `json:"id"`     // balance has none
	Status        string            `json:"status,omitempty"`
	Customer      string            `json:"customer,omitempty"`
	Amount        int64             `json:"amount,omitempty"` // in minor units
	Currency      string            `json:"currency,omitempty"`
	Captured      *bool             `json:"captured,omitempty"` // of a charge; nil: true
	Price         string            `json:"price,omitempty"`
	Interval      string            `json:"interval,omitempty"` // of a price; "": it is not recurring
	PaymentMethod string            `json:"payment_method,omitempty"`
	PaymentIntent string            `json:"payment_intent,omitempty"`
	Subscription  string            `json:"subscription,omitempty"`
	Invoice       string            `json:"invoice,omitempty"`
	Name          string            `json:"name,omitempty"`
	Email         string            `json:"email,omitempty"`
	Metadata      map[string]string `json:"metadata,omitempty"`
}

var errSeed = errors.New("cannot be seeded")

// Seed puts objects into an account, replacing those with the same ids. It fails on the first that makes no sense; those
// before it stay.
func (s *Simulator) Seed(account string, livemode bool, objects ...Object) error {
	if !accountID(account) {
		return fmt.Errorf("seed account %q: %w", account, errSeed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range objects {
		c := s.newCall(tenant{account, livemode}, "", "", nil)
		if err := c.seed(one); err != nil {
			return fmt.Errorf("seed %s %q: %w", one.Object, one.ID, err)
		}
	}
	return nil
}

// statuses are those that a kind of object can be seeded with, the first where none is said.
func statuses(object string) []string {
	switch object {
	case "subscription":
		return []string{"active", "trialing", "past_due", "unpaid", "paused", "canceled", "incomplete", "incomplete_expired"}
	case "invoice":
		return []string{"draft", "open", "paid", "void", "uncollectible"}
	case "payment_intent":
		return []string{
			"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture", "processing", "succeeded", "canceled",
		}
	case "charge":
		return []string{"succeeded", "failed", "pending"}
	case "subscription_schedule":
		return []string{"not_started", "active", "canceled", "released", "completed"}
	case "payout":
		return []string{"pending", "in_transit", "paid", "failed", "canceled"}
	}
	return []string{""}
}

func (c *call) seed(o Object) error {
	if o.ID == "" && o.Object != "balance" {
		return fmt.Errorf("without an id: %w", errSeed)
	}
	allowed := statuses(o.Object)
	if o.Status == "" {
		o.Status = allowed[0]
	}
	if !slices.Contains(allowed, o.Status) {
		return fmt.Errorf("with status %q: %w", o.Status, errSeed)
	}
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	fill(&o.Currency, "usd")
	fill(&o.Customer, defaultPerson)
	fill(&o.Price, defaultPrice)
	h := c.acct.header(o.ID, o.Object, c.now)
	for name, value := range o.Metadata {
		h.Metadata[name] = value
	}
	switch o.Object {
	case "balance":
		c.acct.balance[o.Currency] = o.Amount
	case "customer":
		c.seedCustomer(h, o)
	case "price":
		c.acct.prices.put(newPrice(h, o.Amount, o.Currency, o.Interval))
	case "payment_method":
		script, _ := scriptOf(o.ID)
		made := newMethod(h, script)
		made.Customer = o.Customer
		c.acct.methods.put(made)
	case "subscription":
		return c.seedSubscription(h, o)
	case "invoice":
		return c.seedInvoice(h, o)
	case "invoiceitem":
		c.acct.items.put(&invoiceItem{
			common: h, Amount: o.Amount, Currency: o.Currency, Customer: o.Customer, Date: c.now, Discountable: true,
			Quantity: 1, UnitAmount: o.Amount, Subscription: o.Subscription,
		})
	case "payment_intent":
		c.seedIntent(h, o)
	case "charge":
		c.seedCharge(h, o)
	case "subscription_schedule":
		return c.seedSchedule(h, o)
	case "payout":
		c.acct.payouts.put(&payout{
			common: h, Amount: o.Amount, ArrivalDate: c.now + day, Currency: o.Currency, Destination: "ba_fixture",
			Method: "standard", SourceType: "card", Status: o.Status, Type: "bank_account",
		})
	default:
		return errSeed
	}
	return nil
}

func (c *call) seedCustomer(h common, o Object) {
	made := newCustomer(h)
	made.Name, made.Email = o.Name, o.Email
	made.InvoiceSettings.DefaultPaymentMethod = o.PaymentMethod
	if o.PaymentMethod != "" {
		c.acct.method(o.PaymentMethod, c.now)
	}
	c.acct.customers.put(made)
}

func (c *call) seedSubscription(h common, o Object) error {
	named, ok := c.acct.prices.get(o.Price)
	if !ok || named.Recurring == nil {
		return fmt.Errorf("with price %q: %w", o.Price, errSeed)
	}
	sub := &subscription{
		common: h, BillingCycleAnchor: c.now, CollectionMethod: "charge_automatically", Currency: named.Currency,
		CurrentPeriodStart: c.now, Customer: o.Customer, DefaultPaymentMethod: o.PaymentMethod, StartDate: c.now, Status: o.Status,
		Items: &page[*subscriptionItem]{Object: "list", URL: "/v1/subscription_items"},
	}
	item := &subscriptionItem{common: c.derive("si", "subscription_item"), Price: named, Quantity: 1, Subscription: h.ID}
	sub.Items.Data = []*subscriptionItem{item}
	sub.CurrentPeriodEnd = periodEnd(sub, c.now)
	if o.Status == "canceled" {
		sub.CanceledAt, sub.EndedAt = c.now, c.now
	}
	c.acct.subscriptions.put(sub)
	return nil
}

func (c *call) seedInvoice(h common, o Object) error {
	person, ok := c.acct.customers.get(o.Customer)
	if !ok {
		return fmt.Errorf("with customer %q: %w", o.Customer, errSeed)
	}
	made := c.newInvoice(h, person, "manual")
	made.DefaultPaymentMethod, made.Subscription = o.PaymentMethod, o.Subscription
	if o.Amount > 0 {
		c.add(made, &line{Amount: o.Amount, Currency: o.Currency, Quantity: 1, Type: "invoiceitem"})
	}
	c.acct.invoices.put(made)
	if o.Status == "draft" {
		return nil
	}
	c.finalize(made)
	switch o.Status {
	case "paid":
		if method, ok := c.acct.method("pm_ok", c.now); ok && made.Status == "open" {
			c.collectInvoice(made, method, false)
		}
	case "void":
		c.void(made)
	case "uncollectible":
		made.Status, made.StatusTransitions.MarkedUncollectibleAt = "uncollectible", c.now
	}
	return nil
}

func (c *call) seedIntent(h common, o Object) {
	intent := c.newIntent(h, o.Amount, o.Currency)
	intent.Customer, intent.PaymentMethod, intent.Status = o.Customer, o.PaymentMethod, o.Status
	if intent.PaymentMethod == "" && o.Status != "requires_payment_method" {
		intent.PaymentMethod = "pm_ok"
	}
	c.acct.intents.put(intent)
	method := c.methodNamed(intent.PaymentMethod)
	if method == nil || o.Status != "requires_capture" && o.Status != "succeeded" {
		return
	}
	if o.Status == "requires_capture" {
		intent.CaptureMethod = "manual"
	}
	c.approve(intent, method)
}

func (c *call) seedCharge(h common, o Object) {
	made := &charge{
		common: h, Amount: o.Amount, Currency: o.Currency, Customer: o.Customer, Invoice: o.Invoice, PaymentIntent: o.PaymentIntent,
		PaymentMethod: "pm_ok", Status: o.Status, Paid: o.Status == "succeeded",
	}
	if made.Paid && (o.Captured == nil || *o.Captured) {
		made.Captured, made.AmountCaptured = true, made.Amount
	}
	c.acct.charges.put(made)
}

func (c *call) seedSchedule(h common, o Object) error {
	named, ok := c.acct.prices.get(o.Price)
	person, known := c.acct.customers.get(o.Customer)
	if !ok || !known {
		return fmt.Errorf("with price %q and customer %q: %w", o.Price, o.Customer, errSeed)
	}
	first := &phase{
		phaseSpan: phaseSpan{c.now, c.now + 30*day}, Currency: named.Currency, Items: []phaseItem{{named.ID, 1}},
		Metadata: map[string]string{}, ProrationBehavior: "create_prorations",
	}
	made := &schedule{
		common: h, Customer: o.Customer, DefaultSettings: map[string]any{}, EndBehavior: "release", Phases: []*phase{first},
		Status: o.Status, Subscription: o.Subscription,
	}
	if o.Status == "active" && o.Subscription == "" {
		c.begin(made, person)
	}
	c.acct.schedules.put(made)
	return nil
}
