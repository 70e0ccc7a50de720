package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
)

// toolModule is the module that pins stripe-mock, beside the product's own.
const toolModule = "../../tools/stripemock"

// tool runs the go command in the tool's module.
func tool(t *testing.T, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "go", arguments...) // go test puts its own toolchain first on PATH
	command.Dir = toolModule
	command.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	var complaint strings.Builder
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(arguments, " "), err, complaint.String())
	}
	return strings.TrimSpace(string(output))
}

// buildMock builds stripe-mock once per machine, from the Go module proxy, and returns the program.
func buildMock(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	version := tool(t, "list", "-m", "-f", "{{.Version}}", "github.com/stripe/stripe-mock")
	program := filepath.Join(cache, "billonce", "stripe-mock-"+version)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	fresh := fmt.Sprintf("%s.%d.%s", program, os.Getpid(), t.Name())
	tool(t, "build", "-o", fresh, "github.com/stripe/stripe-mock")
	if err := os.Rename(fresh, program); err != nil { // in one step: two builds at once do no harm
		t.Fatal(err)
	}
	return program
}

// startMock runs stripe-mock on a free port of the loopback interface and returns its base URL.
func startMock(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	// Without an address for HTTPS it would listen on all interfaces.
	command := exec.CommandContext(ctx, buildMock(t), "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0", "-strict-version-check")
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait()
	})
	var said strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if address, found := strings.CutPrefix(lines.Text(), "Listening for HTTP at address: "); found {
			go func() { _, _ = io.Copy(io.Discard, output) }() // ends with the process
			return "http://" + address
		}
	}
	t.Fatalf("stripe-mock did not start: %v\n%s", lines.Err(), said.String())
	return ""
}

// TestShapesAgreeWithStripeMock sends each kind's request to stripe-mock, which checks it against Stripe's OpenAPI
// description, names and types, and answers with an object of the right type.
func TestShapesAgreeWithStripeMock(t *testing.T) {
	t.Parallel()
	base := startMock(t)
	objects := map[string]string{"invoice_item": "invoiceitem"}
	gate := open(t, gateway.Config{BaseURL: base})
	extra := []sample{
		{kind: billing.SubscriptionUpdate, target: "sub_1", params: `{"pause_collection": "", "cancel_at": "", "billing_thresholds": "", "transfer_data": "", "metadata": "", "default_tax_rates": "", "trial_end": "now", "application_fee_percent": "",
			"items": [{"id": "si_1", "billing_thresholds": "", "metadata": "", "tax_rates": []}], "payment_settings": {"payment_method_options": {"card": "", "konbini": ""}}}`},
		{kind: billing.SubscriptionUpdate, target: "sub_1", params: `{"billing_cycle_anchor": "now", "pause_collection": {"behavior": "void", "resumes_at": 1798761600}}`},
		{kind: billing.PaymentIntentConfirm, target: "pi_1", params: `{"mandate_data": "", "shipping": "", "payment_method_options": {"konbini": {"expires_at": ""}, "oxxo": ""}}`},
		{kind: billing.CustomerUpdate, target: "cus_1", params: `{"address": "", "shipping": "", "metadata": "", "invoice_settings": {"rendering_options": "", "custom_fields": ""}, "tax": {"ip_address": ""}}`},
		{kind: billing.InvoiceItemCreate, params: `{"customer": "cus_1", "price_data": {"currency": "usd", "product": "prod_1", "unit_amount_decimal": "12.5"}, "metadata": {"a": ""}}`},
		{kind: billing.SubscriptionScheduleCreate, params: `{"from_subscription": "sub_1"}`},
		{kind: billing.RefundCreate, params: `{"origin": "customer_balance", "customer": "cus_1", "currency": "eur", "amount": 5}`},
	}
	for _, s := range append(samples(), extra...) {
		claim := frozen(t, s.kind, s.target, s.params)
		got := gate.Execute(t.Context(), claim, tokenCredential())
		if got.Outcome != billing.OutcomeSucceeded {
			t.Errorf("%s %s: %+v\n%s", s.kind, s.params, got.Error, complaint(t, base, claim))
			continue
		}
		want, _, _ := strings.Cut(string(s.kind), ".")
		if special, ok := objects[want]; ok {
			want = special
		}
		if got.Result.Object != want || got.Result.ID == "" || got.Result.RequestID != "req_123" {
			t.Errorf("%s: %+v", s.kind, got.Result)
		}
	}
}

