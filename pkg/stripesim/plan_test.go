package stripesim_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/stripesim"
)

// everyKind is a plan's rates with all kinds that end by themselves.
func everyKind(rate float64) map[stripesim.FaultKind]float64 {
	rates := map[stripesim.FaultKind]float64{stripesim.RejectAuth: rate}
	for _, kind := range []stripesim.FaultKind{
		stripesim.Refuse, stripesim.EdgeBefore, stripesim.DropBefore, stripesim.Reject, stripesim.Stall, stripesim.LockTimeout,
		stripesim.Decline, stripesim.External, stripesim.ErrorRolledBack, stripesim.ErrorKept, stripesim.EdgeAfter,
		stripesim.DropAfter, stripesim.HalfBody, stripesim.Garbage, stripesim.SlowHeaders, stripesim.CloseIdle,
	} {
		rates[kind] = rate
	}
	return rates
}

// met is what each key's requests met and were answered, in their order.
func met(t *testing.T, b *bench) map[string]string {
	t.Helper()
	told := map[string]string{}
	for _, r := range b.Requests("") {
		told[r.Key] += fmt.Sprint(r.Fault, " ", r.Status, " ", r.Replayed, "; ")
	}
	return told
}

func TestAPlanMeetsTheSameRequestsWithTheSameFaultsWhateverTheirOrder(t *testing.T) {
	t.Parallel()
	const keys, sends = 60, 3
	play := func(seed uint64, clients int, backwards bool) map[string]string {
		b := start(t, stripesim.Config{})
		for i := range keys {
			b.seed(t, openInvoice(fmt.Sprint("in_", i)))
		}
		if err := b.Plan(stripesim.Plan{Seed: seed, Rates: everyKind(0.05), Delay: 1}); err != nil {
			t.Fatal(err)
		}
		one := func(i int) {
			if backwards {
				i = keys - 1 - i
			}
			for range sends {
				// Lost answers are part of the plan.
				_, _ = b.send(t, http.MethodPost, fmt.Sprint("/v1/invoices/in_", i, "/pay"), "", "Idempotency-Key", fmt.Sprint("task_", i))
			}
		}
		var all sync.WaitGroup
		for c := range clients {
			all.Go(func() {
				for i := c; i < keys; i += clients {
					one(i)
				}
			})
		}
		all.Wait()
		report := b.Planned()
		if report.Requests != keys*sends || len(report.Struck) < 10 {
			t.Errorf("the plan tells of %d requests and %v", report.Requests, report.Struck)
		}
		return met(t, b)
	}
	alone := play(42, 1, false)
	if diff := cmp.Diff(alone, play(42, 7, true)); diff != "" {
		t.Errorf("in another order: %s", diff)
	}
	if maps.Equal(alone, play(43, 1, false)) {
		t.Error("another seed makes no difference")
	}
}

func TestAPlanKeepsToItsRates(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	rates := map[stripesim.FaultKind]float64{stripesim.Reject: 0.3, stripesim.LockTimeout: 0.1, stripesim.RejectAuth: 0.1}
	if err := b.Plan(stripesim.Plan{Seed: 5, Rates: rates}); err != nil {
		t.Fatal(err)
	}
	const sends = 1500
	statuses := map[int]int{}
	for i := range sends {
		statuses[b.direct(http.MethodPost, "/v1/payment_intents", fmt.Sprint("k", i), "amount=1&currency=usd").Code]++
	}
	report := b.Planned()
	for kind, rate := range rates {
		if got := float64(report.Struck[kind]) / sends; math.Abs(got-rate) > 0.05 {
			t.Errorf("%s strikes at a rate of %.2f, want %.2f", kind, got, rate)
		}
	}
	if statuses[401]+statuses[403] != report.Struck[stripesim.RejectAuth] || statuses[401] == 0 || statuses[403] == 0 ||
		statuses[429] != report.Struck[stripesim.Reject]+report.Struck[stripesim.LockTimeout] {
		t.Errorf("answers %v, faults %v", statuses, report.Struck)
	}
}

