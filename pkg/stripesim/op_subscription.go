package stripesim

import (
	"fmt"
	"slices"
	"time"
)

const (
	day = 24 * 60 * 60
	// incompleteWindow is how long a subscription waits for its first payment, in seconds.
	incompleteWindow = 23 * 60 * 60
)

// subscriptionIn finds the subscription in the path, as it is by now.
func (c *call) subscriptionIn() (*subscription, *refusal) {
	sub, refused := target(c, &c.acct.subscriptions, "subscription")
	if refused == nil {
		c.expire(sub)
	}
	return sub, refused
}

// expire gives up a subscription whose first invoice was not paid in time.
func (c *call) expire(sub *subscription) {
	if sub.Status != "incomplete" || c.now-sub.Created < incompleteWindow {
		return
	}
	sub.Status, sub.EndedAt = "incomplete_expired", sub.Created+incompleteWindow
	if first, ok := c.acct.invoices.get(sub.LatestInvoice); ok && first.Status == "open" {
		c.void(first)
	}
}

func (c *call) createSubscription() (record, *refusal) {
	person, refused := c.customer()
	if refused != nil {
		return nil, refused
	}
	method, refused := c.method("default_payment_method")
	if refused != nil {
		return nil, refused
	}
	if method == nil {
		method = c.methodNamed(person.InvoiceSettings.DefaultPaymentMethod)
	}
	sub := c.newSubscription(person.ID)
	if refused := c.addItems(sub); refused != nil {
		return nil, refused
	}
	if len(sub.Items.Data) == 0 {
		return nil, invalid("parameter_missing", "items", "Missing required param: items.")
	}
	if refused := c.payable(sub, method); refused != nil {
		return nil, refused
	}
	sub.common = c.create("sub", "subscription")
	for _, item := range sub.Items.Data {
		item.Subscription = sub.ID
	}
	c.fillSubscription(sub)
	c.acct.subscriptions.put(sub)
	c.emit("customer.subscription.created", sub)
	paid := c.firstInvoice(sub, person, method)
	c.moved(paid, sub.Currency)
	return sub, nil
}

func (c *call) newSubscription(customerID string) *subscription {
	sub := &subscription{
		BillingCycleAnchor: c.now, CollectionMethod: "charge_automatically", CurrentPeriodStart: c.now, Currency: "usd",
		Customer: customerID, StartDate: c.now, Status: "active",
		Items: &page[*subscriptionItem]{Object: "list", Data: []*subscriptionItem{}, URL: "/v1/subscription_items"},
	}
	c.set(&sub.CollectionMethod, "collection_method")
	if days := c.number("trial_period_days", 0); days > 0 {
		sub.TrialStart, sub.TrialEnd = c.now, c.now+days*day
	}
	if end, ok := c.params.get("trial_end").number(); ok {
		sub.TrialStart, sub.TrialEnd = c.now, end
	}
	if sub.TrialEnd > c.now {
		sub.Status = "trialing"
	}
	return sub
}

// addItems puts the items sent on the subscription: those with an id change or remove one, the others are added.
func (c *call) addItems(sub *subscription) *refusal {
	for i, sent := range c.params.get("items").elements() {
		item := &subscriptionItem{common: c.derive("si", "subscription_item"), Quantity: 1, Subscription: sub.ID}
		if id := sent.get("id").value(); id != "" {
			at := slices.IndexFunc(sub.Items.Data, func(one *subscriptionItem) bool { return one.ID == id })
			if at < 0 {
				return noSuch(fmt.Sprintf("items[%d][id]", i), "subscription_item", id)
			}
			if sent.get("deleted").yes() {
				sub.Items.Data = slices.Delete(sub.Items.Data, at, at+1)
				continue
			}
			changed := *sub.Items.Data[at]
			item, sub.Items.Data[at] = &changed, &changed
		} else {
			sub.Items.Data = append(sub.Items.Data, item)
		}
		if refused := c.fillItem(item, sent, i); refused != nil {
			return refused
		}
		sub.Currency = item.Price.Currency
	}
	return nil
}

