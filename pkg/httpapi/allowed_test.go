package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"testing"

	"billonce/internal/openapi"
	"billonce/internal/openapitest"
)

// TestWhatIsAllowedIsTaken sends what the description allows, each field and parameter at every edge of it: the server takes it, or
// refuses it for what it means and not for its form.
func TestWhatIsAllowedIsTaken(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, operation := range openapitest.Document().Operations {
		ways := append(bodiesOf(t, operation), parametersOf(t, operation)...)
		tried += len(ways)
		if len(ways) == 0 || operation.ID == "streamEvents" { // whose answer has no end: see events_test.go
			continue
		}
		t.Run(operation.ID, func(t *testing.T) {
			t.Parallel()
			for _, r := range ways {
				got := r.send(t, obliging(operation))
				if got.Code >= 400 && !forItsMeaning(t, got) {
					t.Errorf("%s %.200s %v with %.300s: %d %s", r.method, r.path, r.headers, r.body, got.Code, got.Body)
				}
			}
		})
	}
	if tried < 200 {
		t.Errorf("only %d ways were found", tried)
	}
}

// forItsMeaning reports whether a request was refused for what no schema can say.
func forItsMeaning(t *testing.T, got *httptest.ResponseRecorder) bool {
	t.Helper()
	faults := decode[problem](t, got).Errors
	return len(faults) > 0 && !slices.ContainsFunc(faults, func(f fault) bool {
		switch {
		case slices.Contains([]string{"mode_mismatch", "unfit_scope", "unknown_merchant", "in_the_past", "too_far"}, f.Code):
		case f.Code == "required" && strings.HasSuffix(f.Pointer, "/target"): // some kinds need it
		case f.Code == "out_of_range" && strings.Contains(f.Pointer, "/retry_after/"): // a text as to the schema
		case f.Code == "bad_format" && (f.Query == "cursor" || f.Pointer == "/cursor"): // which is the server's own
		case f.Code == "required" && f.Pointer == "/filter": // any one of its fields
		case f.Pointer == "/run_at" && (f.Code == "required" || f.Code == "unknown_field"): // it depends on the action
		default:
			return true
		}
		return false
	})
}

// bodiesOf are the operation's example with each field, one at a time, at each of its edges.
func bodiesOf(t *testing.T, operation openapi.Operation) []right {
	t.Helper()
	if len(operation.Body.Examples) == 0 {
		return nil
	}
	var all []right
	for _, body := range variants(t, operation.Body.Schema, operation.Body.Examples[0].Value.Value()) {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := rightly(t, operation)
		r.body = string(encoded)
		all = append(all, r)
	}
	return all
}

// variants are an object with each of its fields at each of its edges.
func variants(t *testing.T, schema openapi.Node, example any) []any {
	t.Helper()
	base, _ := example.(map[string]any)
	var all []any
	for _, property := range openapi.Properties(schema) {
		for _, value := range edges(t, property.Schema, base[property.Name]) {
			object := maps.Clone(base)
			object[property.Name] = value
			all = append(all, object)
		}
	}
	return all
}

// parametersOf are the operation with each query parameter and header, one at a time, at each of its edges.
func parametersOf(t *testing.T, operation openapi.Operation) []right {
	t.Helper()
	var all []right
	for _, parameter := range operation.Parameters {
		for _, value := range edges(t, parameter.Schema, nil) {
			r := rightly(t, operation)
			switch text := fmt.Sprint(value); parameter.In {
			case "query":
				r.path += "?" + url.Values{parameter.Name: {text}}.Encode()
			case "header":
				r.headers = append(r.headers, parameter.Name+": "+text)
			case "path":
				continue
			}
			all = append(all, r)
		}
	}
	return all
}

// edges are values that a schema allows, those at the edges of it first. It allows each of them, or else it is not among them.
func edges(t *testing.T, schema openapi.Node, example any) []any {
	t.Helper()
	rest, nullable := openapi.Nullable(schema)
	candidates := candidates(t, rest.Follow(), example)
	if nullable {
		candidates = append(candidates, nil)
	}
	allowed := slices.DeleteFunc(candidates, func(value any) bool { return openapitest.CheckExample(schema, value, false) != nil })
	if len(allowed) == 0 {
		t.Errorf("nothing was found that %s allows", schema.Pointer)
	}
	return allowed
}

