package httpapi_test

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
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

// TestWrongKeysMakeTheirAddressWait runs in a bubble: no time passes but where the test says so, however slow the machine is.
func TestWrongKeysMakeTheirAddressWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const burst, every, guesses = 5, time.Minute, 60
		a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) {
			config.WrongKeys, config.WrongEvery, config.KeyFresh = burst, every, time.Second
		})
		known, late := a.keyFor(nil, billing.ScopeTasksRead), a.keyFor(nil, billing.ScopeTasksRead)
		wantStatus(t, a.with(t, known, "GET", "/v1/tasks", ""), 200)
		a.keys.finds.Store(0)
		guess := func() *httptest.ResponseRecorder {
			stranger, _ := httpapi.MakeKey()
			return a.with(t, stranger, "GET", "/v1/tasks", "")
		}
		for n := range guesses {
			got := guess()
			if n < burst {
				wantProblem(t, got, 401)
				continue
			}
			if p := wantProblem(t, got, 429); got.Header().Get("Retry-After") != "60" || p.Code != "rate_limited" {
				t.Fatalf("Retry-After %q, %+v", got.Header().Get("Retry-After"), p)
			}
		}
		if n := a.keys.finds.Load(); n != burst {
			t.Errorf("%d of %d guesses cost a read, want %d", n, guesses, burst)
		}
		// Who was let in before still is, from the same address; who was not waits, and so does the admin.
		wait := func(forHowLong time.Duration) {
			time.Sleep(forHowLong) //nolint:forbidigo // in the bubble it takes no time
		}
		for range 2 {
			wantStatus(t, a.with(t, known, "GET", "/v1/tasks", ""), 200)
			wantProblem(t, a.with(t, late, "GET", "/v1/tasks", ""), 429)
			wantProblem(t, a.call(t, "GET", "/v1/tasks", ""), 429)
			wait(every/2 - time.Second) // what was read of the known key is not fresh any more
		}
		// From elsewhere everybody gets in.
		request := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/tasks", nil)
		request.RemoteAddr = "198.51.100.7:1000"
		request.Header.Set("Authorization", "Bearer "+adminKey)
		got := httptest.NewRecorder()
		a.Handler().ServeHTTP(got, request)
		wantStatus(t, got, 200)
		// It wears off, by one try each time.
		wait(2 * time.Second)
		wantProblem(t, guess(), 401)
		wantProblem(t, guess(), 429)
		wait(every)
		wantStatus(t, a.call(t, "GET", "/v1/tasks", ""), 200)
		wantStatus(t, a.with(t, late, "GET", "/v1/tasks", ""), 200)
	})
}

func TestOnlyATrustedProxyNamesItsClient(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		peer, forwarded, want string
		trusted               []netip.Prefix
	}{
		"nobody is trusted":   {"10.0.0.1:5", "203.0.113.9", "10.0.0.1", nil},
		"the proxy is":        {"10.0.0.1:5", "203.0.113.9", "203.0.113.9", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		"what it was told":    {"10.0.0.1:5", "1.1.1.1, 203.0.113.9", "203.0.113.9", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		"a private address":   {"192.168.0.1:5", "203.0.113.9", "192.168.0.1", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		"one address, and v6": {"[fd00::1]:5", "2001:db8::1", "2001:db8::1", []netip.Prefix{netip.MustParsePrefix("fd00::1/128")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.TrustedProxies = tc.trusted })
			request := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/tasks", nil)
			request.RemoteAddr = tc.peer
			request.Header.Set("X-Forwarded-For", tc.forwarded)
			a.Handler().ServeHTTP(httptest.NewRecorder(), request)
			if !strings.Contains(a.log.String(), fmt.Sprintf(`"peer":%q`, tc.want)) {
				t.Errorf("want %s: %s", tc.want, a.log)
			}
		})
	}
}
