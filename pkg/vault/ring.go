package vault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
)

// RequireBinding makes [Vault.Open] refuse what is bound to no place. It is called before the vault is shared.
func (v *Vault) RequireBinding() { v.strict = true }

// SealingKey names the key that seals, by its id and its check value.
func (v *Vault) SealingKey() (id, checkValue string) { return v.primary.ID(), v.primary.CheckValue() }

// Seal seals text for a place: what it returns opens there and nowhere else.
func (v *Vault) Seal(at billing.Place, text secret.Text) (billing.Sealed, error) {
	sealed, err := v.Encrypt(text.Reveal())
	if err != nil {
		return billing.Sealed{}, err
	}
	with := &v.opens[0]
	return billing.Sealed{Text: sealed, KeyID: with.id, Binding: with.bind(at, sealed)}, nil
}

// Open opens what is stored at a place. It returns [billing.ErrKeyAbsent], [billing.ErrMisplaced], [billing.ErrUnbound] or
// [ErrDecrypt], and none says anything of the content. What older releases wrote, with no binding, is opened by whichever key
// fits, unless a binding is required.
func (v *Vault) Open(at billing.Place, sealed billing.Sealed) (secret.Text, error) {
	with := v.byID(sealed.KeyID)
	switch {
	case len(sealed.Binding) == 0 && v.strict:
		return secret.Text{}, billing.ErrUnbound
	case len(sealed.Binding) == 0:
		text, err := v.Decrypt(sealed.Text)
		if err != nil && with == nil && sealed.KeyID != "" {
			err = billing.ErrKeyAbsent
		}
		return secret.New(text), err
	case with == nil && sealed.KeyID != "":
		return secret.Text{}, billing.ErrKeyAbsent
	case with == nil || !hmac.Equal(sealed.Binding, with.bind(at, sealed.Text)):
		return secret.Text{}, billing.ErrMisplaced
	}
	text, err := decrypt(sealed.Text, *with)
	return secret.New(text), err
}

func (v *Vault) byID(id string) *opener {
	for i := range v.opens {
		if v.opens[i].id == id {
			return &v.opens[i]
		}
	}
	return nil
}

// bind authenticates a sealed text together with where it stands and which key sealed it. Each part has its length in front, so
// that no two places read the same.
func (o *opener) bind(at billing.Place, sealed string) []byte {
	sum := hmac.New(sha256.New, o.binding)
	message := make([]byte, 0, 256+len(sealed))
	for _, part := range [...]string{at.Table, at.Column, at.Row, o.id, sealed} {
		message = binary.BigEndian.AppendUint64(message, uint64(len(part)))
		message = append(message, part...)
	}
	_, _ = sum.Write(message) // a hash takes everything
	return sum.Sum(nil)
}
