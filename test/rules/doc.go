// Package rules holds the tests of what is watched with: that Prometheus's own parsers take the rules and the dashboard's queries,
// that each alert fires when it should and is silent when it should be, that every metric and label which they name exists
// (docs/metrics.md), and that each alert has its entry in the runbook. It has tests only, and starts nothing.
//
// It is a module of its own, because Prometheus as a library is larger than billonce: nothing of it is built into a program.
package rules
