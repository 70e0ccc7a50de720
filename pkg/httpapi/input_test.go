package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

// canary stands for a submitted value that no answer may repeat.
const canary = "c4n4ry"

func payTask(more string) string {
	return `{"merchant_id":"` + merchantID + `","kind":"invoice.pay","target":"in_1"` + more + `}`
}

func TestBadInputIsRefusedWithPointersAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	const (
		tasks     = "/v1/tasks"
		batch     = "/v1/tasks/batch"
		merchants = "/v1/merchants"
	)
	deep := strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40)
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		pointers           string
	}{
		"broken JSON":           {path: tasks, body: `{"merchant_id":`, status: 400},
		"an empty body":         {path: tasks, status: 400},
		"only space":            {path: tasks, body: "  ", status: 400},
		"two values":            {path: tasks, body: payTask("") + payTask(""), status: 400},
		"text after the value":  {path: tasks, body: payTask("") + canary, status: 400},
		"a trailing comma":      {path: tasks, body: `{"kind":"invoice.pay",}`, status: 400},
		"a byte order mark":     {path: tasks, body: "\ufeff" + payTask(""), status: 400},
		"a leading zero":        {path: tasks, body: payTask(`,"max_attempts":01`), status: 400},
		"a raw NUL":             {path: tasks, body: payTask(",\"params\":{\"a\":\"x\x00y\"}"), status: 400},
		"invalid UTF-8":         {path: tasks, body: payTask(",\"params\":{\"a\":\"\xff\"}"), status: 400},
		"a bad escape":          {path: tasks, body: payTask(`,"params":{"a":"\x"}`), status: 400},
		"deep nesting":          {path: tasks, body: payTask(`,"params":{"a":` + deep + `}`), status: 400},
		"2 MiB":                 {path: tasks, body: payTask(`,"params":{"a":"` + strings.Repeat("x", 2<<20) + `"}`), status: 413},
		"a batch of 17 MiB":     {path: batch, body: `{"tasks":"` + strings.Repeat("x", 17<<20) + `"}`, status: 413},
		"a form":                {path: tasks, body: payTask(""), headers: []string{"Content-Type: application/x-www-form-urlencoded"}, status: 415},
		"no type":               {path: tasks, body: payTask(""), headers: []string{"Content-Type: "}, status: 415},
		"another charset":       {path: tasks, body: payTask(""), headers: []string{"Content-Type: application/json; charset=latin1"}, status: 415},
		"compressed":            {path: tasks, body: payTask(""), headers: []string{"Content-Encoding: gzip"}, status: 415},
		"an array":              {path: tasks, body: `[]`, status: 422, pointers: " wrong_type"},
		"null":                  {path: tasks, body: `null`, status: 422, pointers: " wrong_type"},
		"nothing given":         {path: tasks, body: `{}`, status: 422, pointers: "/merchant_id required, /kind required"},
		"null where required":   {path: tasks, body: `{"merchant_id":null,"kind":null}`, status: 422, pointers: "/merchant_id required, /kind required"},
		"an unknown field":      {path: tasks, body: payTask(`,"` + "extra" + `":"` + canary + `"`), status: 422, pointers: "/extra unknown_field"},
		"a key in a task":       {path: tasks, body: payTask(`,"idempotency_key":"k"`), status: 422, pointers: "/idempotency_key unknown_field"},
		"other letter case":     {path: tasks, body: payTask(`,"Run_At":"2030-01-01T00:00:00Z"`), status: 422, pointers: "/Run_At unknown_field"},
		"a field twice":         {path: tasks, body: payTask(`,"target":"` + canary + `"`), status: 422, pointers: "/target duplicate_field"},
		"a parameter twice":     {path: tasks, body: payTask(`,"params":{"a":{"b":1,"\u0062":2}}`), status: 422, pointers: "/params/a/b duplicate_field"},
		"an escaped NUL":        {path: tasks, body: payTask(`,"params":{"a":["x","y\u0000"]}`), status: 422, pointers: "/params/a/1 bad_character"},
		"a NUL in a name":       {path: tasks, body: payTask(`,"params":{"\u0000":1}`), status: 422, pointers: "/params bad_character"},
		"half a surrogate pair": {path: tasks, body: payTask(`,"params":{"a":"\ud83d"}`), status: 422, pointers: "/params/a bad_character"},
		"two high surrogates":   {path: tasks, body: payTask(`,"params":{"a":"\ud83d\ud83d\ude00"}`), status: 422, pointers: "/params/a bad_character"},
		"an absurd number":      {path: tasks, body: payTask(`,"params":{"a":1e999999999}`), status: 422, pointers: "/params/a out_of_range"},
		"a pointer to escape":   {path: tasks, body: payTask(`,"a/b~c":1`), status: 422, pointers: "/a~1b~0c unknown_field"},
		"a very long name":      {path: tasks, body: payTask(`,"` + strings.Repeat(canary, 20) + `":1`), status: 422, pointers: " unknown_field"},
		"wrong types": {
			path: tasks, body: `{"merchant_id":1,"kind":true,"target":[],"params":"x","run_at":5,"max_attempts":"9","metadata":[]}`, status: 422,
			pointers: "/merchant_id wrong_type, /kind wrong_type, /target wrong_type, /params wrong_type, /run_at wrong_type, /max_attempts wrong_type, /metadata wrong_type",
		},
		"an unknown kind":            {path: tasks, body: `{"merchant_id":"` + merchantID + `","kind":"` + canary + `"}`, status: 422, pointers: "/kind unknown_value"},
		"no UUID":                    {path: tasks, body: `{"merchant_id":"` + canary + `","kind":"invoice.create"}`, status: 422, pointers: "/merchant_id bad_format"},
		"no target":                  {path: tasks, body: `{"merchant_id":"` + merchantID + `","kind":"invoice.pay","params":{"wrong":1}}`, status: 422, pointers: "/target required, /params/wrong unknown_parameter"},
		"a date":                     {path: tasks, body: payTask(`,"run_at":"2030-01-01"`), status: 422, pointers: "/run_at bad_format"},
		"a time with a comma":        {path: tasks, body: payTask(`,"run_at":"2030-01-01T00:00:00,5Z"`), status: 422, pointers: "/run_at bad_format"},
		"the zero time":              {path: tasks, body: payTask(`,"run_at":"0001-01-01T00:00:00Z"`), status: 422, pointers: "/run_at in_the_past"},
		"no attempts":                {path: tasks, body: payTask(`,"max_attempts":0`), status: 422, pointers: "/max_attempts out_of_range"},
		"too many attempts":          {path: tasks, body: payTask(`,"max_attempts":1001`), status: 422, pointers: "/max_attempts out_of_range"},
		"half an attempt":            {path: tasks, body: payTask(`,"max_attempts":1.5`), status: 422, pointers: "/max_attempts wrong_type"},
		"an overflow":                {path: tasks, body: payTask(`,"max_attempts":99999999999999999999`), status: 422, pointers: "/max_attempts out_of_range"},
		"numbers as metadata":        {path: tasks, body: payTask(`,"metadata":{"a":1}`), status: 422, pointers: "/metadata/a wrong_type"},
		"long metadata":              {path: tasks, body: payTask(`,"metadata":{"a":"` + strings.Repeat("x", 501) + `"}`), status: 422, pointers: "/metadata/a bad_length"},
		"an empty key":               {path: tasks, body: payTask(""), headers: []string{"Idempotency-Key:  "}, status: 400},
		"a long key":                 {path: tasks, body: payTask(""), headers: []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, status: 400},
		"a key with a tab":           {path: tasks, body: payTask(""), headers: []string{"Idempotency-Key: a\tb"}, status: 400},
		"a half-quoted key":          {path: tasks, body: payTask(""), headers: []string{`Idempotency-Key: "a`}, status: 400},
		"a query on a post":          {path: tasks + "?dry_run=true", body: payTask(""), status: 422, pointers: " unknown_field"},
		"an empty batch":             {path: batch, body: `{"tasks":[]}`, status: 422, pointers: "/tasks bad_length"},
		"a batch of nothing":         {path: batch, body: `{}`, status: 422, pointers: "/tasks required"},
		"a batch that is no array":   {path: batch, body: `{"tasks":{}}`, status: 422, pointers: "/tasks wrong_type"},
		"a batch too long":           {path: batch, body: `{"tasks":[` + strings.Repeat(payTask("")+",", 10_000) + payTask("") + `]}`, status: 422, pointers: "/tasks bad_length"},
		"a fault deep in a batch":    {path: batch, body: `{"tasks":[` + strings.Repeat(payTask("")+",", 17) + payTask(`,"run_at":"soon"`) + `,5]}`, status: 422, pointers: "/tasks/17/run_at bad_format, /tasks/18 wrong_type"},
		"a key twice in a batch":     {path: batch, body: `{"tasks":[` + payTask(`,"idempotency_key":"k"`) + `,` + payTask(`,"idempotency_key":"k"`) + `]}`, status: 422, pointers: "/tasks/1/idempotency_key duplicate_key"},
		"a bad key in a batch":       {path: batch, body: `{"tasks":[` + payTask(`,"idempotency_key":"ä"`) + `]}`, status: 422, pointers: "/tasks/0/idempotency_key bad_format"},
		"a wrong parameter in batch": {path: batch, body: `{"tasks":[` + payTask(`,"params":{"wrong":1}`) + `]}`, status: 422, pointers: "/tasks/0/params/wrong unknown_parameter"},
		"a task id that is none":     {method: "POST", path: tasks + "/17/cancel", status: 404},
		"reschedule without time":    {path: tasks + "/" + taskID + "/reschedule", body: `{}`, status: 422, pointers: "/run_at required"},
		"reschedule to zero":         {path: tasks + "/" + taskID + "/reschedule", body: `{"run_at":"0001-01-01T00:00:00Z"}`, status: 422, pointers: "/run_at in_the_past"},
		"cancel with a field":        {path: tasks + "/" + taskID + "/cancel", body: `{"force":true}`, status: 422, pointers: "/force unknown_field"},
		"retry with a field":         {path: tasks + "/" + taskID + "/retry", body: `{"run_at":"x"}`, status: 422, pointers: "/run_at unknown_field"},
		"resolve as canceled":        {path: tasks + "/" + taskID + "/resolve", body: `{"outcome":"canceled","note":"n"}`, status: 422, pointers: "/outcome unknown_value"},
		"resolve without a note":     {path: tasks + "/" + taskID + "/resolve", body: `{"outcome":"failed","note":""}`, status: 422, pointers: "/note bad_length"},
		"resolve with a blank note":  {path: tasks + "/" + taskID + "/resolve", body: `{"outcome":"failed","note":" \t\n"}`, status: 422, pointers: "/note required"},
		"resolve with a long note":   {path: tasks + "/" + taskID + "/resolve", body: `{"outcome":"failed","note":"` + strings.Repeat("n", 2001) + `"}`, status: 422, pointers: "/note bad_length"},
		"a merchant of nothing":      {path: merchants, body: `{}`, status: 422, pointers: "/name required, /stripe_connect_id required"},
		"a blank name":               {path: merchants, body: `{"name":" ","stripe_connect_id":"acct_1"}`, status: 422, pointers: "/name bad_character"},
		"another prefix":             {path: merchants, body: `{"name":"A","stripe_connect_id":"cus_` + canary + `"}`, status: 422, pointers: "/stripe_connect_id bad_format"},
		"an account and a newline":   {path: merchants, body: `{"name":"A","stripe_connect_id":"acct_1\n"}`, status: 422, pointers: "/stripe_connect_id bad_format"},
		"a token with a space":       {path: merchants, body: `{"name":"A","stripe_connect_id":"acct_1","access_token":"sk ` + canary + `"}`, status: 422, pointers: "/access_token bad_format"},
		"a number as a token":        {path: merchants, body: `{"name":"A","stripe_connect_id":"acct_1","access_token":5}`, status: 422, pointers: "/access_token wrong_type"},
		"a live token in test":       {path: merchants, body: `{"name":"A","stripe_connect_id":"acct_1","livemode":false,"access_token":"sk_live_` + canary + `"}`, status: 422, pointers: "/access_token mode_mismatch"},
		"a test token in live":       {path: merchants, body: `{"name":"A","stripe_connect_id":"acct_1","livemode":true,"access_token":"rk_test_` + canary + `"}`, status: 422, pointers: "/access_token mode_mismatch"},
		"livemode as text":           {path: merchants, body: `{"name":"A","stripe_connect_id":"acct_1","livemode":"no"}`, status: 422, pointers: "/livemode wrong_type"},
		"a name erased":              {method: "PATCH", path: merchants + "/" + merchantID, body: `{"name":null}`, status: 422, pointers: "/name wrong_type"},
		"a connect id changed":       {method: "PATCH", path: merchants + "/" + merchantID, body: `{"stripe_connect_id":"acct_2"}`, status: 422, pointers: "/stripe_connect_id unknown_field"},
		"a live token patched in":    {method: "PATCH", path: merchants + "/" + merchantID, body: `{"access_token":"sk_live_` + canary + `"}`, status: 422, pointers: "/access_token mode_mismatch"},
		"a bad cursor":               {method: "GET", path: tasks + "?cursor=" + canary, status: 422, pointers: "?cursor bad_format"},
		"a limit of none":            {method: "GET", path: tasks + "?limit=0", status: 422, pointers: "?limit out_of_range"},
		"a limit too high":           {method: "GET", path: tasks + "?limit=201", status: 422, pointers: "?limit out_of_range"},
		"many bad filters":           {method: "GET", path: tasks + "?status=" + canary + "&kind=x&merchant_id=y&target=%00", status: 422, pointers: "?target bad_format, ?status unknown_value, ?kind unknown_value, ?merchant_id bad_format"},
		"an unknown parameter":       {method: "GET", path: tasks + "?state=" + canary, status: 422, pointers: " unknown_field"},
		"a parameter twice in query": {method: "GET", path: tasks + "?limit=1&limit=2", status: 422, pointers: "?limit duplicate_field"},
		"a broken query":             {method: "GET", path: tasks + "?limit=%zz", status: 400},
		"a bad status of merchants":  {method: "GET", path: merchants + "?status=" + canary, status: 422, pointers: "?status unknown_value"},
		"two statuses of merchants":  {method: "GET", path: merchants + "?status=active,paused", status: 422, pointers: "?status unknown_value"},
		"a bad account filter":       {method: "GET", path: merchants + "?stripe_connect_id=" + canary, status: 422, pointers: "?stripe_connect_id bad_format"},
		"a wrong key":                {path: tasks, body: payTask(""), headers: []string{"Authorization: Bearer " + canary}, status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI()
			method := tc.method
			if method == "" {
				method = http.MethodPost
			}
			got := a.call(t, method, tc.path, tc.body, tc.headers...)
			p := wantProblem(t, got, tc.status)
			if p.pointers() != tc.pointers {
				t.Errorf("pointers %q, want %q", p.pointers(), tc.pointers)
			}
			if n := a.writes(); n != 0 {
				t.Errorf("%d calls that write", n)
			}
			if strings.Contains(got.Body.String(), canary) || strings.Contains(a.log.String(), canary) {
				t.Errorf("a submitted value is repeated: %s\n%s", got.Body, a.log)
			}
		})
	}
}

