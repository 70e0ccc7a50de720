package stripesim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"billonce/pkg/stripesim"
)

// control calls a control route and expects the status.
func (b *bench) control(t *testing.T, method, path, body string, status int) map[string]any {
	t.Helper()
	got, err := b.send(t, method, "/_sim/"+path, body, "Content-Type", "application/json", "Authorization", "")
	if err != nil || got.status != status {
		t.Fatalf("%s %s: %v %d %s", method, path, err, got.status, got.body)
	}
	return decode(t, got.body)
}

func TestTheControlRoutesDriveTheSimulator(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	b.control(t, "GET", "healthz", "", 200)
	b.control(t, "POST", "accounts", `{"token":"sk_test_named","account":"acct_named"}`, 200)
	b.control(t, "POST", "fixtures", `{"account":"acct_named","livemode":false,"objects":[
		{"object":"invoice","id":"in_1","status":"open","customer":"cus_ok","amount":2000},
		{"object":"charge","id":"ch_1","amount":500,"captured":false},
		{"object":"customer","id":"cus_mine","payment_method":"pm_ok"}]}`, 200)
	named := []string{"Authorization", "Bearer sk_test_named"}
	if got := b.post(t, "/v1/invoices/in_1/pay", "task_1", "", named...); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	raw := b.get(t, "/_sim/ledger?key=task_1&account=acct_named&op=invoice.pay")
	if !strings.Contains(raw.body, `"idempotency_key":"task_1"`) || strings.Count(raw.body, `"seq":`) != 1 {
		t.Errorf("ledger: %s", raw.body)
	}
	for _, none := range []string{"key=task_2", "account=acct_other", "op=invoice.void", "after=1"} {
		if got := b.get(t, "/_sim/ledger?"+none); got.body != "{\"data\":[]}\n" {
			t.Errorf("%s: %s", none, got.body)
		}
	}
	if requests, _ := b.control(t, "GET", "requests?key=task_1", "", 200)["data"].([]any); len(requests) != 1 {
		t.Errorf("requests: %v", requests)
	}
	b.control(t, "POST", "external", `{"account":"acct_named","op":"charge.capture","id":"ch_1","params":"amount=200"}`, 200)
	if got := b.get(t, "/v1/charges/ch_1", named...); !strings.Contains(got.body, `"amount_captured":200`) {
		t.Errorf("captured by another: %s", got.body)
	}
	b.control(t, "POST", "accounts/acct_named/revoke", "", 200)
	if got := b.get(t, "/v1/charges/ch_1", named...); got.status != 401 {
		t.Errorf("revoked: %d", got.status)
	}
	b.control(t, "POST", "accounts/acct_named/restore", "", 200)
	b.control(t, "POST", "tokens/revoke", `{"token":"sk_test_named"}`, 200)
	if got := b.get(t, "/v1/charges/ch_1", named...); got.status != 401 {
		t.Errorf("revoked token: %d", got.status)
	}
	b.control(t, "POST", "reset", "", 200)
	if n := len(b.Ledger()); n != 0 {
		t.Errorf("%d effects after a reset", n)
	}
}

func TestTheControlRoutesTurnClockLatencyAndFaults(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	before := b.Now()
	b.control(t, "POST", "clock", `{"advance":"24h"}`, 200)
	if moved := b.Now().Sub(before); moved < 24*time.Hour || moved > 25*time.Hour {
		t.Errorf("the clock moved by %v", moved)
	}
	latency := b.control(t, "POST", "latency", `{"op":"invoice.pay","fixed":"30ms"}`, 200)
	if !strings.Contains(fmt.Sprint(latency), "30ms") {
		t.Errorf("latency: %v", latency)
	}
	b.seed(t, openInvoice("in_1"))
	began := time.Now()
	b.post(t, "/v1/invoices/in_1/pay", "k", "")
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("the call took %v", took)
	}
	b.control(t, "POST", "faults", `{"faults":[{"kind":"reject","op":"payment_intent.create","status":401},{"kind":"stall","hold":true,"key":"held"}]}`, 200)
	if got := b.post(t, "/v1/payment_intents", "x", "amount=1&currency=usd").status; got != 401 {
		t.Errorf("scripted: %d", got)
	}
	left, _ := b.control(t, "GET", "faults", "", 200)["data"].([]any)
	if len(left) != 1 {
		t.Errorf("faults left: %v", left)
	}
	done := make(chan reply, 1)
	go func() { done <- b.post(t, "/v1/payment_intents", "held", "amount=1&currency=usd") }()
	eventually(t, "held", func() bool { return b.Held() == 1 })
	if held := b.control(t, "GET", "held", "", 200)["held"]; held != 1.0 {
		t.Errorf("held: %v", held)
	}
	b.control(t, "POST", "release", "", 200)
	if got := <-done; got.status != 200 {
		t.Errorf("released: %d", got.status)
	}
	b.control(t, "DELETE", "faults", "", 200)
	for path, body := range map[string]string{
		"clock": `{"advance":"-1h"}`, "latency": `{"op":"nothing","fixed":"1s"}`, "faults": `{"faults":[{"kind":"nonsense"}]}`,
		"fixtures": `{"account":"acct_x","objects":[{"object":"invoice","id":"in_1","status":"odd"}]}`, "accounts": `{"token":"x"}`,
		"external": `{"account":"acct_x","op":"invoice.pay","id":"in_nowhere"}`, "clear": `{"account":"acct_x","id":"in_nowhere"}`, "tokens/revoke": `{"tokn":"x"}`,
	} {
		b.control(t, http.MethodPost, path, body, 400)
	}
}

func TestSeedingRefusesNonsense(t *testing.T) {
	t.Parallel()
	b := start(t, stripesim.Config{})
	for name, wrong := range map[string]stripesim.Object{
		"no id": {Object: "invoice"}, "no such object": {Object: "dog", ID: "d"}, "no such status": {Object: "charge", ID: "c", Status: "odd"},
		"no such customer": {Object: "invoice", ID: "in", Customer: "cus_x"}, "no such price": {Object: "subscription", ID: "s", Price: "p"},
	} {
		if b.Seed(acct, false, wrong) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if b.Seed("merchant", false) == nil {
		t.Error("an account that is none is accepted")
	}
}
