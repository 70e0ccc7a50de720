// Package pace does things at a steady rate, whether or not the earlier ones are done: a slow answer must not hide the ones
// that would have come meanwhile.
package pace

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run calls do for 0 to n-1, rate times a second, each in a goroutine of its own, and waits for all of them. The first error
// ends it.
func Run(ctx context.Context, n, rate int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; i < n && ctx.Err() == nil; i++ {
		timer.Reset(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			continue
		}
		group.Go(func() {
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("at a steady rate: %w", err)
	}
	return nil
}
