package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"time"
)

type object = map[string]any

// order is one task that a client wants, whatever it takes to get it scheduled.
type order struct {
	key      string // Idempotency-Key
	intent   string
	merchant int
	body     object
	ids      map[string]bool // of the tasks that answers named; more than one is a fault
	refused  bool            // its intent was taken
}

// merchant is one of the world's, as the test knows it.
type merchant struct {
	account string
	id      string
	tokens  []string // all that it ever had; none: it is served with the platform's key
	left    time.Time
}

// wares are the merchants and what is to be done for them.
type wares struct {
	merchants []*merchant
	orders    []*order
}

// leaver is the merchant that is disconnected on the way.
const leaver = 3

// stock makes the merchants, their objects at Stripe, and the orders: tasks that are due over a while, and later ones, due at once.
func (w *world) stock(tasks, later int, over time.Duration) {
	w.t.Helper()
	g := &wares{}
	for i, served := range []string{"token", "token", "platform", "token"} {
		m := &merchant{account: fmt.Sprintf("acct_chaos%d", i)}
		body := object{"name": m.account, "stripe_connect_id": m.account}
		if served == "token" {
			m.tokens = []string{"sk_test_canary_" + m.account}
			body["access_token"] = m.tokens[0]
			w.control("POST", "accounts", object{"token": m.tokens[0], "account": m.account})
		}
		m.id, _ = w.api().Must(201, "POST", "/v1/merchants", body)["id"].(string)
		g.merchants = append(g.merchants, m)
	}
	fixtures := make([][]object, len(g.merchants))
	for i := range tasks + later {
		one, needs := w.order(i, tasks, over)
		if i >= tasks {
			delete(one.body, "run_at")
		}
		one.body["merchant_id"] = g.merchants[one.merchant].id
		fixtures[one.merchant] = append(fixtures[one.merchant], needs...)
		g.orders = append(g.orders, one)
	}
	for i, m := range g.merchants {
		w.control("POST", "fixtures", object{"account": m.account, "objects": append(fixtures[i], object{
			"object": "balance", "amount": 10_000_000, "currency": "usd",
		})})
	}
	w.wares = g
}

// order draws the nth order and the objects that it needs at Stripe.
func (w *world) order(n, of int, over time.Duration) (*order, []object) {
	r := w.random
	one := &order{key: fmt.Sprintf("order-%d", n), merchant: r.IntN(3), ids: map[string]bool{}}
	if r.IntN(20) == 0 {
		one.merchant = leaver
	}
	kind, target, params, needs := draw(r, n)
	one.body = object{"kind": kind}
	if target != "" {
		one.body["target"] = target
	}
	if params != nil {
		one.body["params"] = params
	}
	if r.IntN(4) > 0 {
		at := w.began.Add(time.Duration(n) * over / time.Duration(of))
		if soonest := time.Now().Add(-30 * time.Second); at.Before(soonest) {
			at = soonest
		}
		one.body["run_at"] = at.UTC().Format(time.RFC3339Nano)
	}
	if r.IntN(3) == 0 && (kind == "invoice.pay" || kind == "payment_intent.create") {
		one.body["on_decline"] = object{"retry_after": []string{"1h", "2h"}}
	}
	if r.IntN(8) == 0 {
		one.intent = fmt.Sprintf("intent-%d", n)
		one.body["intent"] = one.intent
	}
	return one, needs
}

// draw chooses a kind. Each works on objects of its own, save that invoices and subscriptions come to the next order again:
// those are siblings, which must go one by one.
func draw(r *rand.Rand, n int) (kind, target string, params object, needs []object) {
	own := func(prefix string) string { return fmt.Sprintf("%s_%d", prefix, n) }
	switch at := r.IntN(100); {
	case at < 30:
		id := own("in")
		if r.IntN(5) == 0 {
			params = object{"payment_method": "pm_processing"} // a debit, which takes days
		}
		return "invoice.pay", id, params, []object{{"object": "invoice", "id": id, "status": "open", "customer": "cus_ok", "amount": 1000 + n}}
	case at < 40:
		id := fmt.Sprintf("in_shared_%d", n/6)
		kind := []string{"invoice.pay", "invoice.void", "invoice.send"}[r.IntN(3)]
		return kind, id, nil, []object{{"object": "invoice", "id": id, "status": "open", "customer": "cus_ok", "amount": 1000}}
	case at < 55:
		method := []string{"pm_ok", "pm_ok", "pm_ok", "pm_decline_insufficient_funds", "pm_decline_stolen_card", "pm_action", "pm_processing"}[r.IntN(7)]
		return "payment_intent.create", "", object{
			"amount": 1000 + n, "currency": "usd", "customer": "cus_ok", "payment_method": method, "confirm": true,
		}, nil
	case at < 63:
		return "subscription.create", "", object{"customer": "cus_ok", "items": []object{{"price": "price_basic"}}}, nil
	case at < 71:
		id := own("sub")
		return "subscription.cancel", id, nil, []object{{"object": "subscription", "id": id, "status": "active", "customer": "cus_ok", "price": "price_basic"}}
	case at < 79:
		id := own("ch")
		return "refund.create", "", object{"charge": id, "amount": 100}, []object{{"object": "charge", "id": id, "customer": "cus_ok", "amount": 2000}}
	case at < 87:
		id := own("pi")
		return "payment_intent.capture", id, nil, []object{{
			"object": "payment_intent", "id": id, "status": "requires_capture", "customer": "cus_ok", "amount": 2000,
		}}
	case at < 92:
		id := own("in_draft")
		return "invoice.finalize", id, nil, []object{{"object": "invoice", "id": id, "status": "draft", "customer": "cus_ok", "amount": 1500}}
	case at < 96:
		return "invoice.pay", own("in_missing"), nil, nil
	default:
		return "invoice_item.create", "", object{"customer": "cus_ok", "amount": 100 + n, "currency": "usd"}, nil
	}
}
