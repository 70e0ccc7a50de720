package httpapi

import (
	"context"
	"crypto/subtle"
	"sync"
	"sync/atomic"
	"time"

	"billonce/pkg/billing"
)

const (
	mostKeys  = 4096 // kept at once
	mostSwept = 16   // looked at to make room for one
	lateParts = 5    // of an entry's life the last is when somebody reads it again
)

type keyHash = [billing.APIKeyHashBytes]byte

// keyCache keeps for a few seconds what the database said of a key, so that a busy client costs a read in a while and not one for
// each request. What is kept is hashes. A key that is revoked elsewhere goes on opening for as long as its entry is fresh; one that
// expires does not, because no entry outlives its key. One caller reads an entry again a little before its end, so that not all who
// use the key at that moment do; if it cannot, what is kept is good until its end, and another caller tries.
type keyCache struct {
	read  func(context.Context, keyHash) (billing.APIKey, error)
	fresh time.Duration

	mu   sync.RWMutex
	kept map[keyHash]keptKey
	ends int // how often stale was called: what was being read then may be what was before
}

type keptKey struct {
	key         billing.APIKey
	late, until time.Time
	again       *atomic.Bool // somebody reads it again
}

// known returns what was read of a key, and whether that is fresh: if not, the caller is to look. ok is false for a key that is not
// remembered: it may well be a guess.
func (k *keyCache) known(hash keyHash, now time.Time) (key billing.APIKey, fresh, ok bool) {
	k.mu.RLock()
	kept, ok := k.kept[hash]
	k.mu.RUnlock()
	fresh = ok && now.Before(kept.until)
	if fresh && !now.Before(kept.late) && kept.again.CompareAndSwap(false, true) {
		fresh = false
	}
	return kept.key, fresh, ok
}

// look reads a key from the database and remembers it. The error has code [billing.CodeNotFound] when there is none.
func (k *keyCache) look(ctx context.Context, hash keyHash) (billing.APIKey, error) {
	began := time.Now() // what the database says may be as old as that
	k.mu.RLock()
	ends := k.ends
	k.mu.RUnlock()
	key, err := k.read(ctx, hash)
	if err == nil && subtle.ConstantTimeCompare(key.Hash[:], hash[:]) != 1 {
		err = &billing.Error{Code: billing.CodeNotFound}
	}
	switch {
	case billing.CodeOf(err) == billing.CodeNotFound:
		k.drop(hash)
		return billing.APIKey{}, err
	case err != nil:
		return k.fallBack(hash, err)
	}
	lasts := k.fresh
	if key.UsableFor > 0 {
		lasts = min(lasts, key.UsableFor)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[keyHash]keptKey{}
	}
	if _, there := k.kept[hash]; !there && len(k.kept) >= mostKeys {
		k.makeRoom(began)
	}
	if k.ends != ends {
		lasts = 0 // for this one request, which was there before the key ended
	}
	k.kept[hash] = keptKey{key: key, late: began.Add(lasts - lasts/lateParts), until: began.Add(lasts), again: new(atomic.Bool)}
	return key, nil
}

// fallBack returns what is kept of a key while that is fresh, and the error otherwise.
func (k *keyCache) fallBack(hash keyHash, err error) (billing.APIKey, error) {
	k.mu.RLock()
	kept, ok := k.kept[hash]
	k.mu.RUnlock()
	if !ok || !time.Now().Before(kept.until) {
		return billing.APIKey{}, err
	}
	kept.again.Store(false)
	return kept.key, nil
}

// makeRoom drops some entry, and any stale one that it meets on the way.
func (k *keyCache) makeRoom(now time.Time) {
	met := 0
	for hash, kept := range k.kept {
		if met++; met == mostSwept || !now.Before(kept.until) {
			delete(k.kept, hash)
		}
		if met == mostSwept {
			return
		}
	}
}

func (k *keyCache) drop(hash keyHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kept, hash)
}

// stale makes every key be read again: one has just been revoked or replaced here.
func (k *keyCache) stale() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ends++
	for hash, kept := range k.kept {
		kept.until = time.Time{}
		k.kept[hash] = kept
	}
}
