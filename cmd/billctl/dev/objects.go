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
