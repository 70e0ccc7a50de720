package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/secret"
)

func TestWhoIsSpeaking(t *testing.T) {
	t.Parallel()
	base, seen := recorder(t)
	gate := open(t, gateway.Config{BaseURL: base, PlatformKey: secret.New("sk_test_platform")})
	check(t, gate.Execute(t.Context(), pay(t), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	if got := <-seen; got.Authorization != "Bearer sk_test_1" || got.Account != "" || got.Key != taskID.IdempotencyKey() || got.Version != "2023-10-16" {
		t.Errorf("%+v", got)
	}
	check(t, gate.Execute(t.Context(), pay(t), billing.Credential{Auth: billing.AuthPlatform, Account: "acct_1"}), billing.OutcomeSucceeded, billing.ReasonDone)
	if got := <-seen; got.Authorization != "Bearer sk_test_platform" || got.Account != "acct_1" || got.Key != taskID.IdempotencyKey() {
		t.Errorf("%+v", got)
	}
	// A request that an older version froze keeps its API version.
	claim := pay(t)
	claim.Request.APIVersion = "2022-11-15"
	check(t, gate.Execute(t.Context(), claimOf(claim.Kind, claim.Request), tokenCredential()), billing.OutcomeSucceeded, billing.ReasonDone)
	if got := <-seen; got.Version != "2022-11-15" {
		t.Errorf("%+v", got)
	}
}

func TestManyMerchantsDoNotMix(t *testing.T) {
	t.Parallel()
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), "Bearer sk_")
		key := strings.TrimPrefix(r.Header.Get("Idempotency-Key"), "task_0192f5a0-7b1c-7def-8a2b-")
		fmt.Fprintf(w, `{"id":"in_%s_%s","object":"invoice"}`, token, key)
	})
	gate := open(t, gateway.Config{BaseURL: base})
	template := pay(t)
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			claim := template
			claim.ID = billing.TaskID(fmt.Sprintf("0192f5a0-7b1c-7def-8a2b-%012d", i))
			got := gate.Execute(t.Context(), claim, billing.Credential{Auth: billing.AuthToken, Token: secret.New(fmt.Sprintf("sk_%d", i))})
			if got.Result == nil || got.Result.ID != fmt.Sprintf("in_%d_%012d", i, i) {
				t.Errorf("task %d: %+v", i, got)
			}
		})
	}
	group.Wait()
}

// TestRefusedBeforeSending lists what never leaves, on a first send and on a re-send.
func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	base, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") })
	gate := open(t, gateway.Config{BaseURL: base})
	changed := pay(t)
	changed.Request.Body += "&forgive=true"
	noHash := pay(t)
	noHash.RequestHash = nil
	elsewhere := pay(t).Request
	elsewhere.Path = "@evil.example/v1/invoices/in_1/pay"
	climbing := pay(t).Request
	climbing.Path = "/v1/invoices/../charges"
	reading := pay(t).Request
	reading.Method = http.MethodGet
	injecting := pay(t).Request
	injecting.APIVersion = "2023-10-16\r\nStripe-Account: acct_2"
	recorded := pay(t)
	recorded.Auth, recorded.Account = billing.AuthToken, "acct_2"
	otherMode := pay(t)
	otherMode.Auth, otherMode.Account = billing.AuthPlatform, "acct_1"
	for name, tc := range map[string]struct {
		claim      billing.Claim
		credential billing.Credential
		reason     billing.Reason
		final      bool // on a first send
	}{
		"another body":            {changed, tokenCredential(), billing.ReasonRequestChanged, true},
		"no hash":                 {noHash, tokenCredential(), billing.ReasonRequestChanged, true},
		"another host":            {claimOf(billing.InvoicePay, elsewhere), tokenCredential(), billing.ReasonRequestChanged, true},
		"another path":            {claimOf(billing.InvoicePay, climbing), tokenCredential(), billing.ReasonRequestChanged, true},
		"another method":          {claimOf(billing.InvoicePay, reading), tokenCredential(), billing.ReasonRequestChanged, true},
		"a version with a header": {claimOf(billing.InvoicePay, injecting), tokenCredential(), billing.ReasonRequestChanged, true},
		"another account":         {recorded, tokenCredential(), billing.ReasonCredentialChanged, false},
		"another authentication":  {otherMode, tokenCredential(), billing.ReasonCredentialChanged, false},
		"no token":                {pay(t), billing.Credential{Auth: billing.AuthToken, Account: "acct_1"}, billing.ReasonUnauthorized, false},
		"token with a line break": {pay(t), billing.Credential{Auth: billing.AuthToken, Token: secret.New("sk_1\n")}, billing.ReasonUnauthorized, false},
		"no platform key":         {pay(t), billing.Credential{Auth: billing.AuthPlatform, Account: "acct_1"}, billing.ReasonUnauthorized, false},
		"no authentication":       {pay(t), billing.Credential{}, billing.ReasonUnauthorized, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := gate.Execute(t.Context(), tc.claim, tc.credential)
			check(t, got, billing.OutcomeNotSent, tc.reason)
			if got.Final != tc.final || got.Error == nil || got.Error.Message == "" {
				t.Errorf("%+v", got)
			}
			tc.claim.Resend = true
			got = gate.Execute(t.Context(), tc.claim, tc.credential)
			check(t, got, billing.OutcomeUnknown, tc.reason)
			if final := tc.reason != billing.ReasonUnauthorized; got.Final != final {
				t.Errorf("re-send: final %v, want %v", got.Final, final)
			}
		})
	}
	t.Run("platform key without an account", func(t *testing.T) {
		t.Parallel()
		gate := open(t, gateway.Config{BaseURL: base, PlatformKey: secret.New("sk_test_platform")})
		check(t, gate.Execute(t.Context(), pay(t), billing.Credential{Auth: billing.AuthPlatform}), billing.OutcomeNotSent, billing.ReasonUnauthorized)
	})
}

