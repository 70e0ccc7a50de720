package console

import (
	"net/url"
	"sync"
	"time"

	"billonce/pkg/client"
)

const (
	countsFresh = 2 * time.Second // that the parts of pages that are shown anew may be behind with their counts
	mostCounted = 64              // filters whose counts are kept
)

// counts keeps for a moment how many tasks there are. Counting is most of what a list costs, and many people look at the same one: what
// their pages ask again and again is counted once for all who may see the same tasks. Whoever opens a page has it counted anew.
type counts struct {
	now   func() time.Time
	mu    sync.Mutex
	known map[string]*count
}

// count is one that is there, or that somebody waits for.
type count struct {
	done chan struct{} // closed when the rest is there
	at   time.Time
	data []client.StatusCount
	err  error
}

// countTasks returns how many tasks of each status fit a query. The visitor's key must allow to read tasks.
func (c *Console) countTasks(v *visit, query url.Values) ([]client.StatusCount, error) {
	whose := "" // of all merchants
	if v.me.MerchantID != nil {
		whose = *v.me.MerchantID
	}
	key := whose + "?" + query.Encode()
	mine, found := c.counts.claim(key, v.live())
	if found {
		select {
		case <-mine.done:
		case <-v.ctx.Done():
			return nil, v.ctx.Err()
		}
		if mine.err == nil {
			return mine.data, nil
		}
		mine = &count{done: make(chan struct{})} // it was another's call that failed, maybe because that one has gone
	}
	var read client.TaskCounts
	mine.err = c.api.Get(v.ctx, "/v1/tasks/counts", query, &read)
	mine.data = read.Data
	close(mine.done)
	if mine.err != nil {
		c.counts.forget(key, mine)
	}
	return mine.data, mine.err
}

// claim returns what is known if that will do, or something to be filled in by the caller.
func (k *counts) claim(key string, knownWillDo bool) (*count, bool) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if one, ok := k.known[key]; ok && knownWillDo && now.Sub(one.at) < countsFresh {
		return one, true
	}
	for other, one := range k.known {
		if len(k.known) >= mostCounted || now.Sub(one.at) >= countsFresh {
			delete(k.known, other)
		}
	}
	mine := &count{done: make(chan struct{}), at: now}
	k.known[key] = mine
	return mine, false
}

func (k *counts) forget(key string, one *count) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known[key] == one {
		delete(k.known, key)
	}
}
