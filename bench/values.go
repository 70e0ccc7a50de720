package main

import (
	"strings"
	"time"
)

// notQuick is why something is missing.
const notQuick = "not in a quick run"

// perTask is a time for each of n tasks in microseconds.
func perTask(d time.Duration, n int) float64 { return float64(d.Microseconds()) / float64(n) }

// firstLine is what fits into a table of an error.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
