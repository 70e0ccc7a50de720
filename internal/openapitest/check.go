// Package openapitest holds what tests send and receive against the description of the API, pkg/httpapi/openapi.yaml.
//
// It promises to judge every answer: its status must be described for the operation, its headers and body must be as described, and
// nothing may be in the body that is not. A request is judged when the server took it (an answer below 400), since tests send wrong
// ones on purpose: what the server takes, the description must allow.
package openapitest

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"billonce/internal/openapi"
	"billonce/pkg/httpapi"
)

// Exchange is one request with its answer. For HEAD the answer has no body.
type Exchange struct {
	Method  string
	URL     *url.URL
	Request http.Header
	Sent    []byte

	Status int
	Answer http.Header
	Got    []byte
}

// Document returns the description, read once.
func Document() *openapi.Document { return read().document }

var read = sync.OnceValue(func() *schemas {
	document, err := openapi.Parse(httpapi.Description())
	if err != nil {
		panic(err)
	}
	s := &schemas{document: document, compiled: map[string]*jsonschema.Schema{}, compiler: jsonschema.NewCompiler()}
	s.compiler.AssertFormat()
	sent, _ := document.Root.Value().(map[string]any)
	answered, _ := document.Root.Value().(map[string]any)
	shut(answered, answered)
	if err := errors.Join(s.compiler.AddResource(toServer, sent), s.compiler.AddResource(toClient, answered)); err != nil {
		panic(err)
	}
	return s
})

// The two readings of the description: as it stands, for what is sent to the server, and with objects closed, for what comes back.
const (
	toServer = "to-server.yaml"
	toClient = "to-client.yaml"
)

type schemas struct {
	document *openapi.Document
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// at returns the schema at a node of the description.
func (s *schemas) at(reading string, node openapi.Node) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := reading + "#" + (&url.URL{Path: node.Pointer}).EscapedPath()
	if schema, ok := s.compiled[place]; ok {
		return schema, nil
	}
	schema, err := s.compiler.Compile(place)
	if err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	s.compiled[place] = schema
	return schema, nil
}

// shut closes every object below value that has properties, so that what is not described is found.
func shut(root map[string]any, value any) {
	switch value := value.(type) {
	case map[string]any:
		properties, isObject := value["properties"].(map[string]any)
		if parts, ok := value["allOf"].([]any); ok && isObject {
			for _, part := range parts {
				merge(root, value, properties, part)
			}
			delete(value, "allOf")
		}
		if isObject && value["additionalProperties"] == nil {
			delete(value, "unevaluatedProperties")
			value["additionalProperties"] = false
		}
		for name, inner := range value {
			if name != "example" && name != "examples" {
				shut(root, inner)
			}
		}
	case []any:
		for _, inner := range value {
			shut(root, inner)
		}
	}
}

