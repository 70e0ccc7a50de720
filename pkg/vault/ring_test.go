package vault_test

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/secret"
	"billonce/pkg/vault"
)

const token = "sk_test_canary"

var here = billing.Place{Table: "merchants", Column: "access_token", Row: "0192f0c1-0000-7000-8000-000000000001"}

func sealHere(t testing.TB, v *vault.Vault) billing.Sealed {
	t.Helper()
	sealed, err := v.Seal(here, secret.New(token))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func wantFault(t testing.TB, v *vault.Vault, at billing.Place, sealed billing.Sealed, want error) {
	t.Helper()
	text, err := v.Open(at, sealed)
	if !errors.Is(err, want) || !text.Empty() {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestWhatIsSealedForAPlace(t *testing.T) {
	t.Parallel()
	v, key := newVault(t)
	other, otherKey := newVault(t, key)
	sealed := sealHere(t, v)
	if got := plainGCM(t, key, sealed.Text); got != token || sealed.KeyID != key.ID() {
		t.Errorf("a plain AES-256-GCM reader got %q; sealed by %s", got, sealed.KeyID)
	}
	for _, opens := range []*vault.Vault{v, other} {
		if text, err := opens.Open(here, sealed); err != nil || text.Reveal() != token {
			t.Errorf("%v", err)
		}
	}
	t.Run("OpensNowhereElse", func(t *testing.T) {
		for _, place := range []billing.Place{
			{Table: here.Table, Column: "refresh_token", Row: here.Row},
			{Table: here.Table, Column: here.Column, Row: "0192f0c1-0000-7000-8000-000000000002"},
			{Table: "archive", Column: here.Column, Row: here.Row},
			{Table: here.Table + here.Column, Column: "", Row: here.Row}, // what a mere concatenation would take for the same
			{},
		} {
			wantFault(t, v, place, sealed, billing.ErrMisplaced)
		}
	})
	t.Run("IsNotOpenedInPlaceOfAnother", func(t *testing.T) {
		second := sealHere(t, v)
		second.Binding = sealed.Binding
		wantFault(t, v, here, second, billing.ErrMisplaced)
		short := sealed
		short.Binding = sealed.Binding[:31]
		wantFault(t, v, here, short, billing.ErrMisplaced)
	})
	t.Run("IsNotOpenedUnderAnotherKeysID", func(t *testing.T) {
		renamed := sealed
		for id, want := range map[string]error{
			otherKey.ID(): billing.ErrMisplaced, "": billing.ErrMisplaced, "0000000000000000": billing.ErrKeyAbsent,
		} {
			renamed.KeyID = id
			wantFault(t, other, here, renamed, want)
		}
	})
	t.Run("IsNotOpenedWithoutItsKey", func(t *testing.T) {
		stranger, _ := newVault(t)
		wantFault(t, stranger, here, sealed, billing.ErrKeyAbsent)
	})
	t.Run("IsNotOpenedOnceChanged", func(t *testing.T) {
		// Whoever could forge a binding still meets the tag.
		changed := sealed
		changed.Text = "00" + sealed.Text[2:]
		changed.Binding = forge(t, key, here, changed.Text)
		wantFault(t, v, here, changed, vault.ErrDecrypt)
	})
}

// forge computes a binding as it is documented, with the standard library alone.
func forge(t testing.TB, key vault.Key, at billing.Place, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(key.Encode().Reveal())
	if err != nil {
		t.Fatal(err)
	}
	derived, err := hkdf.Key(sha256.New, raw, nil, "billonce/binding/v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	sum := hmac.New(sha256.New, derived)
	for _, part := range []string{at.Table, at.Column, at.Row, key.ID(), text} {
		_, _ = sum.Write(append(binary.BigEndian.AppendUint64(nil, uint64(len(part))), part...))
	}
	return sum.Sum(nil)
}

func TestTheBindingIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	v, key := newVault(t)
	sealed := sealHere(t, v)
	if !hmac.Equal(sealed.Binding, forge(t, key, here, sealed.Text)) {
		t.Error("the binding is another one")
	}
}

// TestWhatOlderReleasesWrote: with no binding, and with a key id or none.
func TestWhatOlderReleasesWrote(t *testing.T) {
	t.Parallel()
	first, firstKey := newVault(t)
	second, _ := newVault(t, firstKey)
	text, err := first.Encrypt(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, keyID := range []string{"", firstKey.ID(), second.Primary().ID(), "0000000000000000"} {
		if opened, err := second.Open(here, billing.Sealed{Text: text, KeyID: keyID}); err != nil || opened.Reveal() != token {
			t.Errorf("key id %q: %v", keyID, err)
		}
	}
	stranger, _ := newVault(t)
	wantFault(t, stranger, here, billing.Sealed{Text: text}, vault.ErrDecrypt)
	wantFault(t, stranger, here, billing.Sealed{Text: text, KeyID: firstKey.ID()}, billing.ErrKeyAbsent)

	second.RequireBinding()
	wantFault(t, second, here, billing.Sealed{Text: text}, billing.ErrUnbound)
	wantFault(t, second, here, billing.Sealed{Text: text, KeyID: firstKey.ID()}, billing.ErrUnbound)
	if opened, err := second.Open(here, sealHere(t, first)); err != nil || opened.Reveal() != token {
		t.Errorf("bound: %v", err)
	}
}
