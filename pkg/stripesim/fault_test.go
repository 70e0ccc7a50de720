package stripesim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"

	"billonce/pkg/stripesim"
)

// What a client sees of each fault, whether the effect stands at once, and what a second send under the same key finds.
func TestFaultsStrikeWhereTheySay(t *testing.T) {
	t.Parallel()
	lost := -1 // no answer
	for name, one := range map[string]struct {
		fault         stripesim.Fault
		first         int
		contains      string
		effect        bool
		again         int
		againReplayed bool
	}{
		"refused":                {fault: stripesim.Fault{Kind: stripesim.Refuse}, first: lost, again: 200},
		"dropped before":         {fault: stripesim.Fault{Kind: stripesim.DropBefore}, first: lost, again: 200},
		"dropped before, a byte": {fault: stripesim.Fault{Kind: stripesim.DropBefore, FirstByte: true}, first: lost, again: 200},
		"rejected 401":           {fault: stripesim.Fault{Kind: stripesim.Reject, Status: 401}, first: 401, again: 200},
		"rejected 403":           {fault: stripesim.Fault{Kind: stripesim.Reject, Status: 403}, first: 403, contains: "account_invalid", again: 200},
		"rejected 429":           {fault: stripesim.Fault{Kind: stripesim.Reject}, first: 429, contains: "rate_limit", again: 200},
		"edge before":            {fault: stripesim.Fault{Kind: stripesim.EdgeBefore, Status: 503}, first: 503, contains: "<html>", again: 200},
		"redirected":             {fault: stripesim.Fault{Kind: stripesim.Redirect}, first: lost, again: 200},
		"stalled":                {fault: stripesim.Fault{Kind: stripesim.Stall, Delay: time.Millisecond}, first: 200, effect: true, again: 200, againReplayed: true},
		"lock time-out":          {fault: stripesim.Fault{Kind: stripesim.LockTimeout}, first: 429, contains: "lock_timeout", again: 200},
		"lock time-out, stored":  {fault: stripesim.Fault{Kind: stripesim.LockTimeout, Stored: true}, first: 429, contains: "lock_timeout", again: 429, againReplayed: true},
		"declined":               {fault: stripesim.Fault{Kind: stripesim.Decline, Code: "stolen_card"}, first: 402, contains: "stolen_card", again: 402, againReplayed: true},
		"paid by another":        {fault: stripesim.Fault{Kind: stripesim.External, Code: "invoice.pay"}, first: 400, contains: "already paid", again: 400, againReplayed: true},
		"error, rolled back":     {fault: stripesim.Fault{Kind: stripesim.ErrorRolledBack}, first: 500, contains: "api_error", again: 500, againReplayed: true},
		"error, kept":            {fault: stripesim.Fault{Kind: stripesim.ErrorKept}, first: 500, contains: "api_error", effect: true, again: 500, againReplayed: true},
		"edge after":             {fault: stripesim.Fault{Kind: stripesim.EdgeAfter, Status: 504}, first: 504, contains: "<html>", effect: true, again: 200, againReplayed: true},
		"dropped after":          {fault: stripesim.Fault{Kind: stripesim.DropAfter}, first: lost, effect: true, again: 200, againReplayed: true},
		"dropped after, a byte":  {fault: stripesim.Fault{Kind: stripesim.DropAfter, FirstByte: true}, first: lost, effect: true, again: 200, againReplayed: true},
		"half a body":            {fault: stripesim.Fault{Kind: stripesim.HalfBody}, first: lost, effect: true, again: 200, againReplayed: true},
		"garbage":                {fault: stripesim.Fault{Kind: stripesim.Garbage}, first: 200, contains: "\x1f\x8b", effect: true, again: 200, againReplayed: true},
		"slow headers":           {fault: stripesim.Fault{Kind: stripesim.SlowHeaders, Delay: time.Millisecond}, first: 200, effect: true, again: 200, againReplayed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{})
			b.seed(t, openInvoice("in_1"))
			b.script(t, one.fault)
			first, err := b.send(t, http.MethodPost, "/v1/invoices/in_1/pay", "", "Idempotency-Key", "k")
			if err != nil {
				first.status = lost
			}
			if first.status != one.first || !strings.Contains(first.body, one.contains) {
				t.Fatalf("first: %v %d %.200s", err, first.status, first.body)
			}
			if n := len(b.effects("k")); (n == 1) != one.effect || n > 1 {
				t.Fatalf("%d effects after the first", n)
			}
			again := b.post(t, "/v1/invoices/in_1/pay", "k", "")
			if again.status != one.again || (again.header.Get("Idempotent-Replayed") == "true") != one.againReplayed {
				t.Errorf("again: %d replayed %q: %.200s", again.status, again.header.Get("Idempotent-Replayed"), again.body)
			}
			if again.status == http.StatusOK {
				if decode(t, again.body)["status"] != "paid" || len(b.effects("k")) != 1 {
					t.Errorf("at last: %v %s", b.effects("k"), again.body)
				}
			}
			if got := b.Requests("k"); len(got) != 2 || got[0].Fault != one.fault.Kind || got[1].Fault != "" ||
				one.first == lost && name != "redirected" && name != "half a body" && got[0].Status != 0 {
				t.Errorf("log: %+v", got)
			}
		})
	}
}

