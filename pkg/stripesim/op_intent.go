package stripesim

// Payment intents, and how a card is charged.

func (c *call) createIntent() (record, *refusal) {
	method, refused := c.method("payment_method")
	if refused != nil {
		return nil, refused
	}
	if c.has("customer") {
		if _, refused := c.customer(); refused != nil {
			return nil, refused
		}
	}
	if c.yes("confirm") && method == nil {
		return nil, invalid("parameter_missing", "payment_method", "You cannot confirm this PaymentIntent because it's missing "+
			"a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or "+
			"confirm it again directly with a payment method.")
	}
	intent := c.newIntent(c.create("pi", "payment_intent"), c.number("amount", 0), c.text("currency"))
	intent.Customer = c.text("customer")
	c.set(&intent.CaptureMethod, "capture_method")
	c.set(&intent.ConfirmationMethod, "confirmation_method")
	c.set(&intent.Description, "description")
	c.set(&intent.ReceiptEmail, "receipt_email")
	c.set(&intent.SetupFutureUsage, "setup_future_usage")
	c.set(&intent.StatementDescriptor, "statement_descriptor")
	c.set(&intent.TransferGroup, "transfer_group")
	if method != nil {
		intent.PaymentMethod, intent.Status = method.ID, "requires_confirmation"
	}
	c.acct.intents.put(intent)
	c.emit("payment_intent.created", intent)
	if !c.yes("confirm") {
		c.moved(0, intent.Currency)
		return intent, nil
	}
	if refused := c.collect(intent, method, c.strict()); refused != nil {
		return nil, refused
	}
	c.moved(intent.AmountReceived+intent.AmountCapturable, intent.Currency)
	return intent, nil
}

func (c *call) newIntent(h common, amount int64, currency string) *paymentIntent {
	return &paymentIntent{
		common: h, Amount: amount, Currency: currency, CaptureMethod: "automatic", ConfirmationMethod: "automatic",
		ClientSecret: h.ID + "_secret_" + c.sim.newID("cs")[len("cs_"):], PaymentMethodTypes: []string{"card"},
		Status: "requires_payment_method",
	}
}

// strict reports whether a customer who would have to act is as good as a decline.
func (c *call) strict() bool {
	return c.yes("error_on_requires_action") || c.has("off_session") && c.text("off_session") != "false"
}

// collect charges the intent. A refusal leaves its traces on the intent, as Stripe's does.
func (c *call) collect(intent *paymentIntent, method *paymentMethod, strict bool) *refusal {
	intent.PaymentMethod, intent.LastPaymentError, intent.NextAction = method.ID, nil, nil
	switch method.script.verdict {
	case approves:
		c.approve(intent, method)
	case declines:
		return c.decline(intent, method)
	case needsAction:
		if strict {
			refused := authenticationRequired("authentication_required", nil)
			c.fail(intent, refused)
			return refused
		}
		intent.Status = "requires_action"
		intent.NextAction = map[string]string{"type": "use_stripe_sdk"}
		c.emit("payment_intent.requires_action", intent)
	case staysProcessing:
		intent.Status = "processing"
		c.emit("payment_intent.processing", intent)
	}
	return nil
}

func (c *call) newCharge(intent *paymentIntent, method *paymentMethod) *charge {
	made := &charge{
		common: c.derive("ch", "charge"), Amount: intent.Amount, Currency: intent.Currency, Customer: intent.Customer,
		Description: intent.Description, Invoice: intent.Invoice, PaymentIntent: intent.ID, PaymentMethod: method.ID,
		TransferGroup: intent.TransferGroup,
	}
	made.Metadata = mergeMetadata(intent.Metadata, nil)
	intent.LatestCharge = made.ID
	c.acct.charges.put(made)
	return made
}

func (c *call) approve(intent *paymentIntent, method *paymentMethod) {
	made := c.newCharge(intent, method)
	made.Paid, made.Status, made.Outcome = true, "succeeded", &verdictShown{Type: "authorized"}
	c.emit("charge.succeeded", made)
	if intent.CaptureMethod == "manual" {
		intent.Status, intent.AmountCapturable = "requires_capture", intent.Amount
		c.emit("payment_intent.amount_capturable_updated", intent)
		return
	}
	made.Captured, made.AmountCaptured = true, made.Amount
	intent.Status, intent.AmountReceived = "succeeded", intent.Amount
	c.acct.move(intent.Amount, intent.Currency)
	c.emit("payment_intent.succeeded", intent)
}

