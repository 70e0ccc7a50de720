package main

import (
	"context"
	"errors"
	"time"
)

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// dropAll removes databases.
func (b *Bench) dropAll(ctx context.Context, names ...string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, b.Stage.Drop(ctx, name))
	}
	return errors.Join(errs...)
}
