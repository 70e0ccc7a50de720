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
	operation, ok := openapitest.Document().Find(method, address.EscapedPath())
	answer, described := operation.Answer(status)
	if !ok || !described {
		t.Fatalf("%s %s with %d is not described", method, path, status)
	}
	got, err := json.Marshal(answer.Examples[0].Value.Value())
	if err != nil {
		t.Fatal(err)
	}
	e := openapitest.Exchange{
		Method: method, URL: address, Sent: []byte(sent), Status: status, Got: got, Request: http.Header{},
		Answer: http.Header{"Content-Type": {answer.MediaType}, "X-Request-Id": {"r"}},
	}
	if status == http.StatusCreated {
		e.Answer.Set("Location", "/v1/tasks/019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02")
	}
	if status >= http.StatusBadRequest {
		e.Answer.Set("X-Request-Id", answer.Examples[0].Value.At("request_id").Text())
	}
	return e
}

const newTask = `{"merchant_id":"019a0c3e-5b70-7c41-9d2f-6a1e0f4b7a01","kind":"invoice.pay","target":"in_1"`

// row is an exchange, and a part of the complaint about it; "" for none.
type row struct {
	exchange openapitest.Exchange
	want     string
}

// replace puts another text into an answer, where the old one must be.
func replace(t *testing.T, e openapitest.Exchange, old, new string) openapitest.Exchange {
	t.Helper()
	if !strings.Contains(string(e.Got), old) {
		t.Fatalf("the answer has no %s", old)
	}
	e.Got = []byte(strings.Replace(string(e.Got), old, new, 1))
	return e
}