// complaint asks again, for the sentence that the gateway does not keep.
func complaint(t *testing.T, base string, claim billing.Claim) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), claim.Request.Method, base+claim.Request.Path, strings.NewReader(claim.Request.Body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer sk_test_1")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(request) //nolint:forbidigo // a test's own diagnosis
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return fmt.Sprintf("%s %v %s", body, err, claim.Request.Body)
}

// TestStripeMockRefusesWrongShapes shows that the check above can fail.
func TestStripeMockRefusesWrongShapes(t *testing.T) {
	t.Parallel()
	gate := open(t, gateway.Config{BaseURL: startMock(t)})
	for _, body := range []string{"payment_metod=pm_1", "off_session=perhaps"} {
		request := pay(t).Request
		request.Body = body
		check(t, gate.Execute(t.Context(), claimOf(billing.InvoicePay, request), tokenCredential()), billing.OutcomeRefused, billing.ReasonInvalid)
	}
}

// description is Stripe's OpenAPI description, as far as it is looked at.
type description struct {
	Paths map[string]map[string]struct {
		RequestBody struct {
			Content map[string]struct{ Schema parameter }
		}
	}
}

type parameter struct {
	Type, Format         string
	Required             []string
	Enum                 []string
	AnyOf                []parameter
	Properties           map[string]parameter
	Items                *parameter
	AdditionalProperties json.RawMessage
}

// alternatives returns what a parameter may be, and whether it may be emptied.
func (p parameter) alternatives() (types []parameter, emptyable bool) {
	if len(p.AnyOf) == 0 {
		return []parameter{p}, false
	}
	for _, alternative := range p.AnyOf {
		if len(alternative.Enum) == 1 && alternative.Enum[0] == "" {
			emptyable = true
			continue
		}
		types = append(types, alternative)
	}
	return types, emptyable
}

// named returns the type of a map's values.
func (p parameter) named() (parameter, bool) {
	var values parameter
	if len(p.AdditionalProperties) == 0 || json.Unmarshal(p.AdditionalProperties, &values) != nil {
		return parameter{}, false
	}
	return values, true
}

// walk visits every parameter below p. A step is a name, "0" for a list's element and "usd" for a map's.
func (p parameter) walk(steps []step, visit func(steps []step, types []parameter, emptyable bool)) {
	types, emptyable := p.alternatives()
	if len(steps) > 0 {
		visit(steps, types, emptyable)
	}
	for _, one := range types {
		for name, inner := range one.Properties {
			inner.walk(append(steps[:len(steps):len(steps)], step{name: name}), visit)
		}
		if one.Items != nil {
			one.Items.walk(append(steps[:len(steps):len(steps)], step{name: "0", list: true}), visit)
		}
		if values, ok := one.named(); ok {
			values.walk(append(steps[:len(steps):len(steps)], step{name: "usd"}), visit)
		}
	}
}

type step struct {
	name string
	list bool
}

// document is the parameters that hold an empty text at the end of the steps, and the pointer to it.
func document(steps []step) (params, pointer string) {
	params = `""`
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].list {
			params = "[" + params + "]"
		} else {
			params = fmt.Sprintf("{%q: %s}", steps[i].name, params)
		}
		pointer = "/" + steps[i].name + pointer
	}
	return params, "/params" + pointer
}

