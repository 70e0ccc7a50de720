package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"billonce/bench/report"
	"billonce/bench/stage"
)

// What scenario c measures, each with p50, p99 and max; afterSnapshot is appended in the second round.
const (
	dueToSent     = "due → sent"
	dueToClaimed  = "due → claimed"
	postToSent    = "POST → sent"
	insertToStart = "insert → start"
	afterSnapshot = ", after a drain under a held snapshot"
	latencyRate   = 100
)

// latencyScenario is c: how soon a task is sent, in a quiet database and after many were worked while a snapshot was held.
func latencyScenario() Scenario {
	return Scenario{Name: "c", Title: fmt.Sprintf("latency at %d tasks/s, 1 worker", latencyRate), Run: runLatency}
}

// latencySize is for how long latency is measured, and how many tasks are worked before the second round.
func latencySize(b *Bench) (seconds, before int) {
	if b.Quick {
		return 3, 10_000
	}
	return 8, 100_000
}

func runLatency(ctx context.Context, b *Bench) error {
	due := func(metric string) report.Key {
		return report.Key{Scenario: "c", Contender: billonceName, Metric: metric}
	}
	b.Report.AddBar(
		report.Bar{
			Name: "due → sent p99: River's insert → start p99", Of: due(dueToSent + " p99"), Direction: report.AtMost, Limit: 1,
			Against: report.Key{Scenario: "c", Contender: riverName, Metric: insertToStart + " p99"},
		},
		report.Bar{
			Name: "due → sent p50 after the snapshot: clean × 2", Of: due(dueToSent + afterSnapshot + " p50"), Direction: report.AtMost,
			Limit: 2, Against: due(dueToSent + " p50"),
		},
	)
	return b.each(ctx, "c", insertToStart+" p50", func(c contender) string {
		switch {
		case c.latency == nil && c.name != billonceName:
			return "a bare loop starts nothing"
		case b.Quick && c.name != billonceName && c.name != riverName:
			return notQuick
		}
		return ""
	}, b.latencies)
}

// latencies measures a contender clean, then after a drain under a snapshot that is still held.
func (b *Bench) latencies(ctx context.Context, c contender) error {
	_, before := latencySize(b)
	clean, loaded, database := c.name+"_clean", c.name+"_loaded", c.name+"_run"
	if err := b.fillDatabase(ctx, c, clean, filling{order: asLoaded}); err != nil {
		return err
	}
	if err := b.fillDatabase(ctx, c, loaded, filling{due: before, order: asLoaded}); err != nil {
		return err
	}
	for range b.Repeats {
		if err := b.Stage.Clone(ctx, clean, database); err != nil {
			return err
		}
		if err := b.latencyOf(ctx, c, database, ""); err != nil {
			return err
		}
		if err := b.Stage.Clone(ctx, loaded, database); err != nil {
			return err
		}
		if err := b.latencyUnderSnapshot(ctx, c, database, before); err != nil {
			return err
		}
	}
	return errors.Join(b.Stage.Drop(ctx, clean), b.Stage.Drop(ctx, loaded), b.Stage.Drop(ctx, database))
}

func (b *Bench) latencyUnderSnapshot(ctx context.Context, c contender, database string, before int) (err error) {
	release, err := b.Stage.Hold(ctx, database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if _, err := b.drainHere(ctx, c, database, draining{workers: 4, tasks: before}); err != nil {
		return err
	}
	return b.latencyOf(ctx, c, database, afterSnapshot)
}

// latencyOf measures a contender in a database as it is.
func (b *Bench) latencyOf(ctx context.Context, c contender, database, round string) error {
	if err := b.Stage.Checkpoint(ctx); err != nil {
		return err
	}
	if c.latency == nil {
		return b.latencyOfBillonce(ctx, database, round)
	}
	seconds, _ := latencySize(b)
	command, err := c.latency(b, database, latencyRate, seconds)
	if err != nil {
		return err
	}
	started, err := b.spawn(ctx, database, 1, command)
	if err != nil {
		return err
	}
	if err := waitEnd(ctx, started[0]); err != nil {
		return err
	}
	took, err := readLatencies(started[0].Log)
	if err != nil {
		return fmt.Errorf("latency of %s: %w", c.name, err)
	}
	b.addLatency(c.name, insertToStart+round, took)
	return nil
}

// readLatencies reads the array of milliseconds that a contender printed.
func readLatencies(path string) ([]float64, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a log of the stage
	if err != nil {
		return nil, fmt.Errorf("read the latencies: %w", err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		var took []float64
		if strings.HasPrefix(line, "[") && json.Unmarshal([]byte(line), &took) == nil {
			return took, nil
		}
	}
	return nil, fmt.Errorf("read the latencies: none among %.300q", text)
}

func (b *Bench) addLatency(contender, metric string, took []float64) {
	for _, one := range []struct {
		name string
		q    float64
	}{{" p50", 0.5}, {" p99", 0.99}, {" max", 1}} {
		b.Report.Add("c", contender, metric+one.name, "ms", report.Quantile(took, one.q))
	}
	b.Logf("%s: %s: p50 %.1f ms, p99 %.1f ms, max %.1f ms of %d", contender, metric, report.Quantile(took, 0.5), report.Quantile(took, 0.99),
		report.Quantile(took, 1), len(took))
}

// waitEnd waits for a process that ends by itself.
func waitEnd(ctx context.Context, process *stage.Process) error {
	select {
	case <-process.Done():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), process.Stop(context.WithoutCancel(ctx)))
	}
	if code := process.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with exit code %d:\n%s", process.Name(), code, process.Tail())
	}
	return nil
}