func check(t *testing.T, rows map[string]row) {
	t.Helper()
	for name, tc := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := openapitest.Check(tc.exchange)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestAnswersAreJudged: a checker that finds nothing is worth nothing, so each rule is broken once.
func TestAnswersAreJudged(t *testing.T) {
	t.Parallel()
	good := func() openapitest.Exchange { return exchange(t, "POST", "/v1/tasks", newTask+`}`, 201) }
	swap := func(old, new string) openapitest.Exchange { return replace(t, good(), old, new) }
	with := func(change func(*openapitest.Exchange)) openapitest.Exchange {
		e := good()
		change(&e)
		return e
	}
	check(t, map[string]row{
		"Good":          {good(), ""},
		"GoodInUTC":     {swap(`"2035-01-31T09:00:00Z"`, `"2035-01-31T09:00:00.5Z"`), ""},
		"FieldMissing":  {swap(`"declines":0,`, ""), "declines"},
		"FieldTooMany":  {swap(`"declines":0,`, `"declines":0,"canary":1,`), "canary"},
		"FieldInside":   {swap(`"stop_codes":[]`, `"stop_codes":[],"canary":1`), "canary"},
		"NullWhereNot":  {swap(`"declines":0`, `"declines":null`), "declines"},
		"NotInTheEnum":  {swap(`"invoice.pay"`, `"invoice.canary"`), "kind"},
		"NoTime":        {swap(`"2035-01-31T09:00:00Z"`, `"soon"`), "date-time"},
		"NotInUTC":      {swap(`"2035-01-31T09:00:00Z"`, `"2035-01-31T10:00:00+01:00"`), "Z$"},
		"NoUUID":        {swap(`"id":"019a`, `"id":"x19a`), "uuid"},
		"HeaderMissing": {with(func(e *openapitest.Exchange) { e.Answer.Del("Location") }), "Location"},
		"HeaderWrong":   {with(func(e *openapitest.Exchange) { e.Answer.Set("Idempotent-Replayed", "yes") }), "Idempotent-Replayed"},
		"HeaderTwice":   {with(func(e *openapitest.Exchange) { e.Answer.Add("Location", "/canary") }), "more than once"},
		"HeaderTooMany": {with(func(e *openapitest.Exchange) { e.Answer.Set("Set-Cookie", "canary") }), "Set-Cookie is not described"},
		"MediaType":     {with(func(e *openapitest.Exchange) { e.Answer.Set("Content-Type", "text/plain") }), "text/plain"},
		"StatusNot":     {with(func(e *openapitest.Exchange) { e.Status = 202 }), "202 is not described"},
		"NoJSON":        {with(func(e *openapitest.Exchange) { e.Got = []byte("{") }), "no JSON"},
	})
}

func TestRequestsAreJudged(t *testing.T) {
	t.Parallel()
	post := func(sent string) openapitest.Exchange { return exchange(t, "POST", "/v1/tasks", sent, 201) }
	list := func(query string) openapitest.Exchange { return exchange(t, "GET", "/v1/tasks"+query, "", 200) }
	twice := post(newTask + `}`)
	twice.Request = http.Header{"Idempotency-Key": {"a", "b"}}
	withBody := list("")
	withBody.Sent = []byte("{}")
	check(t, map[string]row{
		"GoodList":          {list("?status=pending&limit=20&target="), ""},
		"SentField":         {post(newTask + `,"canary":1}`), "canary"},
		"SentNothing":       {post(""), "a body is required"},
		"SentTooMany":       {post(newTask + `,"max_attempts":1001}`), "max_attempts"},
		"SentWhereNone":     {withBody, "no body is described"},
		"SentHeaderTwice":   {twice, "more than once"},
		"QueryUnknown":      {list("?canary=1"), "canary"},
		"QueryOutOfRange":   {list("?limit=201"), "limit"},
		"QueryTwice":        {list("?limit=20&limit=21"), "more than once"},
		"QueryNoNumber":     {list("?limit=ten"), "limit"},
		"QueryNotInTheEnum": {list("?status=canary"), "status"},
		"PathNoUUID":        {exchange(t, "GET", "/v1/tasks/a%2Fb", "", 200), "uuid"},
		"RefusedMayBeWrong": {exchange(t, "POST", "/v1/tasks", `[1`, 422), ""},
	})
}

func TestProblemsAreJudged(t *testing.T) {
	t.Parallel()
	good := func() openapitest.Exchange { return exchange(t, "POST", "/v1/tasks", `[1`, 422) }
	swap := func(old, new string) openapitest.Exchange { return replace(t, good(), old, new) }
	conflict := exchange(t, "POST", "/v1/tasks", newTask+`}`, 409)
	check(t, map[string]row{
		"Good":          {good(), ""},
		"Incomplete":    {swap(`"code":"invalid",`, ""), "code"},
		"StatusOther":   {swap(`"status":422`, `"status":409`), "its status is 409"},
		"TypeOther":     {swap(`problem:invalid"`, `problem:internal"`), "its type is"},
		"RequestOther":  {swap(`"request_id":"`, `"request_id":"another`), "its request_id is"},
		"CodeOfAnother": {replace(t, replace(t, conflict, `"code":"conflict"`, `"code":"not_found"`), `problem:conflict"`, `problem:not_found"`), "its status line is 409"},
		"NoFault":       {swap(`"errors":[`, `"ignored":[`), "names no fault"},
	})
}

// TestWhatIsNotDescribedIsJudged: it is a problem all the same.
func TestWhatIsNotDescribedIsJudged(t *testing.T) {
	t.Parallel()
	from := func(method, path string, status int, allow string) openapitest.Exchange {
		e := exchange(t, "GET", "/v1/tasks/019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02", "", 404)
		e.Method, e.URL.Path, e.Status = method, path, status
		if allow != "" {
			e.Answer.Set("Allow", allow)
		}
		return e
	}
	notAllowed := replace(t, replace(t, replace(t, from("PUT", "/v1/tasks", 405, "GET, POST"), `"status":404`, `"status":405`),
		`"code":"not_found"`, `"code":"method_not_allowed"`), `problem:not_found"`, `problem:method_not_allowed"`)
	noAllow := notAllowed
	noAllow.Answer = notAllowed.Answer.Clone()
	noAllow.Answer.Del("Allow")
	head := from("HEAD", "/v1/canary", 404, "")
	head.Got = nil
	plain := from("GET", "/v1/canary", 404, "")
	plain.Answer.Set("Content-Type", "text/plain")
	nameless := from("GET", "/v1/canary", 404, "")
	nameless.Answer.Del("X-Request-Id")
	options := from("OPTIONS", "/v1/tasks", 204, "GET, POST")
	options.Got = nil
	silent := from("OPTIONS", "/v1/tasks", 204, "")
	silent.Got = nil
	check(t, map[string]row{
		"GoodPath":       {from("GET", "/v1/canary", 404, ""), ""},
		"GoodMethod":     {notAllowed, ""},
		"GoodHead":       {head, ""},
		"GoodOptions":    {options, ""},
		"Served":         {from("GET", "/v1/canary", 200, ""), "not described"},
		"MethodServed":   {from("PUT", "/v1/tasks", 200, ""), "not described"},
		"NoAllow":        {noAllow, "Allow"},
		"OptionsNoAllow": {silent, "Allow"},
		"NoProblem":      {plain, "text/plain"},
		"NoRequestID":    {nameless, "X-Request-Id"},
	})
}