// absentFromStripeGo lists what Stripe's description has and stripe-go v76 has not.
var absentFromStripeGo = map[string]bool{
	"payment_intent.confirm /params/payment_method_types": true, "payment_intent.confirm /params/client_secret": true,
	"customer.update /params/card": true, "customer.update /params/bank_account": true, "customer.update /params/default_card": true,
	"customer.update /params/default_alipay_account": true, "customer.update /params/default_bank_account": true,
}

// numbersInStripeGo lists the texts of Stripe's description that are numbers in stripe-go.
var numbersInStripeGo = map[string]bool{"subscription.update /params/billing_cycle_anchor": true}

// TestParametersAgreeWithStripesDescription walks all parameters of all kinds in Stripe's description: the freezer must
// know each, miss each that is required, take an empty text exactly where Stripe unsets by one, and refuse it everywhere else.
func TestParametersAgreeWithStripesDescription(t *testing.T) {
	t.Parallel()
	tool(t, "mod", "download", "github.com/stripe/stripe-mock") // a list of modules does not fetch them
	file, err := os.ReadFile(filepath.Join(tool(t, "list", "-m", "-f", "{{.Dir}}", "github.com/stripe/stripe-mock"), "embedded/openapi/spec3.json"))
	if err != nil {
		t.Fatal(err)
	}
	var described description
	if err := json.Unmarshal(file, &described); err != nil {
		t.Fatal(err)
	}
	freezer := gateway.NewFreezer(true)
	for _, s := range samples() {
		request := frozen(t, s.kind, s.target, s.params).Request
		root, err := described.find(request)
		if err != nil {
			t.Fatalf("%s: %v", s.kind, err)
		}
		_, err = freezer.Freeze(taskID, s.kind, s.target, nil)
		for _, name := range root.Required {
			if !slices.ContainsFunc(billing.FaultsOf(err), func(f billing.Fault) bool { return f.Pointer == "/params/"+name && f.Code == "required" }) {
				t.Errorf("%s: %s is not required", s.kind, name)
			}
		}
		visited := 0
		root.walk(nil, func(steps []step, types []parameter, emptyable bool) {
			visited++
			params, pointer := document(steps)
			_, err := freezer.Freeze(taskID, s.kind, s.target, json.RawMessage(params))
			var fault *billing.Fault
			for _, f := range billing.FaultsOf(err) {
				if f.Code == "unknown_parameter" {
					if f.Pointer == pointer && !absentFromStripeGo[string(s.kind)+" "+pointer] {
						t.Errorf("%s: %s is unknown", s.kind, pointer)
					}
					return
				}
				if f.Pointer == pointer && f.Code != "required" {
					fault = &f
				}
			}
			takesText := emptyable || isText(types) && !numbersInStripeGo[string(s.kind)+" "+pointer]
			if takesText != (fault == nil) {
				t.Errorf("%s: %s emptied: %+v, want accepted %v", s.kind, pointer, fault, takesText)
			}
		})
		if visited == 0 {
			t.Errorf("%s: no parameters described", s.kind)
		}
	}
}

// isText reports whether a parameter is a text for stripe-go: decimals are numbers there, and so are the numbers for which
// Stripe takes a few words.
func isText(types []parameter) bool {
	for _, one := range types {
		if one.Type != "string" || one.Format == "decimal" {
			return false
		}
	}
	return true
}

// find returns the parameters of a request in the description.
func (d description) find(request billing.Request) (parameter, error) {
	parts := strings.Split(request.Path, "/")
	for template, methods := range d.Paths {
		named := strings.Split(template, "/")
		if len(named) != len(parts) {
			continue
		}
		fits := true
		for i := range named {
			fits = fits && (named[i] == parts[i] || strings.HasPrefix(named[i], "{") && i == 3)
		}
		if method, ok := methods[strings.ToLower(request.Method)]; fits && ok {
			return method.RequestBody.Content["application/x-www-form-urlencoded"].Schema, nil
		}
	}
	return parameter{}, errors.New("not described: " + url.PathEscape(request.Path))
}
