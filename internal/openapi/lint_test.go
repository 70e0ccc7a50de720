package openapi_test

import (
	"os"
	"strings"
	"testing"

	"billonce/internal/openapi"
)

// TestLint breaks each rule once, in the description as it is.
func TestLint(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("../../pkg/httpapi/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ old, new, want string }{
		"Version":           {"openapi: 3.1.1", "openapi: 3.0.3", "not 3.1"},
		"OperationTwice":    {"operationId: getMerchant", "operationId: listMerchants", "listMerchants: stands twice"},
		"OperationName":     {"operationId: getMerchant", "operationId: get_merchant", "not in camel case"},
		"Sentence":          {"summary: Connect a merchant", "summary: Connect a merchant.", "which is no sentence"},
		"UnknownTag":        {"tags: [merchants]", "tags: [canary]", `"canary" is not described`},
		"NoScope":           {`security: [{apiKey: ["merchants:write"]}]`, "description: none", "needs a scope"},
		"PathParameter":     {"      - {$ref: '#/components/parameters/MerchantId'}\n", "      - {$ref: '#/components/parameters/limit'}\n", "the path's id is not described"},
		"ParameterAbout":    {"          description: Only the merchant with this Stripe account.\n", "", "needs a schema and a description"},
		"InlineBody":        {"schema: {$ref: '#/components/schemas/NewMerchant'}", "schema: {type: object}", "the body needs a named schema"},
		"NoRequestID":       {"            X-Request-Id: {$ref: '#/components/headers/X-Request-Id'}\n", "", "every answer has X-Request-Id"},
		"NoSuccess":         {"        '201':\n", "        '400':\n", "has 0 answers of success"},
		"Unavailable":       {"        '503': {$ref: '#/components/responses/Unavailable'}\n", "", "may answer 503"},
		"ErrorNoProblem":    {"        application/problem+json:\n", "        application/json:\n", "are problem documents"},
		"RequestNotClosed":  {"    NewMerchant:\n      type: object\n      additionalProperties: false\n", "    NewMerchant:\n      type: object\n", "NewMerchant: is sent by clients and not closed"},
		"AnswerClosed":      {"    Health:\n      type: object\n", "    Health:\n      type: object\n      additionalProperties: false\n", "Health: is closed"},
		"AnswerNotComplete": {"        - has_refresh_token\n", "", "has_refresh_token is not required"},
		"FieldName":         {"        livemode: {type: boolean}", "        liveMode: {type: boolean}", "liveMode is not in snake case"},
		"NoType":            {"    Token:\n      description: A credential of Stripe's, in visible ASCII characters.\n      type: string\n", "    Token:\n", "Token: has no type"},
		"Const":             {"schema: {type: string, enum: [Bearer]}", "schema: {type: string, const: Bearer}", "say it with an enum"},
		"Unused":            {"  schemas:\n", "  schemas:\n    Canary: {type: string}\n", "schemas Canary: nothing refers to it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(string(whole), tc.old) {
				t.Fatalf("the description has no %q", tc.old)
			}
			document, err := openapi.Parse([]byte(strings.Replace(string(whole), tc.old, tc.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if found := strings.Join(document.Lint(), "\n"); !strings.Contains(found, tc.want) {
				t.Errorf("got %q, want %q", found, tc.want)
			}
		})
	}
}

func TestParseRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"NoYAML":     "a: [",
		"NoMapping":  "- a",
		"Reference":  "paths:\n  /x:\n    get:\n      responses:\n        '200': {$ref: '#/components/responses/Canary'}\n",
		"Circle":     "paths: {}\na: {$ref: '#/b'}\nb: {$ref: '#/a'}\n",
		"Method":     "paths:\n  /x:\n    summary: {}\n",
		"Security":   "paths:\n  /x:\n    get:\n      security: [{apiKey: [admin]}, {}]\n",
		"MediaTypes": "paths:\n  /x:\n    get:\n      requestBody: {content: {application/json: {}, text/plain: {}}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := openapi.Parse([]byte(text)); err == nil {
				t.Error("it was read")
			}
		})
	}
}

// TestASchemaMayHoldItself: whoever follows it comes to an end.
func TestASchemaMayHoldItself(t *testing.T) {
	t.Parallel()
	document, err := openapi.Parse([]byte("openapi: 3.1.1\npaths:\n  /x:\n    post:\n      operationId: x\n      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}\n" +
		"components: {schemas: {A: {type: object, properties: {a: {$ref: '#/components/schemas/A'}}}, B: {type: object}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if found := strings.Join(document.Lint(), "\n"); !strings.Contains(found, "schema A: is sent by clients and not closed") {
		t.Errorf("got %q", found)
	}
}

// TestFind: a path that is described as it stands goes before one with a parameter.
func TestFind(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../pkg/httpapi/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{
		"POST /v1/tasks/batch": "createTasks", "GET /v1/tasks/batch": "getTask", "GET /v1/tasks/x/chain": "listChain",
		"GET /v1/tasks/x/y/z": "", "PUT /v1/tasks": "", "GET /v1/tasks/": "getTask",
	} {
		method, path, _ := strings.Cut(asked, " ")
		if found, _ := document.Find(method, path); found.ID != want {
			t.Errorf("%s is %q, want %q", asked, found.ID, want)
		}
	}
}
