package openapitest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"billonce/internal/openapitest"
)

// exchange is a good one, whose answer is the description's own example.
func exchange(t *testing.T, method, path, sent string, status int) openapitest.Exchange {
	t.Helper()
	address, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	operation, ok := openapitest.Document().Find(method, address.Path)
	answer, described := operation.Answer(status)
	if !ok || !described {
		t.Fatalf("%s %s with %d is not described", method, path, status)
	}
	got, err := json.Marshal(answer.Examples[0].Value.Value())
	if err != nil {
		t.Fatal(err)
	}
	return openapitest.Exchange{
		Method: method, URL: address, Sent: []byte(sent), Status: status, Got: got, Request: http.Header{},
		Answer: http.Header{
			"Content-Type": {answer.MediaType}, "X-Request-Id": {"r"}, "Location": {"/v1/tasks/019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02"},
		},
	}
}

const newTask = `{"merchant_id":"019a0c3e-5b70-7c41-9d2f-6a1e0f4b7a01","kind":"invoice.pay","target":"in_1"`

// TestCheck: a checker that finds nothing is worth nothing, so each rule is broken once.
func TestCheck(t *testing.T) {
	t.Parallel()
	post := func(change func(*openapitest.Exchange)) openapitest.Exchange {
		e := exchange(t, "POST", "/v1/tasks", newTask+`}`, 201)
		change(&e)
		return e
	}
	list := func(query string) openapitest.Exchange { return exchange(t, "GET", "/v1/tasks"+query, "", 200) }
	replace := func(old, new string) func(*openapitest.Exchange) {
		return func(e *openapitest.Exchange) {
			if !strings.Contains(string(e.Got), old) {
				t.Fatalf("the answer has no %s", old)
			}
			e.Got = []byte(strings.Replace(string(e.Got), old, new, 1))
		}
	}
	for name, tc := range map[string]struct {
		exchange openapitest.Exchange
		want     string // a part of the complaint; "" for none
	}{
		"Good":              {post(func(*openapitest.Exchange) {}), ""},
		"GoodList":          {list("?status=pending&limit=20&target="), ""},
		"FieldMissing":      {post(replace(`"declines":0,`, "")), "declines"},
		"FieldTooMany":      {post(replace(`"declines":0,`, `"declines":0,"canary":1,`)), "canary"},
		"FieldInside":       {post(replace(`"stop_codes":[]`, `"stop_codes":[],"canary":1`)), "canary"},
		"NullWhereNot":      {post(replace(`"declines":0`, `"declines":null`)), "declines"},
		"NotInTheEnum":      {post(replace(`"invoice.pay"`, `"invoice.canary"`)), "kind"},
		"NoTime":            {post(replace(`"2035-01-31T09:00:00Z"`, `"soon"`)), "date-time"},
		"NoUUID":            {post(replace(`"id":"019a`, `"id":"x19a`)), "uuid"},
		"HeaderMissing":     {post(func(e *openapitest.Exchange) { e.Answer.Del("Location") }), "Location"},
		"HeaderWrong":       {post(func(e *openapitest.Exchange) { e.Answer.Set("Idempotent-Replayed", "yes") }), "Idempotent-Replayed"},
		"MediaType":         {post(func(e *openapitest.Exchange) { e.Answer.Set("Content-Type", "text/plain") }), "text/plain"},
		"StatusNot":         {post(func(e *openapitest.Exchange) { e.Status = 202 }), "202 is not described"},
		"NoJSON":            {post(func(e *openapitest.Exchange) { e.Got = []byte("{") }), "no JSON"},
		"SentField":         {post(func(e *openapitest.Exchange) { e.Sent = []byte(newTask + `,"canary":1}`) }), "canary"},
		"SentNothing":       {post(func(e *openapitest.Exchange) { e.Sent = nil }), "a body is required"},
		"SentTooMany":       {post(func(e *openapitest.Exchange) { e.Sent = []byte(newTask + `,"max_attempts":1001}`) }), "max_attempts"},
		"SentWhereNone":     {func() openapitest.Exchange { e := list(""); e.Sent = []byte("{}"); return e }(), "no body is described"},
		"QueryUnknown":      {list("?canary=1"), "canary"},
		"QueryOutOfRange":   {list("?limit=201"), "limit"},
		"QueryNoNumber":     {list("?limit=ten"), "limit"},
		"QueryNotInTheEnum": {list("?status=canary"), "status"},
		"MethodUnknown":     {func() openapitest.Exchange { e := list(""); e.Method = "PUT"; return e }(), "not described"},
		"PathUnknown":       {func() openapitest.Exchange { e := list(""); e.URL.Path = "/v1/canary"; return e }(), "not described"},
		"RefusedMayBeWrong": {
			func() openapitest.Exchange { e := exchange(t, "POST", "/v1/tasks", `[1`, 422); return e }(), "",
		},
		"ProblemIncomplete": {
			func() openapitest.Exchange {
				e := exchange(t, "POST", "/v1/tasks", `[1`, 422)
				e.Got = []byte(strings.Replace(string(e.Got), `"code":"invalid",`, "", 1))
				return e
			}(), "code",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := openapitest.Check(tc.exchange)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