func candidates(t *testing.T, schema openapi.Node, example any) []any {
	t.Helper()
	var all []any
	for _, choice := range schema.At("anyOf").Elements() {
		all = append(all, candidates(t, choice.Follow(), example)...)
	}
	for _, value := range schema.At("enum").Texts() {
		all = append(all, value)
	}
	switch openapi.Type(schema) {
	case "boolean":
		return append(all, true, false)
	case "integer":
		for _, keyword := range []string{"minimum", "maximum", "default"} {
			if n, err := strconv.Atoi(schema.At(keyword).Text()); err == nil {
				all = append(all, float64(n))
			}
		}
		return all
	case "string":
		return append(all, texts(t, schema)...)
	case "array":
		return append(all, lists(t, schema, example)...)
	case "object":
		return append(all, objects(t, schema, example)...)
	}
	return all
}

func texts(t *testing.T, schema openapi.Node) []any {
	t.Helper()
	all := []any{
		"a", " a", "a b", "ü", merchantID, strings.ToUpper(merchantID), "2035-01-31T09:00:00Z", "2035-01-31T09:00:00.123456789+23:59",
		"2035-01-31T23:59:59-00:01", "9999-12-31T00:00:00Z",
	}
	for _, keyword := range []string{"minLength", "maxLength"} {
		if n, err := strconv.Atoi(schema.At(keyword).Text()); err == nil {
			all = append(all, strings.Repeat("a", n), strings.Repeat("ü", n))
		}
	}
	if pattern := schema.At("pattern").Text(); pattern != "" {
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sample(parsed, false), sample(parsed, true))
	}
	return all
}

// lists are lists of one element at each edge, and the longest.
func lists(t *testing.T, schema openapi.Node, example any) []any {
	t.Helper()
	given, _ := example.([]any)
	var first any
	if len(given) > 0 {
		first = given[0]
	}
	all := []any{[]any{}}
	if _, ok := first.(map[string]any); ok {
		for _, element := range variants(t, schema.At("items").Follow(), first) {
			all = append(all, []any{element})
		}
		return all
	}
	elements := edges(t, schema.At("items"), first)
	for _, element := range elements {
		all = append(all, []any{element})
	}
	most, _ := strconv.Atoi(schema.At("maxItems").Text())
	return append(all, slices.Repeat(elements[:1], most), elements)
}

func objects(t *testing.T, schema openapi.Node, example any) []any {
	t.Helper()
	all := []any{map[string]any{}}
	if texts := schema.At("additionalProperties"); openapi.Type(texts) == "string" {
		long, most := map[string]any{}, schema.At("maxProperties").Text()
		n, _ := strconv.Atoi(most)
		name, _ := strconv.Atoi(schema.At("propertyNames", "maxLength").Text())
		value, _ := strconv.Atoi(texts.At("maxLength").Text())
		for i := range n {
			long[fmt.Sprintf("%0*d", name, i)] = strings.Repeat("ü", value)
		}
		all = append(all, long, map[string]any{"a": ""})
	}
	if example != nil {
		all = append(all, variants(t, schema, example)...)
	}
	return all
}

// sample is a text that fits an expression, a short one or a long one.
func sample(of *syntax.Regexp, long bool) string {
	times := func(least, most int) string {
		n := least
		if long {
			n = most
		}
		return strings.Repeat(sample(of.Sub[0], long), n)
	}
	const many = 30 // where there is no bound
	switch of.Op {
	case syntax.OpLiteral:
		return string(of.Rune)
	case syntax.OpCharClass:
		return string(member(of.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture:
		return sample(of.Sub[0], long)
	case syntax.OpConcat:
		var text strings.Builder
		for _, part := range of.Sub {
			text.WriteString(sample(part, long))
		}
		return text.String()
	case syntax.OpAlternate:
		if long {
			return sample(of.Sub[len(of.Sub)-1], long)
		}
		return sample(of.Sub[0], long)
	case syntax.OpStar:
		return times(0, many)
	case syntax.OpPlus:
		return times(1, many)
	case syntax.OpQuest:
		return times(0, 1)
	case syntax.OpRepeat:
		if of.Max < 0 {
			return times(of.Min, of.Min+many)
		}
		return times(of.Min, of.Max)
	}
	return ""
}

// member is a rune of a class, a letter or a digit if there is one. ranges are pairs.
func member(ranges []rune) rune {
	for _, wanted := range "a0A!" {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= wanted && wanted <= ranges[i+1] {
				return wanted
			}
		}
	}
	return ranges[0]
}
