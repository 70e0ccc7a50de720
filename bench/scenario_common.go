package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"billonce/bench/stage"
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

// stopAll stops processes side by side.
func stopAll(ctx context.Context, processes []*stage.Process) error {
	errs := make([]error, len(processes))
	var group sync.WaitGroup
	for i, process := range processes {
		group.Go(func() { errs[i] = process.Stop(ctx) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// machineBusy is the CPU time that all processes of the machine have used since it started.
func machineBusy() (time.Duration, error) {
	const tick = 10 * time.Millisecond
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's times: %w", err)
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(first) // cpu user nice system idle iowait irq softirq …
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, errors.New("read the machine's times: /proc/stat begins with something else")
	}
	var busy time.Duration
	for i, field := range fields[1:8] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the machine's times: %w", err)
		}
		if idle := i == 3 || i == 4; !idle {
			busy += time.Duration(ticks) * tick
		}
	}
	return busy, nil
}