func TestFaultsAreCappedAndABatchStopsEarly(t *testing.T) {
	t.Parallel()
	a := newAPI()
	got := a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+strings.TrimSuffix(strings.Repeat(`{},`, 10_000), ",")+`]}`)
	if p := wantProblem(t, got, 422); len(p.Errors) != 100 {
		t.Errorf("%d faults are listed", len(p.Errors))
	}
}

func TestAKeyIsDemandedWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	a := newAPI(func(deps *httpapi.Deps, _ *httpapi.Config) { deps.RequireKey = true })
	if p := wantProblem(t, a.call(t, "POST", "/v1/tasks", payTask("")), 400); p.Code != string(billing.CodeKeyRequired) {
		t.Errorf("code %s", p.Code)
	}
	got := a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+payTask(`,"idempotency_key":"a"`)+`,`+payTask("")+`]}`)
	if p := wantProblem(t, got, 400); p.Code != string(billing.CodeKeyRequired) || p.pointers() != "/tasks/1/idempotency_key required" {
		t.Errorf("%s at %s", p.Code, p.pointers())
	}
	if a.writes() != 0 {
		t.Error("something was written")
	}
	wantStatus(t, a.call(t, "POST", "/v1/tasks", payTask(""), "Idempotency-Key: k"), 201)
	wantStatus(t, a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[`+payTask("")+`]}`, "Idempotency-Key: k"), 201)
}

func TestAPlaceIsBlamedOnce(t *testing.T) {
	t.Parallel()
	a := newAPI()
	got := a.call(t, "POST", "/v1/tasks", payTask(`,"params":{"wrong":1,"wrong":2}`))
	if p := wantProblem(t, got, 422); p.pointers() != "/params/wrong duplicate_field" {
		t.Error(p.pointers())
	}
}
