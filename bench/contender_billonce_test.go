package main

import (
	"testing"
	"time"
)

func TestTasksLieAheadEvenIfLoadingIsThreeTimesAsSlow(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	for _, rate := range []float64{2_000, 12_000, 100_000} {
		for _, kind := range []order{equal, spread} {
			b := &Bench{loadRate: rate}
			fill := filling{due: 200_000, order: kind}
			first, apart := b.firstDue(fill, now)
			for _, i := range []int{0, 1, fill.due / 2, fill.due - 1} {
				scheduled := now.Add(time.Duration(float64(i) / (rate / 3) * float64(time.Second)))
				if due := first.Add(time.Duration(i) * apart); !due.After(scheduled) {
					t.Errorf("%s at %.0f/s: task %d is due at %s and scheduled at %s", kind, rate, i, due.Sub(now), scheduled.Sub(now))
				}
			}
		}
	}
}

func TestTheSlowestLoadCounts(t *testing.T) {
	t.Parallel()
	var b Bench
	b.loaded(0, time.Second) // an empty database says nothing
	for _, tasks := range []int{20_000, 10_000, 30_000} {
		b.loaded(tasks, time.Second)
	}
	if b.loadRate != 10_000 {
		t.Errorf("the rate is %v", b.loadRate)
	}
}
