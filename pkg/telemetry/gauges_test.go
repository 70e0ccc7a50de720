package telemetry_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"billonce/pkg/telemetry"
)

func gather(t *testing.T, registry *prometheus.Registry) map[string]map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]float64{}
	for _, family := range families {
		found[family.GetName()] = map[string]float64{}
		for _, one := range family.GetMetric() {
			labels := ""
			for _, label := range one.GetLabel() {
				labels += label.GetValue() + " "
			}
			found[family.GetName()][labels] = one.GetCounter().GetValue() + one.GetGauge().GetValue()
		}
	}
	return found
}

// TestGaugesOfTheDatabaseAreReadOnce for however many scrape at the same time, and again at once after a failure.
func TestGaugesOfTheDatabaseAreReadOnce(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	var reads atomic.Int64
	telemetry.RegisterTokens(registry, func(context.Context) (map[string]int, error) {
		if reads.Add(1) < 3 {
			return nil, errors.New("no database")
		}
		return map[string]int{"abc": 1}, nil
	})
	for range 2 {
		if found := gather(t, registry); len(found) != 0 {
			t.Errorf("what could not be read is shown: %v", found)
		}
	}
	for range 20 {
		if found := gather(t, registry); found["billonce_encryption_key_tokens"]["abc "] != 1 {
			t.Errorf("%v", found)
		}
	}
	if n := reads.Load(); n != 3 {
		t.Errorf("read %d times", n)
	}
}

// TestKeysInLabelsAreThoseThatAreHeld: what the database says is not let into a label.
func TestKeysInLabelsAreThoseThatAreHeld(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := telemetry.NewKeyMetrics(registry)
	metrics.Holds("new", "old")
	metrics.TokenSealed("new", true)
	metrics.TokenOpened("new", true)
	metrics.TokenOpened("old", true)
	metrics.TokenOpened("old", false)
	metrics.TokenOpened("", true)
	metrics.TokenOpened("anything", false)
	found := gather(t, registry)
	for labels, want := range map[string]float64{
		"new seal ok ": 1, "new seal failed ": 0, "new open ok ": 1, "new open failed ": 0, "old open ok ": 1, "old open failed ": 1,
		"none open ok ": 1, "other open failed ": 1,
	} {
		got, ok := found["billonce_encryption_operations_total"][labels]
		if !ok || got != want {
			t.Errorf("%s: %v, %t, want %v", labels, got, ok, want)
		}
	}
	if n := len(found["billonce_encryption_operations_total"]); n != 8 {
		t.Errorf("%v", found)
	}
	if n := found["billonce_tokens_opened_with_previous_key_total"][""]; n != 1 {
		t.Errorf("%v opened with the previous key", n)
	}
}

// TestRefusalsAreAClosedSet: a reason that nobody has declared is no label.
func TestRefusalsAreAClosedSet(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := telemetry.NewAPIMetrics(registry)
	metrics.KeyRefused("unknown")
	metrics.KeyRefused("anything")
	if found := gather(t, registry)["billonce_api_key_refusals_total"]; len(found) != 5 || found["unknown "] != 1 {
		t.Errorf("%v", found)
	}
}
