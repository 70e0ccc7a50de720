package openapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Document is the description, read.
type Document struct {
	Root       Node
	Operations []Operation // in the order of the document
}

// Operation is one method of one path.
type Operation struct {
	ID, Method, Path, Tag string
	Summary, Description  string
	Scope                 string // "" when it is open, or takes any key
	Open                  bool
	AnyKey                bool
	Parameters            []Parameter
	Body                  Body
	Answers               []Answer
}

// Parameter is a part of the path, the query or the header.
type Parameter struct {
	Name, In, Description string
	Required              bool
	Schema                Node
	Example               Node
}

// Body is what a request may send; the zero body, nothing.
type Body struct {
	Required bool
	Schema   Node
	Examples []Example
}

// Answer is what one status brings.
type Answer struct {
	Status      int
	Description string
	Headers     []Header
	MediaType   string // "" when there is no body
	Schema      Node
	Examples    []Example
}

// Header is a header of an answer.
type Header struct {
	Name, Description string
	Required          bool
	Schema            Node
}

// Example is a named example of a body.
type Example struct {
	Name  string
	Value Node
}

// Parse reads a description.
func Parse(text []byte) (*Document, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	if err := root.check(); err != nil {
		return nil, err
	}
	document := &Document{Root: root}
	for path, item := range root.At("paths").Fields() {
		for method, node := range item.Fields() {
			if method == "parameters" {
				continue
			}
			if err := readable(method, node); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			operation := readOperation(strings.ToUpper(method), path, node)
			operation.Parameters = append(readParameters(item.At("parameters")), operation.Parameters...)
			document.Operations = append(document.Operations, operation)
		}
	}
	return document, nil
}

// readable returns an error for what OpenAPI allows and this package does not know.
func readable(method string, operation Node) error {
	if !slices.Contains([]string{"get", "post", "put", "patch", "delete"}, method) {
		return errors.New("no method that is known here")
	}
	if n := len(maps.Collect(operation.At("security").Elements())); n > 1 {
		return errors.New("security has alternatives")
	}
	bodies := []Node{operation.At("requestBody").Follow()}
	for _, answer := range operation.At("responses").Fields() {
		bodies = append(bodies, answer.Follow())
	}
	for _, body := range bodies {
		if len(maps.Collect(body.At("content").Fields())) > 1 {
			return fmt.Errorf("%s has several media types", body.Pointer)
		}
	}
	return nil
}

func readOperation(method, path string, node Node) Operation {
	o := Operation{
		ID: node.At("operationId").Text(), Method: method, Path: path,
		Summary: node.At("summary").Text(), Description: node.At("description").Text(),
		Parameters: readParameters(node.At("parameters")),
	}
	if tags := node.At("tags").Texts(); len(tags) > 0 {
		o.Tag = tags[0]
	}
	o.Open = node.At("security").Exists()
	for _, demand := range node.At("security").Elements() {
		o.Open = false
		o.Scope = strings.Join(demand.At("apiKey").Texts(), " ")
		o.AnyKey = o.Scope == "" && demand.At("apiKey").Exists()
	}
	body := node.At("requestBody").Follow()
	content := body.At("content", "application/json")
	o.Body = Body{Required: body.At("required").True(), Schema: content.At("schema"), Examples: readExamples(content)}
	for status, answer := range node.At("responses").Fields() {
		o.Answers = append(o.Answers, readAnswer(status, answer.Follow()))
	}
	return o
}

func readParameters(list Node) []Parameter {
	var parameters []Parameter
	for _, node := range list.Elements() {
		node = node.Follow()
		parameters = append(parameters, Parameter{
			Name: node.At("name").Text(), In: node.At("in").Text(), Description: node.At("description").Text(),
			Required: node.At("required").True(), Schema: node.At("schema"), Example: node.At("example"),
		})
	}
	return parameters
}

func readAnswer(status string, node Node) Answer {
	number, _ := strconv.Atoi(status) // 0, which Lint refuses
	answer := Answer{Status: number, Description: node.At("description").Text()}
	for name, header := range node.At("headers").Fields() {
		header = header.Follow()
		answer.Headers = append(answer.Headers, Header{
			Name: name, Description: header.At("description").Text(), Required: header.At("required").True(), Schema: header.At("schema"),
		})
	}
	for mediaType, content := range node.At("content").Fields() {
		answer.MediaType, answer.Schema, answer.Examples = mediaType, content.At("schema"), readExamples(content)
	}
	return answer
}

func readExamples(content Node) []Example {
	var examples []Example
	for name, example := range content.At("examples").Fields() {
		examples = append(examples, Example{Name: name, Value: example.At("value")})
	}
	return examples
}

// Find returns the operation that a request is for; ok is false when none is described. A path that is described as it stands
// goes before one with a parameter.
func (d *Document) Find(method, path string) (found Operation, ok bool) {
	for _, operation := range d.Operations {
		if operation.Method != method || !operation.fits(path) {
			continue
		}
		if operation.Path == path {
			return operation, true
		}
		found, ok = operation, true
	}
	return found, ok
}

func (o Operation) fits(path string) bool {
	want, got := strings.Split(o.Path, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, part := range want {
		if part != got[i] && !strings.HasPrefix(part, "{") {
			return false
		}
	}
	return true
}

// Answer returns what is said of a status; ok is false when nothing is.
func (o Operation) Answer(status int) (Answer, bool) {
	for _, answer := range o.Answers {
		if answer.Status == status {
			return answer, true
		}
	}
	return Answer{}, false
}

// Schemas returns the node of all named schemas.
func (d *Document) Schemas() Node { return d.Root.At("components", "schemas") }

// Property is one field of an object.
type Property struct {
	Name     string
	Required bool
	Schema   Node
}

// Properties are the fields of an object schema, those of its allOf first.
func Properties(schema Node) []Property {
	schema = schema.Follow()
	var properties []Property
	required := map[string]bool{}
	for _, name := range schema.At("required").Texts() {
		required[name] = true
	}
	for _, part := range schema.At("allOf").Elements() {
		properties = append(properties, Properties(part)...)
	}
	for name, property := range schema.At("properties").Fields() {
		properties = append(properties, Property{Name: name, Required: required[name], Schema: property})
	}
	return properties
}

// Nullable splits a schema into what it is beside null, and whether it may be null.
func Nullable(schema Node) (rest Node, nullable bool) {
	target := schema.Follow()
	for _, name := range target.At("type").Texts() {
		nullable = nullable || name == "null"
	}
	rest = schema
	for _, choice := range target.At("anyOf").Elements() {
		if choice.At("type").Text() == "null" {
			nullable = true
			continue
		}
		rest = choice
	}
	return rest, nullable
}

// Type is the schema's type beside null.
func Type(schema Node) string {
	for _, name := range schema.Follow().At("type").Texts() {
		if name != "null" {
			return name
		}
	}
	return ""
}
