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
	} {
		if got := secret.Scrub(tc.text); got != tc.want {
			t.Errorf("Scrub(%q) = %q, want %q", tc.text, got, tc.want)
		}
		if got := secret.Resembles(tc.text); got != (tc.text != tc.want) {
			t.Errorf("Resembles(%q) = %v", tc.text, got)
		}
	}
}
