package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	gaugeTimeout = time.Second
	gaugeFresh   = time.Second // however many scrape, they cost one read
	tokensFresh  = time.Minute // counting tokens reads all merchants
	tokensWithin = 3 * time.Second
)

// Queue is how the queue stands. Counts may stop at some bound.
type Queue struct {
	OldestDue                      time.Duration
	Pending, Due, Running, InDoubt int
}

// cached is something that is read from the database, and not more often than need be. What could not be read is not kept.
type cached[T any] struct {
	read         func(context.Context) (T, error)
	fresh, limit time.Duration

	mu    sync.Mutex
	value T
	at    time.Time
}

func (c *cached[T]) get() (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < c.fresh {
		return c.value, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.limit)
	defer cancel()
	value, err := c.read(ctx)
	if err == nil {
		c.value, c.at = value, time.Now()
	}
	return value, err
}

// gauges are read from the database when they are scraped. When it does not answer they are absent, not zero.
type gauges[T any] struct {
	cached cached[T]
	descs  []*prometheus.Desc
	show   func(value T, set func(i int, value float64, labels ...string))
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (g *gauges[T]) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range g.descs {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges[T]) Collect(metrics chan<- prometheus.Metric) {
	value, err := g.cached.get()
	if err != nil {
		return
	}
	g.show(value, func(i int, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(g.descs[i], prometheus.GaugeValue, value, labels...)
	})
}

// RegisterQueue adds gauges of the queue. Every process reports the same queue: use max, not sum.
func RegisterQueue(registry prometheus.Registerer, read func(ctx context.Context) (Queue, error)) {
	registry.MustRegister(&gauges[Queue]{
		cached: cached[Queue]{read: read, fresh: gaugeFresh, limit: gaugeTimeout},
		descs: []*prometheus.Desc{
			describe("oldest_due_task_age_seconds", "How long the oldest due task has waited."),
			describe("tasks_pending", "Tasks that are pending, counted up to 10000."),
			describe("tasks_due", "Pending tasks whose time has come, counted up to 10000."),
			describe("tasks_running", "Tasks that are running, counted up to 10000."),
			describe("tasks_in_doubt", "Tasks that are in doubt, counted up to 10000."),
		},
		show: func(queue Queue, set func(int, float64, ...string)) {
			set(0, queue.OldestDue.Seconds())
			for i, n := range []int{queue.Pending, queue.Due, queue.Running, queue.InDoubt} {
				set(1+i, float64(n))
			}
		},
	})
}

// RegisterHistory adds a gauge of the oldest finished task outside the archive. Every process reports the same: use max, not sum.
func RegisterHistory(registry prometheus.Registerer, read func(ctx context.Context) (oldest time.Duration, err error)) {
	registry.MustRegister(&gauges[time.Duration]{
		cached: cached[time.Duration]{read: read, fresh: gaugeFresh, limit: gaugeTimeout},
		descs: []*prometheus.Desc{
			describe("oldest_finished_task_age_seconds", "How long ago the oldest finished task that is not archived was due."),
		},
		show: func(oldest time.Duration, set func(int, float64, ...string)) { set(0, oldest.Seconds()) },
	})
}

// RegisterTokens adds a gauge of how many stored tokens each key has sealed; read's "" stands for those that name none. Every process
// reports the same: use max, not sum.
func RegisterTokens(registry prometheus.Registerer, read func(ctx context.Context) (map[string]int, error)) {
	registry.MustRegister(&gauges[map[string]int]{
		cached: cached[map[string]int]{read: read, fresh: tokensFresh, limit: tokensWithin},
		descs:  []*prometheus.Desc{describe("encryption_key_tokens", "Stored tokens that the key has sealed.", "key_id")},
		show: func(tokens map[string]int, set func(int, float64, ...string)) {
			for key, n := range tokens {
				if key == "" {
					key = keyNone
				}
				set(0, float64(n), key)
			}
		},
	})
}
