package stripesim_test

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/stripesim"
)

func TestSwitchesTurnWhileItRuns(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{Seed: 3})
	if err := b.Switch(func(s *stripesim.Switches) { s.EventLag, s.MismatchFirst = time.Hour, true }); err != nil {
		t.Fatal(err)
	}
	shown := b.control(t, http.MethodPost, "switches", `{"prune_late":"24h","event_drops":0.5,"mismatch_first":false}`, 200)
	want := map[string]any{
		"seed": 3.0, "key_ttl": "24h0m0s", "prune_late": "24h0m0s", "rate_limit": 0.0, "rate_limit_for": "", "lock_wait": "2s", "event_lag": "1h0m0s",
		"event_drops": 0.5, "event_duplicates": 0.0, "event_disorder": 0.0, "search_lag": "0s", "store_lock_timeouts": false,
		"store_invalid": false, "mismatch_first": false, "keys_per_auth_mode": false, "bare_from_schedule": false,
		"bare_delete_events": false, "no_keep_alive": false,
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("what is not named stays: %s", diff)
	}
	b.Reset()
	want["prune_late"], want["event_lag"], want["event_drops"] = "0s", "0s", 0.0
	if diff := cmp.Diff(want, b.control(t, http.MethodGet, "switches", "", 200)); diff != "" {
		t.Errorf("after a reset: %s", diff)
	}
}

func TestNonsensicalSwitchesAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{Seed: 3})
	before := b.Switches()
	for name, body := range map[string]string{
		"unknown": `{"mismatch_fist":true}`, "a rate above 1": `{"event_drops":1.1}`, "a rate below 0": `{"event_disorder":-1}`,
		"a number for a duration": `{"event_lag":5}`, "a negative duration": `{"search_lag":"-1s"}`, "keys without a life": `{"key_ttl":"0s"}`,
		"a negative limit": `{"rate_limit":-1}`, "a limit for nobody": `{"rate_limit_for":"acme"}`, "half of it": `{"mismatch_first":true,"event_duplicates":2}`, "two": `{}{}`, "a list": `[]`,
		"nothing": ``,
	} {
		if refused := b.control(t, http.MethodPost, "switches", body, 400); refused["error"] == "" {
			t.Errorf("%s: %v", name, refused)
		}
	}
	if b.Switch(func(s *stripesim.Switches) { s.EventDrops = math.NaN() }) == nil {
		t.Error("a rate that is no number is accepted")
	}
	if diff := cmp.Diff(before, b.Switches()); diff != "" {
		t.Error(diff)
	}
}

// A parameter error leaves the key free, or is kept, as one likes.
func TestAParameterErrorIsKeptWhereTheSwitchSaysSo(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		b := start(t, stripesim.Config{StoreInvalid: kept})
		for send := range 2 {
			got := b.post(t, "/v1/payment_intents", "k", "amount=many&currency=usd")
			if replayed := got.header.Get("Idempotent-Replayed") == "true"; got.status != 400 || replayed != (kept && send == 1) {
				t.Errorf("kept %v, send %d: %d, replayed %v", kept, send+1, got.status, replayed)
			}
		}
		if got := b.post(t, "/v1/payment_intents", "k", "amount=1&currency=usd"); (got.status == 200) == kept {
			t.Errorf("kept %v, then mended: %d %s", kept, got.status, got.body)
		}
		if got := b.post(t, "/v1/payment_intents", "", "amount=many&currency=usd"); got.status != 400 || len(b.effects("")) != 0 {
			t.Errorf("kept %v, without a key: %d", kept, got.status)
		}
	}
}

