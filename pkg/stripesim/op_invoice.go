package stripesim

import "fmt"

// Invoices and their items.

func (c *call) newInvoice(h common, person *customer, reason string) *invoice {
	made := &invoice{
		common: h, BillingReason: reason, CollectionMethod: "charge_automatically", Currency: "usd", Customer: person.ID,
		PeriodStart: c.now, PeriodEnd: c.now, Status: "draft",
		Lines: &page[*line]{Object: "list", Data: []*line{}, URL: "/v1/invoices/" + h.ID + "/lines"},
	}
	if person.Currency != "" {
		made.Currency = person.Currency
	}
	return made
}

// add puts a line on a draft.
func (c *call) add(to *invoice, added *line) {
	added.ID, added.Object = c.sim.newID("il"), "line_item"
	if added.Metadata == nil {
		added.Metadata = map[string]string{}
	}
	to.Lines.Data = append(to.Lines.Data, added)
	to.Currency = added.Currency
	to.Subtotal += added.Amount
	to.Total = to.Subtotal
	to.AmountDue = max(to.Total, 0)
	to.AmountRemaining = to.AmountDue - to.AmountPaid
}

func (c *call) createInvoice() (record, *refusal) {
	if c.has("from_invoice") {
		return c.reviseInvoice()
	}
	var person *customer
	var refused *refusal
	sub, ok := c.acct.subscriptions.get(c.text("subscription"))
	switch {
	case c.has("subscription") && !ok:
		return nil, noSuch("subscription", "subscription", c.text("subscription"))
	case c.has("customer"):
		if person, refused = c.customer(); refused != nil {
			return nil, refused
		}
		if ok && sub.Customer != person.ID {
			return nil, invalid("", "subscription", "The subscription %s is not one of customer %s.", sub.ID, person.ID)
		}
	default:
		person, _ = c.acct.customers.get(sub.Customer)
	}
	if _, refused := c.method("default_payment_method"); refused != nil {
		return nil, refused
	}
	made := c.newInvoice(c.create("in", "invoice"), person, "manual")
	made.AutoAdvance = c.yes("auto_advance")
	c.set(&made.CollectionMethod, "collection_method")
	c.set(&made.Currency, "currency")
	c.set(&made.DefaultPaymentMethod, "default_payment_method")
	c.set(&made.Description, "description")
	c.set(&made.Number, "number")
	made.DueDate = c.number("due_date", 0)
	if days := c.number("days_until_due", 0); days > 0 {
		made.DueDate = c.now + days*day
	}
	if ok {
		made.Subscription = sub.ID
	}
	pulled := c.pull(made, person, ok)
	if ok && !pulled {
		return nil, invalid("invoice_no_subscription_line_items", "", "Nothing to invoice for subscription")
	}
	c.acct.invoices.put(made)
	c.emit("invoice.created", made)
	c.moved(made.Total, made.Currency)
	return made, nil
}

// pull moves the customer's pending items onto the draft where that was asked for.
func (c *call) pull(to *invoice, person *customer, always bool) bool {
	if !always && c.text("pending_invoice_items_behavior") != "include" {
		return false
	}
	pulled := false
	for _, item := range c.acct.items.rows {
		if item.Invoice == "" && item.Customer == person.ID && (to.Subscription == "" || item.Subscription == to.Subscription) {
			c.attach(item, to)
			pulled = true
		}
	}
	return pulled
}

func (c *call) attach(item *invoiceItem, to *invoice) {
	item.Invoice = to.ID
	c.add(to, &line{
		Amount: item.Amount, Currency: item.Currency, Description: item.Description, InvoiceItem: item.ID,
		Metadata: item.Metadata, Price: item.Price, Quantity: item.Quantity, Subscription: item.Subscription, Type: "invoiceitem",
	})
}

