package main

import (
	"context"
	"fmt"

	"billonce/bench/report"
)

// The metrics of scenario b.
const (
	cleanTable     = "clean"
	rowsAround     = "2M rows around"
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
	list := []condition{
		{metric: cleanTable, order: spread, plot: true},
		{metric: snapshotSpread, order: spread, hold: true},
	}
	if quick {
		return list
	}
	return append(list,
		condition{metric: snapshotEqual, order: equal, hold: true},
		condition{metric: "100k rows around", order: spread, around: 50_000, plot: true},
		condition{metric: "500k rows around", order: spread, around: 250_000, plot: true},
		condition{metric: "1M rows around", order: spread, around: 500_000, plot: true},
		condition{metric: rowsAround, order: spread, around: 1_000_000, plot: true},
	)
}

func runBacklog(ctx context.Context, b *Bench) error {
	b.backlogBars()
	plot := report.Plot{
		Name: "backlog", Title: "Drain by four workers, by rows that lie around (half future, half finished)",
		XLabel: "rows around", YLabel: "tasks a second",
	}
	skip := func(c contender) string {
		if b.Quick && c.name != billonceName && c.name != riverName {
			return notQuick
		}
		return ""
	}
	err := b.each(ctx, "b", cleanTable, skip, func(ctx context.Context, c contender) error {
		line, err := b.backlog(ctx, c)
		if len(line.X) > 0 {
			plot.Series = append(plot.Series, line)
		}
		return err
	})
	if !b.Quick {
		b.Report.AddPlot(plot)
	}
	return err
}

func (b *Bench) backlogBars() {
	metrics := []string{rowsAround, snapshotEqual, snapshotSpread}
	if b.Quick {
		metrics = []string{snapshotSpread}
	}
	for _, metric := range metrics {
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
