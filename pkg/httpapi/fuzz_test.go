package httpapi_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"billonce/pkg/httpapi"
)

func TestNumbersAreWrittenOut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "-0.00": "0.00", "1.50": "1.50", "1e3": "1000", "1.5E+3": "1500", "1.50e1": "15.0", "1e-3": "0.001",
		"-12.5e-2": "-0.125", "0e5": "0", "100e-2": "1.00", "-1": "-1", "0.0e1": "0", "12e0": "12",
	} {
		if got := string(httpapi.Canonical([]byte(text))); got != want {
			t.Errorf("%s is written %s, want %s", text, got, want)
		}
	}
}

// FuzzScan compares with encoding/json: what scan accepts, it accepts, with the same meaning; what it refuses, scan refuses.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		payTask(`,"params":{"items":[{"price":"p\u00e9","n":-1.5e2}],"b":null,"c":[true,false,[],{}]}`), ` "a" `, `[1,]`, `{"a":1,"a":2}`,
		`"\ud83d\ude00"`, `"\ud83d"`, `"\u0000"`, `01`, `-`, `1.`, `1e`, `{"a"}`, `nul`, "\"\x01\"", "\xff", ``, `[[[]]]`, `"\ud83d\u0000"`, `{"":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		found, err := httpapi.Scan(doc)
		if err != nil {
			deep := bytes.Count(doc, []byte("["))+bytes.Count(doc, []byte("{")) > 32
			if json.Valid(doc) && utf8.Valid(doc) && !deep {
				t.Fatalf("valid JSON is refused: %v", err)
			}
			return
		}
		if !json.Valid(doc) || !utf8.Valid(doc) {
			t.Fatal("invalid JSON is accepted")
		}
		if found > 0 {
			return
		}
		canonical := httpapi.Canonical(doc)
		if again := httpapi.Canonical(canonical); !bytes.Equal(canonical, again) {
			t.Fatalf("%s becomes %s", canonical, again)
		}
		if !reflect.DeepEqual(meaning(t, doc), meaning(t, canonical)) {
			t.Fatalf("%s does not mean the same", canonical)
		}
	})
}

// meaning is a JSON text as encoding/json understands it, with numbers made comparable.
func meaning(t *testing.T, doc []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	return comparable(value)
}

func comparable(value any) any {
	switch v := value.(type) {
	case json.Number:
		n, ok := new(big.Rat).SetString(v.String())
		if !ok {
			return v
		}
		return n.RatString()
	case []any:
		for i := range v {
			v[i] = comparable(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = comparable(v[name])
		}
	}
	return value
}

// FuzzRequests throws bodies at every route that reads one: the answer is always a problem document or a success, refused input
// never reaches a port that writes, and what is taken is what openapi.yaml allows.
func FuzzRequests(f *testing.F) {
	routes := []string{
		"POST /v1/tasks", "POST /v1/tasks/batch", "POST /v1/merchants", "PATCH /v1/merchants/" + merchantID,
		"POST /v1/tasks/" + taskID + "/reschedule", "POST /v1/tasks/" + taskID + "/resolve", "POST /v1/tasks/" + taskID + "/cancel",
		"POST /v1/api_keys",
	}
	for i, seed := range []string{
		payTask(`,"metadata":{"a":"b"}`), `{"tasks":[` + payTask(`,"idempotency_key":"k"`) + `]}`, `{"name":"A","stripe_connect_id":"acct_1","access_token":"sk_live_x"}`,
		`{"name":"B","access_token":null}`, `{"run_at":"2030-01-01T00:00:00Z"}`, `{"outcome":"failed","note":"n"}`, `{}`,
		`{"name":"k","scopes":["tasks:read","tasks:write"],"merchant_id":"` + merchantID + `","expires_at":"2030-01-01T00:00:00Z"}`,
		payTask(`,"on_decline":{"retry_after":["24h","1h30m"],"stop_codes":["a"]},"intent":"i","max_attempts":3,"run_at":"2030-01-01T00:00:00+01:00"`),
	} {
		f.Add(uint8(i%8), []byte(seed), "k")
	}
	for _, zone := range []string{"+24:00", "-00:60", "+23:59", "z"} {
		f.Add(uint8(4), []byte(`{"run_at":"2030-01-01T00:00:00`+zone+`"}`), "")
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte, key string) {
		if len(body) > 64<<10 || strings.ContainsAny(key, "\r\n\x00") {
			return
		}
		a := newAPI()
		method, path, _ := strings.Cut(routes[int(which)%len(routes)], " ")
		got := a.call(t, method, path, string(body), "Idempotency-Key: "+key)
		switch {
		case got.Code == http.StatusOK || got.Code == http.StatusCreated:
			wantStatus(t, got, got.Code)
			if !json.Valid(got.Body.Bytes()) {
				t.Fatalf("not JSON: %s", got.Body)
			}
		case got.Code >= 500:
			t.Fatalf("status %d: %s\n%s", got.Code, got.Body, a.log)
		default:
			wantProblem(t, got, got.Code)
			if a.writes() != 0 {
				t.Fatalf("refused with %d and written", got.Code)
			}
		}
	})
}
