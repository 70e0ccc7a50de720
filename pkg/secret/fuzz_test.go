package secret

import (
	"strings"
	"testing"
)

// FuzzScrub: where the look before says that there is no credential, no expression finds one; and Resembles and Scrub
// agree.
func FuzzScrub(f *testing.F) {
	parts := []string{
		"sk_live_abcdefgh", "rt_abcdefgh", "whsec_abcdefgh", "pi_1_secret_a", "Authorization: Basic a", "bEaRer%20abcdefgh", "ba\u017fic abcdefgh",
		"postgres://u:p@host", "password='a b'", "PA\u017fSWORD%3Da", "4242424242424242", "3782 822463 10005", "0192f5a0-7b1c-7def-8a2b-0123456789ab",
	}
	for _, part := range parts {
		for _, before := range []string{"", "x", "_", " ", "%20", `\n`, `\u003d`, "\xff", "4", "sk_"} {
			f.Add(before+part, uint16(0))
		}
	}
	f.Fuzz(func(t *testing.T, text string, cut uint16) {
		for _, each := range []string{text, text[min(int(cut), len(text)):], strings.ReplaceAll(text, " ", "_")} {
			if !mayHoldCredential(each) && scrubCredentials(each) != each {
				t.Errorf("passed over in %q: %q", each, scrubCredentials(each))
			}
			if got := Scrub(each); Resembles(each) != (got != each) && !strings.Contains(each, Redacted) {
				t.Errorf("Scrub(%q) = %q, Resembles says otherwise", each, got)
			}
		}
	})
}
