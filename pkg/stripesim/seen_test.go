package stripesim_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"billonce/pkg/stripesim"
)

// use is what the simulator has seen of the key.
func (b *bench) use(t *testing.T, key string) stripesim.KeyUse {
	t.Helper()
	page, _, err := b.Keys("", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range page {
		if one.Key == key {
			return one
		}
	}
	t.Fatalf("nothing was seen of %s", key)
	return stripesim.KeyUse{}
}

func TestKeysRememberAllThatCameUnderThem(t *testing.T) {
	t.Parallel()
	const pay = "/v1/invoices/in_1/pay"
	platform := []string{"Authorization", "Bearer " + stripesim.DefaultPlatformKey, "Stripe-Account", acct}
	subscription := stripesim.Object{Object: "subscription", ID: "sub_1", Price: "price_basic"}
	for name, one := range map[string]struct {
		do   func(*testing.T, *bench)
		want stripesim.KeyUse
	}{
		"an effect, its replay and a lost answer between": {
			func(t *testing.T, b *bench) {
				t.Helper()
				b.script(t, stripesim.Fault{Kind: stripesim.DropAfter})
				_, _ = b.send(t, http.MethodPost, pay, "", "Idempotency-Key", "k")
				b.post(t, pay, "k", "")
			},
			stripesim.KeyUse{
				Accounts: []string{acct}, Requests: 2, Fingerprints: 1, AuthModes: []string{stripesim.AuthToken}, Effects: 1,
				Answers: []stripesim.KeyAnswer{{Status: 200, Replayed: true}}, Faults: []stripesim.FaultKind{stripesim.DropAfter}, StoredStatus: 200,
			},
		},
		"two ways of authentication": {
			func(t *testing.T, b *bench) {
				t.Helper()
				b.post(t, pay, "k", "")
				b.post(t, pay, "k", "", platform...)
			},
			stripesim.KeyUse{
				Accounts: []string{acct}, Requests: 2, Fingerprints: 2, AuthModes: []string{stripesim.AuthToken, stripesim.AuthPlatformAccount},
				Effects: 1, Answers: []stripesim.KeyAnswer{{Status: 200}, {Status: 200, Replayed: true}}, StoredStatus: 200,
			},
		},
		"other parameters, and another account": {
			func(t *testing.T, b *bench) {
				t.Helper()
				b.post(t, pay, "k", "")
				b.post(t, pay, "k", "off_session=true")
				b.post(t, pay, "k", "", "Authorization", "Bearer sk_test_acct_other")
			},
			stripesim.KeyUse{
				Accounts: []string{acct, "acct_other"}, Requests: 3, Fingerprints: 3, AuthModes: []string{stripesim.AuthToken}, Effects: 1,
				Answers: []stripesim.KeyAnswer{{Status: 200}, {Status: 400}, {Status: 404}}, StoredStatus: 404,
			},
		},
		"refusals that leave no trace under the key": {
			func(t *testing.T, b *bench) {
				t.Helper()
				b.script(t, stripesim.Fault{Kind: stripesim.EdgeBefore, Status: 503}, stripesim.Fault{Kind: stripesim.Reject})
				b.post(t, pay, "k", "")
				b.post(t, pay, "k", "")
				b.post(t, pay, "k", "nonsense=1")
				b.post(t, pay, "k", "", "Authorization", "Bearer nobody")
			},
			stripesim.KeyUse{
				Accounts: []string{acct}, Requests: 4, Unread: 1, Fingerprints: 3, AuthModes: []string{stripesim.AuthToken},
				Answers: []stripesim.KeyAnswer{
					{Status: 503, Fault: stripesim.EdgeBefore}, {Status: 429, Fault: stripesim.Reject}, {Status: 400}, {Status: 401},
				},
				Faults: []stripesim.FaultKind{stripesim.EdgeBefore, stripesim.Reject},
			},
		},
		"a key that has expired": {
			func(t *testing.T, b *bench) {
				t.Helper()
				b.post(t, "/v1/payment_intents", "k", "amount=1&currency=usd")
				b.Advance(25 * time.Hour)
				b.post(t, "/v1/payment_intents", "k", "amount=1&currency=usd")
			},
			stripesim.KeyUse{
				Accounts: []string{acct}, Requests: 2, Fingerprints: 1, AuthModes: []string{stripesim.AuthToken}, Effects: 2,
				Answers: []stripesim.KeyAnswer{{Status: 200}, {Status: 200}}, StoredStatus: 200,
			},
		},
		"a DELETE": {
			func(t *testing.T, b *bench) {
				t.Helper()
				b.seed(t, subscription)
				if _, err := b.send(t, http.MethodDelete, "/v1/subscriptions/sub_1", "", "Idempotency-Key", "k"); err != nil {
					t.Fatal(err)
				}
			},
			stripesim.KeyUse{
				Accounts: []string{acct}, Requests: 1, Fingerprints: 1, AuthModes: []string{stripesim.AuthToken}, Effects: 1,
				Answers: []stripesim.KeyAnswer{{Status: 200}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{KeepRequests: 1})
			b.seed(t, openInvoice("in_1"))
			one.do(t, b)
			got := b.use(t, "k")
			want := one.want
			want.Key, want.Account = "k", acct
			ids := map[string]bool{}
			for _, a := range got.Answers {
				if ids[a.RequestID] || (a.RequestID == "") != (a.Fault == stripesim.EdgeBefore) {
					t.Errorf("answers %+v", got.Answers)
				}
				ids[a.RequestID] = true
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(stripesim.KeyUse{}, "FirstAt", "LastAt"),
				cmpopts.IgnoreFields(stripesim.KeyAnswer{}, "RequestID")); diff != "" {
				t.Error(diff)
			}
			if got.FirstAt.IsZero() || got.LastAt.Before(got.FirstAt) || name == "a key that has expired" && got.LastAt.Sub(got.FirstAt) < 25*time.Hour {
				t.Errorf("from %v to %v", got.FirstAt, got.LastAt)
			}
		})
	}
}

func TestKeysArePagedInTheOrderOfTheirArrival(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	for i := range 7 {
		b.post(t, "/v1/payment_intents", fmt.Sprint("k", 9-i), "amount=1&currency=usd")
	}
	b.post(t, "/v1/payment_intents", "", "amount=1&currency=usd")
	var got []any
	path, pages := "keys?limit=3", 0
	for more := true; more; pages++ {
		page := b.control(t, http.MethodGet, path, "", 200)
		data, _ := page["data"].([]any)
		for _, one := range data {
			entry, _ := one.(map[string]any)
			got = append(got, entry["key"])
			path = fmt.Sprint("keys?limit=3&after=", entry["key"])
		}
		more, _ = page["has_more"].(bool)
	}
	if fmt.Sprint(got) != "[k9 k8 k7 k6 k5 k4 k3]" || pages != 3 {
		t.Errorf("%d pages: %v", pages, got)
	}
	for _, wrong := range []string{"limit=0", "limit=10001", "limit=many", "after=k1"} {
		b.control(t, http.MethodGet, "keys?"+wrong, "", 400)
	}
	b.Reset()
	if page, more, err := b.Keys("", 10); len(page) != 0 || more || err != nil {
		t.Errorf("after a reset: %v %v %v", page, more, err)
	}
}

func TestWhatIsUnderWayIsCountedUntilItCanDoNothingMore(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, openInvoice("in_1"))
	b.script(t, stripesim.Fault{Kind: stripesim.Stall, Op: "invoice.pay", Hold: true}, stripesim.Fault{Kind: stripesim.Hang, Op: "payment_intent.create"})
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 2)
	for _, path := range []string{"/v1/invoices/in_1/pay", "/v1/payment_intents"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		go func() {
			_, err := b.http.Do(request)
			gone <- err
		}()
	}
	eventually(t, "two requests under way", func() bool { return b.Active() == 2 && b.Held() == 1 })
	leave()
	for range 2 {
		if err := <-gone; err == nil {
			t.Error("it was answered")
		}
	}
	eventually(t, "only the held one is left", func() bool { return b.Active() == 1 })
	if active := b.control(t, http.MethodGet, "active", "", 200)["active"]; active != 1.0 || b.Held() != 1 {
		t.Errorf("under way %v, held %d", active, b.Held())
	}
	b.Release()
	eventually(t, "nothing is left", func() bool { return b.Active() == 0 })
	if n := len(b.Ledger()); n != 1 {
		t.Errorf("%d effects", n)
	}
	b.post(t, "/v1/invoices/in_1/void", "after", "")
	eventually(t, "an answered one is over", func() bool { return b.Active() == 0 })
}
