package main

import (
	"context"
	"maps"
	"slices"

	"billonce/bench/report"
)

// The metrics of scenario a.
const (
	oneWorker   = "1 worker"
	fourWorkers = "4 workers"
	withTargets = "4 workers, distinct targets"
)

// drainScenario is a: how fast due tasks that take no time are worked off, by one worker process and by four.
func drainScenario() Scenario {
	return Scenario{Name: "a", Title: "drain of due no-op tasks, 200-byte params", Run: runDrain}
}

func drainTasks(b *Bench) int {
	if b.Quick {
		return 20_000
	}
	return 200_000
}

func runDrain(ctx context.Context, b *Bench) error {
	b.Report.AddBar(
		drainBar("drain: River × 3", riverName, 3), drainBar("drain: best peer that keeps its history × 1.3", pgbossName, 1.3),
		drainBar("drain: graphile-worker × 0.8", graphileName, 0.8), drainBar("drain: floor × 0.7", floorName, 0.7),
	)
	return b.each(ctx, "a", fourWorkers, func(contender) string { return "" }, b.drains)
}

func drainBar(name, against string, limit float64) report.Bar {
	return report.Bar{
		Name: name, Of: report.Key{Scenario: "a", Contender: billonceName, Metric: fourWorkers},
		Against: report.Key{Scenario: "a", Contender: against, Metric: fourWorkers}, Direction: report.AtLeast, Limit: limit,
	}
}

// drains loads a contender's tasks once and works copies of them off.
func (b *Bench) drains(ctx context.Context, c contender) error {
	runs := map[string]int{fourWorkers: 4}
	if !b.Quick {
		runs[oneWorker] = 1
	}
	if err := b.choose(ctx, c, slices.Sorted(maps.Values(runs))...); err != nil {
		return err
	}
	if err := b.measureDrains(ctx, c, filling{due: drainTasks(b), order: asLoaded}, runs); err != nil {
		return err
	}
	if c.name != billonceName || b.Quick {
		return nil
	}
	return b.measureDrains(ctx, c, filling{due: drainTasks(b), order: asLoaded, targets: true}, map[string]int{withTargets: 4})
}

// measureDrains fills one database and drains copies of it with each number of workers.
func (b *Bench) measureDrains(ctx context.Context, c contender, fill filling, runs map[string]int) error {
	template := c.name + "_loaded"
	if err := b.fillDatabase(ctx, c, template, fill); err != nil {
		return err
	}
	for metric, workers := range runs {
		for range b.Repeats {
			result, err := b.drain(ctx, c, template, draining{workers: workers, tasks: fill.due})
			if err != nil {
				return err
			}
			b.Report.Add("a", c.name, metric, "tasks/s", result.rate)
			b.Report.Add("a", c.name, "CPU of the workers, "+metric, "µs/task", perTask(result.workers.CPU, fill.due))
			b.Report.Add("a", c.name, "CPU of PostgreSQL, "+metric, "µs/task", perTask(result.postgres.CPU, fill.due))
			b.Report.Add("a", c.name, "memory of a worker, "+metric, "MiB", float64(result.perProcess)/(1<<20))
		}
		b.Report.Note("a", c.name, metric, b.variantOf(c, workers).String())
	}
	return b.Stage.Drop(ctx, template)
}
