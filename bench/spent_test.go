package main

import (
	"testing"
	"time"
)

func TestSpentAddsUpByScenarioAndStep(t *testing.T) {
	t.Parallel()
	clock := time.Unix(0, 0)
	now := func() time.Time { return clock }
	var s spent
	s.step(stepFilling, time.Hour) // before any scenario: nobody's

	end := s.begin("a", now)
	s.step(stepFilling, 20*time.Second)
	s.step(stepChoosing, 5*time.Second)
	s.step(stepFilling, 10*time.Second)
	clock = clock.Add(90 * time.Second)
	end()
	end = s.begin("b", now)
	clock = clock.Add(30 * time.Second)
	end()

	const want = "a 1m30s (filling 30s, choosing settings 5s), b 30s, in all 2m0s"
	if got := s.String(); got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
