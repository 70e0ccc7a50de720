package stripesim

// What else may become of an invoice.

func (c *call) voidInvoice() (record, *refusal) {
	made, refused := target(c, &c.acct.invoices, "invoice")
	if refused != nil {
		return nil, refused
	}
	switch made.Status {
	case "open", "uncollectible":
	case "paid":
		return nil, invalid("", "", "Invoices with `paid` payments cannot be voided.")
	default:
		return nil, invalid("", "", "You can only pass in open invoices. This invoice isn't open.")
	}
	c.void(made)
	c.moved(made.AmountRemaining, made.Currency)
	return made, nil
}

func (c *call) void(made *invoice) {
	made.Status, made.StatusTransitions.VoidedAt = "void", c.now
	if intent, ok := c.acct.intents.get(made.PaymentIntent); ok && intent.Status != "succeeded" {
		intent.Status, intent.CanceledAt = "canceled", c.now
		c.emit("payment_intent.canceled", intent)
	}
	c.emit("invoice.voided", made)
}

func (c *call) sendInvoice() (record, *refusal) {
	made, refused := target(c, &c.acct.invoices, "invoice")
	if refused != nil {
		return nil, refused
	}
	switch made.Status {
	case "draft":
		c.finalize(made)
	case "open", "uncollectible":
	default:
		return nil, invalid("", "", "This invoice is %s: it cannot be sent right now.", made.Status)
	}
	c.emit("invoice.sent", made)
	c.moved(made.AmountRemaining, made.Currency)
	return made, nil
}

func (c *call) markUncollectible() (record, *refusal) {
	made, refused := target(c, &c.acct.invoices, "invoice")
	if refused != nil {
		return nil, refused
	}
	switch made.Status {
	case "open":
	case "uncollectible":
		return nil, invalid("", "", "This invoice has already been marked uncollectible.")
	default:
		return nil, invalid("", "", "You can only pass in open invoices. This invoice isn't open.")
	}
	made.Status, made.StatusTransitions.MarkedUncollectibleAt = "uncollectible", c.now
	c.emit("invoice.marked_uncollectible", made)
	c.moved(made.AmountRemaining, made.Currency)
	return made, nil
}

func (c *call) updateInvoice() (record, *refusal) {
	made, refused := target(c, &c.acct.invoices, "invoice")
	if refused != nil {
		return nil, refused
	}
	if _, refused := c.method("default_payment_method"); refused != nil {
		return nil, refused
	}
	if made.Status != "draft" && (c.has("collection_method") || c.has("days_until_due")) {
		return nil, invalid("invoice_not_editable", "", "This invoice is no longer editable")
	}
	c.remember(made)
	c.set(&made.CollectionMethod, "collection_method")
	c.set(&made.DefaultPaymentMethod, "default_payment_method")
	c.set(&made.Description, "description")
	if c.has("auto_advance") {
		made.AutoAdvance = c.yes("auto_advance")
	}
	made.DueDate = c.number("due_date", made.DueDate)
	c.emit("invoice.updated", made)
	c.moved(0, made.Currency)
	return made, nil
}

// reviseInvoice starts a draft from the lines of an open invoice.
func (c *call) reviseInvoice() (record, *refusal) {
	id := c.text("from_invoice", "invoice")
	old, ok := c.acct.invoices.get(id)
	switch {
	case !ok:
		return nil, noSuch("from_invoice[invoice]", "invoice", id)
	case old.Status != "open":
		return nil, invalid("", "from_invoice[invoice]", "Only open invoices can be revised. This invoice is %s.", old.Status)
	}
	person, ok := c.acct.customers.get(old.Customer)
	if !ok {
		return nil, noSuch("customer", "customer", old.Customer)
	}
	made := c.newInvoice(c.create("in", "invoice"), person, "manual")
	made.CollectionMethod, made.Subscription = old.CollectionMethod, old.Subscription
	c.set(&made.Description, "description")
	for _, one := range old.Lines.Data {
		copied := *one
		c.add(made, &copied)
	}
	c.acct.invoices.put(made)
	c.emit("invoice.created", made)
	c.moved(made.Total, made.Currency)
	return made, nil
}

