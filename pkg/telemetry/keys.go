package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"billonce/pkg/billing"
)

// KeyMetrics counts what happens to keys and sealed tokens.
type KeyMetrics struct {
	refused  *prometheus.CounterVec
	unbound  prometheus.Counter
	sealings prometheus.Gauge
}

// NewKeyMetrics registers them. Every fault is there from the beginning, so that its first increase is seen.
func NewKeyMetrics(registry prometheus.Registerer) *KeyMetrics {
	m := &KeyMetrics{
		refused: counter("tokens_refused_total", "Stored tokens that were not opened. misplaced: somebody moved or replaced one.", "fault"),
		unbound: prometheus.NewCounter(options("tokens_opened_unbound_total",
			"How often a stored token was opened that is bound to no place. billctl keys rotate binds them.")),
		sealings: gauge("encryption_key_sealings", "How often this process's encryption key has sealed in this database, since version 9 of the schema and at most. Use max, not sum."),
	}
	for _, fault := range billing.TokenFaults() {
		m.refused.WithLabelValues(string(fault))
	}
	registry.MustRegister(m.refused, m.unbound, m.sealings)
	return m
}

// TokenRefused counts one token that was not opened.
func (m *KeyMetrics) TokenRefused(fault billing.TokenFault) {
	m.refused.WithLabelValues(string(fault)).Inc()
}

// TokenOpenedUnbound counts one opening of a token that is bound to no place.
func (m *KeyMetrics) TokenOpenedUnbound() { m.unbound.Inc() }

// Sealings sets how often the key has sealed.
func (m *KeyMetrics) Sealings(n int64) { m.sealings.Set(float64(n)) }
