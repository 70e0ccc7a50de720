package gateway

import "testing"

// BenchmarkReadAnswer counts what becomes of an answer once it is here: reading the object, and telling what it proves.
func BenchmarkReadAnswer(b *testing.B) {
	seen := observation{status: 200, requestID: "req_8KxZbQ2mVt41Lw", body: []byte(`{"id":"pi_3OqX2eLkdIwHu7ix0mYvK9zR","object":"payment_intent",` +
		`"amount":2000,"canceled_at":null,"client_secret":"pi_3OqX2eLkdIwHu7ix0mYvK9zR_secret_a1B2c3D4e5F6g7H8","currency":"eur",` +
		`"latest_charge":"ch_3OqX2eLkdIwHu7ix0nCqL8bT","last_payment_error":null,"status":"succeeded"}`)}
	b.ReportAllocs()
	for b.Loop() {
		found, ok := readAnswer(seen.body)
		if answer := done(seen, found); !ok || answer.Result.ID != found.ID {
			b.Fatal(answer)
		}
	}
}
