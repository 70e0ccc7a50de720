package vault_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"billonce/pkg/secret"
	"billonce/pkg/vault"
)

type vector struct {
	KeyForm  string `json:"key_form"`
	Key      string `json:"key"`
	IVBytes  int    `json:"iv_bytes"`
	Encoding string `json:"encoding"`
	Plain    string `json:"plain"`
	Sealed   string `json:"sealed"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	content, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(content, &list); err != nil || len(list) < 200 {
		t.Fatalf("%d vectors, %v", len(list), err)
	}
	return list
}

func newVault(t testing.TB, previous ...vault.Key) (*vault.Vault, vault.Key) {
	t.Helper()
	key, err := vault.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(key, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return v, key
}

func TestOpensWhatNodeSealed(t *testing.T) {
	t.Parallel()
	keys := map[string]*vault.Vault{}
	for i, vec := range vectors(t) {
		v, known := keys[vec.Key]
		if !known {
			key, err := vault.ParseKey(secret.New(vec.Key))
			if err != nil {
				t.Fatalf("key form %s: %v", vec.KeyForm, err)
			}
			if v, err = vault.New(key); err != nil {
				t.Fatal(err)
			}
			keys[vec.Key] = v
		}
		got, err := v.Decrypt(vec.Sealed)
		if err != nil || got != vec.Plain {
			t.Errorf("vector %d (%s key, %d-byte IV, %s): got %q, %v", i, vec.KeyForm, vec.IVBytes, vec.Encoding, got, err)
		}
	}
}

// TestSealForNode writes what Go seals for Node to open, when `make interop` asks for it; it always checks the form.
func TestSealForNode(t *testing.T) {
	t.Parallel()
	v, key := newVault(t)
	var list []vector
	for _, plain := range []string{"", "x", "sk_test_4eC39HqLyjWDarjtT1zdp7dc", "Grüße, 世界 🌍", strings.Repeat("long ", 80)} {
		sealed, err := v.Encrypt(plain)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^[0-9a-f]{24}:[0-9a-f]{32}:(?:[0-9a-f]{2})*$`).MatchString(sealed) {
			t.Errorf("%q is not iv:authTag:encryptedContent", sealed)
		}
		if got, err := v.Decrypt(sealed); err != nil || got != plain {
			t.Errorf("got %q, %v", got, err)
		}
		if got := plainGCM(t, key, sealed); got != plain {
			t.Errorf("a plain AES-256-GCM reader got %q, want %q", got, plain)
		}
		list = append(list, vector{Key: key.Encode().Reveal(), Plain: plain, Sealed: sealed})
	}
	path := os.Getenv("VAULT_SEALED_BY_GO")
	if path == "" {
		return
	}
	content, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// plainGCM opens a text with the standard library alone.
