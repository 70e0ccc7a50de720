package app_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"billonce/internal/kindtest"
	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/secret"
	"billonce/pkg/stripesim"
)

// lookRig is a gateway before a simulator, in one process.
type lookRig struct {
	t       *testing.T
	sim     *stripesim.Simulator
	gate    *gateway.Gateway
	freezer gateway.Freezer
}

const lookAccount = "acct_look"

func newLookRig(t *testing.T, config stripesim.Config) *lookRig {
	t.Helper()
	sim := stripesim.New(config)
	server := httptest.NewServer(sim.Handler())
	gate, err := gateway.New(gateway.Config{BaseURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gate.Close(); server.Close(); sim.Close() })
	objects := []stripesim.Object{}
	for _, fixture := range kindtest.Fixtures() {
		text, err := json.Marshal(fixture)
		if err != nil {
			t.Fatal(err)
		}
		var object stripesim.Object
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	if err := sim.Seed(lookAccount, false, objects...); err != nil {
		t.Fatal(err)
	}
	return &lookRig{t: t, sim: sim, gate: gate, freezer: gateway.NewFreezer(true)}
}

func (r *lookRig) credential() billing.Credential {
	return billing.Credential{Auth: billing.AuthToken, Token: secret.New("sk_test_" + lookAccount), Account: lookAccount}
}

// claim is a first send of a sample of the kind.
func (r *lookRig) claim(kind billing.Kind, sample kindtest.Sample) billing.Claim {
	r.t.Helper()
	params := json.RawMessage(`{}`)
	if sample.Params != nil {
		text, err := json.Marshal(sample.Params)
		if err != nil {
			r.t.Fatal(err)
		}
		params = text
	}
	id := billing.TaskID(uuid.Must(uuid.NewV7()).String())
	request, err := r.freezer.Freeze(id, kind, sample.Target, params)
	if err != nil {
		r.t.Fatal(billing.FaultsOf(err))
	}
	hash := request.Hash()
	return billing.Claim{
		ID: id, Kind: kind, Target: sample.Target, Request: request, RequestHash: hash[:], Attempt: 1, MaxAttempts: 5,
		Auth: billing.AuthToken, Account: lookAccount, ScheduledFor: time.Now(), ClaimedAt: time.Now(),
	}
}

func (r *lookRig) look(claim billing.Claim) billing.Finding {
	r.t.Helper()
	doubt := billing.Doubt{
		ID: claim.ID, Kind: claim.Kind, Target: claim.Target, Request: claim.Request, Auth: claim.Auth, Account: claim.Account,
		ScheduledFor: claim.ScheduledFor, FirstSentAt: claim.ClaimedAt, StartedAt: time.Now(), Attempt: 2, Looks: 1,
	}
	found := r.gate.Look(r.t.Context(), []billing.Doubt{doubt}, r.credential())
	if len(found) != 1 || len(found[claim.ID].Evidence) == 0 {
		r.t.Fatalf("%+v", found)
	}
	return found[claim.ID]
}

func (r *lookRig) effects(key string) []stripesim.Effect {
	return slices.DeleteFunc(r.sim.Ledger(), func(e stripesim.Effect) bool { return e.IdempotencyKey != key })
}

// stateTells are the kinds whose object tells whether they were carried out.
var stateTells = []billing.Kind{
	billing.SubscriptionCancel, billing.SubscriptionResume, billing.InvoiceFinalize, billing.InvoicePay, billing.InvoiceVoid,
	billing.InvoiceMarkUncollectible, billing.PaymentIntentConfirm, billing.PaymentIntentCapture, billing.PaymentIntentCancel,
	billing.ChargeCapture, billing.SubscriptionScheduleCancel, billing.SubscriptionScheduleRelease,
}

// TestALookFindsWhatHappened plays, for every kind, an unknown outcome with each thing that may have happened behind it, and
// holds what a look makes of it against the simulator's ledger.
func TestALookFindsWhatHappened(t *testing.T) {
	t.Parallel()
	for kind, sample := range kindtest.Samples() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			t.Run("DoneByUs", func(t *testing.T) {
				t.Parallel()
				r := newLookRig(t, stripesim.Config{})
				claim := r.unknown(kind, sample, stripesim.Fault{Kind: stripesim.ErrorKept})
				r.wantFound(claim, sample, r.look(claim))
			})
			t.Run("DoneByUsWithoutAnEvent", func(t *testing.T) {
				t.Parallel()
				r := newLookRig(t, stripesim.Config{})
				claim := r.unknown(kind, sample, stripesim.Fault{Kind: stripesim.ErrorKept, Delay: 100 * time.Hour})
				finding := r.look(claim)
				switch {
				case kind.Creates():
					r.wantFound(claim, sample, finding)
				case slices.Contains(stateTells, kind):
					if finding.Outcome != billing.OutcomeUnknown || finding.Reason != billing.ReasonUnattributed || finding.Absent {
						t.Errorf("%+v", finding)
					}
				default:
					if finding.Outcome != billing.OutcomeUnknown || finding.Reason != billing.ReasonNoTrace || finding.Absent {
						t.Errorf("%+v", finding)
					}
				}
			})
			t.Run("NotDone", func(t *testing.T) {
				t.Parallel()
				r := newLookRig(t, stripesim.Config{})
				claim := r.unknown(kind, sample, stripesim.Fault{Kind: stripesim.ErrorRolledBack})
				finding := r.look(claim)
				absent := kind.Creates() || slices.Contains(stateTells, kind)
				if finding.Outcome != billing.OutcomeUnknown || finding.Reason != billing.ReasonNoTrace || finding.Absent != absent {
					t.Errorf("%+v", finding)
				}
			})
			t.Run("NotReadable", func(t *testing.T) {
				t.Parallel()
				r := newLookRig(t, stripesim.Config{})
				claim := r.unknown(kind, sample, stripesim.Fault{Kind: stripesim.ErrorKept})
				if err := r.sim.Script(stripesim.Fault{Kind: stripesim.EdgeBefore, Op: "*", Times: -1}); err != nil {
					t.Fatal(err)
				}
				finding := r.look(claim)
				if finding.Outcome != billing.OutcomeUnknown || finding.Reason != billing.ReasonLookFailed || finding.Absent {
					t.Errorf("%+v", finding)
				}
			})
		})
	}
}

