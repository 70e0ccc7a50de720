package stripesim

import "fmt"

// Subscription schedules. Their phases do not advance by themselves: the simulator's clock expires keys, it does not bill.

func (c *call) createSchedule() (record, *refusal) {
	if c.has("from_subscription") {
		return c.scheduleFrom(c.text("from_subscription"))
	}
	person, refused := c.customer()
	if refused != nil {
		return nil, refused
	}
	made := &schedule{
		Customer: person.ID, DefaultSettings: map[string]any{"collection_method": "charge_automatically"},
		EndBehavior: "release", Status: "not_started",
	}
	start := c.moment(c.params.get("start_date"), c.now)
	if refused := c.setPhases(made, start); refused != nil {
		return nil, refused
	}
	made.common = c.create("sub_sched", "subscription_schedule")
	c.fillSchedule(made)
	if start <= c.now {
		c.begin(made, person)
	}
	c.acct.schedules.put(made)
	c.emit("subscription_schedule.created", made)
	return made, nil
}

func (c *call) scheduleFrom(id string) (record, *refusal) {
	sub, ok := c.acct.subscriptions.get(id)
	if !ok {
		return nil, noSuch("from_subscription", "subscription", id)
	}
	for _, name := range c.params.keys {
		if name != "from_subscription" && name != "expand" && (name != "metadata" || c.sim.switches.BareFromSchedule) {
			return nil, invalid("", name, "You cannot set `%s` if `from_subscription` is set.", name)
		}
	}
	if sub.Schedule != "" {
		return nil, invalid("", "from_subscription", "You cannot migrate a subscription that is already attached to a schedule: `%s`.",
			sub.Schedule)
	}
	made := &schedule{
		common: c.create("sub_sched", "subscription_schedule"), Customer: sub.Customer, EndBehavior: "release",
		DefaultSettings: map[string]any{"collection_method": sub.CollectionMethod}, Status: "active", Subscription: sub.ID,
	}
	current := &phase{
		phaseSpan: phaseSpan{sub.CurrentPeriodStart, sub.CurrentPeriodEnd}, Currency: sub.Currency,
		Metadata: map[string]string{}, ProrationBehavior: "create_prorations",
	}
	for _, item := range sub.Items.Data {
		current.Items = append(current.Items, phaseItem{item.Price.ID, item.Quantity})
	}
	made.Phases, made.CurrentPhase = []*phase{current}, &current.phaseSpan
	sub.Schedule = made.ID
	c.acct.schedules.put(made)
	c.emit("subscription_schedule.created", made)
	return made, nil
}

// setPhases replaces the phases by those sent, one after another from start.
func (c *call) setPhases(made *schedule, start int64) *refusal {
	var phases []*phase
	for i, sent := range c.params.get("phases").elements() {
		one := &phase{Currency: "usd", Items: []phaseItem{}, ProrationBehavior: "create_prorations"}
		one.Metadata = mergeMetadata(nil, sent.get("metadata"))
		one.StartDate = c.moment(sent.get("start_date"), start)
		one.EndDate = one.StartDate + 30*day
		if n, ok := sent.get("iterations").number(); ok {
			one.EndDate = one.StartDate + n*30*day
		}
		one.EndDate = c.moment(sent.get("end_date"), one.EndDate)
		for j, item := range sent.get("items").elements() {
			param := fmt.Sprintf("phases[%d][items][%d][price]", i, j)
			id := item.get("price").value()
			named, ok := c.acct.prices.get(id)
			switch {
			case id == "" && item.has("price_data"):
				amount, _ := unit(item.get("price_data"))
				named = newPrice(c.derive("price", "price"), amount, item.get("price_data", "currency").value(), "month")
				c.acct.prices.put(named)
			case !ok:
				return noSuch(param, "price", id)
			}
			quantity, counted := item.get("quantity").number()
			if !counted {
				quantity = 1
			}
			one.Currency = named.Currency
			one.Items = append(one.Items, phaseItem{named.ID, quantity})
		}
		if len(one.Items) == 0 {
			return invalid("parameter_missing", fmt.Sprintf("phases[%d][items]", i), "Missing required param: phases[%d][items].", i)
		}
		phases, start = append(phases, one), one.EndDate
	}
	if len(phases) == 0 {
		return invalid("parameter_missing", "phases", "Missing required param: phases.")
	}
	made.Phases = phases
	return nil
}

