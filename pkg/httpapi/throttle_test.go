package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

func TestAnAddressMayBeWrongAFewTimesAndThenOnceInAWhile(t *testing.T) {
	t.Parallel()
	limit, now := httpapi.NewThrottle(3, time.Second), noon
	for i := range 3 {
		if wait := limit.Wait("10.0.0.1", now); wait != 0 {
			t.Fatalf("the try %d waits %s", i, wait)
		}
		limit.Missed("10.0.0.1", now)
	}
	if wait := limit.Wait("10.0.0.1", now); wait != time.Second {
		t.Errorf("waits %s", wait)
	}
	if wait := limit.Wait("10.0.0.1", now.Add(600*time.Millisecond)); wait.Round(time.Millisecond) != 400*time.Millisecond {
		t.Errorf("waits %s", wait)
	}
	if limit.Wait("10.0.0.2", now) != 0 {
		t.Error("another address waits")
	}
	now = now.Add(time.Second)
	if limit.Wait("10.0.0.1", now) != 0 {
		t.Error("a second does not give a try")
	}
	limit.Missed("10.0.0.1", now)
	if limit.Wait("10.0.0.1", now) == 0 {
		t.Error("a second gives two tries")
	}
	for range 10_000 {
		limit.Missed("10.0.0.1", now)
	}
	if wait := limit.Wait("10.0.0.1", now); wait > 2*time.Minute {
		t.Errorf("an address owes %s", wait)
	}
	if limit.Wait("10.0.0.1", now.Add(time.Hour)) != 0 || limit.Peers() != 0 {
		t.Error("what is over is remembered")
	}
}

func TestANetworkOfIPv6IsOneAddress(t *testing.T) {
	t.Parallel()
	limit := httpapi.NewThrottle(2, time.Second)
	limit.Missed("2001:db8:0:1::1", noon)
	limit.Missed("2001:db8:0:1:ffff::2%eth0", noon)
	for address, waits := range map[string]bool{
		"2001:db8:0:1::3": true, "2001:db8:0:2::1": false, "::ffff:10.0.0.1": false, "10.0.0.1": false, "": false, "nonsense": false,
	} {
		if got := limit.Wait(address, noon) > 0; got != waits {
			t.Errorf("%q waits: %v", address, got)
		}
	}
	limit.Missed("", noon)
	limit.Missed("nonsense", noon)
	limit.Missed("10.0.0.1", noon)
	limit.Missed("::ffff:10.0.0.1", noon)
	if limit.Wait("?", noon) == 0 || limit.Wait("10.0.0.1", noon) == 0 {
		t.Error("addresses that are one are counted apart")
	}
}

// TestWhatIsRememberedIsBounded, and who tries most is not forgotten for those who try once.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	const most = 4096
	limit := httpapi.NewThrottle(3, time.Hour)
	for range 10 {
		limit.Missed("192.0.2.1", noon)
	}
	for i := range 3 * most {
		limit.Missed(fmt.Sprintf("10.%d.%d.1", i>>8, i&255), noon)
	}
	if n := limit.Peers(); n > most {
		t.Errorf("%d addresses are remembered", n)
	}
	if limit.Wait("192.0.2.1", noon) == 0 {
		t.Error("who tries most is forgotten")
	}

	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.KeyFresh = time.Hour })
	for range most + 50 {
		if got := a.with(t, a.keyFor(nil, billing.ScopeTasksRead), "GET", "/v1/tasks", ""); got.Code != 200 {
			t.Fatal(got.Code)
		}
	}
	if n := a.KeptKeys(); n > most || n < most/2 {
		t.Errorf("%d keys are kept", n)
	}
}
