package console

import (
	"fmt"
	"time"

	"billonce/pkg/client"
)

// Measures of the chart: across in per cent of its width, so that it fits every window with letters of the same size, and down in pixels.
const (
	chartHeight = 140
	chartTop    = 12  // above the highest line, for its number
	barShare    = 0.8 // of a step's width is its bar
	tableSteps  = 6   // of the chart make one row of the table
)

// chart is what attempts came to over time, ready to be drawn: bars of parts, from the bottom up.
type chart struct {
	Height  int
	Bars    []bar
	Lines   []mark // across, with a number
	Hours   []mark // below
	Rows    []outcomeRow
	Sum     outcomeRow
	Summary string
}

type bar struct{ Parts []part }

// part is a rectangle: X and Width are per cent, Y and Height pixels.
type part struct {
	Kind                string
	X, Y, Width, Height float64
}

type mark struct {
	At    float64
	Label string
}

type outcomeRow struct {
	From, To                            time.Time
	Succeeded, Failed, InDoubt, Retried int
}

func (r *outcomeRow) add(step client.OutcomeStep) {
	r.Succeeded += step.Succeeded
	r.Failed += step.Failed
	r.InDoubt += step.InDoubt
	r.Retried += step.Retried
}

func sumOf(step client.OutcomeStep) int {
	return step.Succeeded + step.Failed + step.InDoubt + step.Retried
}

// chartOf draws steps, the oldest first.
func chartOf(steps []client.OutcomeStep) chart {
	c := chart{Height: chartHeight}
	if len(steps) == 0 {
		return c
	}
	most := 0
	for _, step := range steps {
		most = max(most, sumOf(step))
		c.Sum.add(step)
	}
	top := roundUp(most)
	width := 100 / float64(len(steps))
	unit := float64(chartHeight-chartTop) / float64(top)
	for i, step := range steps {
		x := float64(i) * width
		if step.At.Minute() == 0 {
			c.Hours = append(c.Hours, mark{x, step.At.UTC().Format("15:04")})
		}
		c.Bars = append(c.Bars, barOf(step, x, width*barShare, unit))
	}
	for _, n := range []int{top / 2, top} {
		if n > 0 {
			c.Lines = append(c.Lines, mark{chartHeight - float64(n)*unit, number(n)})
		}
	}
	c.Rows = rowsOf(steps)
	c.Summary = fmt.Sprintf("%s succeeded, %s failed, %s came into doubt, %s were put off to be tried again.",
		number(c.Sum.Succeeded), number(c.Sum.Failed), number(c.Sum.InDoubt), number(c.Sum.Retried))
	return c
}

func barOf(step client.OutcomeStep, x, width, unit float64) bar {
	var made bar
	y := float64(chartHeight)
	for _, one := range []struct {
		kind  string
		count int
	}{{"succeeded", step.Succeeded}, {"retried", step.Retried}, {"failed", step.Failed}, {"in_doubt", step.InDoubt}} {
		if one.count == 0 {
			continue
		}
		height := float64(one.count) * unit
		y -= height
		made.Parts = append(made.Parts, part{Kind: one.kind, X: x, Y: y, Width: width, Height: height})
	}
	return made
}

// rowsOf sums steps up for the table beside the chart, the newest first.
func rowsOf(steps []client.OutcomeStep) []outcomeRow {
	var rows []outcomeRow
	for end := len(steps); end > 0; end -= tableSteps {
		begin := max(0, end-tableSteps)
		row := outcomeRow{From: steps[begin].At}
		if end < len(steps) {
			row.To = steps[end].At
		}
		for _, step := range steps[begin:end] {
			row.add(step)
		}
		rows = append(rows, row)
	}
	return rows
}

// roundUp returns the least of 2, 4, 10, 20, 40, 100, … that is not less than n.
func roundUp(n int) int {
	for power := 1; ; power *= 10 {
		for _, digit := range []int{2, 4, 10} {
			if digit*power >= n {
				return digit * power
			}
		}
	}
}
