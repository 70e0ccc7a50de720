package console

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

// TestParams: each value is shown or hidden by its name and form.
func TestParams(t *testing.T) {
	t.Parallel()
	const hidden = "hidden"
	for raw, want := range map[string]string{
		`{"amount": 2000}`:                                                               "amount=2000",
		`{"amount": 19.95, "off_session": true}`:                                         "amount=19.95 off_session=true",
		`{"items": [{"price": "price_1", "quantity": 2}]}`:                               "items[0].price=price_1 items[0].quantity=2",
		`{"currency": "eur", "collection_method": "charge_automatically"}`:               "collection_method=charge_automatically currency=eur",
		`{"description": "for Ann"}`:                                                     "description=" + hidden,
		`{"receipt_email": "ann@example.com", "name": "Ann"}`:                            "name=" + hidden + " receipt_email=" + hidden,
		`{"source": "tok_visa"}`:                                                         "source=" + hidden,
		`{"payment_method": "pm_1"}`:                                                     "payment_method=pm_1",
		`{"client_secret": "x"}`:                                                         "client_secret=" + hidden,
		`{"card": {"number": 4242424242424242, "cvc": 123, "exp_month": 1}}`:             "card=" + hidden,
		`{"number": 7, "cvc": 123}`:                                                      "cvc=" + hidden + " number=" + hidden,
		`{"anything": 4242424242424242}`:                                                 "anything=" + hidden,
		`{"anything": "4242424242424242"}`:                                               "anything=" + hidden,
		`{"payment_method_data": {"us_bank_account": {"account_number": "000123"}}}`:     "payment_method_data.us_bank_account=" + hidden,
		`{"payment_method_options": {"card": {"request_three_d_secure": "automatic"}}}`:  "payment_method_options.card.request_three_d_secure=automatic",
		`{"payment_method_options": {"blik": {"code": "123456"}}}`:                       "payment_method_options.blik.code=" + hidden,
		`{"payment_method_options": {"konbini": {"confirmation_number": "0312345678"}}}`: "payment_method_options.konbini.confirmation_number=" + hidden,
		`{"payment_method_data": {"klarna": {"dob": {"day": 1, "year": 1990}}}}`:         "payment_method_data.klarna.dob=" + hidden,
		`{"custom_fields": [{"name": "SSN", "value": "123456789"}]}`:                     "custom_fields=" + hidden,
		`{"cancellation_details": {"comment": "divorced", "feedback": "other"}}`:         "cancellation_details.comment=" + hidden + " cancellation_details.feedback=other",
		`{"payment_method_options": {"card": "secretword"}}`:                             "payment_method_options.card=" + hidden,
		`{"payment_method_options": {"card": {"number": "secretword"}}}`:                 "payment_method_options.card.number=" + hidden,
		`{"metadata": {"order": "No. 4711", "iban": "DE1", "x": "sk_live_aaaaaaaaaa"}}`:  "metadata.iban=" + hidden + " metadata.order=No. 4711 metadata.x=" + hidden,
		`{"trial_end": "2035-01-01T00:00:00Z", "billing_cycle_anchor": 1893456000}`:      "billing_cycle_anchor=1893456000 trial_end=2035-01-01T00:00:00Z",
		`{"x": null, "y": ""}`:                                                           "x=null y=",
		`{}`:                                                                             "",
		`null`:                                                                           "=null",
		`nonsense`:                                                                       "",
	} {
		var got []string
		for _, one := range paramsOf(json.RawMessage(raw)) {
			value := one.Value
			if one.Hidden {
				value = hidden
			}
			got = append(got, one.Path+"="+value)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s is shown as %s", raw, text)
		}
	}
}