func TestNoCallWithoutATask(t *testing.T) {
	t.Parallel()
	base, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") })
	gate := open(t, gateway.Config{BaseURL: base})
	claim := pay(t)
	claim.ID = ""
	defer func() {
		if recover() == nil {
			t.Error("a call without a key was made")
		}
	}()
	gate.Execute(t.Context(), claim, tokenCredential())
}

// TestCancelAfterALostAnswer goes the whole way of a DELETE whose answer was lost.
func TestCancelAfterALostAnswer(t *testing.T) {
	t.Parallel()
	var canceledAt atomic.Int64
	var looks atomic.Int32
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-Id", "req_"+r.Method)
		switch {
		case r.Method == http.MethodGet:
			looks.Add(1)
			if r.URL.Path == "/v1/events" {
				fmt.Fprintf(w, `{"data":[{"id":"evt_1","type":"customer.subscription.deleted","created":%d,"request":{"id":"req_DELETE","idempotency_key":null},
					"data":{"object":{"id":"sub_1","object":"subscription","status":"canceled"}}}],"has_more":false}`, canceledAt.Load())
				return
			}
			if r.Header.Get("Idempotency-Key") != "" {
				t.Error("a read carries the task's key")
			}
			fmt.Fprintf(w, `{"id":"sub_1","object":"subscription","status":"canceled","canceled_at":%d}`, canceledAt.Load())
		case canceledAt.CompareAndSwap(0, time.Now().Unix()):
			abort()
		default:
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{"error":{"type":"invalid_request_error","code":"resource_missing"}}`)
		}
	})
	gate := open(t, gateway.Config{BaseURL: base})
	claim := frozen(t, billing.SubscriptionCancel, "sub_1", `{"prorate": true}`)
	check(t, gate.Execute(t.Context(), claim, tokenCredential()), billing.OutcomeUnknown, billing.ReasonNoAnswer)
	if looks.Load() != 0 {
		t.Error("looked without a 404")
	}
	another := claim
	another.ID, another.ScheduledFor = "0192f5a0-7b1c-7def-8a2b-0123456789ac", claim.ScheduledFor.Add(2*time.Minute)
	check(t, gate.Execute(t.Context(), another, tokenCredential()), billing.OutcomeRefused, billing.ReasonSatisfied)
	claim.Resend, claim.SinceSent, claim.ClaimedAt = true, 10*time.Second, claim.ClaimedAt.Add(10*time.Second)
	got := gate.Execute(t.Context(), claim, tokenCredential())
	check(t, got, billing.OutcomeSucceeded, billing.ReasonDone)
	if want := (billing.Result{Object: "subscription", ID: "sub_1", Status: "canceled", RequestID: "req_DELETE"}); got.Result == nil || *got.Result != want {
		t.Errorf("%+v", got.Result)
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	base, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(401)
		fmt.Fprintf(w, `{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: %s"}}`, r.Header.Get("Authorization"))
	})
	gate := open(t, gateway.Config{BaseURL: base, PlatformKey: secret.New("sk_live_canary_platform")})
	for _, credential := range []billing.Credential{
		{Auth: billing.AuthPlatform, Account: "acct_1"},
		{Auth: billing.AuthToken, Token: secret.New("sk_live_canary_token")},
	} {
		got := gate.Execute(t.Context(), pay(t), credential)
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, printed := range []string{string(text), fmt.Sprintf("%+v %#v %+v", got, got.Error, gate)} {
			if strings.Contains(printed, "canary") {
				t.Errorf("a secret is printed: %s", printed)
			}
		}
	}
}

func TestNewRefusesABadConfig(t *testing.T) {
	t.Parallel()
	for _, config := range []gateway.Config{
		{BaseURL: "api.stripe.com"},
		{BaseURL: "ftp://api.stripe.com"},
		{BaseURL: "https://"},
		{BaseURL: "https://api.stripe.com/v1"},
		{BaseURL: "https://user:canary@api.stripe.com"},
		{BaseURL: "https://api.stripe.com?x"},
		{BaseURL: "://"},
		{Timeout: -1},
		{MaxConns: -1},
	} {
		if _, err := gateway.New(config); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v", config, err)
		}
	}
}