func (c *call) decline(intent *paymentIntent, method *paymentMethod) *refusal {
	made := c.newCharge(intent, method)
	refused := declined(method.script.decline, made.ID, nil)
	made.Status, made.FailureCode, made.FailureMessage = "failed", refused.details.Code, refused.details.Message
	made.Outcome = &verdictShown{Reason: method.script.decline, Type: "issuer_declined"}
	c.emit("charge.failed", made)
	c.fail(intent, refused)
	return refused
}

// fail puts the intent back to where it waits for another payment method, and shows it in the refusal.
func (c *call) fail(intent *paymentIntent, refused *refusal) {
	intent.Status, intent.PaymentMethod = "requires_payment_method", ""
	last := refused.details
	intent.LastPaymentError = &last
	shown := *intent
	refused.details.PaymentIntent = &shown
	c.emit("payment_intent.payment_failed", intent)
}

// unexpected is the refusal of an action that the intent's status does not allow.
func unexpected(intent *paymentIntent, verb string) *refusal {
	r := invalid("payment_intent_unexpected_state", "", "This PaymentIntent's status is %s, which does not allow it to be %s.",
		intent.Status, verb)
	shown := *intent
	r.details.PaymentIntent = &shown
	return r
}

func (c *call) confirmIntent() (record, *refusal) {
	intent, refused := target(c, &c.acct.intents, "payment_intent")
	if refused != nil {
		return nil, refused
	}
	switch intent.Status {
	case "requires_payment_method", "requires_confirmation", "requires_action":
	default:
		return nil, unexpected(intent, "confirmed")
	}
	method, refused := c.method("payment_method")
	if refused != nil {
		return nil, refused
	}
	if method == nil {
		method = c.methodNamed(intent.PaymentMethod)
	}
	if method == nil {
		return nil, unexpected(intent, "confirmed without a payment method")
	}
	c.set(&intent.CaptureMethod, "capture_method")
	c.set(&intent.ReceiptEmail, "receipt_email")
	c.set(&intent.SetupFutureUsage, "setup_future_usage")
	if refused := c.collect(intent, method, c.strict()); refused != nil {
		return nil, refused
	}
	c.moved(intent.AmountReceived+intent.AmountCapturable, intent.Currency)
	return intent, nil
}

func (c *call) captureIntent() (record, *refusal) {
	intent, refused := target(c, &c.acct.intents, "payment_intent")
	if refused != nil {
		return nil, refused
	}
	if intent.Status != "requires_capture" {
		return nil, unexpected(intent, "captured")
	}
	amount := c.number("amount_to_capture", intent.AmountCapturable)
	if amount < 1 || amount > intent.AmountCapturable {
		return nil, invalid("amount_too_large", "amount_to_capture", "The amount to capture, %s, is not within what can be captured, %s.",
			showAmount(amount, intent.Currency), showAmount(intent.AmountCapturable, intent.Currency))
	}
	if held, ok := c.acct.charges.get(intent.LatestCharge); ok {
		if c.now-held.Created > captureWindow {
			return nil, invalid("charge_expired_for_capture", "", "The charge for this PaymentIntent has expired.")
		}
		held.Captured, held.AmountCaptured = true, amount
		c.emit("charge.captured", held)
	}
	c.remember(intent)
	c.set(&intent.StatementDescriptor, "statement_descriptor")
	intent.Status, intent.AmountCapturable, intent.AmountReceived = "succeeded", 0, amount
	c.acct.move(amount, intent.Currency)
	c.emit("payment_intent.succeeded", intent)
	c.moved(amount, intent.Currency)
	return intent, nil
}

func (c *call) cancelIntent() (record, *refusal) {
	intent, refused := target(c, &c.acct.intents, "payment_intent")
	if refused != nil {
		return nil, refused
	}
	if intent.Status == "succeeded" || intent.Status == "canceled" || intent.Status == "processing" {
		return nil, unexpected(intent, "canceled")
	}
	if held, ok := c.acct.charges.get(intent.LatestCharge); ok && intent.AmountCapturable > 0 {
		held.Refunded, held.AmountRefunded = true, held.Amount
		c.emit("charge.refunded", held)
	}
	c.set(&intent.CancellationReason, "cancellation_reason")
	intent.Status, intent.CanceledAt, intent.AmountCapturable = "canceled", c.now, 0
	c.emit("payment_intent.canceled", intent)
	c.moved(0, intent.Currency)
	return intent, nil
}