func plainGCM(t *testing.T, key vault.Key, sealed string) string {
	t.Helper()
	parts := strings.Split(sealed, ":")
	raw := make([][]byte, 4)
	for i, text := range append(parts, key.Encode().Reveal()) {
		decoded, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		raw[i] = decoded
	}
	block, err := aes.NewCipher(raw[3])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, raw[0], append(raw[2], raw[1]...), nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestEveryRefusalIsTheSame(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	other, _ := newVault(t)
	good, err := v.Encrypt("sk_live_canary")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Encrypt("sk_live_canary")
	if err != nil {
		t.Fatal(err)
	}
	iv, rest, _ := strings.Cut(good, ":")
	tag, content, _ := strings.Cut(rest, ":")
	bad := map[string]string{
		"empty": "", "plain text": "sk_live_canary", "two parts": iv + ":" + tag, "four parts": good + ":00", "short tag": iv + ":" + tag[:8] + ":" + content,
		"tag of 15 bytes": iv + ":" + tag[:30] + ":" + content, "tag of 17 bytes": iv + ":" + tag + "00:" + content, "no tag": iv + "::" + content,
		"no iv": ":" + tag + ":" + content, "iv of 8 bytes": iv[:16] + ":" + tag + ":" + content, "stray character": iv + ":" + tag + ":" + content[:4] + "!" + content[5:],
		"space": good + " ", "line feed": good + "\n", "odd digits": iv + ":" + tag + ":" + content + "0", "truncated content": iv + ":" + tag + ":" + content[2:],
		"swapped": tag + ":" + iv + ":" + content, "another key": foreign, "NUL": good + "\x00",
	}
	for i := range good {
		if good[i] == ':' {
			continue
		}
		flipped := []byte(good)
		flipped[i] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", good[i])+1)%16]
		bad[fmt.Sprintf("digit %d changed", i)] = string(flipped)
	}
	for name, sealed := range bad {
		got, err := v.Decrypt(sealed)
		if err != vault.ErrDecrypt || got != "" { //nolint:errorlint // the very same error is the promise
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestPreviousKeysOpenAndNeverSeal(t *testing.T) {
	t.Parallel()
	old, oldKey := newVault(t)
	sealed, err := old.Encrypt("token")
	if err != nil {
		t.Fatal(err)
	}
	v, key := newVault(t, oldKey)
	if got, err := v.Decrypt(sealed); err != nil || got != "token" {
		t.Errorf("got %q, %v", got, err)
	}
	fresh, err := v.Encrypt("token")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Decrypt(fresh); err == nil {
		t.Error("a previous key sealed")
	}
	if v.Primary().ID() != key.ID() || len(v.Previous()) != 1 || v.Previous()[0].ID() != oldKey.ID() {
		t.Error("the keys are not the ones given")
	}
}

func TestIVsDoNotRepeat(t *testing.T) {
	t.Parallel()
	v, _ := newVault(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 2500 {
				sealed, err := v.Encrypt("x")
				if err != nil {
					t.Error(err)
					return
				}
				iv, _, _ := strings.Cut(sealed, ":")
				mu.Lock()
				if seen[iv] {
					t.Errorf("IV %s came twice", iv)
				}
				seen[iv] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	hexKey := strings.Repeat("0f", 32)
	for name, text := range map[string]string{
		"empty": "", "a passphrase": "canary passphrase", "63 digits": hexKey[1:], "65 digits": hexKey + "0", "31 bytes in base64": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
		"64 characters that are no digits": strings.Repeat("zz", 32), "unknown prefix": "rot13:" + hexKey, "empty prefix": "sha256:", "short utf8": "utf8:canary",
		"long utf8": "utf8:" + strings.Repeat("x", 33), "hex prefix with base64": "hex:AAAA", "space": hexKey + " ", "line feed": hexKey + "\n", "mixed alphabets": "+_" + strings.Repeat("A", 41),
		"loose base64": strings.Repeat("A", 42) + "B=", "base64 with line feed": strings.Repeat("A", 40) + "\nAAA=",
	} {
		_, err := vault.ParseKey(secret.New(text))
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "64 hexadecimal digits") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestKeyIdentity(t *testing.T) {
	t.Parallel()
	one, err := vault.ParseKey(secret.New(strings.Repeat("0f", 32)))
	if err != nil {
		t.Fatal(err)
	}
	same, err := vault.ParseKey(secret.New("Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8="))
	if err != nil {
		t.Fatal(err)
	}
	_, other := newVault(t)
	if one.ID() != same.ID() || one.CheckValue() != same.CheckValue() {
		t.Error("one key in two forms has two identities")
	}
	if one.ID() == other.ID() || one.CheckValue() == other.CheckValue() || len(one.ID()) != 16 || len(one.CheckValue()) != 32 {
		t.Errorf("id %q, check value %q", one.ID(), one.CheckValue())
	}
	if !one.Weak() || other.Weak() {
		t.Error("weakness is judged wrongly")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if shown := fmt.Sprintf(verb, one); strings.Contains(shown, "0f0f") || strings.Contains(shown, "\x0f") {
			t.Errorf("%s shows the key: %q", verb, shown)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	for _, vec := range vectors(f)[:40] {
		f.Add(vec.Sealed)
	}
	for _, text := range []string{"", "::", ":::", "00:00:00", strings.Repeat("0", 24) + ":" + strings.Repeat("0", 32) + ":"} {
		f.Add(text)
	}
	v, _ := newVault(f)
	f.Fuzz(func(t *testing.T, sealed string) {
		if got, err := v.Decrypt(sealed); err == nil || got != "" {
			t.Fatalf("%q opened under a random key", sealed)
		}
		again, err := v.Encrypt(sealed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Decrypt(again); err != nil || got != sealed {
			t.Fatalf("%q came back as %q, %v", sealed, got, err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, vec := range vectors(f) {
		if !strings.HasPrefix(vec.Key, "scrypt:") {
			f.Add(vec.Key)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "scrypt:") {
			return // slow by design
		}
		key, err := vault.ParseKey(secret.New(text))
		if err != nil {
			return
		}
		again, err := vault.ParseKey(key.Encode())
		if err != nil || again.ID() != key.ID() {
			t.Fatalf("a key does not survive its own encoding: %v", err)
		}
	})
}
