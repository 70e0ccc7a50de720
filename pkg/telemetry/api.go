package telemetry

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"billonce/pkg/billing"
)

// APIMetrics counts requests, scheduled tasks and what is recorded of who changed what.
type APIMetrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	scheduled *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	audited   *prometheus.CounterVec
	streams   prometheus.Gauge
	ended     *prometheus.CounterVec
}

// keyRefusals are why a request may be turned away for its key. The set is closed.
var keyRefusals = []string{"absent", "unknown", "inactive", "scope", "throttled"}

// streamEnds are why a stream of events may end. The set is closed.
var streamEnds = []string{"client", "slow", "key", "shutdown"}

// NewAPIMetrics registers the api's metrics. Every reason of a refusal is there from the beginning, so that its first increase is seen.
func NewAPIMetrics(registry prometheus.Registerer) *APIMetrics {
	m := &APIMetrics{
		requests:  counter("http_requests_total", "Requests answered.", "method", "route", "code"),
		durations: histogram("http_request_duration_seconds", "Time to answer a request.", latencyBuckets, "method", "route"),
		scheduled: counter("tasks_scheduled_total", "Tasks scheduled, replays not counted.", "kind"),
		refusals:  counter("api_key_refusals_total", "Requests turned away for their key.", "reason"),
		audited:   counter("audit_entries_total", "Entries written to the audit log.", "action"),
		streams:   gauge("event_streams", "Streams of events that are open."),
		ended:     counter("event_streams_ended_total", "Streams of events that have ended.", "reason"),
	}
	for _, reason := range keyRefusals {
		m.refusals.WithLabelValues(reason)
	}
	for _, reason := range streamEnds {
		m.ended.WithLabelValues(reason)
	}
	registry.MustRegister(m.requests, m.durations, m.scheduled, m.refusals, m.audited, m.streams, m.ended)
	return m
}

// RequestDone counts one answered request. route is the route's template, never a path.
func (m *APIMetrics) RequestDone(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(method, route).Observe(took.Seconds())
}

// EventStreams says how many streams of events are open.
func (m *APIMetrics) EventStreams(n int) { m.streams.Set(float64(n)) }

// EventStreamEnded counts a stream of events that has ended.
func (m *APIMetrics) EventStreamEnded(why string) { m.ended.WithLabelValues(why).Inc() }

// TasksScheduled counts n newly scheduled tasks.
func (m *APIMetrics) TasksScheduled(kind billing.Kind, n int) {
	m.scheduled.WithLabelValues(string(kind)).Add(float64(n))
}

// KeyRefused counts a request that was turned away for its key: without one (absent), with a wrong one (unknown), with one that is revoked
// or has expired (inactive), with one that does not allow the route (scope), or because its address has presented too many wrong ones
// (throttled).
func (m *APIMetrics) KeyRefused(reason string) {
	if slices.Contains(keyRefusals, reason) {
		m.refusals.WithLabelValues(reason).Inc()
	}
}

// Audited counts an entry of the audit log.
func (m *APIMetrics) Audited(action billing.Action) { m.audited.WithLabelValues(string(action)).Inc() }
