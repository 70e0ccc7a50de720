package console

import (
	"time"

	"billonce/pkg/client"
)

// verdict says whether money moves: in one line, and what of it a person has to look at.
type verdict struct {
	State string // "moves", "rests", "refused", "stuck", "late" or "stopped"
	Line  string
	Needs []need // a person
}

// need is a number of things that wait for a person, and where they are.
type need struct {
	Count, Thing, Address string
}

// recentSteps are what "now" means for outcomes: the step that goes on, and the one before.
const recentSteps = 2

// verdictOf judges an overview. What is known of nobody but one merchant is judged by what it has.
func verdictOf(seen client.Overview) verdict {
	made := verdict{Needs: needsOf(seen)}
	var recent outcomeRow
	steps := seen.Outcomes[max(0, len(seen.Outcomes)-recentSteps):]
	for i, step := range steps {
		if i == 0 {
			recent.From = step.At
		}
		recent.add(step)
	}
	due, since := dueLine(seen.Due), " since "+recent.From.UTC().Format("15:04")+" UTC"
	switch {
	case seen.Workers != nil && seen.Workers.Alive == 0:
		made.State, made.Line = "stopped", "Nothing is carried out: no worker is alive. "+due
	case seen.Attention.Overdue > 0:
		made.State = "late"
		made.Line = "Money is late: " + capped(seen.Attention.Overdue, seen.Attention.Capped) + " " +
			plural(seen.Attention.Overdue, "task that could run is", "tasks that could run are") + " overdue. " + due
	case len(steps) == 0: // nothing is counted for one merchant
		made.State, made.Line = "rests", "No task is overdue. "+due
	case recent.Succeeded > 0:
		made.State = "moves"
		made.Line = "Money moves: " + number(recent.Succeeded) + " " + plural(recent.Succeeded, "operation has", "operations have") + " succeeded" + since + "."
	case recent.Retried+recent.InDoubt > 0:
		made.State = "stuck"
		made.Line = "Nothing has succeeded" + since + ": " + number(recent.Retried) + " to be tried again, " + number(recent.InDoubt) + " in doubt, " +
			number(recent.Failed) + " failed. " + due
	case recent.Failed > 0:
		made.State, made.Line = "refused", "Nothing has succeeded"+since+": "+number(recent.Failed)+" failed. "+due
	default:
		made.State, made.Line = "rests", "Nothing has been carried out"+since+". "+due
	}
	return made
}

func needsOf(seen client.Overview) []need {
	var needs []need
	add := func(n int, one, more, address string) {
		if n > 0 {
			needs = append(needs, need{capped(n, seen.Attention.Capped), plural(n, one, more), address})
		}
	}
	add(seen.Attention.InDoubt, "task in doubt", "tasks in doubt", "/attention#doubts")
	add(seen.Attention.Overdue, "task overdue", "tasks overdue", "/attention#overdue")
	add(seen.Attention.PausedMerchants, "merchant paused", "merchants paused", "/attention#paused")
	if seen.Workers != nil && seen.Workers.Silent > 0 {
		needs = append(needs, need{number(seen.Workers.Silent), plural(seen.Workers.Silent, "worker silent", "workers silent"), "/workers"})
	}
	return needs
}

// dueLine says how many tasks are due.
func dueLine(due client.OverviewDue) string {
	if due.Count == 0 {
		return "No task is due."
	}
	text := capped(due.Count, due.Capped) + " " + plural(due.Count, "task is due", "tasks are due")
	if due.OldestRunAt != nil {
		text += ", the oldest for " + rough(time.Duration(due.OldestAgeSeconds)*time.Second)
	}
	return text + "."
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// lasting is a duration that somebody has chosen, exactly: in days where it is whole ones and two at the least.
func lasting(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return number(int(d/day)) + " days"
	}
	text := ""
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := int(d / unit.of); n > 0 {
			text += " " + number(n) + " " + unit.name
			d %= unit.of
		}
	}
	if text == "" {
		return "0 s"
	}
	return text[1:]
}