// unknown sends a task whose answer is a fault, and wants the outcome to be unknown.
func (r *lookRig) unknown(kind billing.Kind, sample kindtest.Sample, fault stripesim.Fault) billing.Claim {
	r.t.Helper()
	if err := r.sim.Script(fault); err != nil {
		r.t.Fatal(err)
	}
	claim := r.claim(kind, sample)
	if got := r.gate.Execute(r.t.Context(), claim, r.credential()); got.Outcome != billing.OutcomeUnknown {
		r.t.Fatalf("%+v %+v", got, got.Error)
	}
	return claim
}

func (r *lookRig) wantFound(claim billing.Claim, sample kindtest.Sample, finding billing.Finding) {
	r.t.Helper()
	effects := r.effects(claim.ID.IdempotencyKey())
	if len(effects) != 1 || finding.Outcome != billing.OutcomeSucceeded || finding.Reason != billing.ReasonReconciled || finding.Result == nil ||
		finding.Result.Object != sample.Type || finding.Result.ID != effects[0].Object {
		r.t.Errorf("%+v %+v, effects %+v", finding, finding.Result, effects)
	}
}

// TestALookTellsAnotherHand lets somebody else do what the task asks for, after an attempt of ours that did nothing.
func TestALookTellsAnotherHand(t *testing.T) {
	t.Parallel()
	for _, kind := range stateTells {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newLookRig(t, stripesim.Config{})
			sample := kindtest.Samples()[kind]
			claim := r.unknown(kind, sample, stripesim.Fault{Kind: stripesim.ErrorRolledBack})
			if err := r.sim.External(lookAccount, false, string(kind), sample.Target, ""); err != nil {
				t.Fatal(err)
			}
			finding := r.look(claim)
			if finding.Outcome != billing.OutcomeRefused || finding.Reason != billing.ReasonSatisfied {
				t.Errorf("%+v", finding)
			}
			// A task that meets the object in this state is told the same, at once.
			got := r.gate.Execute(t.Context(), r.claim(kind, sample), r.credential())
			if kind != billing.PaymentIntentConfirm && (got.Outcome != billing.OutcomeRefused || got.Reason != billing.ReasonSatisfied) {
				t.Errorf("%+v %+v", got, got.Error)
			}
		})
	}
}

