package httpapi_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"billonce/internal/openapi"
	"billonce/internal/openapitest"
	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

func TestTheDescriptionIsSound(t *testing.T) {
	t.Parallel()
	document := openapitest.Document()
	for _, complaint := range document.Lint() {
		t.Error(complaint)
	}
	for _, operation := range document.Operations {
		for _, example := range operation.Body.Examples {
			if err := openapitest.CheckExample(operation.Body.Schema, example.Value.Value(), false); err != nil {
				t.Errorf("%s: example %s: %v", operation.ID, example.Name, err)
			}
		}
		for _, parameter := range operation.Parameters {
			if !parameter.Example.Exists() {
				continue
			}
			if err := openapitest.CheckExample(parameter.Schema, parameter.Example.Value(), false); err != nil {
				t.Errorf("%s: the example of %s: %v", operation.ID, parameter.Name, err)
			}
		}
		for _, answer := range operation.Answers {
			for _, example := range answer.Examples {
				if err := openapitest.CheckExample(answer.Schema, example.Value.Value(), true); err != nil {
					t.Errorf("%s %d: example %s: %v", operation.ID, answer.Status, example.Name, err)
				}
			}
		}
	}
}

// TestRouterAndDescriptionSayTheSame compares them both ways: which operations there are, who may use them, what queries they know.
func TestRouterAndDescriptionSayTheSame(t *testing.T) {
	t.Parallel()
	line := func(method, path string, open, anyKey bool, scope string, query []string) string {
		slices.Sort(query)
		return fmt.Sprintf("%s %s open=%t any=%t scope=%s query=%s", method, path, open, anyKey, scope, query)
	}
	var routed, described []string
	for _, route := range newAPI().Routes() {
		routed = append(routed, line(route.Method, route.Path, route.Open, route.AnyKey, string(route.Scope), slices.Clone(route.Query)))
	}
	for _, operation := range openapitest.Document().Operations {
		var query []string
		for _, parameter := range operation.Parameters {
			if parameter.In == "query" {
				query = append(query, parameter.Name)
			}
		}
		described = append(described, line(operation.Method, operation.Path, operation.Open, operation.AnyKey, operation.Scope, query))
	}
	slices.Sort(routed)
	slices.Sort(described)
	if diff := gocmp.Diff(described, routed); diff != "" {
		t.Errorf("- described, + routed:\n%s", diff)
	}
}

// TestNothingElseIsServed compares the description with what the router itself knows, so that no route can be added beside the table.
func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	var described []string
	for _, operation := range openapitest.Document().Operations {
		described = append(described, operation.Method+" "+operation.Path)
		if operation.Method == "GET" {
			described = append(described, "HEAD "+operation.Path)
		}
	}
	if diff := gocmp.Diff(slices.Sorted(slices.Values(described)), slices.Sorted(slices.Values(newAPI().Served()))); diff != "" {
		t.Errorf("- described, + served:\n%s", diff)
	}
}

// TestCodesHaveTheirStatus compares the description's table with the server's.
func TestCodesHaveTheirStatus(t *testing.T) {
	t.Parallel()
	code := openapitest.Document().Schemas().At("Code")
	described, told := map[string]string{}, map[string]string{}
	for name, status := range code.At("x-status").Fields() {
		described[name] = status.Text()
	}
	for _, name := range code.At("enum").Texts() { // which TestEnumsAreTheCodes compares with the vocabulary
		told[name] = strconv.Itoa(httpapi.StatusOf(billing.Code(name)))
	}
	if diff := gocmp.Diff(described, told); diff != "" {
		t.Errorf("- described, + told:\n%s", diff)
	}
}

// TestEnumsAreTheCodes compares each enumeration with the constants of its type, both ways; and each closed set of the vocabulary that
// answers show has an enumeration.
func TestEnumsAreTheCodes(t *testing.T) {
	t.Parallel()
	constants := map[string][]string{}
	for _, file := range parseDir(t, "../billing") {
		for name, value := range typedConstants(file) {
			constants["billing."+name] = append(constants["billing."+name], value...)
		}
	}
	seen := map[string]bool{}
	for name, schema := range openapitest.Document().Schemas().Fields() {
		enum := schema.At("enum").Texts()
		if len(enum) == 0 || name == "FaultCode" {
			continue
		}
		goType := schema.At("x-go-type").Text()
		seen[goType] = true
		want := slices.Sorted(slices.Values(constants[goType]))
		if diff := gocmp.Diff(want, slices.Sorted(slices.Values(enum))); diff != "" {
			t.Errorf("%s: - constants of %s, + enum:\n%s", name, goType, diff)
		}
	}
	for _, goType := range slices.Sorted(maps.Keys(constants)) {
		if !seen[goType] && goType != "billing.AuthMode" && goType != "billing.TokenFault" { // which no answer shows
			t.Errorf("no schema has the values of %s", goType)
		}
	}
}

