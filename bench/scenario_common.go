package main

import (
	"context"
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
