package secret_test

import (
	"testing"

	"billonce/pkg/secret"
)

func TestScrub(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"used sk_live_abcdefgh12345678 today", "used [redacted] today"},
		{"rk_test_abcdefgh12345678, rt_abcdefgh12345678, ac_abcdefgh12345678", "[redacted], [redacted], [redacted]"},
		{"whsec_abcdefgh12345678 bo_live_abcdefgh12345678", "[redacted] [redacted]"},
		{"pi_3Nabcdefgh_secret_abcdef waits", "pi_3Nabcdefgh_secret_[redacted] waits"},
		{"seti_3Nabcdefgh_secret_abcdef", "seti_3Nabcdefgh_secret_[redacted]"},
		{"cs_test_a1b2c3d4e5_secret_abcdef", "cs_test_a1b2c3d4e5_secret_[redacted]"},
		{"pi_3Nabcdefgh, seti_3Nabcdefgh", "pi_3Nabcdefgh, seti_3Nabcdefgh"},
		{"Authorization: bearer a.b-c", "Authorization: [redacted]"},
		{"Basic c2tfbGl2ZQ==", "[redacted]"},
		{"dial postgres://u:p@ss@host/db", "dial postgres://[redacted]@host/db"},
		{"dial postgres://u:p/ss@host/db", "dial postgres://[redacted]@host/db"},
		{"https://host:8080/path", "https://host:8080/path"},
		{"card 4242424242424242 refused", "card [redacted] refused"},
		{"4242 4242 4242 4242 and 4242-4242-4242-4242", "[redacted] and [redacted]"},
		{"378282246310005", "[redacted]"},
		{"not a card: 4242424242424241", "not a card: 4242424242424241"},
		{"0192f5a0-7b1c-7def-8a2b-0123456789ab", "0192f5a0-7b1c-7def-8a2b-0123456789ab"},
		{"task_0192f5a0-7b1c-7def-8a2b-0123456789ab", "task_0192f5a0-7b1c-7def-8a2b-0123456789ab"},
		{"1764131611000 ms", "1764131611000 ms"},
		{"", ""},

		{"key_sk_live_abcdefgh12345678", "key_[redacted]"},
		{"?key=%20sk_live_abcdefgh12345678", "?key=%20[redacted]"},
		{`key\nsk_live_abcdefgh12345678`, `key\n[redacted]`},
		{`%20rt_abcdefgh12345678 \tac_abcdefgh12345678 \u003dsk_abcdefgh12345678`, `%20[redacted] \t[redacted] \u003d[redacted]`},
		{"x-whsec_abcdefgh+/12345678=", "x-[redacted]"},
		{"ek_live_abcdefgh12345678, ek_test_abcdefgh12345678", "[redacted], [redacted]"},
		{"bo_admin_0123456789abcdef", "[redacted]"},
		{"src_client_secret_abcdefgh", "src_client_secret_[redacted]"},
		{"sub_1Nabcdefgh_secret_abcdef", "sub_1Nabcdefgh_secret_[redacted]"},
		{"cs_test_a1b2_secret_ab%2Fcd_e", "cs_test_a1b2_secret_[redacted]"},
		{"Bearer%20abcdefgh.12345678", "[redacted]"},
		{"Authorization%3A%20Basic%20abc", "Authorization%3A%20[redacted]"},
		{"BEARER\t abcdefgh", "[redacted]"},
		{"ba\u017fic abcdefgh", "[redacted]"},
		{"the basic plan, a basic fault, a bearer bond", "the basic plan, a basic fault, a bearer bond"},
		{"host=db user=u password=p@ss dbname=b", "host=db user=u password=[redacted] dbname=b"},
		{`PASSWORD = 'it\'s mine' x`, "PASSWORD = [redacted] x"},
		{`sslpassword="a b"&password%3Dabc`, "sslpassword=[redacted]&password%3D[redacted]"},
		{"password authentication failed", "password authentication failed"},
		{"desk_abcdefgh12345678, task_abcdefgh12345678", "desk_abcdefgh12345678, task_abcdefgh12345678"},

		{"2223003122003222 2720999999999996 2721000000000004", "[redacted] [redacted] 2721000000000004"},
		{"3782 822463 10005, 3782-822463-10005", "[redacted], [redacted]"},
		{"30569309025904, 3056 930902 5904", "[redacted], [redacted]"},
		{"3530111333300000 6011111111111117", "[redacted] [redacted]"},
		{"card4242424242424242 card_4242424242424242_x", "card[redacted] card_[redacted]_x"},
		{"card4242 4242 4242 4242", "card[redacted]"},
		{"4242.4242.4242.4242 4242\u00a04242\u00a04242\u00a04242", "[redacted] [redacted]"},
		{"4242\u202f4242\u20114242\u20094242", "[redacted]"},
		{"%204242424242424242 4242%204242%204242%204242", "%20[redacted] [redacted]"},
		{"4242 4242 4242 4242 123", "[redacted] 123"},
		{"pi_4242424242424242", "pi_[redacted]"},
		{"4242424242424242a 42424242424242424242", "4242424242424242a 42424242424242424242"},
		{"20261126063402 2026-11-26 06:34:02.123456", "20261126063402 2026-11-26 06:34:02.123456"},
		{"3111111111111113 1764131611000000000", "3111111111111113 1764131611000000000"},
		{"task_abcd4242-4242-4242-8424-2424242abcde", "task_abcd4242-4242-4242-8424-2424242abcde"},
		{"abcd4242-4242-4242-4242-abcdefabcdef", "abcd4242-4242-4242-4242-abcdefabcdef"},
		{"abcd4242-4242-4242-4242-no-uuid", "abcd[redacted]-no-uuid"},
	} {
		if got := secret.Scrub(tc.text); got != tc.want {
			t.Errorf("Scrub(%q) = %q, want %q", tc.text, got, tc.want)
		}
		if got := secret.Resembles(tc.text); got != (tc.text != tc.want) {
			t.Errorf("Resembles(%q) = %v", tc.text, got)
		}
	}
}

// TestOrdinaryTextsCostNothing: what a line of the log is made of must not reach the regular expressions, which allocate.
func TestOrdinaryTextsCostNothing(t *testing.T) {
	for _, text := range []string{
		"task_0192f5a0-7b1c-7def-8a2b-0123456789ab", "payment_intent.confirm", "pi_3OqX2eLkdIwHu7ix0mYvK9zR", "req_8KxZbQ2mVt41Lw", "incorrect_cvc",
		"https://api.stripe.com:443/v1/payment_intents", "attempt settled", "2026-11-26T06:34:02.123456789Z", "20261126063402",
		"desk_abcdefgh12345678", "connection refused: 10.0.0.1:5432",
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = secret.Scrub(text), secret.Resembles(text) }); n > 0 {
			t.Errorf("%q costs %v allocations", text, n)
		}
	}
}