// TestInlineEnumsAreKnown: an enumeration that stands within a schema is of no type, so what it must hold is said here.
func TestInlineEnumsAreKnown(t *testing.T) {
	t.Parallel()
	schemas := openapitest.Document().Schemas()
	var objects []string
	for _, action := range schemas.At("Action", "enum").Texts() {
		if kind := billing.Action(action).Kind(); !slices.Contains(objects, kind) {
			objects = append(objects, kind)
		}
	}
	var sources []string
	for _, file := range parseDir(t, "../gateway") {
		sources = append(sources, evidenceSources(file)...)
	}
	want := map[string][]string{
		"AuditObject.type": objects,
		"Evidence.source":  sources,
		"Resolve.outcome":  {string(billing.Succeeded), string(billing.Failed)},
		"Health.status":    {"ok"},

		"BulkRequest.action":       {"cancel", "reschedule", "retry"},
		"OverviewEncryption.state": {"ok", "rotating", "none"},
	}
	for _, status := range billing.Statuses() { // which the query has in a pattern
		if !strings.Contains(schemas.At("StatusList", "pattern").Text(), string(status)) {
			t.Errorf("a list of statuses cannot have %s", status)
		}
	}
	for name, schema := range schemas.Fields() {
		for _, property := range openapi.Properties(schema) {
			rest, _ := openapi.Nullable(property.Schema)
			enum := rest.At("enum").Texts()
			if len(enum) == 0 {
				continue
			}
			known, ok := want[name+"."+property.Name]
			if !ok {
				t.Errorf("what %s.%s may be is not said here", name, property.Name)
			}
			slices.Sort(known)
			if diff := gocmp.Diff(slices.Compact(known), slices.Sorted(slices.Values(enum))); diff != "" {
				t.Errorf("%s.%s: - known, + enum:\n%s", name, property.Name, diff)
			}
		}
	}
}

// evidenceSources are the texts that a file's code gives as the source of evidence.
func evidenceSources(file *ast.File) []string {
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.KeyValueExpr:
			if name, ok := node.Key.(*ast.Ident); ok && name.Name == "Source" {
				if text, ok := literal(node.Value); ok {
					found = append(found, text)
				}
			}
		case *ast.CallExpr:
			if method, ok := node.Fun.(*ast.SelectorExpr); ok && method.Sel.Name == "evidence" && len(node.Args) > 0 {
				if text, ok := literal(node.Args[0]); ok && !strings.Contains(text, " ") { // which a note has
					found = append(found, text)
				}
			}
		}
		return true
	})
	return found
}

// TestFaultCodesAreDescribed reads them from the sources of the rooms that find faults, and compares both ways.
func TestFaultCodesAreDescribed(t *testing.T) {
	t.Parallel()
	found := map[string]bool{string(billing.CodeIntentTaken): true} // named there by the constant
	for _, dir := range []string{".", "../gateway", "../store"} {
		for _, file := range parseDir(t, dir) {
			for _, code := range faultCodes(file) {
				found[code] = true
			}
		}
	}
	found[string(billing.CodeInvalid)] = true // of a fault that nobody can place
	described := openapitest.Document().Schemas().At("FaultCode", "enum").Texts()
	if diff := gocmp.Diff(slices.Sorted(maps.Keys(found)), slices.Sorted(slices.Values(described))); diff != "" {
		t.Errorf("- sources, + described:\n%s", diff)
	}
}

