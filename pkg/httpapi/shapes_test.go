package httpapi_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"billonce/internal/openapi"
	"billonce/internal/openapitest"
	"billonce/pkg/httpapi"
)

// TestAnswersHaveTheirSchemasFields compares the type that each answer is written from with its schema, both ways: the names and order of
// the fields, what each holds, which may be null, which may be left out. A schema of an answer that has no type here fails.
func TestAnswersHaveTheirSchemasFields(t *testing.T) {
	t.Parallel()
	shapes := httpapi.Shapes()
	byType := map[reflect.Type]string{}
	for name, value := range shapes {
		byType[reflect.TypeOf(value)] = name
	}
	for name, schema := range openapitest.Document().Schemas().Fields() {
		value, known := shapes[name]
		if openapi.Type(schema) != "object" || isSent(name) {
			continue
		}
		if !known {
			t.Errorf("no type is named for %s", name)
			continue
		}
		delete(shapes, name)
		if _, written := value.(json.Marshaler); written { // by itself; the examples and every other answer hold it to the schema
			continue
		}
		var described []string
		for _, property := range openapi.Properties(schema) {
			described = append(described, line(property.Name, property.Required, saidBy(property.Schema)))
		}
		var has []string
		for field := range fields(reflect.TypeOf(value)) {
			tag, option, _ := strings.Cut(field.Tag.Get("json"), ",")
			has = append(has, line(tag, option == "", saidOf(field.Type, byType)))
		}
		if diff := gocmp.Diff(described, has); diff != "" {
			t.Errorf("%s: - described, + in %T:\n%s", name, value, diff)
		}
	}
	for name := range shapes {
		t.Errorf("%s is not described", name)
	}
}

func line(name string, always bool, of string) string {
	if !always {
		name += "?"
	}
	return name + " " + of
}

// isSent reports whether clients send the schema: it is closed then, as the linter wants it.
func isSent(name string) bool {
	schema := openapitest.Document().Schemas().At(name)
	return name == "TaskFields" || schema.At("additionalProperties").Text() == "false" || schema.At("unevaluatedProperties").Text() == "false"
}

// fields yields the fields of a struct, those of an embedded one in its place.
func fields(of reflect.Type) iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for i := range of.NumField() {
			field := of.Field(i)
			if !field.Anonymous {
				if !yield(field) {
					return
				}
				continue
			}
			for inner := range fields(field.Type) {
				if !yield(inner) {
					return
				}
			}
		}
	}
}

// saidBy is what a schema says of a value, in the words of saidOf.
func saidBy(schema openapi.Node) string {
	rest, nullable := openapi.Nullable(schema)
	target := rest.Follow()
	name := rest.Ref()[strings.LastIndexByte(rest.Ref(), '/')+1:]
	of := openapi.Type(target)
	switch {
	case target.At("x-go-type").Exists() && of == "string":
		of = target.At("x-go-type").Text()
	case target.At("format").Text() == "date-time":
		of = "time"
	case of == "array":
		of = "list of " + saidBy(target.At("items"))
	case of == "object" && name != "":
		of = name
	case of == "object" && openapi.Type(target.At("additionalProperties")) == "string":
		of = "texts by name"
	}
	if nullable {
		of += " or null"
	}
	return of
}

// saidOf is what a Go type writes. A named text that the description does not name (an id) is a string.
func saidOf(of reflect.Type, byType map[reflect.Type]string) string {
	if of.Kind() == reflect.Pointer {
		return saidOf(of.Elem(), byType) + " or null"
	}
	if name, ok := byType[of]; ok {
		return name
	}
	switch {
	case of == reflect.TypeFor[time.Time]():
		return "time"
	case of == reflect.TypeFor[json.RawMessage]():
		return "object"
	case of.Kind() == reflect.Slice:
		return "list of " + saidOf(of.Elem(), byType)
	case of == reflect.TypeFor[map[string]string]():
		return "texts by name"
	case of.Kind() == reflect.Int, of.Kind() == reflect.Int64:
		return "integer"
	case of.Kind() == reflect.Bool:
		return "boolean"
	case of.Kind() == reflect.String && namedTexts()[of.String()]:
		return of.String()
	case of.Kind() == reflect.String:
		return "string"
	}
	return fmt.Sprint(of)
}

// namedTexts are the Go types of the vocabulary that the description names.
func namedTexts() map[string]bool {
	named := map[string]bool{}
	for _, schema := range openapitest.Document().Schemas().Fields() {
		named[schema.At("x-go-type").Text()] = true
	}
	return named
}

// TestWhatIsReadIsDescribed compares the names that the readers of bodies ask for, in the sources, with the fields of the schemas that
// clients send, both ways. (That each is read as it is described, the tests of bodies show.)
func TestWhatIsReadIsDescribed(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	for _, file := range parseDir(t, ".") {
		for name := range namesRead(file) {
			read[name] = true
		}
	}
	described := map[string]bool{}
	for name, schema := range openapitest.Document().Schemas().Fields() {
		if isSent(name) {
			for _, property := range openapi.Properties(schema) {
				described[property.Name] = true
			}
		}
	}
	if diff := gocmp.Diff(slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(read))); diff != "" {
		t.Errorf("- described, + read:\n%s", diff)
	}
}

// readers are the methods of object that read a field by its name, which is their first argument.
var readers = []string{"required", "optional", "take", "changedToken", "scopes", "end", "notes", "dunning"}

// namesRead are the names that a file's code asks an object for.
func namesRead(file *ast.File) map[string]bool {
	found := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		reads := false
		switch called := call.Fun.(type) {
		case *ast.SelectorExpr:
			reads = slices.Contains(readers, called.Sel.Name)
		case *ast.Ident:
			reads = called.Name == "text" // readBulkFilter's own
		}
		if !reads {
			return true
		}
		if text, ok := literal(call.Args[0]); ok && !strings.Contains(text, `"`) { // created.go writes with a function of that name
			found[text] = true
		}
		if name, ok := call.Args[0].(*ast.Ident); ok && name.Name == "fieldIdempotencyKey" {
			found["idempotency_key"] = true
		}
		return true
	})
	return found
}
