package httpapi

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"billonce/pkg/billing"
)

const lastUses = 2 * time.Second // what writing them may take at the end

// uses collects when keys were used last, so that the database hears of it every few seconds and no request waits for that.
type uses struct {
	mu   sync.Mutex
	last map[billing.APIKeyID]time.Time
}

func (u *uses) note(id billing.APIKeyID, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[billing.APIKeyID]time.Time{}
	}
	if at.After(u.last[id]) {
		u.last[id] = at
	}
}

func (u *uses) take() map[billing.APIKeyID]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.last
	u.last = nil
	return taken
}

// recordUses writes what is collected now and then until ctx ends, and a last time then.
func (s *Server) recordUses(ctx context.Context) {
	tick := time.NewTicker(s.config.UseInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.writeUses(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastUses)
			defer cancel()
			s.writeUses(last)
			return
		}
	}
}

// writeUses keeps for the next time what could not be written.
func (s *Server) writeUses(ctx context.Context) {
	taken := s.uses.take()
	if len(taken) == 0 {
		return
	}
	now := time.Now()
	list := make([]billing.KeyUse, 0, len(taken))
	for id, at := range taken {
		list = append(list, billing.KeyUse{ID: id, Ago: now.Sub(at)})
	}
	if err := s.deps.Keys.UseAPIKeys(ctx, list); err != nil {
		for id, at := range taken {
			s.uses.note(id, at)
		}
		s.log.WarnContext(ctx, "the use of API keys was not recorded", slog.Any("error", err))
	}
}