func (c *call) fillSchedule(made *schedule) {
	c.set(&made.EndBehavior, "end_behavior")
	if f := c.params.get("default_settings"); f != nil {
		if settings, ok := f.tree().(map[string]any); ok {
			made.DefaultSettings = settings
		}
	}
}

// begin starts the schedule's subscription. Its first invoice stays a draft, as at Stripe for the first hour.
func (c *call) begin(made *schedule, person *customer) {
	first := made.Phases[0]
	sub := &subscription{
		common: c.derive("sub", "subscription"), BillingCycleAnchor: c.now, CollectionMethod: "charge_automatically",
		Currency: first.Currency, Customer: person.ID, CurrentPeriodStart: first.StartDate, Schedule: made.ID,
		StartDate: first.StartDate, Status: "active",
		Items: &page[*subscriptionItem]{Object: "list", Data: []*subscriptionItem{}, URL: "/v1/subscription_items"},
	}
	for _, item := range first.Items {
		named, _ := c.acct.prices.get(item.Price)
		sub.Items.Data = append(sub.Items.Data, &subscriptionItem{
			common: c.derive("si", "subscription_item"), Price: named, Quantity: item.Quantity, Subscription: sub.ID,
		})
	}
	sub.CurrentPeriodEnd = first.EndDate
	c.acct.subscriptions.put(sub)
	c.bill(sub, person, "subscription_create")
	made.Status, made.Subscription, made.CurrentPhase = "active", sub.ID, &first.phaseSpan
	c.emit("customer.subscription.created", sub)
}

// scheduleIn finds the schedule in the path, as long as something can still become of it.
func (c *call) scheduleIn(verb string) (*schedule, *refusal) {
	made, refused := target(c, &c.acct.schedules, "subscription_schedule")
	if refused != nil {
		return nil, refused
	}
	if made.Status != "not_started" && made.Status != "active" {
		return nil, invalid("", "", "You cannot %s a subscription schedule that is currently in the `%s` status.", verb, made.Status)
	}
	return made, nil
}

func (c *call) updateSchedule() (record, *refusal) {
	made, refused := c.scheduleIn("update")
	if refused != nil {
		return nil, refused
	}
	if c.has("phases") {
		if refused := c.setPhases(made, c.now); refused != nil {
			return nil, refused
		}
	}
	c.remember(made)
	c.fillSchedule(made)
	c.emit("subscription_schedule.updated", made)
	return made, nil
}

func (c *call) cancelSchedule() (record, *refusal) {
	made, refused := c.scheduleIn("cancel")
	if refused != nil {
		return nil, refused
	}
	made.Status, made.CanceledAt, made.CurrentPhase = "canceled", c.now, nil
	if sub, ok := c.acct.subscriptions.get(made.Subscription); ok {
		sub.Schedule = ""
		c.end(sub)
	}
	c.emit("subscription_schedule.canceled", made)
	return made, nil
}

func (c *call) releaseSchedule() (record, *refusal) {
	made, refused := c.scheduleIn("release")
	if refused != nil {
		return nil, refused
	}
	made.Status, made.ReleasedAt, made.CurrentPhase = "released", c.now, nil
	if sub, ok := c.acct.subscriptions.get(made.Subscription); ok {
		sub.Schedule = ""
		if !c.yes("preserve_cancel_date") {
			sub.CancelAt, sub.CanceledAt = 0, 0
		}
		made.ReleasedSubscription, made.Subscription = sub.ID, ""
	}
	c.emit("subscription_schedule.released", made)
	return made, nil
}
