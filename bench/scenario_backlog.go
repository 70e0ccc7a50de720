package main

import (
	"context"
	"errors"
	"fmt"

	"billonce/bench/report"
)

// The metrics of scenario b.
const (
	cleanTable     = "clean"
	rowsAround     = "rows around"
	snapshotEqual  = "snapshot held, equal run_at"
	snapshotSpread = "snapshot held, spread run_at"
)

// condition is what a drain of scenario b meets.
type condition struct {
	metric string
	order  order
	around int // so many future and as many finished tasks
	hold   bool
	plot   bool // its rate is a point of the plot
}

// backlogScenario is b: the drain by four workers with much else in the table, and while somebody holds a snapshot.
func backlogScenario() Scenario {
	return Scenario{Name: "b", Title: "drain by 4 workers under backlog and a held snapshot", Run: runBacklog}
}

// conditions are grouped by what they fill, so that each filling is made once.
func conditions(quick bool) []condition {
	most, steps := 1_000_000, []int{50_000, 250_000, 500_000}
	if quick {
		most, steps = 50_000, nil
	}
	list := []condition{
		{metric: cleanTable, order: spread, plot: true},
		{metric: snapshotSpread, order: spread, hold: true},
		{metric: snapshotEqual, order: equal, hold: true},
	}
	for _, around := range steps {
		list = append(list, condition{metric: fmt.Sprintf("%dk rows around", 2*around/1000), order: spread, around: around, plot: true})
	}
	list = append(list, condition{metric: rowsAround, order: spread, around: most, plot: true})
	if quick {
		return list[:2:2]
	}
	return list
}

func runBacklog(ctx context.Context, b *Bench) error {
	b.backlogBars()
	var failed []error
	plot := report.Plot{
		Name: "backlog", Title: "Drain by four workers, by rows that lie around (half future, half finished)",
		XLabel: "rows around", YLabel: "tasks a second",
	}
	for _, c := range contenders() {
		if !b.Wants(c.name) {
			b.Report.Missing("b", c.name, cleanTable, "left out by -contenders")
			continue
		}
		if b.Quick && c.name != billonceName && c.name != riverName {
			b.Report.Missing("b", c.name, cleanTable, "not in a quick run")
			continue
		}
		line, err := b.backlog(ctx, c)
		if err != nil {
			b.Report.Missing("b", c.name, cleanTable, firstLine(err))
			failed = append(failed, err)
		}
		if len(line.X) > 0 {
			plot.Series = append(plot.Series, line)
		}
		if ctx.Err() != nil {
			break
		}
	}
	b.Report.AddPlot(plot)
	return errors.Join(failed...)
}

func (b *Bench) backlogBars() {
	for _, metric := range []string{rowsAround, snapshotEqual, snapshotSpread} {
		of := report.Key{Scenario: "b", Contender: billonceName, Metric: metric}
		b.Report.AddBar(
			report.Bar{
				Name: metric + ": our clean rate × 0.85", Of: of, Direction: report.AtLeast, Limit: 0.85,
				Against: report.Key{Scenario: "b", Contender: billonceName, Metric: cleanTable},
			},
			report.Bar{
				Name: metric + ": River × 2.5", Of: of, Direction: report.AtLeast, Limit: 2.5,
				Against: report.Key{Scenario: "b", Contender: riverName, Metric: metric},
			},
		)
	}
}

// backlog measures one contender under all conditions and returns its line of the plot.
func (b *Bench) backlog(ctx context.Context, c contender) (report.Series, error) {
	line := report.Series{Name: c.name}
	if err := c.ready(ctx, b); err != nil {
		return line, fmt.Errorf("prepare %s: %w", c.name, err)
	}
	template := c.name + "_backlog"
	filled := filling{}
	for _, one := range conditions(b.Quick) {
		fill := filling{due: drainTasks(b), order: one.order, future: one.around, finished: one.around}
		if fill != filled {
			if err := b.fillDatabase(ctx, c, template, fill); err != nil {
				return line, err
			}
			filled = fill
		}
		if one.metric == cleanTable {
			if err := b.choose(ctx, c, template, 4, fill.due); err != nil {
				return line, err
			}
		}
		for range b.Repeats {
			result, err := b.drain(ctx, c, template, 4, fill.due, one.hold)
			if err != nil {
				return line, fmt.Errorf("%s: %w", one.metric, err)
			}
			b.Report.Add("b", c.name, one.metric, "tasks/s", result.rate)
		}
		if one.plot {
			found, _ := b.Report.Find(report.Key{Scenario: "b", Contender: c.name, Metric: one.metric})
			line.X, line.Y = append(line.X, float64(2*one.around)), append(line.Y, found.Median())
		}
		if one.around > 0 && c.around.finished == "" {
			b.Report.Note("b", c.name, one.metric, "the future ones only: it keeps nothing that is done")
		}
	}
	return line, b.Stage.Drop(ctx, template)
}
