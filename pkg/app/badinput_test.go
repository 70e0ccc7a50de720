package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"billonce/internal/openapitest"
	"billonce/pkg/gateway"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
	"billonce/pkg/telemetry"
)

// TestBadInput sends what must be refused to the whole api, real database included, and wants a problem document with the
// right pointer, no row, and no echo.
func TestBadInput(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := string(db.Merchant(t).ID)
	health := telemetry.NewHealth()
	server := httptest.NewServer(httpapi.New(httpapi.Deps{
		Merchants: db.Store, Tasks: db.Store, Standing: db.Store, Keys: db.Store, Audit: db.Store, Freezer: gateway.NewFreezer(false), Health: health,
		AdminKey: secret.New(adminKey), Log: slog.New(slog.DiscardHandler),
	}, httpapi.Config{}).Handler())
	defer server.Close()

	task := func(fields string) string {
		return fmt.Sprintf(`{"merchant_id":%q,"kind":"invoice.pay","target":"in_1"%s}`, merchant, fields)
	}
	past, far := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "9999-12-31T23:59:59Z"
	stranger := storetest.NewID(t)
	for name, tc := range map[string]struct {
		path, body, pointer string
		status              int
	}{
		"BrokenJSON":          {"/v1/tasks", `{"merchant_id":`, "", 400},
		"TrailingData":        {"/v1/tasks", task("") + `{}`, "", 400},
		"UnknownField":        {"/v1/tasks", task(`,"canary":1`), "/canary", 422},
		"WrongType":           {"/v1/tasks", task(`,"max_attempts":"canary"`), "/max_attempts", 422},
		"UnknownKind":         {"/v1/tasks", fmt.Sprintf(`{"merchant_id":%q,"kind":"invoice.canary","target":"in_1"}`, merchant), "/kind", 422},
		"PayoutNotEnabled":    {"/v1/tasks", fmt.Sprintf(`{"merchant_id":%q,"kind":"payout.create","params":{"amount":1,"currency":"usd"}}`, merchant), "/kind", 422},
		"MissingTarget":       {"/v1/tasks", fmt.Sprintf(`{"merchant_id":%q,"kind":"invoice.pay"}`, merchant), "/target", 422},
		"TargetOfACreate":     {"/v1/tasks", fmt.Sprintf(`{"merchant_id":%q,"kind":"refund.create","target":"ch_1","params":{"charge":"ch_1"}}`, merchant), "/target", 422},
		"UnknownParameter":    {"/v1/tasks", task(`,"params":{"canary":true}`), "/params/canary", 422},
		"WrongParameterType":  {"/v1/tasks", task(`,"params":{"forgive":"canary"}`), "/params/forgive", 422},
		"TwoMebibytes":        {"/v1/tasks", task(`,"metadata":{"a":"` + strings.Repeat("canary", 350_000) + `"}`), "", 413},
		"NUL":                 {"/v1/tasks", task(`,"metadata":{"a":"canary\u0000"}`), "/metadata/a", 422},
		"InvalidUTF8":         {"/v1/tasks", task(",\"metadata\":{\"a\":\"canary\xff\"}"), "", 400},
		"UnknownMerchant":     {"/v1/tasks", fmt.Sprintf(`{"merchant_id":%q,"kind":"invoice.pay","target":"in_1"}`, stranger), "/merchant_id", 422},
		"MerchantNotAnID":     {"/v1/tasks", `{"merchant_id":"canary","kind":"invoice.pay","target":"in_1"}`, "/merchant_id", 422},
		"PastRunAt":           {"/v1/tasks", task(`,"run_at":"` + past + `"`), "/run_at", 422},
		"AbsurdRunAt":         {"/v1/tasks", task(`,"run_at":"` + far + `"`), "/run_at", 422},
		"RunAtNoTime":         {"/v1/tasks", task(`,"run_at":"canary"`), "/run_at", 422},
		"ZeroAttempts":        {"/v1/tasks", task(`,"max_attempts":0`), "/max_attempts", 422},
		"SecondOfABatch":      {"/v1/tasks/batch", `{"tasks":[` + task("") + `,` + task(`,"run_at":"`+past+`"`) + `]}`, "/tasks/1/run_at", 422},
		"BatchParameter":      {"/v1/tasks/batch", `{"tasks":[` + task("") + `,` + task(`,"params":{"canary":1}`) + `]}`, "/tasks/1/params/canary", 422},
		"EmptyBatch":          {"/v1/tasks/batch", `{"tasks":[]}`, "/tasks", 422},
		"MerchantWithoutName": {"/v1/merchants", `{"stripe_connect_id":"acct_x"}`, "/name", 422},
		"MerchantBadAccount":  {"/v1/merchants", `{"name":"A","stripe_connect_id":"canary!"}`, "/stripe_connect_id", 422},
	} {
		t.Run(name, func(t *testing.T) {
			before := countRows(t, db)
			status, document := post(t, server.URL+tc.path, tc.body, adminKey)
			if status != tc.status || document["code"] == nil || document["request_id"] == nil {
				t.Fatalf("answered %d: %v", status, document)
			}
			if tc.pointer != "" && !hasPointer(document, tc.pointer) {
				t.Errorf("no fault at %s: %v", tc.pointer, document["errors"])
			}
			// A pointer names the place, so a field's name is in it; the rest must say nothing of the input.
			delete(document, "errors")
			if encoded, err := json.Marshal(document); err != nil || strings.Contains(string(encoded), "canary") {
				t.Errorf("the input is repeated: %s, %v", encoded, err)
			}
			if after := countRows(t, db); after != before {
				t.Errorf("%d rows became %d", before, after)
			}
		})
	}
	for _, key := range []string{"", "canary", adminKey + "x"} {
		if status, document := post(t, server.URL+"/v1/tasks", task(""), key); status != 401 || document["code"] != "unauthenticated" {
			t.Errorf("wrong key: %d %v", status, document)
		}
	}
	for _, path := range []string{"/v1/tasks?cursor=canary", "/v1/tasks?limit=201", "/v1/tasks?status=canary", "/v1/merchants?cursor=AAAA"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, document := send(t, request, adminKey); status < 400 || status > 499 || document["code"] == nil {
			t.Errorf("%s: %d %v", path, status, document)
		}
	}
	if n := countRows(t, db); n != 1 {
		t.Errorf("%d rows, want the one merchant", n)
	}
}

func countRows(t *testing.T, db *storetest.DB) int {
	t.Helper()
	var n int
	err := db.SQL.Get(&n, `SELECT (SELECT count(*) FROM scheduled_tasks) + (SELECT count(*) FROM task_keys) + (SELECT count(*) FROM merchants)`)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func post(t *testing.T, url, body, key string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	return send(t, request, key)
}

func send(t *testing.T, request *http.Request, key string) (int, map[string]any) {
	t.Helper()
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := (&http.Client{Transport: openapitest.Transport{}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); response.StatusCode >= 400 && got != "application/problem+json" {
		t.Errorf("the error is %q: %s", got, content)
	}
	document := map[string]any{}
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	return response.StatusCode, document
}

func hasPointer(document map[string]any, pointer string) bool {
	faults, _ := document["errors"].([]any)
	for _, fault := range faults {
		fields, _ := fault.(map[string]any)
		if fields["pointer"] == pointer {
			return true
		}
	}
	return false
}
