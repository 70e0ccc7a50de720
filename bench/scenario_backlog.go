package main

import (
	"context"
	"fmt"
	"time"

	"billonce/bench/report"
)

// The metrics of scenario b.
const (
	cleanTable     = "clean"
	rowsAround     = "2M rows around"
	snapshotEqual  = "snapshot held, equal run_at"
	snapshotSpread = "snapshot held, spread run_at"
	archiving      = "2M rows around, archiving beside it"
)

// backlogAtMost is how long a drain may take here. Who is not done by then gets slower and slower; what it did until then counts,
// which is more than its whole drain would give.
const backlogAtMost = time.Minute

// condition is what a drain of scenario b meets.
type condition struct {
	metric string
	order  order
	around int // so many future and as many finished tasks
	hold   bool
	move   bool // finished tasks are archived meanwhile, which only billonce does
	plot   bool // its rate is a point of the plot
	bend   bool // a point in the middle of the plot, for billonce and River only; the others' lines are straight
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
		condition{metric: "500k rows around", order: spread, around: 250_000, plot: true, bend: true},
		condition{metric: rowsAround, order: spread, around: 1_000_000, plot: true},
		condition{metric: archiving, order: spread, around: 1_000_000, move: true},
	)
}

// meets reports whether a contender is measured under the condition.
func (c condition) meets(contender string) bool {
	return contender == billonceName || !c.move && (!c.bend || contender == riverName)
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
	if !b.Quick {
		b.Report.AddBar(report.Bar{
			Name: archiving + ": without it × 0.85", Direction: report.AtLeast, Limit: 0.85,
			Of:      report.Key{Scenario: "b", Contender: billonceName, Metric: archiving},
			Against: report.Key{Scenario: "b", Contender: billonceName, Metric: rowsAround},
		})
	}
}

// backlog measures one contender under all conditions and returns its line of the plot.
func (b *Bench) backlog(ctx context.Context, c contender) (report.Series, error) {
	line := report.Series{Name: c.name}
	if err := b.choose(ctx, c, 4); err != nil {
		return line, err
	}
	template := c.name + "_backlog"
	filled := filling{}
	for _, one := range conditions(b.Quick) {
		if !one.meets(c.name) {
			continue
		}
		fill := filling{due: drainTasks(b), order: one.order, future: one.around, finished: one.around}
		if err := b.refill(ctx, c, template, filled, fill); err != nil {
			return line, err
		}
		filled = fill
		if err := b.backlogDrains(ctx, c, template, one, fill.due); err != nil {
			return line, fmt.Errorf("%s: %w", one.metric, err)
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

// refill makes the template what a condition asks for. Where one statement gives all due tasks one run_at, those are taken that
// are there.
func (b *Bench) refill(ctx context.Context, c contender, template string, from, to filling) error {
	reordered := from
	reordered.order = equal
	switch {
	case from == to:
		return nil
	case to == reordered && c.around.equal != "":
		defer func(began time.Time) { b.spent.step(stepFilling, time.Since(began)) }(time.Now())
		return b.Stage.Exec(ctx, template, c.around.equal, `VACUUM (FULL, ANALYZE)`)
	default:
		return b.fillDatabase(ctx, c, template, to)
	}
}

// backlogDrains measures one contender under one condition.
func (b *Bench) backlogDrains(ctx context.Context, c contender, template string, one condition, tasks int) error {
	how := draining{workers: 4, tasks: tasks, hold: one.hold, archive: one.move, atMost: backlogAtMost}
	for range b.Repeats {
		result, err := b.drain(ctx, c, template, how)
		if err != nil {
			return err
		}
		b.Report.Add("b", c.name, one.metric, "tasks/s", result.rate)
		if result.done < tasks {
			b.Report.Note("b", c.name, one.metric, fmt.Sprintf("stopped after %s with %d of %d tasks done", result.took.Round(time.Second), result.done, tasks))
		}
		if one.move {
			b.Report.Add("b", c.name, "archived meanwhile", "tasks/s", float64(result.archived)/result.took.Seconds())
		}
	}
	return nil
}
