package secret

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
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

// TestTheLookMissesNothing holds [mayHoldCredential] to the expressions with texts that are put together of their own parts,
// which a fuzzer comes upon too seldom.
func TestTheLookMissesNothing(t *testing.T) {
	parts := []string{
		"sk", "rk", "ek", "rt", "ac", "bo", "whsec", "_", "_", "live_", "test_", "secret_", "abcdefgh", "12345678", "x", "9", " ", "\t", "\n", "%", "20", "%20", "%3D",
		`\`, `\n`, `\u003d`, "u003d", ":", "//", "://", "@", "/", "authorization", "AuthoriZation: ", "bearer", "BEARER", "basic", "ba\u017fic", "Ba\u017fIc", "password",
		"Pa\u017f\u017fWord", "=", "'", `"`, "+", "\u212a", "\xff", "\u00e9", "ſ", "",
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	found := 0
	for range 100_000 {
		var text strings.Builder
		for range 1 + random.IntN(8) {
			text.WriteString(parts[random.IntN(len(parts))])
		}
		scrubbed := scrubCredentials(text.String())
		if scrubbed == text.String() {
			continue
		}
		found++
		if !mayHoldCredential(text.String()) {
			t.Fatalf("seed %d: passed over in %q: %q", seed, text.String(), scrubbed)
		}
	}
	if found < 1000 {
		t.Errorf("seed %d: only %d texts held a credential", seed, found)
	}
}
