// Package vault seals and opens single fields with AES-256-GCM.
//
// It promises:
//
//   - What it writes is "iv:authTag:encryptedContent" in lower-case hexadecimal digits: a 12-byte IV from the system's
//     random source, a 16-byte tag, no associated data. Any AES-256-GCM program that holds the key opens it.
//
//   - It opens what Node programs wrote in this form too: 16-byte IVs, base64, and both encodings mixed.
//
//   - Whatever is wrong with a sealed text, the error is the same [ErrDecrypt] and says nothing of the content.
//
//   - What [Vault.Seal] writes is bound to its place: beside the text stands the id of its key and an HMAC-SHA256, under a key of
//     its own that HKDF derives, over table, column, row, key id and text. [Vault.Open] refuses a text that was moved to another
//     place, or put back under another key's id.
//
// It protects tokens from whoever reads the database, its backups or its replicas without holding the key, and from being moved
// by whoever writes to it. It does not protect them from whoever runs code in a service that holds the key, nor from whoever puts
// a whole old row back, with its binding, as long as its key is held.
//
// It never logs, and never returns a key's bytes but through [Key.Encode].
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	ivSize       = 12
	legacyIVSize = 16 // what many Node programs use
	tagSize      = 16
)

// ErrDecrypt is the one error of [Vault.Decrypt].
var ErrDecrypt = errors.New("vault: the text does not open")

// Vault seals with one key and opens with that and any previous ones. It is safe for concurrent use.
type Vault struct {
	primary  Key
	previous []Key
	seal     cipher.AEAD // makes its own random IV and puts it in front
	opens    []opener    // primary first
	strict   bool        // nothing is opened without a binding
}

// opener opens with one key, whichever size the IV has, and binds with the key derived from it.
type opener struct {
	usual, legacy cipher.AEAD
	id            string
	binding       []byte
}

// New returns a vault that seals with primary.
func New(primary Key, previous ...Key) (*Vault, error) {
	vault := &Vault{primary: primary, previous: previous}
	for i, key := range append([]Key{primary}, previous...) {
		block, err := aes.NewCipher(key.bytes())
		if err != nil {
			return nil, fmt.Errorf("prepare a key: %w", err)
		}
		open, err := newOpener(block)
		if err != nil {
			return nil, fmt.Errorf("prepare a key: %w", err)
		}
		open.id, open.binding = key.ID(), key.derive("billonce/binding/v1", keySize)
		vault.opens = append(vault.opens, open)
		if i > 0 {
			continue
		}
		if vault.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("prepare the primary key: %w", err)
		}
	}
	return vault, nil
}

func newOpener(block cipher.Block) (made opener, err error) {
	if made.usual, err = cipher.NewGCMWithNonceSize(block, ivSize); err != nil {
		return opener{}, err
	}
	if made.legacy, err = cipher.NewGCMWithNonceSize(block, legacyIVSize); err != nil {
		return opener{}, err
	}
	return made, nil
}

// Primary returns the key that seals.
func (v *Vault) Primary() Key { return v.primary }

// Previous returns the keys that only open. The caller owns the slice.
func (v *Vault) Previous() []Key { return slices.Clone(v.previous) }

// Encrypt seals text.
func (v *Vault) Encrypt(text string) (string, error) {
	sealed := v.seal.Seal(nil, nil, []byte(text), nil) // iv, content, tag
	iv, content, tag := sealed[:ivSize], sealed[ivSize:len(sealed)-tagSize], sealed[len(sealed)-tagSize:]
	return hex.EncodeToString(iv) + ":" + hex.EncodeToString(tag) + ":" + hex.EncodeToString(content), nil
}

// Decrypt opens a sealed text. Its only error is [ErrDecrypt].
func (v *Vault) Decrypt(sealed string) (string, error) { return decrypt(sealed, v.opens...) }

func decrypt(sealed string, opens ...opener) (string, error) {
	iv, tag, contents, ok := parse(sealed)
	if !ok {
		return "", ErrDecrypt
	}
	for _, with := range opens {
		for _, content := range contents {
			if text, ok := with.open(iv, tag, content); ok {
				return text, nil
			}
		}
	}
	return "", ErrDecrypt
}

func (o opener) open(iv, tag, content []byte) (string, bool) {
	gcm := o.usual
	if len(iv) == legacyIVSize {
		gcm = o.legacy
	}
	text, err := gcm.Open(nil, iv, append(slices.Clone(content), tag...), nil)
	return string(text), err == nil
}

// parse splits a sealed text. The encoding of the content can be ambiguous (hexadecimal digits are base64 too), so it
// returns every reading; the tag decides.
func parse(sealed string) (iv, tag []byte, contents [][]byte, ok bool) {
	parts := strings.Split(sealed, ":")
	if len(parts) != 3 {
		return nil, nil, nil, false
	}
	iv = sized(parts[0], ivSize, legacyIVSize)
	tag = sized(parts[1], tagSize)
	if content, err := hex.DecodeString(parts[2]); err == nil {
		contents = append(contents, content)
	}
	if content, err := decodeBase64(parts[2]); err == nil {
		contents = append(contents, content)
	}
	return iv, tag, contents, iv != nil && tag != nil && len(contents) > 0
}

// sized decodes a part that must have one of the given sizes. The encodings cannot be confused: hexadecimal digits of such
// a part are not the right length in base64, nor the other way round.
func sized(part string, sizes ...int) []byte {
	for _, size := range sizes {
		if decoded, err := hex.DecodeString(part); err == nil && len(decoded) == size {
			return decoded
		}
	}
	for _, size := range sizes {
		if decoded, err := decodeBase64(part); err == nil && len(decoded) == size {
			return decoded
		}
	}
	return nil
}