// Go's client sends a keyed POST a second time by itself when a kept-alive connection dies without a byte: the drop is
// never seen, and the ledger still has one effect. One byte makes it visible.
func TestADropOnAKeptAliveConnectionIsMasked(t *testing.T) {
	t.Parallel()
	for name, firstByte := range map[string]bool{"masked": false, "visible": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{})
			b.seed(t, openInvoice("in_1"))
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			api := b.stripeOver(token, &http.Client{Transport: transport, Timeout: 10 * time.Second})
			warm := &stripe.InvoiceParams{}
			warm.Context = t.Context()
			if _, err := api.Invoices.Get("in_1", warm); err != nil {
				t.Fatal(err)
			}
			b.script(t, stripesim.Fault{Kind: stripesim.DropAfter, FirstByte: firstByte})
			params := &stripe.InvoicePayParams{}
			keyed(&params.Params, "k")
			_, err := api.Invoices.Pay("in_1", params)
			if (err != nil) != firstByte {
				t.Errorf("the client sees %v", err)
			}
			if n := len(b.effects("k")); n != 1 {
				t.Errorf("%d effects", n)
			}
			if n, want := len(b.Requests("k")), map[bool]int{false: 2, true: 1}[firstByte]; n != want {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
}

func TestAStalledCallCommitsAfterItsClientHasLeft(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(*bench){
		"released": func(b *bench) { b.Release() },
		"closed":   func(b *bench) { b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{})
			b.seed(t, openInvoice("in_1"))
			b.script(t, stripesim.Fault{Kind: stripesim.Stall, Hold: true})
			ctx, leave := context.WithCancel(t.Context())
			left := make(chan error, 1)
			go func() {
				params := &stripe.InvoicePayParams{}
				keyed(&params.Params, "k")
				params.Context = ctx
				_, err := b.stripe(token).Invoices.Pay("in_1", params)
				left <- err
			}()
			eventually(t, "the call is held", func() bool { return b.Held() == 1 })
			leave()
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Fatalf("the client saw %v", err)
			}
			if n := len(b.Ledger()); n != 0 {
				t.Fatalf("%d effects while it is held", n)
			}
			if got := b.post(t, "/v1/invoices/in_1/pay", "k", ""); got.status != http.StatusConflict {
				t.Errorf("a probe: %d %s", got.status, got.body)
			}
			finish(b)
			eventually(t, "the effect", func() bool { return len(b.effects("k")) == 1 })
			if got := b.post(t, "/v1/invoices/in_1/pay", "k", ""); got.status != 200 || got.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("afterwards: %d %s", got.status, got.body)
			}
		})
	}
}

func TestABusyObjectTimesOut(t *testing.T) {
	t.Parallel()
	for name, stored := range map[string]bool{"and is forgotten": false, "and is kept": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, stripesim.Config{LockWait: -1, StoreLockTimeouts: stored})
			b.seed(t, openInvoice("in_1"), openInvoice("in_2"))
			b.script(t, stripesim.Fault{Kind: stripesim.Stall, Hold: true})
			first := make(chan reply, 1)
			go func() { first <- b.post(t, "/v1/invoices/in_1/pay", "one", "") }()
			eventually(t, "the first is held", func() bool { return b.Held() == 1 })
			if got := b.post(t, "/v1/invoices/in_1/void", "two", ""); got.status != 429 || !strings.Contains(got.body, "lock_timeout") ||
				got.header.Get("Stripe-Rate-Limited-Reason") != "" {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got := b.post(t, "/v1/invoices/in_2/pay", "three", ""); got.status != 200 {
				t.Errorf("another object: %d %s", got.status, got.body)
			}
			b.Release()
			<-first
			again := b.post(t, "/v1/invoices/in_1/void", "two", "")
			if want := map[bool]int{false: 400, true: 429}[stored]; again.status != want {
				t.Errorf("again: %d %s", again.status, again.body)
			}
		})
	}
}

func TestABusyObjectIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{LockWait: 10 * time.Second})
	b.seed(t, openInvoice("in_1"))
	b.script(t, stripesim.Fault{Kind: stripesim.Stall, Hold: true})
	answers := make(chan reply, 2)
	go func() { answers <- b.post(t, "/v1/invoices/in_1/pay", "one", "") }()
	eventually(t, "the first is held", func() bool { return b.Held() == 1 })
	go func() { answers <- b.post(t, "/v1/invoices/in_1/pay", "two", "") }()
	eventually(t, "the second has come", func() bool { return len(b.Requests("two")) == 1 })
	b.Release()
	codes := map[int]int{}
	for range 2 {
		codes[(<-answers).status]++
	}
	if codes[200] != 1 || codes[400] != 1 || len(b.Ledger()) != 1 {
		t.Errorf("%v, %d effects", codes, len(b.Ledger()))
	}
}

func TestFaultsCountAndAim(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.seed(t, openInvoice("in_1"))
	b.script(t,
		stripesim.Fault{Kind: stripesim.Reject, Op: "payment_intent.create", Nth: 2, Times: 2},
		stripesim.Fault{Kind: stripesim.Reject, Key: "marked", Status: 401},
		stripesim.Fault{Kind: stripesim.Reject, Op: "invoice.get", Status: 403},
		stripesim.Fault{Kind: stripesim.Reject, Account: "acct_other"},
	)
	var got []int
	for i := range 5 {
		got = append(got, b.post(t, "/v1/payment_intents", fmt.Sprint("k", i), "amount=1&currency=usd").status)
	}
	if want := []int{200, 429, 429, 200, 200}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("second and third: %v", got)
	}
	if got := b.post(t, "/v1/payment_intents", "marked", "amount=1&currency=usd").status; got != 401 {
		t.Errorf("by key: %d", got)
	}
	if got := b.get(t, "/v1/invoices/in_1").status; got != 403 {
		t.Errorf("a read: %d", got)
	}
	if got := b.post(t, "/v1/payment_intents", "x", "amount=1&currency=usd", "Authorization", "Bearer sk_test_acct_other").status; got != 429 {
		t.Errorf("by account: %d", got)
	}
	for _, wrong := range []stripesim.Fault{{Kind: "nonsense"}, {}, {Kind: stripesim.Reject, Rate: 2}, {Kind: stripesim.External, Code: "invoice.get"}, {Kind: stripesim.Reject, Op: "invoice.pya"}} {
		if b.Script(wrong) == nil {
			t.Errorf("%+v is accepted", wrong)
		}
	}
}

func TestRandomFaultsRepeatWithTheirSeed(t *testing.T) {
	t.Parallel()
	play := func() string {
		b := start(t, stripesim.Config{Seed: 7})
		b.script(t, stripesim.Fault{Kind: stripesim.Reject, Rate: 0.5})
		var statuses strings.Builder
		for i := range 40 {
			fmt.Fprint(&statuses, b.post(t, "/v1/payment_intents", fmt.Sprint(i), "amount=1&currency=usd").status, " ")
		}
		return statuses.String()
	}
	first, second := play(), play()
	if first != second || !strings.Contains(first, "429") || !strings.Contains(first, "200") {
		t.Errorf("%s\n%s", first, second)
	}
}

func TestRevokedAccountsAreShutOut(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	platform := []string{"Authorization", "Bearer sk_test_platform", "Stripe-Account", acct}
	const form = "amount=100&currency=usd"
	b.post(t, "/v1/payment_intents", "k", form)
	b.Revoke(acct)
	if got := b.post(t, "/v1/payment_intents", "k", form); got.status != 401 || !strings.Contains(got.body, "api_key_expired") {
		t.Errorf("its token: %d %s", got.status, got.body)
	}
	if got := b.post(t, "/v1/payment_intents", "k", form, platform...); got.status != 403 || !strings.Contains(got.body, "account_invalid") {
		t.Errorf("the platform: %d %s", got.status, got.body)
	}
	b.Restore(acct)
	if got := b.post(t, "/v1/payment_intents", "k", form, platform...); got.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("restored: %d %s", got.status, got.body)
	}
	b.Register("sk_test_rotated", acct, false)
	b.RevokeToken(token)
	if got := b.post(t, "/v1/payment_intents", "k", form); got.status != 401 {
		t.Errorf("the old token: %d", got.status)
	}
	if got := b.post(t, "/v1/payment_intents", "k", form, "Authorization", "Bearer sk_test_rotated"); got.status != 200 {
		t.Errorf("the new token: %d %s", got.status, got.body)
	}
	if got := b.post(t, "/v1/payment_intents", "k", form, "Stripe-Account", "acct_other"); got.status != 401 && got.status != 403 {
		t.Errorf("a token for another account: %d", got.status)
	}
}

