package gateway_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/secret"
	"billonce/pkg/stripesim"
)

const (
	simAccount = "acct_1"
	simToken   = "sk_test_acct_1"
)

// simulated starts a simulator and a gateway to it.
func simulated(t *testing.T, timeout time.Duration) (*stripesim.Simulator, *gateway.Gateway) {
	t.Helper()
	sim := stripesim.New(stripesim.Config{})
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() { server.Close(); sim.Close() })
	return sim, open(t, gateway.Config{BaseURL: server.URL, Timeout: timeout})
}

// order is a task to be driven to its end against the simulator.
type order struct {
	kind           billing.Kind
	target, params string
	object         stripesim.Object // to be there before
}

// orders makes n tasks of many kinds, each on objects of its own.
func orders(n int) []order {
	captured := false
	list := make([]order, n)
	for i := range list {
		id := fmt.Sprintf("%04d", i)
		switch i % 8 {
		case 0:
			list[i] = order{billing.InvoicePay, "in_" + id, ``, stripesim.Object{Object: "invoice", ID: "in_" + id, Status: "open", Amount: 2000}}
		case 1:
			list[i] = order{billing.SubscriptionCreate, "", `{"customer": "cus_ok", "items": [{"price": "price_basic"}]}`, stripesim.Object{}}
		case 2:
			list[i] = order{billing.SubscriptionCancel, "sub_" + id, `{"prorate": true}`, stripesim.Object{Object: "subscription", ID: "sub_" + id, Status: "active"}}
		case 3:
			list[i] = order{billing.InvoiceItemCreate, "", `{"customer": "cus_ok", "amount": 500, "currency": "usd"}`, stripesim.Object{}}
		case 4:
			list[i] = order{billing.RefundCreate, "", `{"charge": "ch_` + id + `", "amount": 100}`, stripesim.Object{Object: "charge", ID: "ch_" + id, Amount: 1000}}
		case 5:
			list[i] = order{billing.ChargeCapture, "ch_" + id, ``, stripesim.Object{Object: "charge", ID: "ch_" + id, Amount: 1000, Captured: &captured}}
		case 6:
			list[i] = order{billing.PaymentIntentCreate, "", `{"amount": 700, "currency": "usd", "customer": "cus_ok", "payment_method": "pm_ok", "confirm": true, "off_session": true}`, stripesim.Object{}}
		case 7:
			list[i] = order{billing.SubscriptionUpdate, "sub_" + id, `{"cancel_at_period_end": true}`, stripesim.Object{Object: "subscription", ID: "sub_" + id, Status: "active"}}
		}
	}
	return list
}

