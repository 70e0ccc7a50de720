package stripesim

import (
	"encoding/json"
	"slices"
)

// shownEvent is an event as the API shows it.
type shownEvent struct {
	ID              string       `json:"id"`
	Object          string       `json:"object"`
	Account         string       `json:"account,omitempty"`
	APIVersion      string       `json:"api_version"`
	Created         int64        `json:"created"`
	Data            eventData    `json:"data"`
	Livemode        bool         `json:"livemode"`
	PendingWebhooks int          `json:"pending_webhooks"`
	Request         eventRequest `json:"request"`
	Type            string       `json:"type"`
}

type eventData struct {
	Object json.RawMessage `json:"object"`
}

// eventRequest names the request behind an event. What nobody asked for, as when a debit clears, has neither id nor key.
type eventRequest struct {
	ID             *string `json:"id"`
	IdempotencyKey *string `json:"idempotency_key"`
}

func (e *event) show() *shownEvent {
	shown := &shownEvent{
		ID: e.id, Object: "event", Account: e.account, APIVersion: APIVersion, Created: e.created,
		Data: eventData{e.data}, Livemode: e.livemode, Type: e.kind,
	}
	if e.requestID != "" {
		shown.Request.ID = &e.requestID
	}
	if e.key != "" {
		shown.Request.IdempotencyKey = &e.key
	}
	return shown
}

// publish turns what happened into events. body is the result's rendering. An object that several events are about is
// rendered once: all of them show it as the call left it.
func (c *call) publish(result record, body []byte, delay int64) {
	lag := int64(c.sim.switches.EventLag.Seconds()) + delay
	requestID, key := c.requestID, c.key
	switch {
	case c.stranger:
		requestID, key = c.sim.newID("req"), c.sim.newID("other")
	case c.sim.switches.BareDeleteEvents && c.unkeyed:
		key = ""
	}
	rendered := make(map[record][]byte, len(c.happened))
	if result != nil {
		rendered[result] = body
	}
	for n, h := range c.happened {
		data, ok := rendered[h.object]
		if !ok {
			data = slices.Clip(render(h.object))
			rendered[h.object] = data
		}
		copies, places := c.fateOf(h.kind, n)
		for range copies {
			at := max(len(c.acct.events)-places, 0)
			c.acct.events = slices.Insert(c.acct.events, at, &event{
				id: c.sim.newID("evt"), kind: h.kind, created: c.now, visible: c.now + lag, requestID: requestID, key: key,
				data: data, account: c.acct.tenant.account, livemode: c.acct.live,
			})
		}
	}
	// Half as many again are let grow, so that dropping the oldest costs little.
	if keep := c.sim.cfg.KeepEvents; len(c.acct.events) > keep+keep/2 {
		c.acct.events = slices.Clone(c.acct.events[len(c.acct.events)-keep:])
	}
}

func (c *call) getEvent() (any, *refusal) {
	i, ok := c.eventAt(c.id)
	if !ok || c.acct.events[i].visible > c.now {
		return nil, missing("event", c.id)
	}
	return c.acct.events[i].show(), nil
}

func (c *call) eventAt(id string) (int, bool) {
	i := slices.IndexFunc(c.acct.events, func(e *event) bool { return e.id == id })
	return i, i >= 0
}

func (c *call) listEvents() (any, *refusal) {
	var kinds []string
	for _, kind := range c.params.get("types").elements() {
		kinds = append(kinds, kind.value())
	}
	if kind := c.text("type"); kind != "" {
		kinds = append(kinds, kind)
	}
	span, refused := c.span(len(c.acct.events), c.eventAt, "event")
	if refused != nil {
		return nil, refused
	}
	data, more := collect(span, func(i int) (*shownEvent, bool) {
		e := c.acct.events[i]
		if e.visible > c.now || !c.createdWithin(e.created) || kinds != nil && !slices.Contains(kinds, e.kind) {
			return nil, false
		}
		return e.show(), true
	})
	return &page[*shownEvent]{Object: "list", Data: data, HasMore: more, URL: "/v1/events"}, nil
}

type funds struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

func (c *call) readBalance() (any, *refusal) {
	shown := struct {
		Object    string  `json:"object"`
		Available []funds `json:"available"`
		Livemode  bool    `json:"livemode"`
		Pending   []funds `json:"pending"`
	}{Object: "balance", Available: []funds{}, Livemode: c.acct.live, Pending: []funds{}}
	c.acct.funds("usd")
	for currency, amount := range c.acct.balance {
		shown.Available = append(shown.Available, funds{amount, currency})
	}
	slices.SortFunc(shown.Available, func(a, b funds) int {
		if a.Currency < b.Currency {
			return -1
		}
		return 1
	})
	return shown, nil
}
