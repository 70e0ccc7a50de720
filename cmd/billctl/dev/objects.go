package dev

import "fmt"

// The objects that samples act on, as the simulator's fixtures. Each account there has the customers cus_ok and
// cus_declined and the price price_basic from the beginning.

func invoiceID(mark string, n int) string { return fmt.Sprintf("in_%s_%d", mark, n) }

func invoice(mark string, n int, customer string, amount int) fixture {
	return fixture{"object": "invoice", "id": invoiceID(mark, n), "status": "open", "customer": customer, "amount": amount}
}

func chargeID(mark string, n int) string { return fmt.Sprintf("ch_%s_%d", mark, n) }

func charge(mark string, n, amount int) fixture {
	return fixture{"object": "charge", "id": chargeID(mark, n), "status": "succeeded", "customer": "cus_ok", "amount": amount}
}

func subscription() map[string]any {
	return map[string]any{"customer": "cus_ok", "items": []any{map[string]any{"price": "price_basic"}}}
}

// extras are further objects for the kinds of the demo: a subscription, a payment that is held, one of each kind that is
// changed rather than made.
func extras(mark string, n int) []fixture {
	return []fixture{
		{"object": "subscription", "id": subscriptionID(mark, n)},
		{"object": "subscription", "id": subscriptionID(mark, n+1)},
		{"object": "invoice", "id": invoiceID(mark, n+2), "status": "draft", "customer": "cus_ok", "amount": 900},
		{"object": "invoice", "id": invoiceID(mark, n+3), "status": "open", "customer": "cus_ok", "amount": 800},
		{"object": "invoice", "id": invoiceID(mark, n+4), "status": "open", "customer": "cus_ok", "amount": 700},
		{"object": "payment_intent", "id": intentID(mark, n), "status": "requires_capture", "amount": 4200},
		{"object": "payment_intent", "id": intentID(mark, n+1), "status": "requires_payment_method", "amount": 4300},
		{"object": "charge", "id": chargeID(mark, n+1), "status": "succeeded", "customer": "cus_ok", "amount": 4400, "captured": false},
	}
}

func subscriptionID(mark string, n int) string { return fmt.Sprintf("sub_%s_%d", mark, n) }

func intentID(mark string, n int) string { return fmt.Sprintf("pi_%s_%d", mark, n) }