func (c *call) fillItem(item *subscriptionItem, sent *form, i int) *refusal {
	if n, ok := sent.get("quantity").number(); ok {
		item.Quantity = n
	}
	if f := sent.get("metadata"); f != nil {
		item.Metadata = mergeMetadata(item.Metadata, f)
	}
	if data := sent.get("price_data"); data != nil {
		amount, _ := unit(data)
		made := newPrice(c.derive("price", "price"), amount, data.get("currency").value(), data.get("recurring", "interval").value())
		made.Product = data.get("product").value()
		c.acct.prices.put(made)
		item.Price = made
	} else if id := sent.get("price").value(); id != "" {
		named, ok := c.acct.prices.get(id)
		if !ok {
			return noSuch(fmt.Sprintf("items[%d][price]", i), "price", id)
		}
		item.Price = named
	}
	if item.Price == nil {
		return invalid("parameter_missing", fmt.Sprintf("items[%d][price]", i), "Missing required param: items[%d][price].", i)
	}
	if item.Price.Recurring == nil {
		return invalid("", fmt.Sprintf("items[%d][price]", i), "The price specified is set to `type=one_time` but this field only "+
			"accepts prices with `type=recurring`.")
	}
	return nil
}

// payable refuses a subscription whose first invoice nobody could pay.
func (c *call) payable(sub *subscription, method *paymentMethod) *refusal {
	behavior := c.text("payment_behavior")
	charged := sub.CollectionMethod == "charge_automatically" && sub.Status != "trialing" && sum(sub) > 0
	if charged && method == nil && behavior != "default_incomplete" {
		return invalid("resource_missing", "", "This customer has no attached payment source or default payment method. "+
			"Please consider adding a default payment method.")
	}
	if sub.CollectionMethod == "send_invoice" && c.number("days_until_due", -1) < 0 {
		return invalid("", "days_until_due", "You must pass `days_until_due` with `collection_method=send_invoice`.")
	}
	if !charged || behavior != "error_if_incomplete" {
		return nil
	}
	switch method.script.verdict {
	case declines:
		return declined(method.script.decline, "", nil)
	case needsAction:
		return authenticationRequired("authentication_required", nil)
	case approves, staysProcessing:
	}
	return nil
}

func sum(sub *subscription) int64 {
	var total int64
	for _, item := range sub.Items.Data {
		total += item.Price.UnitAmount * item.Quantity
	}
	return total
}

// periodEnd is when the period that starts at start ends.
func periodEnd(sub *subscription, start int64) int64 {
	if len(sub.Items.Data) == 0 {
		return start
	}
	every := sub.Items.Data[0].Price.Recurring
	from, n := time.Unix(start, 0).UTC(), int(every.IntervalCount)
	switch every.Interval {
	case "day":
		return from.AddDate(0, 0, n).Unix()
	case "week":
		return from.AddDate(0, 0, 7*n).Unix()
	case "year":
		return from.AddDate(n, 0, 0).Unix()
	}
	return from.AddDate(0, n, 0).Unix()
}

// fillSubscription takes over the parameters that create and update share.
func (c *call) fillSubscription(sub *subscription) {
	c.set(&sub.Description, "description")
	c.set(&sub.DefaultPaymentMethod, "default_payment_method")
	c.set(&sub.CollectionMethod, "collection_method")
	sub.DaysUntilDue = c.number("days_until_due", sub.DaysUntilDue)
	if c.has("cancel_at_period_end") {
		sub.CancelAtPeriodEnd = c.yes("cancel_at_period_end")
	}
	sub.CurrentPeriodEnd = periodEnd(sub, sub.CurrentPeriodStart)
	if sub.TrialEnd > c.now {
		sub.CurrentPeriodEnd, sub.BillingCycleAnchor = sub.TrialEnd, sub.TrialEnd
	}
	if f := c.params.get("billing_cycle_anchor"); f != nil {
		sub.BillingCycleAnchor = c.moment(f, sub.BillingCycleAnchor)
	}
	if f := c.params.get("cancel_at"); f != nil {
		sub.CancelAt = c.moment(f, 0)
	} else if c.has("cancel_at_period_end") {
		sub.CancelAt = 0
		if sub.CancelAtPeriodEnd {
			sub.CancelAt = sub.CurrentPeriodEnd
		}
	}
	if c.has("cancel_at") || c.has("cancel_at_period_end") {
		sub.CanceledAt = 0
		if sub.CancelAt != 0 {
			sub.CanceledAt = c.now
		}
	}
	if f := c.params.get("cancellation_details"); f != nil {
		sub.CancellationDetails = flat(f)
	}
	if f := c.params.get("pause_collection"); f != nil {
		sub.PauseCollection = nil
		if behavior := f.get("behavior").value(); behavior != "" {
			resumes, _ := f.get("resumes_at").number()
			sub.PauseCollection = &pauseCollection{Behavior: behavior, ResumesAt: resumes}
		}
	}
}

// flat is the node's leaves by their names.
func flat(f *form) map[string]string {
	leaves := make(map[string]string, len(f.keys))
	for name, node := range f.kids {
		leaves[name] = node.value()
	}
	return leaves
}