// Many clients, each sending until it has an answer, through every fault that is not final: one effect for each key.
func TestPersistentClientsEndWithOneEffectPerKey(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{Seed: 42, Latency: stripesim.Latency{Jitter: 2 * time.Millisecond}})
	for _, kind := range []stripesim.FaultKind{
		stripesim.Refuse, stripesim.DropBefore, stripesim.Reject, stripesim.EdgeBefore, stripesim.LockTimeout, stripesim.EdgeAfter,
		stripesim.DropAfter, stripesim.HalfBody, stripesim.Garbage,
	} {
		b.script(t, stripesim.Fault{Kind: kind, Rate: 0.1})
	}
	const clients, keys = 8, 15
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for k := range keys {
				key := fmt.Sprint("task_", k)
				if !persist(b, key, fmt.Sprint("amount=", k+1, "&currency=usd&confirm=true&payment_method=pm_ok")) {
					t.Errorf("client %d never got an answer for %s", c, key)
				}
			}
		})
	}
	all.Wait()
	for k := range keys {
		if got := b.effects(fmt.Sprint("task_", k)); len(got) != 1 {
			t.Errorf("key %d: %v", k, got)
		}
	}
	if n := len(b.Ledger()); n != keys {
		t.Errorf("%d effects, want %d", n, keys)
	}
	hashes := map[string]string{}
	for _, r := range b.Requests("") {
		if known := hashes[r.Key]; r.BodyHash != "" && known != "" && known != r.BodyHash {
			t.Errorf("key %s came with two bodies", r.Key)
		} else if r.BodyHash != "" {
			hashes[r.Key] = r.BodyHash
		}
	}
}

func persist(b *bench, key, form string) bool {
	for range 500 {
		request, err := http.NewRequest(http.MethodPost, b.url+"/v1/payment_intents", strings.NewReader(form))
		if err != nil {
			return false
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Idempotency-Key", key)
		answer, err := b.http.Do(request)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK && strings.HasPrefix(string(body), "{") {
			return true
		}
	}
	return false
}

func TestAnAccountThatCallsTooFastIsHeldBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := start(t, stripesim.Config{RateLimit: 2, Now: func() time.Time { return now }})
	pay := func(header ...string) int {
		return b.post(t, "/v1/payment_intents", "", "amount=1&currency=usd", header...).status
	}
	if got := fmt.Sprint(pay(), pay(), pay()); got != "200 200 429" {
		t.Error(got)
	}
	if got := pay("Authorization", "Bearer sk_test_acct_other"); got != 200 {
		t.Errorf("another account: %d", got)
	}
	b.Advance(time.Second)
	if got := pay(); got != 200 {
		t.Errorf("a second later: %d", got)
	}
}

// Stripe's limiter stands before the idempotency key and says what it counted.
func TestALimitForOneAccountHoldsBackThatOneAlone(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := start(t, stripesim.Config{Now: func() time.Time { return now }})
	b.control(t, http.MethodPost, "switches", `{"rate_limit":1,"rate_limit_for":"acct_busy"}`, http.StatusOK)
	pay := func(account, key string) reply {
		return b.post(t, "/v1/payment_intents", key, "amount=1&currency=usd", "Authorization", "Bearer sk_test_"+account)
	}
	for i := range 3 {
		if got := pay("acct_other", fmt.Sprint("other", i)).status; got != 200 {
			t.Errorf("another account's call %d: %d", i, got)
		}
	}
	if got := pay("acct_busy", "first").status; got != 200 {
		t.Errorf("as many as are allowed: %d", got)
	}
	got := pay("acct_busy", "k")
	if reason := got.header.Get("Stripe-Rate-Limited-Reason"); got.status != 429 || reason != "global-rate" || len(b.effects("k")) != 0 {
		t.Errorf("one too many: %d, reason %q, effects %v", got.status, reason, b.effects("k"))
	}
	b.Advance(time.Second)
	if got := pay("acct_busy", "k"); got.status != 200 || got.header.Get("Idempotent-Replayed") != "" || len(b.effects("k")) != 1 {
		t.Errorf("the same key a second later: %d %v", got.status, got.header)
	}
}
