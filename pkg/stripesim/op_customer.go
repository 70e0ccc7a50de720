package stripesim

// Customers, payment methods and prices.

func (c *call) createCustomer() (record, *refusal) {
	method, refused := c.customerMethod()
	if refused != nil {
		return nil, refused
	}
	made := newCustomer(c.create("cus", "customer"))
	c.fillCustomer(made, method)
	c.acct.customers.put(made)
	c.emit("customer.created", made)
	return made, nil
}

func (c *call) updateCustomer() (record, *refusal) {
	made, refused := target(c, &c.acct.customers, "customer")
	if refused != nil {
		return nil, refused
	}
	if made.Deleted {
		return nil, missing("customer", c.id)
	}
	method, refused := c.customerMethod()
	if refused != nil {
		return nil, refused
	}
	c.remember(made)
	c.fillCustomer(made, method)
	c.emit("customer.updated", made)
	return made, nil
}

// customerMethod finds the payment method to become the customer's default.
func (c *call) customerMethod() (*paymentMethod, *refusal) {
	method, refused := c.method("invoice_settings", "default_payment_method")
	if method != nil || refused != nil {
		return method, refused
	}
	return c.method("payment_method")
}

func (c *call) fillCustomer(made *customer, method *paymentMethod) {
	c.set(&made.Description, "description")
	c.set(&made.Email, "email")
	c.set(&made.Name, "name")
	c.set(&made.Phone, "phone")
	c.set(&made.TaxExempt, "tax_exempt")
	c.set(&made.InvoicePrefix, "invoice_prefix")
	c.set(&made.DefaultSource, "default_source")
	made.Balance = c.number("balance", made.Balance)
	if c.has("address") {
		made.Address = orNothing(c.params.get("address"))
	}
	if c.has("shipping") {
		made.Shipping = orNothing(c.params.get("shipping"))
	}
	if locales := c.params.get("preferred_locales"); locales != nil {
		made.PreferredLocales = []string{}
		for _, locale := range locales.elements() {
			made.PreferredLocales = append(made.PreferredLocales, locale.value())
		}
	}
	if footer := c.params.get("invoice_settings", "footer"); footer != nil {
		made.InvoiceSettings.Footer = footer.value()
	}
	if c.has("source") { // each call attaches one more card, as at Stripe
		made.DefaultSource = c.sim.newID("card")
		script, _ := scriptOf(c.text("source"))
		attached := newMethod(c.acct.header(made.DefaultSource, "payment_method", c.now), script)
		attached.Customer = made.ID
		c.acct.methods.put(attached)
		c.emit("customer.source.created", attached)
	}
	switch {
	case method != nil:
		method.Customer = made.ID
		if c.has("invoice_settings", "default_payment_method") {
			made.InvoiceSettings.DefaultPaymentMethod = method.ID
		}
	case c.has("invoice_settings", "default_payment_method"):
		made.InvoiceSettings.DefaultPaymentMethod = ""
	}
}

// orNothing is nil for a parameter that was sent empty.
func orNothing(f *form) any {
	if f.leaf && f.text == "" {
		return nil
	}
	return f.tree()
}

func (c *call) deleteCustomer() (record, *refusal) {
	made, refused := target(c, &c.acct.customers, "customer")
	if refused != nil {
		return nil, refused
	}
	if made.Deleted {
		return nil, missing("customer", c.id)
	}
	made.Deleted = true
	c.emit("customer.deleted", made)
	return made, nil
}

func (c *call) createMethod() (record, *refusal) {
	made := newMethod(c.create("pm", "payment_method"), scriptOfNumber(c.text("card", "number")))
	c.set(&made.Type, "type")
	if token := c.text("card", "token"); token != "" {
		made.script, _ = scriptOf("pm_card_" + token[min(len(token), len("tok_")):])
	}
	if number := c.text("card", "number"); len(number) >= 4 {
		made.Card.Last4 = number[len(number)-4:]
	}
	if month, ok := c.params.get("card", "exp_month").number(); ok {
		made.Card.ExpMonth = month
	}
	if year, ok := c.params.get("card", "exp_year").number(); ok {
		made.Card.ExpYear = year
	}
	c.acct.methods.put(made)
	return made, nil
}

func (c *call) attachMethod() (record, *refusal) {
	made, ok := c.acct.method(c.id, c.now)
	if !ok {
		return nil, missing("PaymentMethod", c.id)
	}
	person, refused := c.customer()
	if refused != nil {
		return nil, refused
	}
	made.Customer = person.ID
	c.emit("payment_method.attached", made)
	return made, nil
}

func (c *call) createPrice() (record, *refusal) {
	amount, ok := unit(c.params)
	if !ok {
		return nil, invalid("parameter_missing", "unit_amount", "The simulator needs `unit_amount` or `unit_amount_decimal`.")
	}
	made := newPrice(c.create("price", "price"), amount, c.text("currency"), c.text("recurring", "interval"))
	if made.Recurring != nil {
		if count, ok := c.params.get("recurring", "interval_count").number(); ok {
			made.Recurring.IntervalCount = count
		}
	}
	c.set(&made.Product, "product")
	c.set(&made.Nickname, "nickname")
	c.set(&made.LookupKey, "lookup_key")
	c.set(&made.TaxBehavior, "tax_behavior")
	c.acct.prices.put(made)
	c.emit("price.created", made)
	return made, nil
}
