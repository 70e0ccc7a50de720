package telemetry

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"billonce/pkg/billing"
)

// WorkerMetrics counts what a worker does.
type WorkerMetrics struct {
	slots, busy, lastClaim   prometheus.Gauge
	claimed, lost, takenOver prometheus.Counter
	archived, limited        prometheus.Counter
	claimFailures            prometheus.Counter
	settleFailures           prometheus.Counter
	heartbeatFailures        prometheus.Counter
	leasesLost               prometheus.Counter
	claimDurations           *prometheus.HistogramVec
	settleDurations          *prometheus.HistogramVec

	lags     func() prometheus.Observer // the only one, once there is a first observation
	attempts *table[attempt, attemptMetrics]
	settled  *table[settled, settledMetrics]
	calls    *table[call, callMetrics]
}

// attempt, settled and call are labels, …Metrics what they lead to.
type attempt struct {
	kind    billing.Kind
	outcome billing.Outcome
	reason  billing.Reason
}

type attemptMetrics struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

type settled struct {
	kind   billing.Kind
	status billing.Status
	reason billing.Reason
}

type settledMetrics struct {
	count prometheus.Counter
	age   prometheus.Observer // nil unless the task is at its end
}

type call struct {
	operation string
	status    int
}

type callMetrics struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

// NewWorkerMetrics registers the worker's metrics.
func NewWorkerMetrics(registry prometheus.Registerer) *WorkerMetrics {
	single := func(name, help string) prometheus.Counter { return prometheus.NewCounter(options(name, help)) }
	m := &WorkerMetrics{
		slots:             gauge("worker_slots", "Tasks that this worker may have in flight."),
		busy:              gauge("worker_busy", "Tasks that this worker has in flight."),
		lastClaim:         gauge("worker_last_claim_timestamp_seconds", "When this worker last asked for tasks, whether or not it got any."),
		claimed:           single("tasks_claimed_total", "Tasks claimed."),
		lost:              single("settlements_discarded_total", "Outcomes that came too late: the task was another's."),
		takenOver:         single("tasks_taken_over_total", "Tasks given back for workers that fell silent."),
		archived:          single("archived_tasks_total", "Finished tasks moved into the archive."),
		limited:           single("stripe_rate_limited_total", "Answers of Stripe's rate limiter."),
		claimFailures:     single("claim_failures_total", "Claims that failed."),
		settleFailures:    single("settle_failures_total", "Settle statements that failed. They are tried again."),
		heartbeatFailures: single("heartbeat_failures_total", "Heartbeats that the database did not answer."),
		leasesLost:        single("leases_lost_total", "How often this worker was declared dead and registered anew."),
		claimDurations:    histogram("claim_duration_seconds", "Time of one claim statement.", latencyBuckets),
		settleDurations:   histogram("settle_duration_seconds", "Time of one settle statement.", latencyBuckets),
	}
	lag := histogram("task_schedule_lag_seconds", "From run_at to the claim.", lagBuckets)
	m.lags = sync.OnceValue(func() prometheus.Observer { return lag.WithLabelValues() })
	registry.MustRegister(m.slots, m.busy, m.lastClaim, m.claimed, m.lost, m.takenOver, m.archived, m.limited, m.claimFailures,
		m.settleFailures, m.heartbeatFailures, m.leasesLost, m.claimDurations, m.settleDurations, lag)
	m.countAttempts(registry)
	m.countSettled(registry)
	m.countCalls(registry)
	return m
}

func (m *WorkerMetrics) countAttempts(registry prometheus.Registerer) {
	count := counter("task_attempts_total", "Attempts ended.", "kind", "outcome", "reason")
	durations := histogram("task_attempt_duration_seconds", "Time of one call to Stripe.", latencyBuckets, "kind", "outcome")
	registry.MustRegister(count, durations)
	m.attempts = newTable(func(labels attempt) attemptMetrics {
		return attemptMetrics{
			count:    count.WithLabelValues(string(labels.kind), string(labels.outcome), string(labels.reason)),
			duration: durations.WithLabelValues(string(labels.kind), string(labels.outcome)),
		}
	})
}