// TestALookTellsADecline plays payments that were declined, with the answer lost.
func TestALookTellsADecline(t *testing.T) {
	t.Parallel()
	for kind, sample := range map[billing.Kind]kindtest.Sample{
		billing.InvoicePay:           {Target: "in_pay", Type: "invoice", Params: kindtest.Object{"payment_method": "pm_decline_insufficient_funds"}},
		billing.PaymentIntentConfirm: {Target: "pi_confirm", Type: "payment_intent", Params: kindtest.Object{"payment_method": "pm_decline_insufficient_funds"}},
		billing.PaymentIntentCreate: {Type: "payment_intent", Params: kindtest.Object{
			"amount": 900, "currency": "usd", "customer": "cus_ok", "payment_method": "pm_decline_insufficient_funds", "confirm": true,
		}},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newLookRig(t, stripesim.Config{})
			claim := r.unknown(kind, sample, stripesim.Fault{Kind: stripesim.DropAfter, FirstByte: true})
			finding := r.look(claim)
			if effects := r.effects(claim.ID.IdempotencyKey()); len(effects) != 0 || finding.Outcome != billing.OutcomeRefused || finding.Reason != billing.ReasonDeclined ||
				finding.Error.DeclineCode != "insufficient_funds" {
				t.Errorf("%+v %+v, effects %+v", finding, finding.Error, effects)
			}
		})
	}
}

// TestALookFindsADebitThatIsUnderWay: the payment was begun, the answer was a stored error, and the invoice stays open for days. Our
// own event tells at once; without it, nothing is called absent, neither while the debit is under way nor after it has cleared.
func TestALookFindsADebitThatIsUnderWay(t *testing.T) {
	t.Parallel()
	sample := kindtest.Sample{Target: "in_pay", Type: "invoice", Params: kindtest.Object{"payment_method": "pm_processing"}}
	t.Run("ByItsEvent", func(t *testing.T) {
		t.Parallel()
		r := newLookRig(t, stripesim.Config{})
		claim := r.unknown(billing.InvoicePay, sample, stripesim.Fault{Kind: stripesim.ErrorKept})
		r.wantFound(claim, sample, r.look(claim))
	})
	t.Run("WithoutAnEvent", func(t *testing.T) {
		t.Parallel()
		r := newLookRig(t, stripesim.Config{})
		claim := r.unknown(billing.InvoicePay, sample, stripesim.Fault{Kind: stripesim.ErrorKept, Delay: 100 * time.Hour})
		for _, when := range []string{"under way", "cleared"} {
			finding := r.look(claim)
			if finding.Outcome != billing.OutcomeUnknown || finding.Reason != billing.ReasonUnattributed || finding.Absent {
				t.Errorf("%s: %+v", when, finding)
			}
			if when == "under way" {
				if err := r.sim.Clear(lookAccount, false, "in_pay", ""); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	t.Run("FailedWithoutAnEventOfOurs", func(t *testing.T) {
		t.Parallel()
		r := newLookRig(t, stripesim.Config{})
		claim := r.unknown(billing.InvoicePay, sample, stripesim.Fault{Kind: stripesim.ErrorKept, Delay: 100 * time.Hour})
		if err := r.sim.Clear(lookAccount, false, "in_pay", "insufficient_funds"); err != nil {
			t.Fatal(err)
		}
		if finding := r.look(claim); finding.Outcome != billing.OutcomeUnknown || finding.Absent {
			t.Errorf("%+v", finding)
		}
	})
	t.Run("AnothersDebit", func(t *testing.T) {
		t.Parallel()
		r := newLookRig(t, stripesim.Config{})
		if err := r.sim.External(lookAccount, false, "invoice.pay", "in_pay", "payment_method=pm_processing"); err != nil {
			t.Fatal(err)
		}
		got := r.gate.Execute(t.Context(), r.claim(billing.InvoicePay, sample), r.credential())
		if got.Outcome != billing.OutcomeRefused || got.Reason != billing.ReasonSatisfied {
			t.Errorf("%+v %+v", got, got.Error)
		}
	})
}

// TestARestoredCancelIsNotCalledAnothers: a backup from before the cancelation is restored, and the same DELETE goes out as a first
// send.
func TestARestoredCancelIsNotCalledAnothers(t *testing.T) {
	t.Parallel()
	for bare, want := range map[bool]billing.Outcome{true: billing.OutcomeUnknown, false: billing.OutcomeSucceeded} {
		r := newLookRig(t, stripesim.Config{BareDeleteEvents: bare})
		claim := r.claim(billing.SubscriptionCancel, kindtest.Samples()[billing.SubscriptionCancel])
		first := r.gate.Execute(t.Context(), claim, r.credential())
		again := r.gate.Execute(t.Context(), claim, r.credential()) // the restored row knows of no send
		if first.Outcome != billing.OutcomeSucceeded || again.Outcome != want || len(r.effects(claim.ID.IdempotencyKey())) != 1 {
			t.Errorf("bare %v: %s, then %s %s", bare, first.Outcome, again.Outcome, again.Reason)
		}
	}
}
