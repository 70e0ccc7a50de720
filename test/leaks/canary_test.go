package leaks_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// canary is a text that must not be found, or be found only where its group may stand.
type canary struct {
	name    string
	group   string   // of things that are allowed at the same places; "" is allowed nowhere
	text    string   // as it is given to the programs
	needles []string // what is looked for: parts of the text that are long enough to be nobody else's
}

// canaries are all of a run, by name.
type canaries struct {
	t   *testing.T
	all map[string]canary

	mu    sync.Mutex
	taken map[string]bool // those that were given to somebody
}

// The groups of what callers store on purpose: see places_test.go.
const (
	inParams   = "a caller's params"
	inMetadata = "a caller's metadata"
	inName     = "a merchant's name"
	inNote     = "a resolution's note"
	inKey      = "a caller's Idempotency-Key"
	inIntent   = "a caller's intent"
	inPointer  = "the name of a field that is not known"
	inReason   = "the reason of a change"
)

// newCanaries draws new ones, so that no run can find what another one left behind. Whoever adds one sends it as
// well, along good paths and bad ones, as [world.connect], [world.ask] and [world.operate] do: one that no path takes fails the test.
func newCanaries(t *testing.T) *canaries {
	t.Helper()
	c := &canaries{t: t, all: map[string]canary{}, taken: map[string]bool{}}
	for name, prefix := range map[string]string{
		"platform key": "sk_test_", "admin key": "bo_admin_", "wrong admin key": "bo_admin_", "wrong basic password": "",
		"access token": "sk_test_", "live access token": "sk_live_", "restricted token": "rk_test_", "refused token": "sk_test_",
		"sealed elsewhere": "sk_test_", "token while the database is away": "sk_test_", "token of a panic": "sk_live_",
		"second access token": "sk_test_", "refresh token": "rt_", "second refresh token": "rt_", "webhook secret": "whsec_",
		"token in a bad request": "sk_live_", "refresh token in a bad request": "rt_", "key as request id": "bo_live_",
		"payment intent's client secret": "pi_3NcanaryABCDEF_secret_", "setup intent's client secret": "seti_1NcanaryABCDEF_secret_",
		"client secret as id": "pi_3NcanaryGHIJKL_secret_", "value in a bad configuration": "", "password in a bad url": "",
		"text of a panic": "panicked while holding ", "cookie of Stripe's": "session=", "value in a bad request": "",
	} {
		c.secret(name, "", prefix)
	}
	c.password("database password")
	c.password("wrong database password")
	c.encryptionKey("encryption key")
	c.encryptionKey("previous encryption key")
	for _, group := range []string{"", inParams, inMetadata, inNote} {
		c.customer(group)
	}
	c.secret("merchant's name", inName, `Ann & Bob's "best" <shop> `)
	c.secret("idempotency key", inKey, "order ")
	c.secret("intent", inIntent, "renewal:")
	c.secret("name of an unknown field", inPointer, "sk_live_")
	c.secret("reason", inReason, `asked for by "Ann" <`)
	for name, group := range map[string]string{
		foreignName: inName, foreignParams: inParams, foreignMetadata: inMetadata, foreignIntent: inIntent,
	} {
		c.secret(name, group, "")
	}
	return c
}

// add notes a canary. Each part is looked for by itself, so that what was cut off is found as well.
func (c *canaries) add(name, group, text string, needles ...string) {
	c.mu.Lock() // the mirror asks for some while more are added
	defer c.mu.Unlock()
	if _, known := c.all[name]; known {
		c.t.Fatalf("two canaries are called %q", name)
	}
	c.all[name] = canary{name: name, group: group, text: text, needles: needles}
}

// secret adds a prefix with 26 random letters and digits behind it, of which either half gives it away.
func (c *canaries) secret(name, group, prefix string) {
	body := random(c.t, 26)
	c.add(name, group, prefix+body, body[:13], body[13:])
}

// password adds a text that every encoding writes in another way.
func (c *canaries) password(name string) {
	body := random(c.t, 24)
	text := body[:12] + `@/:"\<&é %` + body[12:]
	c.add(name, "", text, body[:12], body[12:], text)
}

// encryptionKey adds 32 bytes, given in hexadecimal, which must be found in their raw form and in any other as well.
func (c *canaries) encryptionKey(name string) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	c.add(name, "", hex.EncodeToString(raw), string(raw[:16]), string(raw[16:]), hex.EncodeToString(raw[:8]), hex.EncodeToString(raw[24:]))
}

// customer adds what is known of one person: a name, an address and cards of three brands, whose numbers are written in three ways.
func (c *canaries) customer(group string) {
	owner := group
	if owner == "" {
		owner = "a customer at Stripe"
	}
	body := random(c.t, 28)
	c.add(owner+": e-mail", group, "é.ann+"+body[:14]+"@example.com", body[:14])
	c.add(owner+": person", group, `Ann "`+body[14:]+`" O'Brien <&>`, body[14:])
	for _, brand := range []struct {
		begin, separator string
		groups           []int
	}{{"424242", "", []int{16}}, {"378282", " ", []int{4, 6, 5}}, {"222300", "-", []int{4, 4, 4, 4}}} {
		var groups []string
		number, from := card(c.t, brand.begin, brand.groups), 0
		for _, length := range brand.groups {
			groups = append(groups, number[from:from+length])
			from += length
		}
		text := strings.Join(groups, brand.separator)
		c.add(fmt.Sprintf("%s: card with %q", owner, brand.separator), group, text, text, number)
	}
}

// text returns a canary as it is given.
func (c *canaries) text(name string) string {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.all[name]
	if !ok {
		c.t.Fatalf("no canary is called %q", name)
	}
	c.taken[name] = true
	return found.text
}

// wantTaken fails the test if a canary was given to nobody.
func (c *canaries) wantTaken() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.all {
		if !c.taken[name] {
			c.t.Errorf("no path takes the %s", name)
		}
	}
}

// of returns everything of a customer in one text.
func (c *canaries) of(owner string) string {
	c.t.Helper()
	var parts []string
	for _, part := range []string{"e-mail", "person", `card with ""`, `card with " "`, `card with "-"`} {
		parts = append(parts, c.text(owner+": "+part))
	}
	return strings.Join(parts, ", ")
}

// atStripe is the customer whose data only Stripe's answers have.
const atStripe = "a customer at Stripe"

const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"

func random(t *testing.T, n int) string {
	t.Helper()
	raw := make([]byte, n)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] = alphabet[int(raw[i])%len(alphabet)]
	}
	return string(raw)
}

// card returns a number that begins and is as long as a brand's, with a right check digit.
func card(t *testing.T, begin string, groups []int) string {
	t.Helper()
	length := 0
	for _, n := range groups {
		length += n
	}
	raw := make([]byte, length-len(begin)-1)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	number := []byte(begin)
	for _, b := range raw {
		number = append(number, '0'+b%10)
	}
	sum := 0
	for i, digit := range number {
		n := int(digit - '0')
		if (length-i)%2 == 0 { // every other one from the last but one on
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return string(append(number, '0'+byte((10-sum%10)%10)))
}
