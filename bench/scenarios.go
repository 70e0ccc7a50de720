package main

// scenarios are all scenarios, in the order in which they run. A new one is a line here and a file of its own.
func scenarios() []Scenario {
	return []Scenario{
		drainScenario(), backlogScenario(), latencyScenario(),
		slotsScenario(), enqueueScenario(), fairScenario(), idleScenario(), consoleScenario(),
	}
}
