package telemetry

import (
	"context"
	"database/sql"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"billonce/pkg/billing"
)

const namespace = "billonce"

// latencyBuckets reach from a fast statement to a call to Stripe that takes its whole time-out, in seconds.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}

// lagBuckets reach from at once to a day, in seconds.
var lagBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 14400, 86400}

// Registry collects a process's metrics. There is no global one.
type Registry = prometheus.Registry

// NewRegistry returns a registry with the metrics of the process, of its build and of its pool of database connections.
func NewRegistry(service, version string, pool *sql.DB) *Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the build as labels.",
		ConstLabels: prometheus.Labels{"service": service, "version": version},
	})
	build.Set(1)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewDBStatsCollector(pool, namespace), build)
	return registry
}

// APIMetrics counts requests and scheduled tasks.
type APIMetrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	scheduled *prometheus.CounterVec
	streams   prometheus.Gauge
	ended     *prometheus.CounterVec
}

// NewAPIMetrics registers the api's metrics.
func NewAPIMetrics(registry prometheus.Registerer) *APIMetrics {
	m := &APIMetrics{
		requests:  counter("http_requests_total", "Requests answered.", "method", "route", "code"),
		durations: histogram("http_request_duration_seconds", "Time to answer a request.", latencyBuckets, "method", "route"),
		scheduled: counter("tasks_scheduled_total", "Tasks scheduled, replays not counted.", "kind"),
		streams:   gauge("event_streams", "Streams of events that are open."),
		ended:     counter("event_streams_ended_total", "Streams of events that have ended.", "reason"),
	}
	registry.MustRegister(m.requests, m.durations, m.scheduled, m.streams, m.ended)
	return m
}

// RequestDone counts one answered request. route is the route's template, never a path.
func (m *APIMetrics) RequestDone(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(method, route).Observe(took.Seconds())
}

// TasksScheduled counts n newly scheduled tasks.
func (m *APIMetrics) TasksScheduled(kind billing.Kind, n int) {
	m.scheduled.WithLabelValues(string(kind)).Add(float64(n))
}

// EventStreams says how many streams of events are open.
func (m *APIMetrics) EventStreams(n int) { m.streams.Set(float64(n)) }

// EventStreamEnded counts a stream of events that has ended.
func (m *APIMetrics) EventStreamEnded(why string) { m.ended.WithLabelValues(why).Inc() }

// WorkerMetrics counts what a worker does.
type WorkerMetrics struct {
	slots, busy, lastClaim   prometheus.Gauge
	claimed, lost, takenOver prometheus.Counter
	archived                 prometheus.Counter
	attempts                 *prometheus.CounterVec
	attemptDurations         *prometheus.HistogramVec
	claimDurations           *prometheus.HistogramVec
	settleDurations          *prometheus.HistogramVec
	lag                      *prometheus.HistogramVec

	lags  func() prometheus.Observer                 // lag's only one, once there is a first observation
	kinds atomic.Pointer[map[attempt]attemptMetrics] // what was looked up before, replaced when something is added
}

// attempt is the labels of an attempt, attemptMetrics what they lead to: looking them up takes longer than counting.
type attempt struct {
	kind    billing.Kind
	outcome billing.Outcome
	reason  billing.Reason
}

type attemptMetrics struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

