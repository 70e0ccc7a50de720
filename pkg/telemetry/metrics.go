package telemetry

import (
	"database/sql"
	"maps"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
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

// table is what labels lead to: looking them up takes longer than counting. The labels are closed sets, so that it stays small.
type table[K comparable, V any] struct {
	find  func(K) V
	known atomic.Pointer[map[K]V] // replaced when something is added
}

func newTable[K comparable, V any](find func(K) V) *table[K, V] {
	t := &table[K, V]{find: find}
	t.known.Store(&map[K]V{})
	return t
}

func (t *table[K, V]) at(labels K) V {
	found, ok := (*t.known.Load())[labels]
	if !ok {
		found = t.learn(labels)
	}
	return found
}

// learn finds what labels lead to, and notes it. An entry that is lost to another one, noted at the same time, is noted the next time.
func (t *table[K, V]) learn(labels K) V {
	found := t.find(labels)
	known := t.known.Load()
	more := maps.Clone(*known)
	more[labels] = found
	t.known.CompareAndSwap(known, &more)
	return found
}
