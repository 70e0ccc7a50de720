package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// An API key is bo_live_, 256 random bits in base 62, and six digits of a checksum over both. The underscores keep it in one piece
// for whoever double-clicks it and for secret scanners (bo_live_[0-9A-Za-z]{49}); the checksum lets a mistyped key be refused
// without a look into the database.
const (
	keyPrefix      = "bo_live_"
	keyRandomBytes = 32
	keyDigits      = 43 // 62^43 > 2^256
	checksumDigits = 6  // 62^6 > 2^32
	keyLength      = len(keyPrefix) + keyDigits + checksumDigits
	hintLength     = len(keyPrefix) + 4
)

const base62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// madeKey is a key that was just made. text is shown to its owner once, and is nowhere else.
type madeKey struct {
	text secret.Text
	hash [billing.APIKeyHashBytes]byte
	hint string
}

func makeKey() madeKey {
	random := make([]byte, keyRandomBytes)
	_, _ = rand.Read(random) // never fails since Go 1.24
	digits := new(big.Int).SetBytes(random).Text(len(base62))
	body := keyPrefix + strings.Repeat("0", keyDigits-len(digits)) + digits
	sum := checksum(body)
	text := body + string(sum[:])
	return madeKey{text: secret.New(text), hash: sha256.Sum256([]byte(text)), hint: text[:hintLength]}
}

// isKeyText reports whether text has the form of an API key, its checksum included.
func isKeyText(text string) bool {
	if len(text) != keyLength || !strings.HasPrefix(text, keyPrefix) {
		return false
	}
	for i := len(keyPrefix); i < len(text); i++ {
		if c := text[i]; !isDigit(c) && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	sum := checksum(text[:keyLength-checksumDigits])
	return text[keyLength-checksumDigits:] == string(sum[:])
}

func checksum(body string) (digits [checksumDigits]byte) {
	sum := crc32.ChecksumIEEE([]byte(body))
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return digits
}