func TestKeysArePrunedLateByADrawOfTheirOwn(t *testing.T) {
	t.Parallel()
	const keys = 40
	play := func(backwards bool) (forgotten []string) {
		b := start(t, stripesim.Config{Seed: 11, PruneLate: 24 * time.Hour})
		name := func(i int) string {
			if backwards {
				i = keys - 1 - i
			}
			return fmt.Sprint("k", i)
		}
		send := func() {
			for i := range keys {
				b.direct(http.MethodPost, "/v1/payment_intents", name(i), "amount=1&currency=usd")
			}
		}
		send()
		b.Advance(24*time.Hour - time.Minute)
		send()
		if n := len(b.Ledger()); n != keys {
			t.Fatalf("%d effects within a day", n)
		}
		b.Advance(12*time.Hour + time.Minute)
		send()
		for i := range keys {
			if key := fmt.Sprint("k", i); len(b.effects(key)) == 2 {
				forgotten = append(forgotten, key)
			}
		}
		b.Advance(13 * time.Hour)
		send()
		if n := len(b.Ledger()); n != 2*keys {
			t.Errorf("%d effects after two days", n)
		}
		return forgotten
	}
	some := play(false)
	if len(some) < keys/5 || len(some) > keys*4/5 {
		t.Errorf("after a day and a half %d of %d are forgotten", len(some), keys)
	}
	if diff := cmp.Diff(some, play(true)); diff != "" {
		t.Errorf("in another order: %s", diff)
	}
}

// listed are the payment intents whose events are listed, newest first.
func (b *bench) listed(t *testing.T) (objects []string, ids map[string]bool) {
	t.Helper()
	ids = map[string]bool{}
	path := "/v1/events?type=payment_intent.created&limit=7"
	for cursor := ""; ; {
		page := decode(t, b.get(t, path+cursor).body)
		data, _ := page["data"].([]any)
		for _, one := range data {
			event, _ := one.(map[string]any)
			about, _ := event["request"].(map[string]any)
			objects = append(objects, fmt.Sprint(about["idempotency_key"]))
			id := fmt.Sprint(event["id"])
			if ids[id] {
				t.Errorf("%s is listed twice", id)
			}
			ids[id] = true
			cursor = "&starting_after=" + id
		}
		if page["has_more"] != true {
			return objects, ids
		}
	}
}

func TestEventsAreDroppedDoubledAndOutOfOrderAtTheirRates(t *testing.T) {
	t.Parallel()
	const calls = 200
	play := func(s stripesim.Switches) (counts map[string]int, strays int) {
		b := start(t, stripesim.Config{Seed: 4})
		err := b.Switch(func(now *stripesim.Switches) {
			now.EventDrops, now.EventDuplicates, now.EventDisorder = s.EventDrops, s.EventDuplicates, s.EventDisorder
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			b.direct(http.MethodPost, "/v1/payment_intents", fmt.Sprintf("k%03d", i), "amount=1&currency=usd")
		}
		objects, _ := b.listed(t)
		counts = map[string]int{}
		for i, one := range objects {
			counts[one]++
			if i > 0 && one > objects[i-1] {
				strays++
			}
		}
		return counts, strays
	}
	within := func(what string, n, low, high int) {
		if n < low || n > high {
			t.Errorf("%s: %d, not within %d and %d", what, n, low, high)
		}
	}
	if counts, strays := play(stripesim.Switches{}); len(counts) != calls || strays != 0 {
		t.Errorf("left alone: %d events, %d out of order", len(counts), strays)
	}
	dropped, _ := play(stripesim.Switches{EventDrops: 0.3})
	within("listed when 0.3 are dropped", len(dropped), 120, 160)
	again, _ := play(stripesim.Switches{EventDrops: 0.3})
	if diff := cmp.Diff(dropped, again); diff != "" {
		t.Errorf("again with the same seed: %s", diff)
	}
	doubled, _ := play(stripesim.Switches{EventDuplicates: 0.3})
	twice := 0
	for _, n := range doubled {
		twice += n - 1
	}
	within("listed twice when 0.3 are doubled", twice, 40, 80)
	whole, strays := play(stripesim.Switches{EventDisorder: 0.3})
	within("out of order at 0.3", strays, 20, 120)
	if len(whole) != calls {
		t.Errorf("out of order, %d are left", len(whole))
	}
}
