package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"billonce/internal/openapitest"
	"billonce/pkg/billing"
)

// FuzzQuery throws queries, cursors among them, at the lists: the answer is a page or a problem, and what reaches the database is
// within its bounds.
func FuzzQuery(f *testing.F) {
	routes := []string{"/v1/tasks", "/v1/tasks/counts", "/v1/merchants", "/v1/tasks/" + taskID + "/attempts", "/v1/tasks/" + taskID + "/chain"}
	for i := range routes {
		for _, query := range []string{
			"", "limit=1", "limit=200&cursor=", "status=pending&kind=invoice.pay&target=in_1&merchant_id=" + merchantID, "cursor=AXRhc2tzAAAA", "cursor=%00", "a=1", "limit=1&limit=2", "%zz", ";", "&=&",
			"status=pending,running&attention=true&q=%E2%82%AC&from=2030-01-01T00:00:00Z&to=0000-01-01T00:00:00Z", "q=%00", "q=%ff", "attention=yes",
			"stripe_connect_id=acct_1", "target=%F0%9F%92%B8", "limit=%2B5", "cursor=" + base64.RawURLEncoding.EncodeToString([]byte("\x01AAAAAAAA"+taskID)),
		} {
			f.Add(uint8(i), query)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, query string) {
		a := newAPI()
		a.tasks.ListFunc = func(filter billing.TaskFilter, limit int, after billing.TaskID) ([]billing.Task, error) {
			if limit < 2 || limit > 201 || slices.ContainsFunc(filter.Statuses, func(status billing.Status) bool { return !status.Known() }) || filter.Kind != "" && !filter.Kind.Known() || len(filter.Target) > 255 {
				t.Errorf("%q asks for %d of %+v", query, limit, filter)
			}
			wantID(t, query, string(after))
			wantID(t, query, string(filter.MerchantID))
			return []billing.Task{someTask(), someTask()}, nil
		}
		a.merchants.ListFunc = func(filter billing.MerchantFilter, limit int, after billing.MerchantID) ([]billing.Merchant, error) {
			if limit < 2 || limit > 201 || len(filter.StripeConnectID) > 100 {
				t.Errorf("%q asks for %d of %+v", query, limit, filter)
			}
			wantID(t, query, string(after))
			return nil, nil
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, routes[int(which)%len(routes)], nil)
		request.URL.RawQuery = query
		request.Header.Set("Authorization", "Bearer "+adminKey)
		got := httptest.NewRecorder()
		a.Handler().ServeHTTP(got, request)
		openapitest.CheckRecorded(t, request, "", got)
		if got.Code != http.StatusOK {
			wantProblem(t, got, got.Code)
			if got.Code >= 500 || got.Code == http.StatusUnauthorized {
				t.Fatalf("%q is answered %d", query, got.Code)
			}
			return
		}
		wantStatus(t, got, http.StatusOK)
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("%q is accepted: %v", query, err)
		}
		// The cursor of a page leads on in the same list, with the same filters.
		page := decode[struct {
			NextCursor *string `json:"next_cursor"`
		}](t, got)
		if page.NextCursor != nil {
			values.Set("cursor", *page.NextCursor)
			wantStatus(t, a.call(t, http.MethodGet, routes[int(which)%len(routes)]+"?"+values.Encode(), ""), http.StatusOK)
		}
	})
}

func wantID(t *testing.T, query, id string) {
	t.Helper()
	if parsed, err := billing.ParseTaskID(id); id != "" && (err != nil || string(parsed) != id) {
		t.Errorf("%q asks for the id %q", query, id)
	}
}