// TestProblemsAreTheirExamples provokes each problem that the description shows, and compares word for word.
func TestProblemsAreTheirExamples(t *testing.T) {
	t.Parallel()
	task := `{"merchant_id":"` + merchantID + `","kind":"invoice.pay","target":"in_1"}`
	failing := func(err error) *api {
		a := newAPI()
		a.tasks.CreateFunc = func(context.Context, []billing.NewTask) ([]billing.CreatedTask, error) { return nil, err }
		return a
	}
	limited := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.WrongKeys = 1 })
	limited.with(t, "wrong", "GET", "/v1/tasks", "")
	unscoped := newAPI()
	missing := newAPI()
	missing.tasks.GetFunc = func(context.Context, billing.TaskID) (billing.Task, error) {
		return billing.Task{}, &billing.Error{Code: billing.CodeNotFound, Message: "no such task"}
	}
	got := map[string]string{
		"Malformed":       newAPI().call(t, "POST", "/v1/tasks", task+"x").Body.String(),
		"Unauthenticated": newAPI().with(t, "wrong", "GET", "/v1/tasks", "").Body.String(),
		"Forbidden":       unscoped.with(t, unscoped.keyFor(nil, billing.ScopeMerchantsRead), "GET", "/v1/tasks", "").Body.String(),
		"NotFound":        missing.call(t, "GET", "/v1/tasks/"+taskID, "").Body.String(),
		"Conflict":        newAPI().call(t, "POST", "/v1/tasks/"+taskID+"/retry", "").Body.String(),
		"TooLarge":        newAPI().call(t, "POST", "/v1/tasks", strings.Repeat(" ", 70_000)+task).Body.String(),
		"UnsupportedType": newAPI().call(t, "POST", "/v1/tasks", task, "Content-Type: text/plain").Body.String(),
		"Invalid":         newAPI().call(t, "POST", "/v1/tasks/"+taskID+"/reschedule", `{"run_at":"soon"}`).Body.String(),
		"RateLimited":     limited.with(t, "wrong", "GET", "/v1/tasks", "").Body.String(),
		"Internal":        failing(errors.New("canary")).call(t, "POST", "/v1/tasks", task).Body.String(),
		"Unavailable":     failing(&billing.Error{Code: billing.CodeUnavailable}).call(t, "POST", "/v1/tasks", task).Body.String(),
	}
	for name, response := range openapitest.Document().Root.At("components", "responses").Fields() {
		for example, node := range response.At("content", "application/problem+json", "examples").Fields() {
			want, _ := node.At("value").Value().(map[string]any)
			have := map[string]any{}
			if err := json.Unmarshal([]byte(cmp.Or(got[name], "{}")), &have); err != nil {
				t.Fatal(err)
			}
			delete(want, "request_id")
			delete(have, "request_id")
			if diff := gocmp.Diff(want, have); diff != "" {
				t.Errorf("%s, example %s: - described, + answered:\n%s", name, example, diff)
			}
		}
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	t.Parallel()
	a := newAPI()
	for path, mediaType := range map[string]string{"/openapi.yaml": "application/yaml", "/docs": "text/html; charset=utf-8"} {
		got := a.call(t, "GET", path, "", "Authorization: ")
		tag := got.Header().Get("ETag")
		if got.Code != 200 || got.Header().Get("Content-Type") != mediaType || tag == "" || got.Body.Len() == 0 {
			t.Fatalf("%s: %d %v", path, got.Code, got.Header())
		}
		for _, given := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			again := a.call(t, "GET", path, "", "If-None-Match: "+given)
			if again.Code != 304 || again.Body.Len() != 0 || again.Header().Get("ETag") != tag {
				t.Errorf("%s with %s: %d, %d bytes", path, given, again.Code, again.Body.Len())
			}
		}
		if other := a.call(t, "GET", path, "", `If-None-Match: "other"`); other.Code != 200 {
			t.Errorf("%s with another tag: %d", path, other.Code)
		}
		if head := a.call(t, "HEAD", path, ""); head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("ETag") != tag {
			t.Errorf("HEAD %s: %d, %d bytes", path, head.Code, head.Body.Len())
		}
	}
	page := a.call(t, "GET", "/docs", "")
	policy := page.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("policy %q", policy)
	}
	for _, never := range []string{"<script", "style=", "http://", "src=", "@import", "url("} {
		if strings.Contains(page.Body.String(), never) {
			t.Errorf("the page has %s, which its policy forbids", never)
		}
	}
	if documented, err := openapi.Parse(a.call(t, "GET", "/openapi.yaml", "").Body.Bytes()); err != nil || len(documented.Operations) == 0 {
		t.Errorf("what is served cannot be read: %v", err)
	}
}

func parseDir(t *testing.T, dir string) []*ast.File {
	t.Helper()
	var files []*ast.File
	names, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// typedConstants returns the texts of a file's constants by the type that they are declared with.
func typedConstants(file *ast.File) map[string][]string {
	found := map[string][]string{}
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			constant, _ := spec.(*ast.ValueSpec)
			named, ok := constant.Type.(*ast.Ident)
			if !ok || len(constant.Values) != 1 {
				continue
			}
			if text, ok := literal(constant.Values[0]); ok {
				found[named.Name] = append(found[named.Name], text)
			}
		}
	}
	return found
}

// faultCodes returns the texts of a file's constants named fault…, and of the codes of its faults.
func faultCodes(file *ast.File) []string {
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ValueSpec:
			if strings.HasPrefix(node.Names[0].Name, "fault") && len(node.Values) == 1 {
				if text, ok := literal(node.Values[0]); ok {
					found = append(found, text)
				}
			}
		case *ast.CompositeLit:
			pointed := false
			for _, element := range node.Elts {
				field, ok := element.(*ast.KeyValueExpr)
				if !ok {
					return true
				}
				name, _ := field.Key.(*ast.Ident)
				pointed = pointed || name != nil && name.Name == "Pointer"
				if text, ok := literal(field.Value); ok && pointed && name != nil && name.Name == "Code" {
					found = append(found, text)
				}
			}
		}
		return true
	})
	return found
}

func literal(expression ast.Expr) (string, bool) {
	basic, ok := expression.(*ast.BasicLit)
	if !ok || basic.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(basic.Value)
	return text, err == nil
}
