package vault

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/scrypt"

	"billonce/pkg/secret"
)

// keySize is the size of an AES-256 key in bytes.
const keySize = 32

// Node's defaults for crypto.scryptSync(secret, 'salt', 32).
const (
	scryptSalt = "salt"
	scryptN    = 16384
	scryptR    = 8
	scryptP    = 1
)

// ErrKeyForm is returned for a text that is no key. It never holds the text.
var ErrKeyForm = errors.New("the key must be 32 bytes as 64 hexadecimal digits or base64, or have a prefix: " +
	"hex: base64: utf8: (exactly 32 bytes) sha256: scrypt: (keys of older systems)")

// Key is an AES-256 key. No printer shows it.
type Key struct{ text secret.Text } // the 32 bytes

// GenerateKey returns a new random key.
func GenerateKey() (Key, error) {
	raw := make([]byte, keySize)
	if _, err := rand.Read(raw); err != nil {
		return Key{}, fmt.Errorf("generate a key: %w", err)
	}
	return Key{text: secret.New(string(raw))}, nil
}

// ParseKey reads a key: 64 hexadecimal digits, or base64 (standard or URL alphabet, padded or not) of 32 bytes, or one of
// the prefixed forms. "sha256:" hashes a passphrase and "scrypt:" stretches it as Node's scryptSync(secret, 'salt', 32)
// does. Any other text is [ErrKeyForm]: a typing error must never become a new key.
func ParseKey(text secret.Text) (Key, error) {
	raw, err := keyBytes(text.Reveal())
	if err != nil || len(raw) != keySize {
		return Key{}, ErrKeyForm
	}
	return Key{text: secret.New(string(raw))}, nil
}

func keyBytes(text string) ([]byte, error) {
	form, rest, prefixed := strings.Cut(text, ":")
	if !prefixed {
		if len(text) == 2*keySize {
			return hex.DecodeString(text)
		}
		return decodeBase64(text)
	}
	if rest == "" {
		return nil, ErrKeyForm
	}
	switch form {
	case "hex":
		return hex.DecodeString(rest)
	case "base64":
		return decodeBase64(rest)
	case "utf8":
		return []byte(rest), nil
	case "sha256":
		sum := sha256.Sum256([]byte(rest))
		return sum[:], nil
	case "scrypt":
		return scrypt.Key([]byte(rest), []byte(scryptSalt), scryptN, scryptR, scryptP, keySize)
	}
	return nil, ErrKeyForm
}

// ID names the key without telling anything of it: 16 hexadecimal digits derived by HKDF-SHA256 (RFC 5869).
func (k Key) ID() string { return hex.EncodeToString(k.derive("billonce/key-id/v1", 8)) }

// CheckValue proves that two processes hold the same key: 32 hexadecimal digits derived by HKDF-SHA256.
func (k Key) CheckValue() string {
	return hex.EncodeToString(k.derive("billonce/check-value/v1", 16))
}

func (k Key) derive(purpose string, size int) []byte {
	derived, err := hkdf.Key(sha256.New, k.bytes(), nil, purpose, size)
	if err != nil {
		panic("vault: derive from a key: " + err.Error()) // only for sizes beyond RFC 5869's limit
	}
	return derived
}

// Encode returns the key as 64 hexadecimal digits, a form that [ParseKey] reads.
func (k Key) Encode() secret.Text { return secret.New(hex.EncodeToString(k.bytes())) }

// Weak reports whether the key is one that nobody can have drawn at random: all bytes equal, or counting up.
func (k Key) Weak() bool {
	raw := k.bytes()
	equal, counting := true, true
	for i := 1; i < len(raw); i++ {
		equal = equal && raw[i] == raw[0]
		counting = counting && raw[i] == raw[i-1]+1
	}
	return equal || counting
}

func (k Key) bytes() []byte { return []byte(k.text.Reveal()) }

// decodeBase64 accepts the standard and the URL alphabet, with or without padding, and nothing else.
func decodeBase64(text string) ([]byte, error) {
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	if trimmed := strings.TrimRight(text, "="); len(trimmed) != len(text) {
		if len(text)%4 != 0 || len(text)-len(trimmed) > 2 {
			return nil, base64.CorruptInputError(len(trimmed))
		}
		text = trimmed
	}
	if strings.ContainsAny(text, "\r\n") { // encoding/base64 skips them
		return nil, base64.CorruptInputError(0)
	}
	return encoding.Strict().DecodeString(text)
}
