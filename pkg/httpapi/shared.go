package httpapi

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// mostShared is how many values a shared keeps.
const mostShared = 1024

// shared reads a value once for all who ask for it at about the same time, so that many people who look at a page cost as much as one.
// The others wait for the one who reads; one of them goes on where that one's request has ended. A failure is shared for as long.
type shared[K comparable, V any] struct {
	read  func(context.Context, K) (V, error)
	fresh time.Duration

	mu   sync.Mutex
	kept map[K]*sharedValue[V]
}

type sharedValue[V any] struct {
	turn  chan struct{} // held by whoever looks at the rest
	value V
	err   error
	until time.Time
}

func (s *shared[K, V]) get(ctx context.Context, key K) (V, error) {
	kept := s.of(key)
	select {
	case kept.turn <- struct{}{}:
		defer func() { <-kept.turn }()
	case <-ctx.Done():
		var none V
		return none, fmt.Errorf("wait for whoever reads the same: %w", ctx.Err())
	}
	began := time.Now()
	if began.Before(kept.until) {
		return kept.value, kept.err
	}
	value, err := s.read(ctx, key)
	if ctx.Err() == nil {
		kept.value, kept.err, kept.until = value, err, began.Add(s.fresh)
	}
	return value, err
}

func (s *shared[K, V]) of(key K) *sharedValue[V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.kept[key]
	if !ok {
		if s.kept == nil || len(s.kept) >= mostShared {
			s.kept = map[K]*sharedValue[V]{}
		}
		kept = &sharedValue[V]{turn: make(chan struct{}, 1)}
		s.kept[key] = kept
	}
	return kept
}
