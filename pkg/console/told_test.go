package console

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// TestAttemptsAreTold: every outcome with every reason is a sentence for people, which says what is known of the effect.
func TestAttemptsAreTold(t *testing.T) {
	t.Parallel()
	sentence := regexp.MustCompile(`^[A-Z][a-z' ,;A-Z]+$`)
	for _, reason := range billing.Reasons() {
		for _, outcome := range billing.Outcomes() {
			for _, kind := range []billing.AttemptKind{billing.AttemptSend, billing.AttemptLook} {
				got := words(client.Attempt{Kind: kind, Outcome: outcome, Reason: reason})
				if !sentence.MatchString(got) {
					t.Errorf("%s, %s, %s: %q", kind, outcome, reason, got)
				}
				nothing, perhaps := strings.HasSuffix(got, "nothing was done") || strings.HasSuffix(got, "did nothing"), strings.Contains(got, "may have taken effect") || strings.Contains(got, "still in doubt")
				if nothing != (outcome == billing.OutcomeRefused || outcome == billing.OutcomeNotSent) || perhaps != (outcome == billing.OutcomeUnknown) {
					t.Errorf("%s, %s, %s: %q", kind, outcome, reason, got)
				}
			}
		}
	}
	for want, of := range map[string]client.Attempt{
		"Stripe did it": {Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone},
		"Stripe limited the rate of requests; nothing was done":                      {Outcome: billing.OutcomeNotSent, Reason: billing.ReasonRateLimited},
		"Stripe limited the rate of requests; an earlier send may have taken effect": {Outcome: billing.OutcomeUnknown, Reason: billing.ReasonRateLimited},
		"Stripe was busy with the object for another request; nothing was done":      {Outcome: billing.OutcomeNotSent, Reason: billing.ReasonLocked},
		"No complete answer came back from Stripe; it may have taken effect":         {Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer},
		"No trace of it was found; it is still in doubt":                             {Kind: billing.AttemptLook, Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace},
	} {
		if got := words(of); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestATaskIsExplained: what its status means and what its time is, in a tense that fits.
func TestATaskIsExplained(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before, after := now.Add(-time.Hour), now.Add(time.Hour)
	active, paused := &client.Merchant{Status: billing.MerchantActive}, &client.Merchant{Status: billing.MerchantPaused}
	for name, tc := range map[string]struct {
		view         taskView
		label, means string
	}{
		"Ahead":     {taskView{Task: client.Task{Status: billing.Pending, RunAt: after}}, "Runs", "waits for its time"},
		"Again":     {taskView{Task: client.Task{Status: billing.Pending, RunAt: after, Attempt: 1}}, "Runs again", "waits to be tried again"},
		"Due":       {taskView{Task: client.Task{Status: billing.Pending, RunAt: before}, Merchant: active}, "Due since", "due: waits for a free worker, or for its merchant's limits"},
		"Unseen":    {taskView{Task: client.Task{Status: billing.Pending, RunAt: before}}, "Due since", "due: waits for a free worker, or for its merchant"},
		"Held":      {taskView{Task: client.Task{Status: billing.Pending, RunAt: before}, Merchant: paused}, "Due since", "held: its merchant is paused"},
		"Waits":     {taskView{Task: client.Task{Status: billing.Pending, RunAt: before, WaitingSince: &before}}, "Due since", "waits for another task on the same object"},
		"Running":   {taskView{Task: client.Task{Status: billing.Running, RunAt: before}}, "Was due", "a worker is at it: it may be being sent now"},
		"Succeeded": {taskView{Task: client.Task{Status: billing.Succeeded, RunAt: before}}, "Was due", "Stripe did it, once"},
		"Failed":    {taskView{Task: client.Task{Status: billing.Failed, RunAt: before}}, "Was due", "known to have had no effect at Stripe"},
		"InDoubt":   {taskView{Task: client.Task{Status: billing.InDoubt, RunAt: before}}, "Was due", "it may have taken effect at Stripe, and is not sent again"},
		"Canceled":  {taskView{Task: client.Task{Status: billing.Canceled, RunAt: after}}, "Was to run", "called off before anything was sent"},
	} {
		tc.view.Now = now
		if got := tc.view.RunAtLabel(); got != tc.label {
			t.Errorf("%s: %q, want %q", name, got, tc.label)
		}
		if got := tc.view.Means(); got != tc.means {
			t.Errorf("%s: %q, want %q", name, got, tc.means)
		}
	}
	for _, status := range billing.Statuses() {
		if (taskView{Task: client.Task{Status: status}}).Means() == "" {
			t.Errorf("%s is not explained", status)
		}
	}
	for _, status := range []billing.MerchantStatus{billing.MerchantActive, billing.MerchantPaused, billing.MerchantDisconnected} {
		if (merchantView{Merchant: client.Merchant{Status: status}}).Means() == "" {
			t.Errorf("%s is not explained", status)
		}
	}
}

// TestTheVerdict: what stands at the top of the overview is the worst that is so.
func TestTheVerdict(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 3, 0, 0, time.UTC)
	steps := func(last ...client.OutcomeStep) []client.OutcomeStep {
		all := make([]client.OutcomeStep, 0, 72)
		for i := range 72 {
			all = append(all, client.OutcomeStep{At: now.Truncate(5 * time.Minute).Add(time.Duration(i-71) * 5 * time.Minute), Succeeded: 9})
		}
		for i, one := range last {
			at := len(all) - len(last) + i
			one.At = all[at].At
			all[at] = one
		}
		return all
	}
	alive := &client.OverviewWorkers{Alive: 2, Slots: 64}
	due := client.OverviewDue{Count: 1234, OldestRunAt: &now, OldestAgeSeconds: 3}
	for name, tc := range map[string]struct {
		seen        client.Overview
		state, line string
		needs       int
	}{
		"Moves": {client.Overview{Workers: alive, Outcomes: steps(), Due: due}, "moves", "Money moves: 18 operations have succeeded since 11:55 UTC.", 0},
		"MovesAndNeedsAPerson": {
			client.Overview{Workers: alive, Outcomes: steps(client.OutcomeStep{}, client.OutcomeStep{Succeeded: 1}), Attention: client.OverviewAttention{InDoubt: 1, PausedMerchants: 2}},
			"moves", "Money moves: 1 operation has succeeded since 11:55 UTC.", 2,
		},
		"Rests":   {client.Overview{Workers: alive, Outcomes: steps(client.OutcomeStep{}, client.OutcomeStep{})}, "rests", "Nothing has been carried out since 11:55 UTC. No task is due.", 0},
		"Begins":  {client.Overview{Workers: alive, Outcomes: steps(client.OutcomeStep{}, client.OutcomeStep{}), Due: due}, "rests", "Nothing has been carried out since 11:55 UTC. 1,234 tasks are due, the oldest for 3 s.", 0},
		"Stuck":   {client.Overview{Workers: alive, Outcomes: steps(client.OutcomeStep{Retried: 5}, client.OutcomeStep{Failed: 1, InDoubt: 2})}, "stuck", "Nothing has succeeded since 11:55 UTC: 5 to be tried again, 2 in doubt, 1 failed. No task is due.", 0},
		"Refused": {client.Overview{Workers: alive, Outcomes: steps(client.OutcomeStep{}, client.OutcomeStep{Failed: 1})}, "refused", "Nothing has succeeded since 11:55 UTC: 1 failed. No task is due.", 0},
		"Late":    {client.Overview{Workers: alive, Outcomes: steps(), Due: due, Attention: client.OverviewAttention{Overdue: 1}}, "late", "Money is late: 1 task that could run is overdue. 1,234 tasks are due, the oldest for 3 s.", 1},
		"Stopped": {
			client.Overview{Workers: &client.OverviewWorkers{Silent: 1}, Outcomes: steps(), Due: due, Attention: client.OverviewAttention{Overdue: 10000, Capped: true}},
			"stopped", "Nothing is carried out: no worker is alive. 1,234 tasks are due, the oldest for 3 s.", 2,
		},
		"OfOneMerchant":     {client.Overview{}, "rests", "No task is overdue. No task is due.", 0},
		"OfOneMerchantLate": {client.Overview{Attention: client.OverviewAttention{Overdue: 2, Capped: true}}, "late", "Money is late: 2+ tasks that could run are overdue. No task is due.", 1},
	} {
		got := verdictOf(tc.seen)
		if got.State != tc.state || got.Line != tc.line || len(got.Needs) != tc.needs {
			t.Errorf("%s: %+v, want %s, %q and %d", name, got, tc.state, tc.line, tc.needs)
		}
	}
}
