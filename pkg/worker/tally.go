package worker

import (
	"sync"

	"billonce/pkg/billing"
)

// tally sums up what attempts came to, for a chart. The lease writes it beside the heartbeat; what a crash loses is only missing there.
type tally struct {
	mu  sync.Mutex
	sum billing.OutcomeCounts
}

func (t *tally) add(outcomes billing.OutcomeCounts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum = t.sum.Plus(outcomes)
}

// take returns the sum, which begins anew.
func (t *tally) take() billing.OutcomeCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := t.sum
	t.sum = billing.OutcomeCounts{}
	return sum
}
