package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"billonce/pkg/billing"
)

// KeyMetrics counts what happens to keys and sealed tokens.
type KeyMetrics struct {
	refused    *prometheus.CounterVec
	operations *prometheus.CounterVec
	unbound    prometheus.Counter
	previous   prometheus.Counter
	sealings   prometheus.Gauge

	held atomic.Pointer[heldKeys]
}

// heldKeys are the ids of the keys that the process holds.
type heldKeys struct {
	primary  string
	previous map[string]bool
}

// What stands for a key in a label where it has no id, or none that the process holds: whoever writes to the database could otherwise
// write labels.
const (
	keyNone  = "none"
	keyOther = "other"
)

// NewKeyMetrics registers them. Every fault is there from the beginning, so that its first increase is seen.
func NewKeyMetrics(registry prometheus.Registerer) *KeyMetrics {
	m := &KeyMetrics{
		refused:    counter("tokens_refused_total", "Stored tokens that were not opened. misplaced: somebody moved or replaced one.", "fault"),
		operations: counter("encryption_operations_total", "Sealings and openings of tokens.", "op", "key_id", "result"),
		unbound: prometheus.NewCounter(options("tokens_opened_unbound_total",
			"How often a stored token was opened that is bound to no place. billctl keys rotate binds them.")),
		previous: prometheus.NewCounter(options("tokens_opened_with_previous_key_total",
			"How often a stored token was opened with a key of ENCRYPTION_KEYS_PREVIOUS. billctl keys rotate seals them anew.")),
		sealings: gauge("encryption_key_sealings", "How often this process's encryption key has sealed in this database, since version 9 of the schema and at most. Use max, not sum."),
	}
	for _, fault := range billing.TokenFaults() {
		m.refused.WithLabelValues(string(fault))
	}
	m.held.Store(&heldKeys{})
	registry.MustRegister(m.refused, m.operations, m.unbound, m.previous, m.sealings)
	return m
}

// Holds says which keys the process holds.
func (m *KeyMetrics) Holds(primary string, previous ...string) {
	held := &heldKeys{primary: primary, previous: map[string]bool{}}
	for _, id := range previous {
		held.previous[id] = true
	}
	m.held.Store(held)
	for _, op := range []string{"seal", "open"} {
		for _, result := range []string{"ok", "failed"} {
			m.operations.WithLabelValues(op, primary, result)
		}
	}
}

// TokenRefused counts one token that was not opened.
func (m *KeyMetrics) TokenRefused(fault billing.TokenFault) {
	m.refused.WithLabelValues(string(fault)).Inc()
}

// TokenOpenedUnbound counts one opening of a token that is bound to no place.
func (m *KeyMetrics) TokenOpenedUnbound() { m.unbound.Inc() }

// TokenSealed counts that a token was sealed, or was not.
func (m *KeyMetrics) TokenSealed(keyID string, ok bool) { m.operated("seal", keyID, ok) }

// TokenOpened counts that a token was opened that names the key, or was not.
func (m *KeyMetrics) TokenOpened(keyID string, ok bool) {
	m.operated("open", keyID, ok)
	if ok && m.held.Load().previous[keyID] {
		m.previous.Inc()
	}
}

func (m *KeyMetrics) operated(op, keyID string, ok bool) {
	held := m.held.Load()
	switch {
	case keyID == "":
		keyID = keyNone
	case keyID != held.primary && !held.previous[keyID]:
		keyID = keyOther
	}
	result := "ok"
	if !ok {
		result = "failed"
	}
	m.operations.WithLabelValues(op, keyID, result).Inc()
}

// Sealings sets how often the key has sealed.
func (m *KeyMetrics) Sealings(n int64) { m.sealings.Set(float64(n)) }