func (m *WorkerMetrics) countSettled(registry prometheus.Registerer) {
	finished := counter("tasks_finished_total", "Tasks brought to their end by workers.", "kind", "status", "reason")
	doubted := counter("tasks_doubted_total", "Tasks put in doubt.", "kind", "reason")
	retried := counter("tasks_retried_total", "Attempts after which the task is tried again.", "kind", "reason")
	ages := histogram("task_end_to_end_seconds", "From scheduled_for to the recorded end.", lagBuckets, "status")
	registry.MustRegister(finished, doubted, retried, ages)
	m.settled = newTable(func(labels settled) settledMetrics {
		kind, reason := string(labels.kind), string(labels.reason)
		switch labels.status { //nolint:exhaustive // the others end a task
		case billing.InDoubt:
			return settledMetrics{count: doubted.WithLabelValues(kind, reason)}
		case billing.Pending:
			return settledMetrics{count: retried.WithLabelValues(kind, reason)}
		}
		return settledMetrics{
			count: finished.WithLabelValues(kind, string(labels.status), reason), age: ages.WithLabelValues(string(labels.status)),
		}
	})
}

func (m *WorkerMetrics) countCalls(registry prometheus.Registerer) {
	count := counter("stripe_requests_total", "HTTP calls to Stripe.", "op", "code")
	durations := histogram("stripe_request_duration_seconds", "Time of one HTTP call to Stripe.", latencyBuckets, "op")
	registry.MustRegister(count, durations)
	m.calls = newTable(func(labels call) callMetrics {
		code := "none"
		if labels.status != 0 {
			code = strconv.Itoa(labels.status)
		}
		return callMetrics{count: count.WithLabelValues(labels.operation, code), duration: durations.WithLabelValues(labels.operation)}
	})
}

// Slots sets how many tasks the worker may have in flight.
func (m *WorkerMetrics) Slots(n int) { m.slots.Set(float64(n)) }

// Busy sets how many tasks the worker has in flight.
func (m *WorkerMetrics) Busy(n int) { m.busy.Set(float64(n)) }

// Claimed counts one claim of n tasks.
func (m *WorkerMetrics) Claimed(n int, took time.Duration) {
	m.claimed.Add(float64(n))
	m.lastClaim.SetToCurrentTime()
	m.claimDurations.WithLabelValues().Observe(took.Seconds())
}

// ClaimFailed counts a claim that failed.
func (m *WorkerMetrics) ClaimFailed() { m.claimFailures.Inc() }

// Started notes how late a task began.
func (m *WorkerMetrics) Started(lag time.Duration) { m.lags().Observe(lag.Seconds()) }

// AttemptDone counts one attempt.
func (m *WorkerMetrics) AttemptDone(kind billing.Kind, outcome billing.Outcome, reason billing.Reason, took time.Duration) {
	found := m.attempts.at(attempt{kind, outcome, reason})
	found.count.Inc()
	found.duration.Observe(took.Seconds())
}

// TaskSettled counts what became of a task, once that is recorded: its end, a doubt, or another try. age is the time since the moment for
// which it was scheduled.
func (m *WorkerMetrics) TaskSettled(kind billing.Kind, status billing.Status, reason billing.Reason, age time.Duration) {
	found := m.settled.at(settled{kind, status, reason})
	found.count.Inc()
	if found.age != nil {
		found.age.Observe(age.Seconds())
	}
}

// Settled counts one settle statement.
func (m *WorkerMetrics) Settled(_, lost int, took time.Duration) {
	m.lost.Add(float64(lost))
	m.settleDurations.WithLabelValues().Observe(took.Seconds())
}

// SettleFailed counts a settle statement that failed.
func (m *WorkerMetrics) SettleFailed() { m.settleFailures.Inc() }

// TakenOver counts tasks given back for silent workers.
func (m *WorkerMetrics) TakenOver(n int) { m.takenOver.Add(float64(n)) }

// HeartbeatFailed counts a heartbeat that was not answered.
func (m *WorkerMetrics) HeartbeatFailed() { m.heartbeatFailures.Inc() }

// LeaseLost counts that the worker was declared dead.
func (m *WorkerMetrics) LeaseLost() { m.leasesLost.Inc() }

// Archived counts finished tasks moved into the archive.
func (m *WorkerMetrics) Archived(n int) { m.archived.Add(float64(n)) }

// CallDone counts one HTTP call to Stripe. operation is a kind, or "look"; status is 0 without an answer; limited says that Stripe's rate
// limiter answered.
func (m *WorkerMetrics) CallDone(operation string, status int, limited bool, took time.Duration) {
	found := m.calls.at(call{operation, status})
	found.count.Inc()
	found.duration.Observe(took.Seconds())
	if limited {
		m.limited.Inc()
	}
}
