package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

func (p *program) showTask(task client.Task) {
	rows := [][]string{
		{"id", task.ID},
		{"status", string(task.Status)},
		{"kind", string(task.Kind)},
		{"target", dash(dereference(task.Target))},
		{"merchant", task.MerchantID},
		{"stripe key", task.IdempotencyKey},
		{"scheduled for", p.when(task.ScheduledFor)},
		{"run at", p.when(task.RunAt)},
		{"attempts", fmt.Sprintf("%d of %d", task.Attempt, task.MaxAttempts)},
		{"first sent", p.whenSet(task.FirstSentAt)},
		{"created", p.when(task.CreatedAt)},
		{"finished", p.whenSet(task.FinishedAt)},
	}
	rows = append(rows, p.taskStanding(task)...)
	if result := task.Result; result != nil {
		rows = append(rows, []string{"result", strings.TrimSpace(fmt.Sprintf("%s %s %s", result.Object, result.ID, result.Status))},
			[]string{"request", dash(result.RequestID)})
	}
	if fault := task.LastError; fault != nil {
		said := stripeError(*fault)
		rows = append(rows, []string{"last error", said})
		if fault.Message != "" && fault.Message != said {
			rows = append(rows, []string{"", fault.Message})
		}
		rows = append(rows, []string{"request", dash(fault.RequestID)})
	}
	if len(task.Params) > 0 {
		rows = append(rows, []string{"params", string(task.Params)})
	}
	for _, name := range slices.Sorted(maps.Keys(task.Metadata)) {
		rows = append(rows, []string{"metadata", name + " = " + task.Metadata[name]})
	}
	p.table(rows)
}

// taskStanding tells what a task waits for, what it is part of and who decided about it.
func (p *program) taskStanding(task client.Task) (rows [][]string) {
	if task.WaitingSince != nil {
		rows = append(rows, []string{"waits since", p.when(*task.WaitingSince) + ", for another task at the same object"})
	}
	if task.Status == billing.InDoubt {
		next := "never again by itself: a person decides, with billctl tasks resolve"
		if task.LookAt != nil {
			next = p.when(*task.LookAt)
		}
		rows = append(rows, []string{"next look", next})
	}
	for _, named := range []struct {
		name string
		text *string
	}{{"intent", task.Intent}, {"retry of", task.RetryOf}, {"retried by", task.RetriedBy}} {
		if text := dereference(named.text); text != "" {
			rows = append(rows, []string{named.name, text})
		}
	}
	if plan := task.OnDecline; plan != nil {
		after := make([]string, len(plan.RetryAfter))
		for i, pause := range plan.RetryAfter {
			after[i] = span(pause)
		}
		text := fmt.Sprintf("again after %s; declines before this task: %d", strings.Join(after, ", "), task.Declines)
		if len(plan.StopCodes) > 0 {
			text += "; not after " + strings.Join(plan.StopCodes, ", ")
		}
		rows = append(rows, []string{"on decline", text})
	}
	if decided := task.Resolution; decided != nil {
		rows = append(rows, []string{"resolved", fmt.Sprintf("%s, %s: %s", decided.Outcome, p.when(decided.ResolvedAt), decided.Note)})
	}
	return rows
}

// attemptTable shows sends and looks, each look with what it read.
func (p *program) attemptTable(attempts []client.Attempt) {
	if len(attempts) == 0 {
		p.printf("\nNo attempt has ended yet.\n")
		return
	}
	rows, read := p.attemptRows(attempts)
	p.printf("\n")
	p.table(append([][]string{{"ATTEMPT", "KIND", "STARTED", "TOOK", "OUTCOME", "REASON", "REQUEST", "ERROR"}}, rows...))
	if len(read) > 0 {
		p.printf("\n")
		p.table(append([][]string{{"ATTEMPT", "READ", "WHAT", "WHEN", "BY REQUEST", "MEANS"}}, read...))
	}
}

// attemptRows are a row for each attempt, and one for each thing that was read.
func (p *program) attemptRows(attempts []client.Attempt) (rows, read [][]string) {
	for _, attempt := range attempts {
		fault := ""
		if attempt.Error != nil {
			fault = stripeError(*attempt.Error)
		}
		said := string(attempt.Outcome)
		if attempt.Replayed {
			said += " (replayed)"
		}
		rows = append(rows, []string{
			fmt.Sprint(attempt.Attempt), string(attempt.Kind), p.when(attempt.StartedAt),
			attempt.FinishedAt.Sub(attempt.StartedAt).Round(1e6).String(), said, string(attempt.Reason), dash(dereference(attempt.RequestID)), fault,
		})
		for _, one := range attempt.Evidence {
			read = append(read, p.evidence(attempt.Attempt, one))
		}
	}
	return rows, read
}

func (p *program) evidence(attempt int, one billing.Evidence) []string {
	what := strings.Join(strings.Fields(strings.Join([]string{one.Object, one.ID, one.Status, one.EventID}, " ")), " ")
	return []string{fmt.Sprint(attempt), one.Source, dash(what), p.whenSet(one.At), dash(one.RequestID), one.Note}
}