func FuzzParams(f *testing.F) {
	f.Add(`{"card": {"number": "4242424242424242"}, "a": [1, "b", null, {"c": true}]}`)
	f.Add(`{"metadata": {"k": "sk_live_aaaaaaaaaaaa"}, "payment_method_options": {"card": {"x": "y"}}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, one := range paramsOf(json.RawMessage(raw)) {
			if one.Hidden && one.Value != "" {
				t.Errorf("what is hidden is there: %s %q", one.Path, one.Value)
			}
			if secret.Resembles(one.Value) {
				t.Errorf("%s shows %q", one.Path, one.Value)
			}
		}
	})
}

// TestLocalPath leads nobody to another site.
func TestLocalPath(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"/tasks?q=a%2Fb": "/tasks?q=a%2Fb", "/": "/", "": "/", "tasks": "/", "//example.com/": "/", `/\example.com`: "/", "https://example.com/": "/",
		"javascript:alert(1)": "/", "/a\r\nb": "/", "/tasks#x": "/tasks", "/\t/example.com": "/",
	} {
		if got := localPath(given); got != want {
			t.Errorf("%q leads to %q", given, got)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/tasks?q=x", "//x", `/\x`, "/%2F/x", "https://x", "/a?b#c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		got := localPath(given)
		at, err := url.Parse("https://console.example/sign-in")
		if err != nil {
			t.Fatal(err)
		}
		led, err := at.Parse(got)
		if err != nil || led.Host != "console.example" || led.Scheme != "https" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.Contains(got, `\`) {
			t.Errorf("%q leads to %q", given, got)
		}
	})
}

// FuzzFilter: whatever an address says, the filter is the same again when its own address is read.
func FuzzFilter(f *testing.F) {
	f.Add("status=pending&from=2035-01-01T00:00&to=2036-01-01&q=x")
	f.Add("from=nonsense&merchant_id=%00&kind=a,b")
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		once := readFilter(values)
		if again := readFilter(once.values()); again != once {
			t.Errorf("%+v becomes %+v", once, again)
		}
		once.bulk(nil)
		once.Lines()
		once.unreadable()
		noticeOf(values)
		if view, err := readBulk(values); err == nil {
			requestOf(view)
		}
		readActionForm(values)
	})
}

func TestStripeLinks(t *testing.T) {
	t.Parallel()
	test, live := account{ID: "acct_1"}, account{ID: "acct_1", Live: true}
	for id, want := range map[string]string{
		"in_1": "invoices/in_1", "sub_1": "subscriptions/sub_1", "sub_sched_1": "subscription_schedules/sub_sched_1", "pi_1": "payments/pi_1",
		"re_1": "search?query=re_1", "ii_1": "search?query=ii_1",
	} {
		if got := stripeLink(test, id); got != dashboard+"acct_1/test/"+want {
			t.Errorf("%s leads to %s", id, got)
		}
		if got := stripeLink(live, &id); got != dashboard+"acct_1/"+want {
			t.Errorf("%s, live, leads to %s", id, got)
		}
	}
	for _, odd := range []string{"", "in_1/../x", "in_1?x", "javascript:alert(1)", "IN_1", "in_"} {
		if got := stripeLink(test, odd) + requestLink(test, odd); got != "" {
			t.Errorf("%q leads to %s", odd, got)
		}
	}
	if got := requestLink(test, "req_1"); got != dashboard+"acct_1/test/logs/req_1" {
		t.Error(got)
	}
	for _, odd := range []account{{}, {ID: "acct_"}, {ID: "x/acct_1"}, {ID: "acct_1/.."}} {
		if got := stripeLink(odd, "in_1") + requestLink(odd, "req_1"); got != "" {
			t.Errorf("%v leads to %s", odd, got)
		}
	}
}

// TestChart: bars stay within the picture, parts add up, and the table has all that the bars have.
func TestChart(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 6, 5, 0, 0, time.UTC)
	var steps []client.OutcomeStep
	sum := 0
	for i := range 72 {
		step := client.OutcomeStep{At: at.Add(time.Duration(i) * 5 * time.Minute), Succeeded: i, Failed: i % 2, InDoubt: i % 3, Retried: i % 5}
		steps, sum = append(steps, step), sum+sumOf(step)
	}
	c := chartOf(steps)
	for _, one := range c.Bars {
		for _, p := range one.Parts {
			if p.X < 0 || p.X+p.Width > 100 || p.Y < 0 || p.Height <= 0 || p.Y+p.Height > chartHeight+0.001 {
				t.Errorf("outside: %+v", p)
			}
		}
	}
	rows := 0
	for _, row := range c.Rows {
		rows += row.Succeeded + row.Failed + row.InDoubt + row.Retried
	}
	if rows != sum || len(c.Rows) != 12 || len(c.Hours) != 6 || len(c.Lines) != 2 || !c.Rows[0].To.IsZero() {
		t.Errorf("%d of %d, %d rows, %d hours", rows, sum, len(c.Rows), len(c.Hours))
	}
	if empty := chartOf(make([]client.OutcomeStep, 72)); len(empty.Bars) != 72 || len(empty.Bars[0].Parts) != 0 {
		t.Error("nothing has bars")
	}
	if none := chartOf(nil); len(none.Bars)+len(none.Rows) != 0 {
		t.Error("no steps have bars")
	}
	for n, want := range map[int]int{0: 2, 1: 2, 2: 2, 3: 4, 5: 10, 10: 10, 11: 20, 39: 40, 41: 100, 12345: 20000} {
		if got := roundUp(n); got != want {
			t.Errorf("%d is rounded up to %d", n, got)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later := now.Add(90 * time.Minute)
	for got, want := range map[string]string{
		ago(now.Add(-30*time.Second), now): "30 s ago", ago(&later, now): "in 90 min", ago(now.Add(-72*time.Hour), now): "3 days ago", ago((*time.Time)(nil), now): "",
		number(1234567): "1,234,567", number(-1234): "-1,234", number(999): "999", capped(10000, true): "10,000+", words(billing.InDoubt): "in doubt",
		span(now, later): "1 h 30 min", span(now, now.Add(1500*time.Millisecond)): "1.5 s", span(now, (*time.Time)(nil)): "", last("0123456789abcdef"): "456789abcdef",
		words(24 * time.Hour): "24 h", words(72 * time.Hour): "3 days", words(36 * time.Hour): "36 h", words(90 * time.Second): "1 min 30 s", words(time.Duration(0)): "0 s",
		words((*billing.PauseReason)(nil)): "", words(new(billing.PauseNeedsReauth)): "its credentials do not work", words(new(billing.PauseRequested)): "somebody asked for it",
		string(at(now)): `<time datetime="2026-03-01T12:00:00Z">2026-03-01 12:00:00</time>`, age(0): "none", age(7200): "2 h",
		detailOf(json.RawMessage(`{}`)): "", detailOf(json.RawMessage(`{"a": "sk_live_aaaaaaaaaaaa"}`)): `{"a":"[redacted]"}`,
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestHtmxIsTheOneThatWasRead: the file is that of htmx.org 2.0.11 as npm serves it, and its licence lies beside it.
func TestHtmxIsTheOneThatWasRead(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("assets/htmx.min.js")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != htmxSum {
		t.Errorf("it has the hash %x", sum)
	}
	licence, err := os.ReadFile("assets/htmx.LICENSE")
	if err != nil || !strings.Contains(string(licence), "Zero-Clause BSD") {
		t.Errorf("its licence is not beside it: %v", err)
	}
}

const htmxSum = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"

// TestWhatIsRememberedOfSessionsIsBounded, in number and in time.
func TestWhatIsRememberedOfSessionsIsBounded(t *testing.T) {
	t.Parallel()
	r := recent{lasts: time.Minute}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hash := func(i int) sessionHash { return sha256.Sum256([]byte(fmt.Sprint(i))) }
	for i := range 3 * mostRecent {
		r.add(hash(i), now)
		if !r.has(hash(i), now.Add(time.Minute-1)) || r.has(hash(i), now.Add(time.Minute)) {
			t.Fatalf("%d is not remembered for a minute", i)
		}
	}
	if n := len(r.since); n > mostRecent || n < mostRecent/2 {
		t.Errorf("%d are remembered", n)
	}
	last := hash(3*mostRecent - 1)
	if r.forget(last); r.has(last, now) {
		t.Error("what was to be forgotten is remembered")
	}
}

// TestWhoIsShownTheSame part of a page: those alone whose keys allow the same of the same address, whatever either is told once.
func TestWhoIsShownTheSame(t *testing.T) {
	t.Parallel()
	of := func(address, merchant string, scopes ...billing.Scope) string {
		v := &visit{r: httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil), me: client.Me{Scopes: scopes}}
		if merchant != "" {
			v.me.MerchantID = &merchant
		}
		return sameFor(v)
	}
	const list = "/tasks?kind=invoice.pay&status=failed"
	read, merchants := billing.ScopeTasksRead, billing.ScopeMerchantsRead
	same := of(list, "m", read, merchants)
	for name, other := range map[string]string{
		"AnyMerchant": of(list, "", read, merchants), "AnotherMerchant": of(list, "n", read, merchants), "FewerScopes": of(list, "m", read),
		"MoreScopes": of(list, "m", read, merchants, billing.ScopeTasksWrite), "AnotherQuery": of("/tasks?kind=invoice.pay&status=pending", "m", read, merchants),
		"MoreOfTheQuery": of(list+"&q=x", "m", read, merchants), "AnotherPath": of("/attention?kind=invoice.pay&status=failed", "m", read, merchants),
		"AnotherTask": of("/tasks/m?kind=invoice.pay&status=failed", "m", read, merchants),
	} {
		if other == same {
			t.Errorf("%s is shown the same: %q", name, other)
		}
	}
	for name, other := range map[string]string{
		"ScopesInAnotherOrder": of(list, "m", merchants, read), "AQueryInAnotherOrder": of("/tasks?status=failed&kind=invoice.pay", "m", read, merchants),
		"ANotice": of(list+"&done=bulk&changed=4711&refused=1&more=1", "m", read, merchants),
	} {
		if other != same {
			t.Errorf("%s is shown something else: %q, and %q", name, other, same)
		}
	}
}
