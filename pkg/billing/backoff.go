package billing

import "time"

// Backoff spaces the attempts of a task: exponential, with full jitter.
type Backoff struct {
	Base time.Duration // upper bound of the first pause
	Max  time.Duration // upper bound of every pause
}

// Next returns the pause after the attempt with the given number, from 1. jitter is uniform in [0, 1); the pause is
// uniform between nothing and min(Max, Base·2^(attempt−1)), but never under a tenth of Base, so that it is a pause.
func (b Backoff) Next(attempt int, jitter float64) time.Duration {
	bound := b.Max
	if shift := max(attempt-1, 0); shift < 62 && b.Base <= b.Max>>shift {
		bound = b.Base << shift
	}
	return max(time.Duration(jitter*float64(bound)), b.Base/10)
}
