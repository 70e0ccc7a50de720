package gateway

import (
	"testing"

	"billonce/internal/protocol"
	"billonce/pkg/billing"
)

// TestTheModelsAnswersProveTheSame holds this room's code against the table that the model of the protocol was checked with.
func TestTheModelsAnswersProveTheSame(t *testing.T) {
	t.Parallel()
	seen := map[protocol.Answer]observation{
		protocol.NoAnswer:         {},
		protocol.NotReached:       {unsent: true},
		protocol.Limited:          limited(stripeSays(429, invalidType, "rate_limit")),
		protocol.Unauthorized:     stripeSays(401, invalidType, ""),
		protocol.Invalid:          stripeSays(400, invalidType, "parameter_invalid"),
		protocol.InvalidAgain:     again(stripeSays(400, invalidType, "parameter_invalid")),
		protocol.InProgress:       stripeSays(409, invalidType, "idempotency_key_in_use"),
		protocol.Done:             {status: 200, body: []byte(paid)},
		protocol.DoneAgain:        again(observation{status: 200, body: []byte(paid)}),
		protocol.Declined:         stripeSays(402, "card_error", "card_declined"),
		protocol.DeclinedAgain:    again(stripeSays(402, "card_error", "card_declined")),
		protocol.ServerError:      stripeSays(500, "api_error", ""),
		protocol.ServerErrorAgain: again(stripeSays(500, "api_error", "")),
	}
	for _, answer := range protocol.Answers() {
		for _, resend := range []bool{false, true} {
			observed, ok := seen[answer]
			if !ok {
				t.Fatalf("answer %d of the model has no sample here", answer)
			}
			got := classify(observed, resend)
			want := protocol.Proves(answer, resend)
			proof := protocol.Proof{Outcome: got.Outcome, Final: got.Final, Auth: got.Reason == billing.ReasonUnauthorized}
			if proof != want {
				t.Errorf("answer %d, resend %v: %+v, the model says %+v", answer, resend, proof, want)
			}
		}
	}
}
