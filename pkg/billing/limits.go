package billing

// Limits say how fast each merchant's tasks may go, counted over all workers. Zero means no limit.
type Limits struct {
	Rate        float64 // calls to Stripe per second
	Concurrency int     // calls at once
}

// None reports whether there is no limit at all.
func (l Limits) None() bool { return l.Rate <= 0 && l.Concurrency <= 0 }
