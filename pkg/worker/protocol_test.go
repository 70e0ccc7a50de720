package worker

import (
	"testing"
	"time"

	"billonce/internal/protocol"
	"billonce/pkg/billing"
)

// TestTheModelsDecisionsAreTheWorkers holds this room's code against the tables that the model of the protocol was checked with.
func TestTheModelsDecisionsAreTheWorkers(t *testing.T) {
	t.Parallel()
	for _, answer := range protocol.Answers() {
		for _, resend := range []bool{false, true} {
			for _, attempt := range []int{1, 3} {
				proof := protocol.Proves(answer, resend)
				given := billing.Answer{Outcome: proof.Outcome, Final: proof.Final, Reason: billing.ReasonInvalid}
				if proof.Auth {
					given.Reason = billing.ReasonUnauthorized
				}
				claim := billing.Claim{Attempt: attempt, MaxAttempts: 3, Resend: resend}
				if got, want := statusAfter(&claim, given), protocol.Becomes(proof, claim.Exhausted()); got != want {
					t.Errorf("answer %d, resend %v, attempt %d: %s, the model says %s", answer, resend, attempt, got, want)
				}
			}
		}
	}
}

// TestTheModelsLooksAreTheWorkers does the same for looks.
func TestTheModelsLooksAreTheWorkers(t *testing.T) {
	t.Parallel()
	findings := map[protocol.Sight]billing.Finding{
		protocol.Unreadable: {Outcome: billing.OutcomeUnknown, Reason: billing.ReasonLookFailed},
		protocol.Unclear:    {Outcome: billing.OutcomeUnknown, Reason: billing.ReasonUnattributed},
		protocol.Partial:    {Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace},
		protocol.Another:    {Outcome: billing.OutcomeRefused, Reason: billing.ReasonSatisfied},
		protocol.Absence:    {Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoTrace, Absent: true},
		protocol.Decline:    {Outcome: billing.OutcomeRefused, Reason: billing.ReasonDeclined},
		protocol.Effect:     {Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonReconciled},
	}
	delays := []time.Duration{time.Minute, time.Hour}
	sent := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for _, saw := range protocol.Sights() {
		finding, ok := findings[saw]
		if !ok {
			t.Fatalf("sight %d of the model has no sample here", saw)
		}
		for _, age := range []time.Duration{time.Hour, lastLookAfter - time.Second, lastLookAfter, 100 * time.Hour} {
			doubt := billing.Doubt{
				ID: "id", Kind: billing.InvoicePay, FirstSentAt: sent, StartedAt: sent.Add(age), Looks: len(delays),
			}
			got := conclude(doubt, finding, delays, nil)
			status, person := protocol.Concludes(saw, age >= lastLookAfter, age > lookPatience)
			if got.Status != status || (got.Status == billing.InDoubt && got.NextIn == 0) != person {
				t.Errorf("sight %d after %s: %s, next look in %s; the model says %s, a person %v", saw, age, got.Status, got.NextIn, status, person)
			}
		}
	}
}