// createCreditNote lowers what is still due of an open invoice, or gives back what was paid of a paid one.
func (c *call) createCreditNote() (record, *refusal) {
	id := c.text("invoice")
	made, ok := c.acct.invoices.get(id)
	if !ok {
		return nil, noSuch("invoice", "invoice", id)
	}
	lines, refused := c.creditLines()
	if refused != nil {
		return nil, refused
	}
	amount := c.number("amount", lines)
	refunded, credited, outside := c.number("refund_amount", 0), c.number("credit_amount", 0), c.number("out_of_band_amount", 0)
	switch made.Status {
	case "open":
		if amount > made.AmountRemaining {
			return nil, tooMuchCredit(amount, made.AmountRemaining, made.Currency)
		}
	case "paid":
		if left := made.AmountPaid - made.PostPaymentCredit; amount > left {
			return nil, tooMuchCredit(amount, left, made.Currency)
		}
		if sum := refunded + credited + outside; sum != amount {
			return nil, invalid("", "", "The sum of credit amount, refund amount and out of band amount (%s) must equal the "+
				"post payment amount (%s).", showAmount(sum, made.Currency), showAmount(amount, made.Currency))
		}
	default:
		return nil, invalid("", "invoice", "Credit notes can be made for open or paid invoices only. This invoice is %s.", made.Status)
	}
	if amount < 1 {
		return nil, invalid("parameter_missing", "amount", "You must pass one of `amount`, `lines` or `shipping_cost`.")
	}
	note := &creditNote{
		Amount: amount, Currency: made.Currency, Customer: made.Customer, Invoice: made.ID, Memo: c.text("memo"),
		OutOfBandAmount: outside, Reason: c.text("reason"), Refund: c.text("refund"), Status: "issued",
		Subtotal: amount, Total: amount, Type: "pre_payment",
	}
	if made.Status == "paid" {
		note.Type = "post_payment"
	}
	if refused := c.credit(made, note, refunded, credited); refused != nil {
		return nil, refused
	}
	note.common = c.create("cn", "credit_note")
	note.Number = made.Number + "-CN-" + note.ID[len(note.ID)-4:]
	c.acct.notes.put(note)
	c.emit("credit_note.created", note)
	c.moved(amount, made.Currency)
	return note, nil
}

// creditLines adds the lines of a credit note up.
func (c *call) creditLines() (int64, *refusal) {
	var sum int64
	for _, sent := range c.params.get("lines").elements() {
		if amount, ok := sent.get("amount").number(); ok {
			sum += amount
			continue
		}
		unit, ok := sent.get("unit_amount").number()
		quantity, counted := sent.get("quantity").number()
		if !ok || !counted {
			return 0, invalid("parameter_missing", "lines", "Each line needs `amount`, or `unit_amount` and `quantity`.")
		}
		sum += unit * quantity
	}
	return sum, nil
}

func tooMuchCredit(amount, left int64, currency string) *refusal {
	return invalid("", "amount", "The total amount of credit notes, %s, is more than what is left of the invoice, %s.",
		showAmount(amount, currency), showAmount(left, currency))
}

func (c *call) credit(made *invoice, note *creditNote, refunded, credited int64) *refusal {
	if note.Type == "pre_payment" {
		made.PrePaymentCredit += note.Amount
		made.AmountDue -= note.Amount
		made.AmountRemaining -= note.Amount
		if made.AmountRemaining == 0 {
			c.paid(made)
		}
		return nil
	}
	if refunded > 0 {
		charged, ok := c.acct.charges.get(made.Charge)
		if !ok || charged.AmountCaptured-charged.AmountRefunded < refunded {
			return invalid("", "refund_amount", "The invoice has no payment of which %s could be refunded.",
				showAmount(refunded, made.Currency))
		}
		back := &refund{
			common: c.derive("re", "refund"), Amount: refunded, Charge: charged.ID, Currency: charged.Currency,
			PaymentIntent: charged.PaymentIntent, Status: "succeeded",
		}
		charged.AmountRefunded += refunded
		charged.Refunded = charged.AmountRefunded == charged.AmountCaptured
		c.acct.move(-refunded, charged.Currency)
		c.acct.refunds.put(back)
		note.Refund = back.ID
		c.emit("charge.refunded", charged)
	}
	if person, ok := c.acct.customers.get(made.Customer); ok {
		person.Balance -= credited
	}
	made.PostPaymentCredit += note.Amount
	return nil
}

func (c *call) voidCreditNote() (record, *refusal) {
	note, refused := target(c, &c.acct.notes, "credit_note")
	if refused != nil {
		return nil, refused
	}
	made, ok := c.acct.invoices.get(note.Invoice)
	if note.Status == "void" || !ok || made.Status != "open" {
		return nil, invalid("", "", "You can only void issued credit notes of open invoices.")
	}
	made.PrePaymentCredit -= note.Amount
	made.AmountDue += note.Amount
	made.AmountRemaining += note.Amount
	note.Status, note.VoidedAt = "void", c.now
	c.emit("credit_note.voided", note)
	c.moved(note.Amount, note.Currency)
	return note, nil
}
