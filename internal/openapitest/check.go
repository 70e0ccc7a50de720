// Package openapitest holds what tests send and receive against the description of the API, pkg/httpapi/openapi.yaml.
//
// It promises to judge every answer: its status must be described for the operation, its headers and body must be as described, and
// nothing may be in either that is not; times must be in UTC; a problem's status, code, type and request id must agree with one
// another and with the answer's. A request is judged when the server took it (an answer below 400), since tests send wrong ones on
// purpose: what the server takes, the description must allow. An answer to what is not described must be a problem of 404 or 405.
package openapitest

import (
	"bytes"
	"encoding/json"
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

// shut closes every object below value that has properties, so that what is not described is found; and wants times in UTC.
func shut(root map[string]any, value any) {
	switch value := value.(type) {
	case map[string]any:
		if value["format"] == "date-time" {
			value["pattern"] = "Z$"
		}
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
	base, ok := named[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
	if !ok || len(fields) != 1 || base["allOf"] != nil {
		panic("the description: a part of allOf must refer to a schema without one, and do no more")
	}
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
	where := e.Method + " " + e.URL.Path
	operation, ok := s.document.Find(method, e.URL.EscapedPath())
	if !ok {
		return prefix(where+", which is not described", s.elsewhere(e))
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

// elsewhere judges the answer to a method or a path that is not described.
func (s *schemas) elsewhere(e Exchange) error {
	answer := openapi.Answer{
		Headers: []openapi.Header{{Name: "X-Request-Id", Required: true, Schema: s.document.Root.At("components", "headers", "X-Request-Id", "schema")}},
	}
	allow := openapi.Header{Name: "Allow", Required: true}
	switch {
	case e.Method == http.MethodOptions && e.Status == http.StatusNoContent: // for any path that there is
		answer.Headers = append(answer.Headers, allow)
		return s.answer(answer, e)
	case e.Status == http.StatusMethodNotAllowed:
		answer.Headers = append(answer.Headers, allow)
	case e.Status != http.StatusNotFound:
		return fmt.Errorf("it was answered %d", e.Status)
	}
	answer.MediaType, answer.Schema = problemType, s.document.Schemas().At("Problem")
	return s.answer(answer, e)
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
	parts, names := strings.Split(e.URL.EscapedPath(), "/"), strings.Split(operation.Path, "/")
	for _, parameter := range operation.Parameters {
		var given []string
		switch parameter.In {
		case "query":
			given = query[parameter.Name]
			query.Del(parameter.Name)
		case "header":
			given = e.Request.Values(parameter.Name)
		case "path":
			for i, name := range names {
				if name == "{"+parameter.Name+"}" {
					part, _ := url.PathUnescape(parts[i])
					given = []string{part}
				}
			}
		}
		switch {
		case len(given) > 1:
			found = append(found, fmt.Errorf("%s is given more than once", parameter.Name))
		case len(given) == 0 || given[0] == "": // a parameter without a value is an absent one
			if parameter.Required {
				found = append(found, fmt.Errorf("%s is required", parameter.Name))
			}
		default:
			found = append(found, prefix(parameter.Name, s.text(toServer, parameter.Schema, given[0])))
		}
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

const problemType = "application/problem+json"

func (s *schemas) answer(answer openapi.Answer, e Exchange) error {
	found := []error{s.headers(answer, e)}
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
	if e.Method != http.MethodHead && answer.MediaType == problemType {
		found = append(found, s.problem(e))
	}
	return errors.Join(found...)
}

// usual are the headers that any answer may have: what a server says of the connection, and what it tells browsers and caches.
var usual = []string{
	"Cache-Control", "Connection", "Content-Length", "Content-Security-Policy", "Content-Type", "Date", "Referrer-Policy", "X-Accel-Buffering", "X-Content-Type-Options",
}

func (s *schemas) headers(answer openapi.Answer, e Exchange) error {
	var found []error
	known := map[string]bool{}
	for _, name := range usual {
		known[name] = true
	}
	for _, header := range answer.Headers {
		known[http.CanonicalHeaderKey(header.Name)] = true
		given := e.Answer.Values(header.Name)
		switch {
		case len(given) > 1:
			found = append(found, fmt.Errorf("the header %s stands there more than once", header.Name))
		case len(given) == 1 && header.Schema.Exists():
			found = append(found, prefix("the header "+header.Name, s.text(toClient, header.Schema, given[0])))
		case len(given) == 0 && header.Required:
			found = append(found, fmt.Errorf("there is no header %s", header.Name))
		}
	}
	for name := range e.Answer {
		if !known[http.CanonicalHeaderKey(name)] {
			found = append(found, fmt.Errorf("the header %s is not described", name))
		}
	}
	return errors.Join(found...)
}

// problem wants what a problem says more than once to be the same each time: by the status line, the header, and the description's
// table from codes to statuses.
func (s *schemas) problem(e Exchange) error {
	var said struct {
		Type, Code string
		Status     int
		RequestID  string `json:"request_id"`
		Errors     []any
	}
	if err := json.Unmarshal(e.Got, &said); err != nil {
		return fmt.Errorf("it is no problem: %w", err)
	}
	var found []error
	disagree := func(what string, said, meant any) {
		if said != meant {
			found = append(found, fmt.Errorf("its %s is %v, and should be %v", what, said, meant))
		}
	}
	disagree("status", said.Status, e.Status)
	disagree("type", said.Type, "urn:billonce:problem:"+said.Code)
	disagree("request_id", said.RequestID, e.Answer.Get("X-Request-Id"))
	disagree("status line", strconv.Itoa(e.Status), s.document.Schemas().At("Code", "x-status", said.Code).Text())
	if said.Code == "invalid" && len(said.Errors) == 0 {
		found = append(found, errors.New("it is invalid, and names no fault"))
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
	switch openapi.Type(node) {
	case "boolean":
		if text == "true" || text == "false" {
			return s.value(reading, node, text == "true")
		}
	case "integer":
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		return s.value(reading, node, n)
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
