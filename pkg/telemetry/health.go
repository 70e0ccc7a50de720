package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	checkTimeout = time.Second
	checkCache   = time.Second // how long a result is used again: a probe must not become a load
)

// ErrDraining says that the process is shutting down.
var ErrDraining = errors.New("shutting down")

// Check tells whether one thing that the service needs is there.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Health knows whether the process should be given work.
type Health struct {
	mu       sync.Mutex
	checks   []Check
	draining bool
	results  []error
	at       time.Time
}

// NewHealth returns a Health that is not ready until it has been given checks.
func NewHealth() *Health { return &Health{} }

// SetChecks replaces the checks.
func (h *Health) SetChecks(checks ...Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks, h.at = checks, time.Time{}
}

// Drain makes the process not ready at once and for good.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// Ready returns nil when every check passes, and the reasons otherwise.
func (h *Health) Ready(ctx context.Context) error {
	checks, results, err := h.look(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for i, check := range checks {
		if results[i] != nil {
			faults = append(faults, fmt.Errorf("%s: %w", check.Name, results[i]))
		}
	}
	return errors.Join(faults...)
}

// look runs the checks, or returns results that are fresh. One caller looks at a time; the others share what it finds.
func (h *Health) look(ctx context.Context) ([]Check, []error, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return nil, nil, ErrDraining
	case len(h.checks) == 0:
		return nil, nil, errors.New("starting")
	case time.Since(h.at) < checkCache:
		return h.checks, h.results, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	h.results = make([]error, len(h.checks))
	for i, check := range h.checks {
		h.results[i] = check.Run(ctx)
	}
	h.at = time.Now()
	return h.checks, h.results, nil
}
