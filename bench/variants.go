package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// choiceTasks is what settings are tried with: enough for a rate, and half of what is measured.
const choiceTasks = 100_000

func choiceKey(c contender, workers int) string { return fmt.Sprintf("%s/%d", c.name, workers) }

// variantOf is how a contender is set with so many workers: as choose found, or as it comes.
func (b *Bench) variantOf(c contender, workers int) variant {
	if chosen, ok := b.chosen[choiceKey(c, workers)]; ok {
		return chosen
	}
	return c.variants[0]
}

// choose finds the fastest of the contender's variants for each number of workers, for all that follows: once in a run, and not
// in a quick one.
func (b *Bench) choose(ctx context.Context, c contender, numbers ...int) error {
	numbers = slices.DeleteFunc(slices.Clone(numbers), func(workers int) bool {
		_, done := b.chosen[choiceKey(c, workers)]
		return done
	})
	if b.Quick || len(c.variants) < 2 || len(numbers) == 0 {
		return nil
	}
	template := c.name + "_choice"
	if err := b.fillDatabase(ctx, c, template, filling{due: choiceTasks, order: asLoaded}); err != nil {
		return err
	}
	defer func(began time.Time) { b.spent.step(stepChoosing, time.Since(began)) }(time.Now())
	for _, workers := range numbers {
		if err := b.chooseFor(ctx, c, template, workers); err != nil {
			return err
		}
	}
	return b.Stage.Drop(ctx, template)
}

// chooseFor drains a copy of the template with each variant. Whichever takes longer than the fastest so far has lost and is not
// waited for.
func (b *Bench) chooseFor(ctx context.Context, c contender, template string, workers int) error {
	key := choiceKey(c, workers)
	best, fastest := c.variants[0], time.Duration(0)
	for _, candidate := range c.variants {
		b.chosen[key] = candidate
		result, err := b.drain(ctx, c, template, draining{workers: workers, tasks: choiceTasks, atMost: fastest})
		if err != nil {
			delete(b.chosen, key)
			return fmt.Errorf("try %s: %w", candidate, err)
		}
		b.Logf("%s, %d workers, %s: %.0f/s", c.name, workers, candidate, result.rate)
		if result.done == choiceTasks && (fastest == 0 || result.took < fastest) {
			best, fastest = candidate, result.took
		}
	}
	b.chosen[key] = best
	return nil
}