// drive sends a task as the worker does, until it is settled.
func drive(ctx context.Context, gate *gateway.Gateway, claim billing.Claim, pause time.Duration) billing.Answer {
	credential := billing.Credential{Auth: billing.AuthToken, Token: secret.New(simToken), Account: simAccount}
	firstSent := time.Now()
	var last billing.Answer
	for ctx.Err() == nil {
		claim.ClaimedAt = time.Now()
		if !claim.Resend {
			firstSent = claim.ClaimedAt
		}
		claim.SinceSent = claim.ClaimedAt.Sub(firstSent)
		last = gate.Execute(ctx, claim, credential)
		switch {
		case last.Outcome == billing.OutcomeSucceeded, last.Outcome == billing.OutcomeRefused, last.Final:
			return last
		case last.Outcome == billing.OutcomeUnknown:
			claim.Resend = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return last
}

// TestOneEffectUnderFaults drives tasks of many kinds through every fault that the simulator can play, and compares what
// the gateway said with the simulator's ledger.
func TestOneEffectUnderFaults(t *testing.T) {
	t.Parallel()
	const timeout = 400 * time.Millisecond
	sim, gate := simulated(t, timeout)
	script := []stripesim.Fault{
		{Kind: stripesim.Decline, Op: "invoice.pay", Code: "insufficient_funds"},
		{Kind: stripesim.ErrorRolledBack},
		{Kind: stripesim.ErrorKept},
		{Kind: stripesim.Refuse},
		{Kind: stripesim.Refuse, FirstByte: true},
		{Kind: stripesim.Hang},
		{Kind: stripesim.EdgeBefore, Status: 503},
		{Kind: stripesim.Redirect},
		{Kind: stripesim.DropBefore},
		{Kind: stripesim.DropBefore, FirstByte: true},
		{Kind: stripesim.Reject, Status: 429},
		{Kind: stripesim.Reject, Status: 401},
		{Kind: stripesim.Reject, Status: 403, Code: "account_invalid"},
		{Kind: stripesim.Stall, Delay: 2 * timeout},
		{Kind: stripesim.LockTimeout},
		{Kind: stripesim.LockTimeout, Stored: true},
		{Kind: stripesim.EdgeAfter, Status: 504},
		{Kind: stripesim.DropAfter},
		{Kind: stripesim.DropAfter, FirstByte: true},
		{Kind: stripesim.HalfBody},
		{Kind: stripesim.Garbage},
		{Kind: stripesim.SlowHeaders, Delay: 2 * timeout},
	}
	for i := range script {
		script[i].Rate = 0.04
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tasks := orders(240)
	answers := make([]billing.Answer, len(tasks))
	claims := make([]billing.Claim, len(tasks))
	freezer := gateway.NewFreezer(false)
	for i, task := range tasks {
		if task.object.Object != "" {
			if err := sim.Seed(simAccount, false, task.object); err != nil {
				t.Fatal(err)
			}
		}
		id := billing.TaskID(fmt.Sprintf("0192f5a0-7b1c-7def-8a2b-%012d", i))
		request, err := freezer.Freeze(id, task.kind, task.target, []byte(task.params))
		if err != nil {
			t.Fatal(billing.FaultsOf(err))
		}
		claims[i] = claimOf(task.kind, request)
		claims[i].ID = id
	}
	if err := sim.Script(script...); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, 40)
	for i := range claims {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			answers[i] = drive(ctx, gate, claims[i], 10*time.Millisecond)
		})
	}
	group.Wait()
	effects := map[string]int{}
	for _, effect := range sim.Ledger() {
		effects[effect.IdempotencyKey]++
	}
	said := map[string]int{}
	for i, answer := range answers {
		said[string(answer.Outcome)+" "+string(answer.Reason)]++
		n := effects[claims[i].ID.IdempotencyKey()]
		good := answer.Outcome == billing.OutcomeSucceeded && n == 1 || answer.Outcome == billing.OutcomeRefused && n == 0 ||
			answer.Outcome == billing.OutcomeUnknown && answer.Final && answer.Reason == billing.ReasonServerError && n <= 1
		if !good {
			t.Errorf("%s: said %s %s (final %v), the ledger has %d effects", tasks[i].kind, answer.Outcome, answer.Reason, answer.Final, n)
			for _, seen := range sim.Requests(claims[i].ID.IdempotencyKey()) {
				t.Logf("  %s %s: %d replayed %v, %s", seen.Method, seen.Path, seen.Status, seen.Replayed, seen.Fault)
			}
		}
	}
	t.Log(said)
	if said["succeeded done"] < len(tasks)/2 || len(said) < 3 {
		t.Errorf("the faults decided too much or too little: %v", said)
	}
}

// TestCanceledByAnother shows that a subscription which somebody else canceled is not taken for this task's doing.
func TestCanceledByAnother(t *testing.T) {
	t.Parallel()
	sim, gate := simulated(t, 0)
	if err := sim.Seed(simAccount, false, stripesim.Object{Object: "subscription", ID: "sub_1", Status: "active"}); err != nil {
		t.Fatal(err)
	}
	if err := sim.External(simAccount, false, "subscription.cancel", "sub_1", ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check(t, drive(ctx, gate, frozen(t, billing.SubscriptionCancel, "sub_1", ""), time.Millisecond), billing.OutcomeRefused, billing.ReasonSatisfied)
	check(t, drive(ctx, gate, frozen(t, billing.SubscriptionCancel, "sub_2", ""), time.Millisecond), billing.OutcomeRefused, billing.ReasonInvalid)
}