var harmlessID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// FuzzHeaders throws headers at a route that schedules: nobody gets in but with the key, a key that is kept is printable and short,
// and the request's id is harmless.
func FuzzHeaders(f *testing.F) {
	right := "Bearer " + adminKey
	for _, seed := range [][6]string{
		{right, "k", "r-1", "application/json", "", ""},
		{right, `"k"`, "", "application/json; charset=utf-8", "identity", "1.2.3.4"},
		{"bearer  " + adminKey, `"k\"`, "<x>", "text/plain", "gzip", "for=x"},
		{"", "", "", "", "", ""},
		{"Basic x", "\x00", "a\r\nb", "application/json;;", "br", "::1"},
		{right, "é", "é", "application/json; charset=utf-16", "", ", ,"},
		{right, strings.Repeat("k", 256), "", `application/json; a="`, "", "unknown"},
		{"Bearer bo_live_" + strings.Repeat("0", 49), "k", "", "application/json", "", ""},
		{"Bearer bo_live_" + strings.Repeat("z", 49), "", "", "application/json", "", ""},
		{"Bearer bo_live_é", "", "", "", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5])
	}
	f.Fuzz(func(t *testing.T, authorization, key, id, mediaType, coding, forwarded string) {
		a := newAPI()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/tasks", strings.NewReader(payTask("")))
		for name, value := range map[string]string{
			"Authorization": authorization, "Idempotency-Key": key, "X-Request-Id": id, "Content-Type": mediaType, "Content-Encoding": coding,
			"X-Forwarded-For": forwarded, "X-Real-Ip": forwarded, "Forwarded": forwarded,
		} {
			if value != "" {
				request.Header[name] = []string{value} // as it is: net/http refuses some of these, a proxy of another make may not
			}
		}
		got := httptest.NewRecorder()
		a.Handler().ServeHTTP(got, request)
		openapitest.CheckRecorded(t, request, payTask(""), got)
		if told := got.Header().Get("X-Request-Id"); !harmlessID.MatchString(told) {
			t.Fatalf("the request is known as %q", told)
		}
		scheme, given, _ := strings.Cut(authorization, " ")
		entitled := strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(given) == adminKey
		if (got.Code == http.StatusUnauthorized) == entitled {
			t.Fatalf("%q is answered %d", authorization, got.Code)
		}
		if strings.Contains(a.log.String(), adminKey) || strings.Contains(got.Body.String(), adminKey) {
			t.Fatal("the key is shown")
		}
		if got.Code != http.StatusCreated {
			wantProblem(t, got, got.Code)
			if got.Code >= 500 || a.writes() != 0 {
				t.Fatalf("%d, %d writes", got.Code, a.writes())
			}
			return
		}
		if kept := a.tasks.created[0].Key; len(kept) > 255 || key != "" && strings.TrimSpace(kept) == "" || strings.ContainsFunc(kept, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("the key %q is kept as %q", key, kept)
		}
	})
}

// FuzzPlan: a dunning plan that is accepted is within its bounds, whatever its durations look like.
func FuzzPlan(f *testing.F) {
	for _, seed := range []string{"24h", "1h30m", "90s", "-1h", "1.5h", "1d", "99999999h", "00000001h", "24h0m0s", "1ns", "", "h", "٣h", "1H"} {
		f.Add(seed, seed, "lost_card")
	}
	f.Fuzz(func(t *testing.T, first, second, code string) {
		plan, err := json.Marshal(map[string]any{"retry_after": []string{first, second}, "stop_codes": []string{code}})
		if err != nil {
			t.Fatal(err)
		}
		a := newAPI()
		got := a.call(t, http.MethodPost, "/v1/tasks", payTask(`,"on_decline":`+string(plan)))
		if got.Code != http.StatusCreated {
			if got.Code >= 500 {
				t.Fatalf("%s is answered %d", plan, got.Code)
			}
			wantProblem(t, got, got.Code)
			return
		}
		kept := a.tasks.created[0].OnDecline
		for _, after := range kept.RetryAfter {
			if after < billing.MinDunningDelay || after > billing.MaxDunningDelay {
				t.Fatalf("%s is accepted as %s", plan, after)
			}
		}
		if len(kept.RetryAfter) != 2 || len(kept.StopCodes) != 1 || kept.StopCodes[0] != code || len(code) > 100 {
			t.Fatalf("%s is kept as %+v", plan, kept)
		}
	})
}