// merge moves what a part of allOf says into the object itself.
func merge(root, object, properties map[string]any, part any) {
	fields, _ := part.(map[string]any)
	ref, _ := fields["$ref"].(string)
	components, _ := root["components"].(map[string]any)
	named, _ := components["schemas"].(map[string]any)
	base, _ := named[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	inherited, _ := base["properties"].(map[string]any)
	for name, property := range inherited {
		properties[name] = property
	}
	required, _ := object["required"].([]any)
	more, _ := base["required"].([]any)
	object["required"] = append(required, more...)
}

// Check returns what of the exchange is not as described.
func Check(e Exchange) error {
	s := read()
	method := e.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	operation, ok := s.document.Find(method, e.URL.Path)
	where := e.Method + " " + e.URL.Path
	if e.Method == http.MethodOptions && e.Status == http.StatusNoContent { // with Allow, for any path that there is
		return nil
	}
	if !ok {
		if e.Status != http.StatusNotFound && e.Status != http.StatusMethodNotAllowed {
			return fmt.Errorf("%s is not described, and was answered %d", where, e.Status)
		}
		return prefix(where, s.body(toClient, s.document.Schemas().At("Problem"), e.Got))
	}
	var found error
	if e.Status < http.StatusBadRequest {
		found = prefix(where+": the request", errors.Join(s.parameters(operation, e), s.sent(operation, e)))
	}
	answer, ok := operation.Answer(e.Status)
	if !ok {
		return errors.Join(found, fmt.Errorf("%s: the answer %d is not described", where, e.Status))
	}
	return errors.Join(found, prefix(fmt.Sprintf("%s: the answer %d", where, e.Status), s.answer(answer, e)))
}

func prefix(where string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", where, err)
}

func (s *schemas) parameters(operation openapi.Operation, e Exchange) error {
	var found []error
	query := e.URL.Query()
	parts, names := strings.Split(e.URL.Path, "/"), strings.Split(operation.Path, "/")
	for _, parameter := range operation.Parameters {
		var given string
		switch parameter.In {
		case "query":
			given = query.Get(parameter.Name)
			query.Del(parameter.Name)
		case "header":
			given = e.Request.Get(parameter.Name)
		case "path":
			for i, name := range names {
				if name == "{"+parameter.Name+"}" {
					given = parts[i]
				}
			}
		}
		if given == "" { // a parameter without a value is an absent one
			if parameter.Required {
				found = append(found, fmt.Errorf("%s is required", parameter.Name))
			}
			continue
		}
		found = append(found, prefix(parameter.Name, s.text(toServer, parameter.Schema, given)))
	}
	for name := range query {
		if !operation.Open {
			found = append(found, fmt.Errorf("the query's %s is not described", name))
		}
	}
	return errors.Join(found...)
}

func (s *schemas) sent(operation openapi.Operation, e Exchange) error {
	switch {
	case len(e.Sent) == 0 && operation.Body.Required:
		return errors.New("a body is required")
	case len(e.Sent) == 0:
		return nil
	case !operation.Body.Schema.Exists():
		return errors.New("no body is described")
	}
	return prefix("the body", s.body(toServer, operation.Body.Schema, e.Sent))
}

func (s *schemas) answer(answer openapi.Answer, e Exchange) error {
	var found []error
	for _, header := range answer.Headers {
		given := e.Answer.Get(header.Name)
		switch {
		case given != "":
			found = append(found, prefix("the header "+header.Name, s.text(toClient, header.Schema, given)))
		case header.Required:
			found = append(found, fmt.Errorf("there is no header %s", header.Name))
		}
	}
	if answer.MediaType == "" {
		if len(e.Got) > 0 {
			found = append(found, errors.New("a body is not described"))
		}
		return errors.Join(found...)
	}
	if mediaType, _, err := mime.ParseMediaType(e.Answer.Get("Content-Type")); err != nil || mediaType != answer.MediaType {
		found = append(found, fmt.Errorf("it is %q, not %s", e.Answer.Get("Content-Type"), answer.MediaType))
	}
	if e.Method != http.MethodHead && strings.HasSuffix(answer.MediaType, "json") {
		found = append(found, s.body(toClient, answer.Schema, e.Got))
	}
	return errors.Join(found...)
}

func (s *schemas) body(reading string, node openapi.Node, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	return s.value(reading, node, value)
}

func (s *schemas) value(reading string, node openapi.Node, value any) error {
	schema, err := s.at(reading, node)
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// text judges the value of a header or a parameter, which is a text on the wire.
func (s *schemas) text(reading string, node openapi.Node, text string) error {
	if openapi.Type(node) == "integer" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		return s.value(reading, node, n)
	}
	if openapi.Type(node) == "boolean" {
		flag, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		return s.value(reading, node, flag)
	}
	return s.value(reading, node, text)
}

// CheckExample returns what of an example in the description is not as the schema beside it says. answer tells which way it goes.
func CheckExample(schema openapi.Node, example any, answer bool) error {
	if answer {
		return read().value(toClient, schema, example)
	}
	return read().value(toServer, schema, example)
}
