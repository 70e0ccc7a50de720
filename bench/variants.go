package main

import (
	"context"
	"fmt"
)

func choiceKey(c contender, workers int) string { return fmt.Sprintf("%s/%d", c.name, workers) }

// variantOf is how a contender is set with so many workers: as choose found, or as it comes.
func (b *Bench) variantOf(c contender, workers int) variant {
	if chosen, ok := b.chosen[choiceKey(c, workers)]; ok {
		return chosen
	}
	return c.variants[0]
}

// choose drains a copy of the template with each of the contender's variants and keeps the fastest for all that follows. It
// does so once for each number of workers, and not in a quick run.
func (b *Bench) choose(ctx context.Context, c contender, template string, workers, tasks int) error {
	key := choiceKey(c, workers)
	if _, done := b.chosen[key]; done || b.Quick || len(c.variants) < 2 {
		return nil
	}
	best, fastest := c.variants[0], 0.0
	for _, candidate := range c.variants {
		b.chosen[key] = candidate
		result, err := b.drain(ctx, c, template, workers, tasks, false)
		if err != nil {
			delete(b.chosen, key)
			return fmt.Errorf("try %s: %w", candidate, err)
		}
		b.Logf("%s, %d workers, %s: %.0f/s", c.name, workers, candidate, result.rate)
		if result.rate > fastest {
			best, fastest = candidate, result.rate
		}
	}
	b.chosen[key] = best
	return nil
}
