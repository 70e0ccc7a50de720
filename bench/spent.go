package main

import (
	"fmt"
	"strings"
	"time"
)

// The kinds of steps whose time is told apart from the rest, in which something is measured.
const (
	stepFilling  = "filling"
	stepChoosing = "choosing settings"
)

// spent is how long each scenario took, and in it the steps before anything is measured.
type spent struct{ scenarios []scenarioTime }

type scenarioTime struct {
	name  string
	took  time.Duration
	steps []stepTime
}

type stepTime struct {
	kind string
	took time.Duration
}

// begin is called when a scenario begins; what it returns, when it ends.
func (s *spent) begin(scenario string, now func() time.Time) (end func()) {
	began, at := now(), len(s.scenarios)
	s.scenarios = append(s.scenarios, scenarioTime{name: scenario})
	return func() { s.scenarios[at].took = now().Sub(began) }
}

// step adds to a kind of step of the scenario that runs.
func (s *spent) step(kind string, took time.Duration) {
	if len(s.scenarios) == 0 {
		return
	}
	one := &s.scenarios[len(s.scenarios)-1]
	for i := range one.steps {
		if one.steps[i].kind == kind {
			one.steps[i].took += took
			return
		}
	}
	one.steps = append(one.steps, stepTime{kind, took})
}

// String is a line such as "a 5m10s (filling 40s, choosing settings 1m2s), b 12m0s, in all 17m10s".
func (s *spent) String() string {
	var parts []string
	var all time.Duration
	for _, scenario := range s.scenarios {
		part := fmt.Sprintf("%s %s", scenario.name, scenario.took.Round(time.Second))
		var steps []string
		for _, step := range scenario.steps {
			steps = append(steps, fmt.Sprintf("%s %s", step.kind, step.took.Round(time.Second)))
		}
		if len(steps) > 0 {
			part += " (" + strings.Join(steps, ", ") + ")"
		}
		parts = append(parts, part)
		all += scenario.took
	}
	return strings.Join(append(parts, "in all "+all.Round(time.Second).String()), ", ")
}
