//go:build bench

package gateway

import (
	"bytes"
	"context"
	"net/http"
	"os"

	"billonce/pkg/billing"
)

// Memory answers every send at once, in memory, as Stripe does when all goes well. It exists in the benchmark build only. What stands
// before the wire is done as ever: the frozen request is held against its hash, and the credential against the claim's.
type Memory struct{ *Gateway }

// InMemory reports whether the environment asks for it: BENCH_STRIPE=memory.
func InMemory() bool { return os.Getenv("BENCH_STRIPE") == "memory" }

// Execute answers as if Stripe had.
func (m Memory) Execute(_ context.Context, claim billing.Claim, credential billing.Credential) billing.Answer {
	if hash := claim.Request.Hash(); !bytes.Equal(hash[:], claim.RequestHash) || !isFrozen(claim.Request) {
		return unsent(claim, billing.ReasonRequestChanged, true)
	}
	if claim.Auth != "" && (claim.Auth != credential.Auth || claim.Account != credential.Account) {
		return unsent(claim, billing.ReasonCredentialChanged, claim.Resend)
	}
	if _, ok := m.identify(credential); !ok {
		return unsent(claim, billing.ReasonUnauthorized, false)
	}
	if m.metrics != nil { // as of every call
		m.metrics.CallDone(string(claim.Kind), http.StatusOK, false, 0)
	}
	return billing.Answer{Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone, Result: &billing.Result{
		Object: "payment_intent", ID: "pi_3OxBenchmarkAnswer00000", Status: "succeeded", RequestID: "req_BenchmarkAns0",
	}}
}
