package worker

import (
	"testing"
	"time"

	"billonce/pkg/billing"
)

// TestDecide walks every outcome, reason and history and holds each decision against what the contract allows.
func TestDecide(t *testing.T) {
	t.Parallel()
	w := &Worker{conf: Config{Backoff: billing.Backoff{Base: time.Second, Max: time.Minute}, LookDelays: []time.Duration{time.Minute}}}
	for _, outcome := range billing.Outcomes() {
		for _, reason := range billing.Reasons() {
			for _, resend := range []bool{false, true} {
				for _, final := range []bool{false, true} {
					for _, attempt := range []int{1, 5} {
						claim := billing.Claim{ID: "id", Worker: "w", Attempt: attempt, MaxAttempts: 5, Resend: resend}
						got := w.decide(&claim, billing.Answer{Outcome: outcome, Reason: reason, Final: final}, 0)
						judge(t, claim, outcome, reason, final, got.Settlement)
					}
				}
			}
		}
	}
}

func judge(t *testing.T, claim billing.Claim, outcome billing.Outcome, reason billing.Reason, final bool, got billing.Settlement) {
	t.Helper()
	fail := func(why string) {
		t.Errorf("%s/%s resend=%v final=%v attempt=%d: status %s, unsent %v: %s", outcome, reason, claim.Resend, final, claim.Attempt,
			got.Status, got.Unsent, why)
	}
	if (got.Status == billing.Succeeded) != (outcome == billing.OutcomeSucceeded) {
		fail("succeeded must mean that Stripe said so")
	}
	doubt := outcome == billing.OutcomeUnknown || (outcome == billing.OutcomeNotSent && claim.Resend)
	if doubt && got.Status == billing.Failed {
		fail("a doubt became failed")
	}
	if doubt && (final || claim.Attempt == claim.MaxAttempts) && reason != billing.ReasonUnauthorized && got.Status != billing.InDoubt {
		fail("nothing is left to try, so a person must look")
	}
	if !doubt && got.Status == billing.InDoubt {
		fail("there is no doubt")
	}
	if got.Unsent && doubt {
		fail("what may have been sent was called unsent")
	}
	if (outcome == billing.OutcomeNotSent || outcome == billing.OutcomeUnknown) && reason == billing.ReasonUnauthorized && got.Status != billing.Pending {
		fail("a merchant's fault ended a task")
	}
	if (got.Status == billing.Pending || got.Status == billing.InDoubt) != (got.Delay > 0) {
		fail("a pending task needs a pause, one in doubt a time for the look, and no other does")
	}
	if got.ID != claim.ID || got.Worker != claim.Worker || got.Attempt != claim.Attempt {
		fail("the fencing token is not the claim's")
	}
}

// TestAClaimGrowsOld: whatever stopped the worker between its claim and its send, the window counts that time, also for a first
// send: another worker may have made it meanwhile.
func TestAClaimGrowsOld(t *testing.T) {
	t.Parallel()
	w := &Worker{conf: Config{Window: 23 * time.Hour}}
	now := time.Now()
	for name, tc := range map[string]struct {
		held holding
		may  bool
	}{
		"fresh":                      {holding{since: now}, true},
		"a first send a day later":   {holding{since: now.Add(-23 * time.Hour)}, false},
		"a re-send in time":          {holding{Claim: billing.Claim{Resend: true, SinceSent: 22 * time.Hour}, since: now}, true},
		"a re-send that was held up": {holding{Claim: billing.Claim{Resend: true, SinceSent: 22 * time.Hour}, since: now.Add(-time.Hour)}, false},
		"a first send in the future": {holding{Claim: billing.Claim{Resend: true, SinceSent: -time.Hour}, since: now}, false},
		"one that is a moment ahead": {holding{Claim: billing.Claim{Resend: true, SinceSent: -time.Second}, since: now}, true},
		"by the wall clock alone":    {holding{since: now.Round(0).Add(-23 * time.Hour)}, false},
	} {
		if got := w.maySend(&tc.held, time.Now()); got != tc.may {
			t.Errorf("%s: %v, want %v", name, got, tc.may)
		}
	}
	// What has no monotonic part is measured by the wall clock: a machine that slept wakes up with the one and not the other.
	if got := elapsed(now, now.Round(0).Add(24*time.Hour)); got != 24*time.Hour {
		t.Errorf("%s have passed, want a day", got)
	}
}