func TestAPlanLeavesReadsAndWhatIsScriptedAlone(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	if err := b.Plan(stripesim.Plan{Rates: map[stripesim.FaultKind]float64{stripesim.ErrorRolledBack: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := b.get(t, "/v1/customers/cus_ok"); got.status != 200 {
		t.Errorf("a read: %d", got.status)
	}
	b.script(t, stripesim.Fault{Kind: stripesim.Reject, Status: 403})
	if got := b.post(t, "/v1/payment_intents", "k", "amount=1&currency=usd"); got.status != 403 {
		t.Errorf("what is scripted: %d", got.status)
	}
	if got := b.post(t, "/v1/payment_intents", "k", "amount=1&currency=usd"); got.status != 500 {
		t.Errorf("what is planned: %d", got.status)
	}
	if got := b.post(t, "/v1/payment_intents", "", "amount=1&currency=usd"); got.status != 500 {
		t.Errorf("without a key: %d", got.status)
	}
	b.EndPlan()
	if got := b.post(t, "/v1/payment_intents", "l", "amount=1&currency=usd"); got.status != 200 {
		t.Errorf("when it has ended: %d", got.status)
	}
}

// A fault that has no place at an operation does not strike it.
func TestAPlansDeclinesAndRivalsFitTheOperation(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, openInvoice("in_1"), openInvoice("in_2"), openInvoice("in_3"))
	plan := func(kind stripesim.FaultKind) {
		if err := b.Plan(stripesim.Plan{Seed: 1, Rates: map[stripesim.FaultKind]float64{kind: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	plan(stripesim.Decline)
	if got := b.post(t, "/v1/invoices/in_1/void", "void", ""); got.status != 200 {
		t.Errorf("nothing to decline: %d %s", got.status, got.body)
	}
	if got := b.post(t, "/v1/invoices/in_2/pay", "pay", ""); got.status != 402 || !strings.Contains(got.body, "decline_code") {
		t.Errorf("declined: %d %s", got.status, got.body)
	}
	plan(stripesim.External)
	if got := b.post(t, "/v1/payment_intents", "create", "amount=1&currency=usd"); got.status != 200 {
		t.Errorf("nothing that somebody else could have changed: %d %s", got.status, got.body)
	}
	if got := b.post(t, "/v1/invoices/in_3/void", "late", ""); got.status != 400 {
		t.Errorf("too late: %d %s", got.status, got.body)
	}
	b.seed(t, stripesim.Object{Object: "charge", ID: "ch_1", Amount: 900})
	if got := b.post(t, "/v1/refunds", "later", "charge=ch_1&amount=100&metadata[task]=7"); got.status != 400 || strings.Contains(b.get(t, "/v1/refunds").body, `"task"`) {
		t.Errorf("refunded before: %d %s", got.status, got.body)
	}
	if struck := b.Planned().Struck; struck[stripesim.External] != 2 || len(b.effects("late")) != 0 || len(b.effects("later")) != 0 || len(b.effects("")) != 2 {
		t.Errorf("%v, effects %v", struck, b.Ledger())
	}
}

// Clients whose connections are kept alive, and which therefore do not even see all faults, end with one effect for each
// key; and what the plan says that it struck is what the keys say.
func TestPersistentClientsUnderAPlanEndWithOneEffectPerKey(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	b.http = &http.Client{Transport: transport, CheckRedirect: b.http.CheckRedirect}
	rates := everyKind(0.04)
	for _, final := range []stripesim.FaultKind{
		stripesim.Decline, stripesim.External, stripesim.ErrorKept, stripesim.ErrorRolledBack, stripesim.LockTimeout,
	} {
		delete(rates, final)
	}
	if err := b.Plan(stripesim.Plan{Seed: 8, Rates: rates, Delay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	const clients, keys = 6, 25
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for k := range keys {
				if !persist(b, fmt.Sprint("task_", k), fmt.Sprint("amount=", k+1, "&currency=usd")) {
					t.Errorf("no answer for %d", k)
				}
			}
		})
	}
	all.Wait()
	eventually(t, "nothing is under way", func() bool { return b.Active() == 0 })
	uses, _, err := b.Keys("", 1000)
	if err != nil || len(uses) != keys {
		t.Fatalf("%v, %d keys", err, len(uses))
	}
	met := 0
	for _, one := range uses {
		met += len(one.Faults)
		if one.Effects != 1 || one.Fingerprints != 1 || one.StoredStatus != 200 || len(b.effects(one.Key)) != 1 {
			t.Errorf("%+v", one)
		}
	}
	struck := 0
	for _, n := range b.Planned().Struck {
		struck += n
	}
	if met != struck || struck == 0 {
		t.Errorf("the plan struck %d times, the keys met %d faults", struck, met)
	}
}

func TestNonsensicalPlansAreRefused(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	if err := b.Plan(stripesim.Plan{Rates: map[stripesim.FaultKind]float64{stripesim.Reject: math.NaN()}}); err == nil {
		t.Error("a rate that is no number is accepted")
	}
	for name, body := range map[string]string{
		"an unknown kind":       `{"rates":{"drop_afetr":0.1}}`,
		"no kind":               `{"rates":{"":0.1}}`,
		"more than always":      `{"rates":{"stall":1.5}}`,
		"less than never":       `{"rates":{"stall":-0.1}}`,
		"more than always, sum": `{"rates":{"stall":0.6,"reject":0.6}}`,
		"a negative delay":      `{"rates":{"stall":0.6},"delay":"-1s"}`,
		"a delay without unit":  `{"rates":{"stall":0.6},"delay":"1"}`,
		"a negative lag":        `{"rates":{"error_kept":0.6},"events_lag":"-1s"}`,
		"an unknown name":       `{"seed":1,"rate":{}}`,
		"two values":            `{"seed":1}{}`,
		"nothing":               ``,
	} {
		if refused := b.control(t, http.MethodPost, "plan", body, 400); refused["error"] == "" {
			t.Errorf("%s: %v", name, refused)
		}
	}
	if report := b.Planned(); report.Plan != nil {
		t.Errorf("a plan stands: %+v", report)
	}
}

func TestTheControlRoutesPlan(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	none := map[string]any{"plan": nil, "requests": 0.0, "struck": map[string]any{}}
	if diff := cmp.Diff(none, b.control(t, http.MethodGet, "plan", "", 200)); diff != "" {
		t.Errorf("before: %s", diff)
	}
	b.control(t, http.MethodPost, "plan", `{"seed":42,"rates":{"error_rolled_back":1},"delay":"2s","events_lag":"1h"}`, 200)
	b.post(t, "/v1/payment_intents", "k", "amount=1&currency=usd")
	want := map[string]any{
		"plan":     map[string]any{"seed": 42.0, "rates": map[string]any{"error_rolled_back": 1.0}, "delay": "2s", "events_lag": "1h0m0s"},
		"requests": 1.0, "struck": map[string]any{"error_rolled_back": 1.0},
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if diff := cmp.Diff(want, b.control(t, method, "plan", "", 200)); diff != "" {
			t.Errorf("%s: %s", method, diff)
		}
	}
	b.control(t, http.MethodPost, "plan", `{"seed":42,"rates":{"error_rolled_back":1}}`, 200)
	b.control(t, http.MethodPost, "reset", "", 200)
	if diff := cmp.Diff(none, b.control(t, http.MethodGet, "plan", "", 200)); diff != "" {
		t.Errorf("after: %s", diff)
	}
}

// Each drawn parameter takes each of its values somewhere.
func TestAPlanDrawsParametersToo(t *testing.T) {
	t.Parallel()
	statuses := func(kind stripesim.FaultKind) []int {
		b := start(t, stripesim.Config{})
		if err := b.Plan(stripesim.Plan{Seed: 9, Rates: map[stripesim.FaultKind]float64{kind: 1}}); err != nil {
			t.Fatal(err)
		}
		found := map[int]bool{}
		for i := range 40 {
			found[b.direct(http.MethodPost, "/v1/payment_intents", fmt.Sprint("k", i), "amount=1&currency=usd").Code] = true
		}
		return slices.Sorted(maps.Keys(found))
	}
	for kind, want := range map[stripesim.FaultKind][]int{
		stripesim.EdgeBefore: {502, 503, 504}, stripesim.EdgeAfter: {502, 503, 504}, stripesim.Reject: {429}, stripesim.RejectAuth: {401, 403},
	} {
		if diff := cmp.Diff(want, statuses(kind)); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
	}
	b := start(t, stripesim.Config{})
	if err := b.Plan(stripesim.Plan{Seed: 9, Rates: map[stripesim.FaultKind]float64{stripesim.LockTimeout: 1}}); err != nil {
		t.Fatal(err)
	}
	stored := map[bool]int{}
	for i := range 40 {
		answer := b.direct(http.MethodPost, "/v1/payment_intents", fmt.Sprint("k", i), "amount=1&currency=usd")
		stored[answer.Header().Get("Stripe-Should-Retry") == "false"]++
	}
	if stored[true] == 0 || stored[false] == 0 {
		t.Errorf("lock time-outs stored and not: %v", stored)
	}
}
