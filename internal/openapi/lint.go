package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	operationName = regexp.MustCompile(`^[a-z][A-Za-z]*$`)
	fieldName     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	pathParameter = regexp.MustCompile(`\{([^}]*)\}`)
)

// Lint returns a sentence for each rule that the description breaks.
func (d *Document) Lint() []string {
	l := linter{document: d}
	if version := d.Root.At("openapi").Text(); !strings.HasPrefix(version, "3.1.") {
		l.complain("openapi: is %s, not 3.1", version)
	}
	seen := map[string]bool{}
	for _, operation := range d.Operations {
		if seen[operation.ID] {
			l.complain("%s: stands twice", operation.ID)
		}
		seen[operation.ID] = true
		l.operation(operation)
	}
	for name, schema := range d.Schemas().Fields() {
		l.schema(name, schema)
	}
	l.unused()
	l.constants(d.Root)
	return l.found
}

type linter struct {
	document *Document
	found    []string
}

func (l *linter) complain(format string, args ...any) {
	l.found = append(l.found, fmt.Sprintf(format, args...))
}

func (l *linter) operation(o Operation) {
	where := o.Method + " " + o.Path
	if !operationName.MatchString(o.ID) {
		l.complain("%s: operationId %q is not in camel case", where, o.ID)
	}
	if o.Summary == "" || strings.HasSuffix(o.Summary, ".") {
		l.complain("%s: needs a summary, which is no sentence", where)
	}
	known := false
	for _, tag := range l.document.Root.At("tags").Elements() {
		known = known || tag.At("name").Text() == o.Tag
	}
	if !known {
		l.complain("%s: its tag %q is not described", where, o.Tag)
	}
	if !o.Open && !o.AnyKey && o.Scope == "" {
		l.complain("%s: needs a scope, or security: []", where)
	}
	inPath := map[string]bool{}
	for _, match := range pathParameter.FindAllStringSubmatch(o.Path, -1) {
		inPath[match[1]] = true
	}
	for _, parameter := range o.Parameters {
		if parameter.In == "path" && (!inPath[parameter.Name] || !parameter.Required || !parameter.Example.Exists()) {
			l.complain("%s: parameter %s must be in the path, required, and have an example", where, parameter.Name)
		}
		delete(inPath, parameter.Name)
		if !parameter.Schema.Exists() || parameter.Description == "" {
			l.complain("%s: parameter %s needs a schema and a description", where, parameter.Name)
		}
	}
	for name := range inPath {
		l.complain("%s: the path's %s is not described", where, name)
	}
	if o.Body.Schema.Exists() && (o.Body.Schema.Ref() == "" || len(o.Body.Examples) == 0) {
		l.complain("%s: the body needs a named schema and an example", where)
	}
	l.answers(where, o)
}

func (l *linter) answers(where string, o Operation) {
	successes := 0
	for _, answer := range o.Answers {
		where := fmt.Sprintf("%s %d", where, answer.Status)
		if answer.Status < 200 || answer.Status > 599 || answer.Description == "" {
			l.complain("%s: needs a status and a description", where)
		}
		if answer.Status < 300 {
			successes++
		}
		if !slices.ContainsFunc(answer.Headers, func(h Header) bool { return h.Name == "X-Request-Id" && h.Required }) {
			l.complain("%s: every answer has X-Request-Id", where)
		}
		isProblem := answer.MediaType == "application/problem+json"
		if answer.Status >= 400 && !isProblem || answer.Status < 400 && isProblem {
			l.complain("%s: errors, and only they, are problem documents", where)
		}
		if strings.HasSuffix(answer.MediaType, "json") && (answer.Schema.Ref() == "" || len(answer.Examples) == 0) {
			l.complain("%s: needs a named schema and an example", where)
		}
	}
	if successes != 1 {
		l.complain("%s: has %d answers of success, not one", where, successes)
	}
	if o.Open {
		return
	}
	for _, status := range []int{401, 403, 429, 500, 503} {
		if _, ok := o.Answer(status); !ok {
			l.complain("%s: may answer %d and does not say so", where, status)
		}
	}
}

// schema looks at a named schema: what is sent must be closed, what is answered must be complete.
func (l *linter) schema(name string, schema Node) {
	properties := Properties(schema)
	if Type(schema) == "" {
		l.complain("schema %s: has no type", name)
	}
	closed := schema.At("additionalProperties").Text() == "false" || schema.At("unevaluatedProperties").Text() == "false"
	sent := l.sent(name)
	if len(properties) > 0 && sent && !closed {
		l.complain("schema %s: is sent by clients and not closed", name)
	}
	if closed && !sent {
		l.complain("schema %s: is closed, and no client sends it", name)
	}
	for _, property := range properties {
		if !fieldName.MatchString(property.Name) {
			l.complain("schema %s: %s is not in snake case", name, property.Name)
		}
		optional := name == "Problem" && property.Name == "errors" || name == "Fault" && property.Name == "query"
		if !sent && name != "TaskFields" && !property.Required && !optional {
			l.complain("schema %s: %s is not required, although every answer has all fields", name, property.Name)
		}
	}
}

// sent reports whether a named schema is, or is within, the body of a request.
func (l *linter) sent(name string) bool {
	for _, operation := range l.document.Operations {
		if operation.Body.Schema.Exists() && refersTo(operation.Body.Schema, "/components/schemas/"+name, map[string]bool{}) {
			return true
		}
	}
	return false
}

// refersTo reports whether a node leads to a pointer. seen are the pointers that were followed before: a schema may hold itself.
func refersTo(node Node, pointer string, seen map[string]bool) bool {
	ref := node.Ref()
	if ref == pointer {
		return true
	}
	if ref != "" && !seen[ref] {
		seen[ref] = true
		if refersTo(node.Follow(), pointer, seen) {
			return true
		}
	}
	for name, value := range node.Fields() {
		if name == "allOf" { // its parts are not sent by themselves, what they refer to is
			for _, part := range value.Elements() {
				if refersTo(part.Follow(), pointer, seen) {
					return true
				}
			}
			continue
		}
		if refersTo(value, pointer, seen) {
			return true
		}
	}
	for _, element := range node.Elements() {
		if refersTo(element, pointer, seen) {
			return true
		}
	}
	return false
}

// constants complains of what the check for breaking changes does not look at.
func (l *linter) constants(node Node) {
	for name, value := range node.Fields() {
		switch {
		case name == "const":
			l.complain("%s: say it with an enum of one value", value.Pointer)
		case name != "examples" && name != "example":
			l.constants(value)
		}
	}
	for _, element := range node.Elements() {
		l.constants(element)
	}
}

// unused complains of components to which nothing refers.
func (l *linter) unused() {
	used := map[string]bool{}
	var walk func(Node)
	walk = func(node Node) {
		used[node.Ref()] = true
		for _, value := range node.Fields() {
			walk(value)
		}
		for _, element := range node.Elements() {
			walk(element)
		}
	}
	walk(l.document.Root)
	for sort, components := range l.document.Root.At("components").Fields() {
		for name, component := range components.Fields() {
			if sort != "securitySchemes" && !used[component.Pointer] {
				l.complain("%s %s: nothing refers to it", sort, name)
			}
		}
	}
}