func (c *call) createInvoiceItem() (record, *refusal) {
	person, refused := c.customer()
	if refused != nil {
		return nil, refused
	}
	to, hasInvoice := c.acct.invoices.get(c.text("invoice"))
	switch {
	case c.has("invoice") && !hasInvoice:
		return nil, noSuch("invoice", "invoice", c.text("invoice"))
	case hasInvoice && to.Customer != person.ID:
		return nil, invalid("", "invoice", "The invoice %s is not one of customer %s.", to.ID, person.ID)
	case hasInvoice && to.Status != "draft":
		return nil, invalid("invoice_not_editable", "invoice", "This invoice is no longer editable")
	}
	if id := c.text("subscription"); id != "" {
		if _, ok := c.acct.subscriptions.get(id); !ok {
			return nil, noSuch("subscription", "subscription", id)
		}
	}
	made := &invoiceItem{Customer: person.ID, Date: c.now, Discountable: true, Quantity: c.number("quantity", 1)}
	if refused := c.priceItem(made); refused != nil {
		return nil, refused
	}
	made.common = c.create("ii", "invoiceitem")
	made.Subscription = c.text("subscription")
	c.set(&made.Description, "description")
	c.acct.items.put(made)
	if hasInvoice {
		c.attach(made, to)
		c.emit("invoice.updated", to)
	}
	c.emit("invoiceitem.created", made)
	c.moved(made.Amount, made.Currency)
	return made, nil
}

// priceItem works out what an item costs, from whichever of the ways was sent.
func (c *call) priceItem(item *invoiceItem) *refusal {
	item.Currency = c.text("currency")
	switch {
	case c.has("price"):
		named, ok := c.acct.prices.get(c.text("price"))
		if !ok {
			return noSuch("price", "price", c.text("price"))
		}
		if named.Recurring != nil {
			return invalid("", "price", "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`.")
		}
		item.Price, item.Currency, item.UnitAmount = named, named.Currency, named.UnitAmount
	case c.has("price_data"):
		item.Currency = c.text("price_data", "currency")
		item.UnitAmount, _ = unit(c.params.get("price_data"))
	case c.has("unit_amount"), c.has("unit_amount_decimal"):
		item.UnitAmount, _ = unit(c.params)
	case c.has("amount"):
		item.Amount, item.UnitAmount, item.Quantity = c.number("amount", 0), c.number("amount", 0), 1
		return nil
	default:
		return invalid("parameter_missing", "", "You must pass one of `amount`, `price`, `price_data` or `unit_amount`.")
	}
	item.Amount = item.UnitAmount * item.Quantity
	return nil
}

// finalize makes a draft payable.
func (c *call) finalize(made *invoice) {
	c.acct.invoiced++
	if made.Number == "" {
		made.Number = fmt.Sprintf("SIM-%06d", c.acct.invoiced)
	}
	made.Status, made.StatusTransitions.FinalizedAt = "open", c.now
	made.HostedInvoiceURL = "https://invoice.stripe.com/i/" + made.ID
	if made.AmountRemaining > 0 {
		c.intentFor(made)
	}
	c.emit("invoice.finalized", made)
	if made.AmountRemaining == 0 {
		c.paid(made)
	}
}

// intentFor is the payment intent through which the invoice is collected.
func (c *call) intentFor(made *invoice) *paymentIntent {
	if intent, ok := c.acct.intents.get(made.PaymentIntent); ok {
		return intent
	}
	intent := c.newIntent(c.derive("pi", "payment_intent"), made.AmountRemaining, made.Currency)
	intent.Customer, intent.Invoice = made.Customer, made.ID
	made.PaymentIntent = intent.ID
	c.acct.intents.put(intent)
	c.emit("payment_intent.created", intent)
	return intent
}

