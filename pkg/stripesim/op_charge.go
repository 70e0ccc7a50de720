package stripesim

// Charges, refunds, transfers and payouts.

// captureWindow is how long a card's authorisation lasts, in seconds.
const captureWindow = 7 * 24 * 60 * 60

func (c *call) captureCharge() (record, *refusal) {
	held, refused := target(c, &c.acct.charges, "charge")
	if refused != nil {
		return nil, refused
	}
	switch {
	case held.Status != "succeeded":
		return nil, invalid("", "", "This charge has status %s and cannot be captured.", held.Status)
	case held.Captured:
		return nil, invalid("charge_already_captured", "", "Charge %s has already been captured.", held.ID)
	case held.Refunded:
		return nil, invalid("charge_already_refunded", "", "Charge %s has been refunded.", held.ID)
	case c.now-held.Created > captureWindow:
		return nil, invalid("charge_expired_for_capture", "", "Charge %s has expired and can no longer be captured.", held.ID)
	}
	amount := c.number("amount", held.Amount)
	if amount < 1 || amount > held.Amount {
		return nil, invalid("amount_too_large", "amount", "You cannot capture %s of a charge of %s.",
			showAmount(amount, held.Currency), showAmount(held.Amount, held.Currency))
	}
	held.Captured, held.AmountCaptured = true, amount
	c.set(&held.TransferGroup, "transfer_group")
	if intent, ok := c.acct.intents.get(held.PaymentIntent); ok {
		intent.Status, intent.AmountCapturable, intent.AmountReceived = "succeeded", 0, amount
		c.emit("payment_intent.succeeded", intent)
	}
	c.acct.move(amount, held.Currency)
	c.emit("charge.captured", held)
	c.moved(amount, held.Currency)
	return held, nil
}

// refundable finds the charge that a refund is for.
func (c *call) refundable() (*charge, *refusal) {
	if id := c.text("charge"); id != "" {
		found, ok := c.acct.charges.get(id)
		if !ok {
			return nil, noSuch("charge", "charge", id)
		}
		if other := c.text("payment_intent"); other != "" && other != found.PaymentIntent {
			return nil, invalid("", "payment_intent", "The charge %s does not belong to the payment intent '%s'.", id, other)
		}
		return found, nil
	}
	id := c.text("payment_intent")
	intent, ok := c.acct.intents.get(id)
	if !ok {
		return nil, noSuch("payment_intent", "payment_intent", id)
	}
	found, ok := c.acct.charges.get(intent.LatestCharge)
	if !ok || found.Status != "succeeded" {
		return nil, invalid("", "payment_intent", "This PaymentIntent (%s) does not have a successful charge to refund.", id)
	}
	return found, nil
}

func (c *call) createRefund() (record, *refusal) {
	charged, refused := c.refundable()
	if refused != nil {
		return nil, refused
	}
	total := charged.AmountCaptured
	if !charged.Captured {
		total = charged.Amount // gives the authorisation back
	}
	left := total - charged.AmountRefunded
	amount := c.number("amount", left)
	switch {
	case charged.Status != "succeeded":
		return nil, invalid("", "charge", "Charge %s was not successful and cannot be refunded.", charged.ID)
	case left == 0:
		return nil, invalid("charge_already_refunded", "", "Charge %s has already been refunded.", charged.ID)
	case amount > left:
		return nil, invalid("", "amount", "Refund amount (%s) is greater than unrefunded amount on charge (%s)",
			showAmount(amount, charged.Currency), showAmount(left, charged.Currency))
	case !charged.Captured && amount != left:
		return nil, invalid("", "amount", "Charge %s is not captured: it can only be refunded whole.", charged.ID)
	}
	made := &refund{
		common: c.create("re", "refund"), Amount: amount, Charge: charged.ID, Currency: charged.Currency,
		PaymentIntent: charged.PaymentIntent, Reason: c.text("reason"), Status: "succeeded",
	}
	if charged.Captured {
		if c.acct.funds(charged.Currency) < amount {
			made.Status = "pending"
		}
		c.acct.move(-amount, charged.Currency)
	}
	charged.AmountRefunded += amount
	charged.Refunded = charged.AmountRefunded == total
	c.acct.refunds.put(made)
	c.emit("charge.refunded", charged)
	c.emit("refund.created", made)
	c.moved(amount, charged.Currency)
	return made, nil
}

// spend takes money out of the balance.
func (c *call) spend(amount int64, currency string) *refusal {
	if c.acct.funds(currency) < amount {
		return invalid("balance_insufficient", "", "You have insufficient funds in your Stripe account. Your balance is %s.",
			showAmount(c.acct.funds(currency), currency))
	}
	c.acct.move(-amount, currency)
	c.moved(amount, currency)
	return nil
}

func (c *call) createTransfer() (record, *refusal) {
	amount, currency := c.number("amount", 0), c.text("currency")
	if id := c.text("source_transaction"); id != "" {
		source, ok := c.acct.charges.get(id)
		if !ok {
			return nil, noSuch("source_transaction", "charge", id)
		}
		if !c.has("amount") {
			amount = source.AmountCaptured
		}
	}
	destination := c.text("destination")
	if !accountID(destination) {
		return nil, noSuch("destination", "destination", destination)
	}
	if amount < 1 {
		return nil, invalid("parameter_missing", "amount", "Missing required param: amount.")
	}
	if refused := c.spend(amount, currency); refused != nil {
		return nil, refused
	}
	made := &transfer{
		common: c.create("tr", "transfer"), Amount: amount, Currency: currency, Description: c.text("description"),
		Destination: destination, SourceTransaction: c.text("source_transaction"), SourceType: "card",
		TransferGroup: c.text("transfer_group"),
	}
	c.set(&made.SourceType, "source_type")
	c.acct.transfers.put(made)
	c.emit("transfer.created", made)
	return made, nil
}

func (c *call) createPayout() (record, *refusal) {
	amount, currency := c.number("amount", 0), c.text("currency")
	if refused := c.spend(amount, currency); refused != nil {
		return nil, refused
	}
	const twoDays = 2 * 24 * 60 * 60
	made := &payout{
		common: c.create("po", "payout"), Amount: amount, ArrivalDate: c.now + twoDays, Currency: currency,
		Description: c.text("description"), Destination: "ba_fixture", Method: "standard", SourceType: "card",
		StatementDescriptor: c.text("statement_descriptor"), Status: "pending", Type: "bank_account",
	}
	c.set(&made.Destination, "destination")
	c.set(&made.Method, "method")
	c.set(&made.SourceType, "source_type")
	c.acct.payouts.put(made)
	c.emit("payout.created", made)
	return made, nil
}

func (c *call) cancelPayout() (record, *refusal) {
	made, refused := target(c, &c.acct.payouts, "payout")
	if refused != nil {
		return nil, refused
	}
	if made.Status != "pending" {
		return nil, invalid("", "", "Payouts can only be canceled while pending; this one is %s.", made.Status)
	}
	made.Status = "canceled"
	c.acct.move(made.Amount, made.Currency)
	c.emit("payout.canceled", made)
	c.moved(made.Amount, made.Currency)
	return made, nil
}
