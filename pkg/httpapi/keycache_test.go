package httpapi_test

import (
	"context"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

type keyHash = [billing.APIKeyHashBytes]byte

// TestOneOfManyReadsAKeyAgain before its entry ends, so that those who use it at that moment go on with what is there.
func TestOneOfManyReadsAKeyAgain(t *testing.T) {
	t.Parallel()
	reads := 0
	cache := httpapi.NewKeyCache(time.Hour, func(_ context.Context, hash keyHash) (billing.APIKey, error) {
		reads++
		return billing.APIKey{Hash: hash, Status: billing.APIKeyActive, UsableFor: 10 * time.Hour}, nil
	})
	_, hash := httpapi.MakeKey()
	if fresh, ok := cache.Known(hash, time.Now()); fresh || ok {
		t.Error("a key is known that was never read")
	}
	if _, err := cache.Look(t.Context(), hash); err != nil {
		t.Fatal(err)
	}
	asked := func(at time.Duration) (must int) {
		t.Helper()
		for range 10 {
			fresh, ok := cache.Known(hash, time.Now().Add(at))
			if !ok {
				t.Error("the key is forgotten")
			}
			if !fresh {
				must++
			}
		}
		return must
	}
	if early, late, over := asked(47*time.Minute), asked(49*time.Minute), asked(61*time.Minute); early != 0 || late != 1 || over != 10 {
		t.Errorf("of ten callers %d, then %d, then %d had to read it again", early, late, over)
	}
	if _, err := cache.Look(t.Context(), hash); err != nil {
		t.Fatal(err)
	}
	if n := asked(49 * time.Minute); n != 1 || reads != 2 {
		t.Errorf("%d had to read what was read again, after %d reads", n, reads)
	}
}

// TestWhatCannotBeReadAgainIsGoodUntilItsEnd: whoever reads an entry again before its end meets no error that the others are spared, and
// the next one tries again.
func TestWhatCannotBeReadAgainIsGoodUntilItsEnd(t *testing.T) {
	t.Parallel()
	down := false
	cache := httpapi.NewKeyCache(time.Hour, func(_ context.Context, hash keyHash) (billing.APIKey, error) {
		if down {
			return billing.APIKey{}, &billing.Error{Code: billing.CodeUnavailable}
		}
		return billing.APIKey{ID: "kept", Hash: hash, Status: billing.APIKeyActive, UsableFor: 10 * time.Hour}, nil
	})
	_, hash := httpapi.MakeKey()
	if _, err := cache.Look(t.Context(), hash); err != nil {
		t.Fatal(err)
	}
	down = true
	for range 3 {
		if fresh, ok := cache.Known(hash, time.Now().Add(49*time.Minute)); fresh || !ok {
			t.Errorf("nobody reads it again: fresh %v, known %v", fresh, ok)
		}
		if key, err := cache.Look(t.Context(), hash); err != nil || key.ID != "kept" {
			t.Errorf("%+v, %v", key, err)
		}
	}
	cache.Stale()
	if _, err := cache.Look(t.Context(), hash); billing.CodeOf(err) != billing.CodeUnavailable {
		t.Errorf("what is stale is believed: %v", err)
	}
}

// TestWhatWasReadBeforeAKeyEndedIsNotKept: a read that was under way when the key was revoked here says what was before.
func TestWhatWasReadBeforeAKeyEndedIsNotKept(t *testing.T) {
	t.Parallel()
	var cache *httpapi.KeyCache
	revoked := false
	cache = httpapi.NewKeyCache(time.Hour, func(_ context.Context, hash keyHash) (billing.APIKey, error) {
		if revoked {
			return billing.APIKey{Hash: hash, Status: billing.APIKeyRevoked}, nil
		}
		revoked = true
		cache.Stale()
		return billing.APIKey{Hash: hash, Status: billing.APIKeyActive, UsableFor: 10 * time.Hour}, nil
	})
	_, hash := httpapi.MakeKey()
	if _, err := cache.Look(t.Context(), hash); err != nil {
		t.Fatal(err)
	}
	if fresh, ok := cache.Known(hash, time.Now()); fresh || !ok {
		t.Errorf("fresh %v, known %v", fresh, ok)
	}
	if key, err := cache.Look(t.Context(), hash); err != nil || key.Status != billing.APIKeyRevoked {
		t.Errorf("%+v, %v", key, err)
	}
	if fresh, _ := cache.Known(hash, time.Now()); !fresh {
		t.Error("what was read afterwards is not kept")
	}
}