// NewWorkerMetrics registers the worker's metrics.
func NewWorkerMetrics(registry prometheus.Registerer) *WorkerMetrics {
	m := &WorkerMetrics{
		slots:            gauge("worker_slots", "Tasks that this worker may have in flight."),
		busy:             gauge("worker_busy", "Tasks that this worker has in flight."),
		lastClaim:        gauge("worker_last_claim_timestamp_seconds", "When this worker last asked for tasks, whether or not it got any."),
		claimed:          prometheus.NewCounter(options("tasks_claimed_total", "Tasks claimed.")),
		lost:             prometheus.NewCounter(options("settlements_discarded_total", "Outcomes that came too late: the task was another's.")),
		takenOver:        prometheus.NewCounter(options("tasks_taken_over_total", "Tasks given back for workers that fell silent.")),
		archived:         prometheus.NewCounter(options("archived_tasks_total", "Finished tasks moved into the archive.")),
		attempts:         counter("task_attempts_total", "Attempts ended.", "kind", "outcome", "reason"),
		attemptDurations: histogram("task_attempt_duration_seconds", "Time of one call to Stripe.", latencyBuckets, "kind", "outcome"),
		claimDurations:   histogram("claim_duration_seconds", "Time of one claim statement.", latencyBuckets),
		settleDurations:  histogram("settle_duration_seconds", "Time of one settle statement.", latencyBuckets),
		lag:              histogram("task_schedule_lag_seconds", "From run_at to the claim.", lagBuckets),
	}
	m.lags = sync.OnceValue(func() prometheus.Observer { return m.lag.WithLabelValues() })
	m.kinds.Store(&map[attempt]attemptMetrics{})
	registry.MustRegister(m.slots, m.busy, m.lastClaim, m.claimed, m.lost, m.takenOver, m.archived, m.attempts, m.attemptDurations,
		m.claimDurations, m.settleDurations, m.lag)
	return m
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

// Started notes how late a task began.
func (m *WorkerMetrics) Started(lag time.Duration) { m.lags().Observe(lag.Seconds()) }

// AttemptDone counts one attempt.
func (m *WorkerMetrics) AttemptDone(kind billing.Kind, outcome billing.Outcome, reason billing.Reason, took time.Duration) {
	labels := attempt{kind, outcome, reason}
	found, ok := (*m.kinds.Load())[labels]
	if !ok {
		found = m.learn(labels)
	}
	found.count.Inc()
	found.duration.Observe(took.Seconds())
}

// learn looks up what the labels of an attempt lead to, and notes it. The labels are closed sets, so that the map stays small; an
// entry that is lost to another one, noted at the same time, is noted the next time.
func (m *WorkerMetrics) learn(labels attempt) attemptMetrics {
	found := attemptMetrics{
		count:    m.attempts.WithLabelValues(string(labels.kind), string(labels.outcome), string(labels.reason)),
		duration: m.attemptDurations.WithLabelValues(string(labels.kind), string(labels.outcome)),
	}
	known := m.kinds.Load()
	more := maps.Clone(*known)
	more[labels] = found
	m.kinds.CompareAndSwap(known, &more)
	return found
}

// Settled counts one settle statement.
func (m *WorkerMetrics) Settled(_, lost int, took time.Duration) {
	m.lost.Add(float64(lost))
	m.settleDurations.WithLabelValues().Observe(took.Seconds())
}

// TakenOver counts tasks given back for silent workers.
func (m *WorkerMetrics) TakenOver(n int) { m.takenOver.Add(float64(n)) }

// Archived counts finished tasks moved into the archive.
func (m *WorkerMetrics) Archived(n int) { m.archived.Add(float64(n)) }

// queueGauges read the queue when they are scraped.
type queueGauges struct {
	oldest, inDoubt *prometheus.Desc
	read            func(ctx context.Context) (oldestDue time.Duration, inDoubt int, err error)
}

// RegisterQueue adds gauges of the queue, read anew at each scrape. Every process reports the same queue: use max, not sum.
func RegisterQueue(registry prometheus.Registerer, read func(ctx context.Context) (oldestDue time.Duration, inDoubt int, err error)) {
	registry.MustRegister(&queueGauges{
		oldest:  prometheus.NewDesc(namespace+"_oldest_due_task_age_seconds", "How long the oldest due task has waited.", nil, nil),
		inDoubt: prometheus.NewDesc(namespace+"_tasks_in_doubt", "Tasks that wait for a person, counted up to 10000.", nil, nil),
		read:    read,
	})
}

// Describe implements prometheus.Collector.
func (q *queueGauges) Describe(descs chan<- *prometheus.Desc) {
	descs <- q.oldest
	descs <- q.inDoubt
}

// Collect implements prometheus.Collector. When the database does not answer the gauges are absent, not zero.
func (q *queueGauges) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	oldest, inDoubt, err := q.read(ctx)
	if err != nil {
		return
	}
	metrics <- prometheus.MustNewConstMetric(q.oldest, prometheus.GaugeValue, oldest.Seconds())
	metrics <- prometheus.MustNewConstMetric(q.inDoubt, prometheus.GaugeValue, float64(inDoubt))
}

// historyGauge reads how far back the queue's history reaches when it is scraped.
type historyGauge struct {
	oldest *prometheus.Desc
	read   func(ctx context.Context) (oldest time.Duration, err error)
}

// RegisterHistory adds a gauge of the oldest finished task outside the archive, read anew at each scrape. Every process reports
// the same: use max, not sum.
func RegisterHistory(registry prometheus.Registerer, read func(ctx context.Context) (oldest time.Duration, err error)) {
	registry.MustRegister(&historyGauge{
		oldest: prometheus.NewDesc(namespace+"_oldest_finished_task_age_seconds",
			"How long ago the oldest finished task that is not archived was due.", nil, nil),
		read: read,
	})
}

// Describe implements prometheus.Collector.
func (h *historyGauge) Describe(descs chan<- *prometheus.Desc) { descs <- h.oldest }

// Collect implements prometheus.Collector. When the database does not answer the gauge is absent, not zero.
func (h *historyGauge) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if oldest, err := h.read(ctx); err == nil {
		metrics <- prometheus.MustNewConstMetric(h.oldest, prometheus.GaugeValue, oldest.Seconds())
	}
}

func options(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(options(name, help), labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}
