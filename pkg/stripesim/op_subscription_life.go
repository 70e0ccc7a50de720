package stripesim

// How a subscription goes on after it was made.

// bill makes an invoice over the subscription's items, finalized.
func (c *call) bill(sub *subscription, person *customer, reason string) *invoice {
	made := c.newInvoice(c.derive("in", "invoice"), person, reason)
	made.Subscription, made.CollectionMethod, made.Currency = sub.ID, sub.CollectionMethod, sub.Currency
	made.PeriodStart, made.PeriodEnd = sub.CurrentPeriodStart, sub.CurrentPeriodEnd
	made.AutoAdvance = true
	for _, item := range sub.Items.Data {
		amount := item.Price.UnitAmount * item.Quantity
		if sub.Status == "trialing" {
			amount = 0
		}
		c.add(made, &line{
			Amount: amount, Currency: item.Price.Currency, Price: item.Price, Quantity: item.Quantity, Subscription: sub.ID,
			Type: "subscription",
		})
	}
	for _, sent := range c.params.get("add_invoice_items").elements() {
		if named, ok := c.acct.prices.get(sent.get("price").value()); ok {
			quantity, counted := sent.get("quantity").number()
			if !counted {
				quantity = 1
			}
			c.add(made, &line{
				Amount: named.UnitAmount * quantity, Currency: named.Currency, Price: named, Quantity: quantity, Type: "invoiceitem",
			})
		}
	}
	sub.LatestInvoice = made.ID
	c.acct.invoices.put(made)
	c.emit("invoice.created", made)
	return made
}

// firstInvoice bills a new subscription and returns what was collected at once.
func (c *call) firstInvoice(sub *subscription, person *customer, method *paymentMethod) int64 {
	first := c.bill(sub, person, "subscription_create")
	if sub.CollectionMethod == "send_invoice" {
		return 0 // stays a draft for an hour
	}
	c.finalize(first)
	if first.Status == "paid" {
		return 0
	}
	if method == nil || c.text("payment_behavior") == "default_incomplete" {
		sub.Status = "incomplete"
		return 0
	}
	return c.attempt(sub, first, method, "incomplete")
}

// attempt collects an invoice of the subscription; failing leaves the subscription in the status given.
func (c *call) attempt(sub *subscription, made *invoice, method *paymentMethod, failed string) int64 {
	due := made.AmountRemaining
	if refused := c.collectInvoice(made, method, false); refused != nil {
		sub.Status = failed
		return 0
	}
	switch {
	case made.Status == "paid":
		return due
	case method.script.verdict == needsAction:
		sub.Status = failed
	}
	return 0
}

func (c *call) updateSubscription() (record, *refusal) {
	sub, refused := c.subscriptionIn()
	if refused != nil {
		return nil, refused
	}
	if sub.Status == "canceled" || sub.Status == "incomplete_expired" {
		for _, name := range c.params.keys {
			if name != "cancellation_details" && name != "metadata" && name != "expand" {
				return nil, invalid("", "", "A canceled subscription can only update its cancellation_details and metadata.")
			}
		}
	}
	if _, refused := c.method("default_payment_method"); refused != nil {
		return nil, refused
	}
	items := append([]*subscriptionItem(nil), sub.Items.Data...)
	if refused := c.addItems(sub); refused != nil {
		sub.Items.Data = items
		return nil, refused
	}
	if f := c.params.get("trial_end"); f != nil {
		c.retry(sub, f)
	}
	c.remember(sub)
	c.fillSubscription(sub)
	c.emit("customer.subscription.updated", sub)
	var collected int64
	if c.text("billing_cycle_anchor") == "now" || c.text("proration_behavior") == "always_invoice" || c.has("add_invoice_items") {
		collected = c.rebill(sub)
	}
	c.moved(collected, sub.Currency)
	return sub, nil
}

// retry moves the end of the trial; the word "now" ends it.
func (c *call) retry(sub *subscription, end *form) {
	sub.TrialEnd = c.moment(end, sub.TrialEnd)
	switch {
	case sub.TrialEnd > c.now:
		sub.TrialStart, sub.Status = c.now, "trialing"
	case sub.Status == "trialing":
		sub.Status = "active"
	}
}

// rebill invoices at once. It does so each time it is asked to: the side effect that a second send would repeat.
func (c *call) rebill(sub *subscription) int64 {
	person, ok := c.acct.customers.get(sub.Customer)
	if !ok {
		return 0
	}
	if c.text("billing_cycle_anchor") == "now" {
		sub.CurrentPeriodStart, sub.CurrentPeriodEnd = c.now, periodEnd(sub, c.now)
	}
	made := c.bill(sub, person, "subscription_update")
	c.finalize(made)
	method := c.methodNamed(sub.DefaultPaymentMethod, person.InvoiceSettings.DefaultPaymentMethod)
	if made.Status == "paid" || method == nil || sub.CollectionMethod == "send_invoice" {
		return 0
	}
	return c.attempt(sub, made, method, "past_due")
}

func (c *call) cancelSubscription() (record, *refusal) {
	sub, refused := c.subscriptionIn()
	if refused != nil {
		return nil, refused
	}
	if sub.Status == "canceled" || sub.Status == "incomplete_expired" {
		return nil, missing("subscription", c.id)
	}
	var collected int64
	if c.yes("invoice_now") {
		collected = c.rebill(sub)
	}
	if f := c.params.get("cancellation_details"); f != nil {
		sub.CancellationDetails = flat(f)
	}
	c.end(sub)
	c.moved(collected, sub.Currency)
	return sub, nil
}

func (c *call) end(sub *subscription) {
	sub.Status, sub.CanceledAt, sub.EndedAt, sub.CancelAtPeriodEnd = "canceled", c.now, c.now, false
	if sub.CancellationDetails == nil {
		sub.CancellationDetails = map[string]string{"reason": "cancellation_requested"}
	}
	c.emit("customer.subscription.deleted", sub)
}

func (c *call) resumeSubscription() (record, *refusal) {
	sub, refused := c.subscriptionIn()
	if refused != nil {
		return nil, refused
	}
	if sub.Status != "paused" {
		return nil, invalid("", "", "You can only resume subscriptions with a status of `paused`. This one is %s.", sub.Status)
	}
	sub.Status = "active"
	var collected int64
	if anchor := c.text("billing_cycle_anchor"); anchor == "" || anchor == "now" {
		sub.BillingCycleAnchor, sub.CurrentPeriodStart, sub.CurrentPeriodEnd = c.now, c.now, periodEnd(sub, c.now)
		collected = c.rebill(sub)
	}
	c.emit("customer.subscription.resumed", sub)
	c.moved(collected, sub.Currency)
	return sub, nil
}