// paid closes the invoice, and wakes the subscription that waited for it.
func (c *call) paid(made *invoice) {
	made.Status, made.Paid, made.Attempted = "paid", true, true
	made.AmountPaid += made.AmountRemaining
	made.AmountRemaining = 0
	made.StatusTransitions.PaidAt = c.now
	c.emit("invoice.paid", made)
	c.emit("invoice.payment_succeeded", made)
	sub, ok := c.acct.subscriptions.get(made.Subscription)
	if ok && sub.LatestInvoice == made.ID && (sub.Status == "incomplete" || sub.Status == "past_due" || sub.Status == "unpaid") {
		sub.Status = "active"
		c.emit("customer.subscription.updated", sub)
	}
}

// collectInvoice charges an open invoice. Without a refusal the invoice is paid, or its payment is under way.
func (c *call) collectInvoice(made *invoice, method *paymentMethod, strict bool) *refusal {
	intent := c.intentFor(made)
	intent.Amount = made.AmountRemaining
	made.Attempted = true
	made.AttemptCount++
	refused := c.collect(intent, method, strict)
	made.Charge = intent.LatestCharge
	if refused != nil {
		c.emit("invoice.payment_failed", made)
		return refused
	}
	if intent.Status == "succeeded" {
		c.paid(made)
	}
	return nil
}

// payer is the payment method of an invoice: the one sent, the invoice's, the subscription's, the customer's.
func (c *call) payer(made *invoice) (*paymentMethod, *refusal) {
	if method, refused := c.method("payment_method"); method != nil || refused != nil {
		return method, refused
	}
	ids := []string{made.DefaultPaymentMethod}
	if sub, ok := c.acct.subscriptions.get(made.Subscription); ok {
		ids = append(ids, sub.DefaultPaymentMethod)
	}
	if person, ok := c.acct.customers.get(made.Customer); ok {
		ids = append(ids, person.InvoiceSettings.DefaultPaymentMethod)
	}
	if method := c.methodNamed(ids...); method != nil {
		return method, nil
	}
	return nil, invalid("", "", "There is no `default_payment_method` set on this Customer or Invoice. "+
		"Please set one, or pass a payment method, to pay the invoice.")
}

func (c *call) payInvoice() (record, *refusal) {
	made, refused := target(c, &c.acct.invoices, "invoice")
	if refused != nil {
		return nil, refused
	}
	switch made.Status {
	case "paid":
		return nil, invalid("", "", "Invoice is already paid")
	case "void":
		return nil, invalid("", "", "You can only pay open invoices. This invoice is void.")
	}
	if intent, ok := c.acct.intents.get(made.PaymentIntent); ok && intent.Status == "processing" {
		return nil, invalid("", "", "This invoice's payment is still processing.")
	}
	if c.yes("paid_out_of_band") {
		if made.Status == "draft" {
			c.finalize(made)
		}
		made.PaidOutOfBand = true
		c.moved(made.AmountRemaining, made.Currency)
		c.paid(made)
		return made, nil
	}
	method, refused := c.payer(made)
	if refused != nil && (made.AmountRemaining > 0 || c.has("payment_method")) {
		return nil, refused
	}
	if made.Status == "draft" {
		c.finalize(made)
	}
	if made.Status == "paid" { // nothing was due
		c.moved(0, made.Currency)
		return made, nil
	}
	amount := made.AmountRemaining
	if refused := c.collectInvoice(made, method, true); refused != nil {
		if refused.details.Code == "authentication_required" {
			refused.details.Code = "invoice_payment_intent_requires_action"
		}
		return nil, refused
	}
	c.moved(amount, made.Currency)
	return made, nil
}

func (c *call) finalizeInvoice() (record, *refusal) {
	made, refused := target(c, &c.acct.invoices, "invoice")
	if refused != nil {
		return nil, refused
	}
	if made.Status != "draft" {
		return nil, invalid("", "", "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
	}
	if c.has("auto_advance") {
		made.AutoAdvance = c.yes("auto_advance")
	}
	c.finalize(made)
	c.moved(made.AmountDue, made.Currency)
	return made, nil
}
