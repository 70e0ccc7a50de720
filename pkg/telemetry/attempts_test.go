package telemetry_test

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"billonce/pkg/billing"
	"billonce/pkg/telemetry"
)

// TestEveryAttemptIsCounted: under its own labels, however many are counted at the same time.
func TestEveryAttemptIsCounted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := telemetry.NewWorkerMetrics(registry)
	const hands, rounds = 8, 50
	var crew sync.WaitGroup
	for range hands {
		crew.Go(func() {
			for range rounds {
				for _, outcome := range billing.Outcomes() {
					for _, reason := range billing.Reasons() {
						metrics.AttemptDone(billing.InvoicePay, outcome, reason, time.Millisecond)
						metrics.Started(time.Second)
					}
				}
			}
		})
	}
	crew.Wait()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	outcomes, reasons := len(billing.Outcomes()), len(billing.Reasons())
	series, durations, lags := 0, 0, uint64(0)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			switch family.GetName() {
			case "billonce_task_attempts_total":
				series++
				if got := metric.GetCounter().GetValue(); got != hands*rounds {
					t.Errorf("%v attempts of %v, want %d", got, metric.GetLabel(), hands*rounds)
				}
			case "billonce_task_attempt_duration_seconds":
				durations++
				if got := metric.GetHistogram().GetSampleCount(); got != uint64(hands*rounds*reasons) {
					t.Errorf("%d durations of %v, want %d", got, metric.GetLabel(), hands*rounds*reasons)
				}
			case "billonce_task_schedule_lag_seconds":
				lags += metric.GetHistogram().GetSampleCount()
			}
		}
	}
	if series != outcomes*reasons || durations != outcomes || lags != uint64(hands*rounds*outcomes*reasons) {
		t.Errorf("%d series, %d of durations, %d lags", series, durations, lags)
	}
}

// TestCountingAllocatesNothing once an attempt's labels are known.
func TestCountingAllocatesNothing(t *testing.T) {
	metrics := telemetry.NewWorkerMetrics(prometheus.NewRegistry())
	if got := testing.AllocsPerRun(100, func() {
		metrics.Started(time.Second)
		metrics.AttemptDone(billing.InvoicePay, billing.OutcomeSucceeded, billing.ReasonDone, time.Second)
		metrics.TaskSettled(billing.InvoicePay, billing.Succeeded, billing.ReasonDone, time.Second)
		metrics.CallDone("invoice.pay", 200, false, time.Second)
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkCounting counts what the metrics cost a task that succeeds at once.
func BenchmarkCounting(b *testing.B) {
	metrics := telemetry.NewWorkerMetrics(prometheus.NewRegistry())
	for name, count := range map[string]func(){
		"AttemptDone": func() {
			metrics.AttemptDone(billing.InvoicePay, billing.OutcomeSucceeded, billing.ReasonDone, 40*time.Millisecond)
		},
		"TaskSettled": func() {
			metrics.TaskSettled(billing.InvoicePay, billing.Succeeded, billing.ReasonDone, 90*time.Millisecond)
		},
		"CallDone": func() { metrics.CallDone("invoice.pay", 200, false, 40*time.Millisecond) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				count()
			}
		})
	}
}
