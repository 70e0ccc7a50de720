package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"billonce/pkg/billing"
)

func TestTokensGoInAndNeverComeOut(t *testing.T) {
	t.Parallel()
	a := newAPI()
	const access, refresh = "sk_live_" + canary, "rt_" + canary
	got := a.call(t, "POST", "/v1/merchants", `{"name":"Acme GmbH","stripe_connect_id":"acct_1","access_token":"`+access+`","refresh_token":"`+refresh+`"}`)
	wantStatus(t, got, 201)
	created := a.merchants.created[0]
	if created.AccessToken.Reveal() != access || created.RefreshToken.Reveal() != refresh || !created.Livemode {
		t.Error("the port did not get the tokens, or not the mode that they name")
	}
	want := `{"id":"` + string(created.ID) + `","name":"Acme GmbH","stripe_connect_id":"acct_1","livemode":true,"status":"active",` +
		`"pause_reason":null,"pause_detail":null,"has_access_token":true,"has_refresh_token":true,"created_at":"2026-03-01T12:00:00.123456Z",` +
		`"updated_at":"2026-03-01T12:00:00.123456Z"}` + "\n"
	if got.Body.String() != want || got.Header().Get("Location") != "/v1/merchants/"+string(created.ID) {
		t.Errorf("got %s", got.Body)
	}
	for _, path := range []string{"/v1/merchants", "/v1/merchants/" + merchantID} {
		if got := a.call(t, "GET", path, ""); got.Code != 200 || strings.Contains(got.Body.String(), "never_shown") {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
	if strings.Contains(a.log.String(), canary) {
		t.Error("a token is in the log")
	}
}

func TestAMerchantIsInTestModeUnlessSomethingSaysOtherwise(t *testing.T) {
	t.Parallel()
	a := newAPI()
	for body, live := range map[string]bool{
		`{"name":"A","stripe_connect_id":"acct_1"}`:                                          false,
		`{"name":"A","stripe_connect_id":"acct_1","livemode":true}`:                          true,
		`{"name":"A","stripe_connect_id":"acct_1","access_token":"rk_live_x"}`:               true,
		`{"name":"A","stripe_connect_id":"acct_1","access_token":"tok"}`:                     false,
		`{"name":"A","stripe_connect_id":"acct_1","access_token":null,"livemode":null}`:      false,
		`{"name":"A","stripe_connect_id":"acct_1","access_token":"sk_test","livemode":true}`: true,
	} {
		wantStatus(t, a.call(t, "POST", "/v1/merchants", body), 201)
		if got := a.merchants.created[len(a.merchants.created)-1].Livemode; got != live {
			t.Errorf("%s: livemode %v", body, got)
		}
	}
}

func TestAPatchChangesWhatItNames(t *testing.T) {
	t.Parallel()
	a := newAPI()
	path := "/v1/merchants/" + merchantID
	wantStatus(t, a.call(t, "PATCH", path, `{"name":"B"}`), 200)
	wantStatus(t, a.call(t, "PATCH", path, `{"access_token":"sk_test_n","refresh_token":null}`), 200)
	empty := a.with(t, a.keyFor(nil, billing.ScopeMerchantsWrite), "PATCH", path, `{}`)
	if p := wantProblem(t, empty, 422); p.pointers() != " required" || strings.Contains(empty.Body.String(), merchantID) {
		t.Errorf("%s", empty.Body)
	}
	if len(a.merchants.changes) != 2 {
		t.Fatalf("%d changes", len(a.merchants.changes))
	}
	name, tokens := a.merchants.changes[0], a.merchants.changes[1]
	if *name.Name != "B" || name.AccessToken != nil || name.RefreshToken != nil {
		t.Errorf("%+v", name)
	}
	if tokens.Name != nil || tokens.AccessToken.Reveal() != "sk_test_n" || tokens.RefreshToken == nil || !tokens.RefreshToken.Empty() {
		t.Errorf("%+v", tokens)
	}
}

func TestAMerchantIsPausedResumedAndDisconnected(t *testing.T) {
	t.Parallel()
	a := newAPI()
	path := "/v1/merchants/" + merchantID
	for _, tc := range []struct{ method, path, want string }{
		{"POST", path + "/pause", `"status":"paused","pause_reason":"requested"`},
		{"POST", path + "/resume", `"status":"active","pause_reason":null`},
		{"DELETE", path, `"status":"disconnected","pause_reason":null,"pause_detail":null,"has_access_token":false`},
	} {
		got := a.call(t, tc.method, tc.path, "")
		if wantStatus(t, got, 200); !strings.Contains(got.Body.String(), tc.want) {
			t.Errorf("%s %s: %s", tc.method, tc.path, got.Body)
		}
	}
	if a.writes() != 3 {
		t.Errorf("%d writes", a.writes())
	}
}

func TestAnAccountThatIsConnectedAlreadyIsAConflict(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.merchants.CreateFunc = func(billing.NewMerchant) (billing.Merchant, error) {
		return billing.Merchant{}, &billing.Error{Code: billing.CodeConflict, Message: "the Stripe account is connected already"}
	}
	got := a.call(t, "POST", "/v1/merchants", `{"name":"A","stripe_connect_id":"acct_1"}`)
	if p := wantProblem(t, got, 409); p.Detail != "the Stripe account is connected already" {
		t.Errorf("%+v", p)
	}
}

// TestMerchantsAreListedByTheirStatus, and a cursor belongs to the list of one.
func TestMerchantsAreListedByTheirStatus(t *testing.T) {
	t.Parallel()
	a := newAPI()
	var asked []billing.MerchantFilter
	a.merchants.ListFunc = func(filter billing.MerchantFilter, limit int, after billing.MerchantID) ([]billing.Merchant, error) {
		asked = append(asked, filter)
		return slices.Repeat([]billing.Merchant{a.merchants.merchant(merchantID)}, limit), nil
	}
	type list struct {
		NextCursor *string `json:"next_cursor"`
	}
	for _, status := range billing.MerchantStatuses() {
		first := decode[list](t, a.call(t, "GET", "/v1/merchants?limit=1&status="+string(status), ""))
		if first.NextCursor == nil {
			t.Fatal("there is no second page")
		}
		wantStatus(t, a.call(t, "GET", "/v1/merchants?limit=1&status="+string(status)+"&cursor="+*first.NextCursor, ""), 200)
		if p := wantProblem(t, a.call(t, "GET", "/v1/merchants?limit=1&cursor="+*first.NextCursor, ""), 422); p.pointers() != "?cursor bad_format" {
			t.Errorf("%+v", p)
		}
	}
	key := a.keyFor(func(key *billing.APIKey) { key.MerchantID = strangerID }, billing.ScopeMerchantsRead)
	wantStatus(t, a.with(t, key, "GET", "/v1/merchants?status=paused", ""), 200)
	want := []billing.MerchantFilter{
		{Status: billing.MerchantActive},
		{Status: billing.MerchantActive},
		{Status: billing.MerchantPaused},
		{Status: billing.MerchantPaused},
		{Status: billing.MerchantDisconnected},
		{Status: billing.MerchantDisconnected},
		{ID: strangerID, Status: billing.MerchantPaused},
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked for %+v", asked)
	}
}
