package main

import (
	"bytes"
	_ "embed" // the template is a part of the program
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"regexp"
	"strings"

	"billonce/internal/openapi"
)

//go:embed docs.html.tmpl
var docsTemplate string

type section struct {
	Name, Description string
	Operations        []openapi.Operation
}

type namedSchema struct {
	Name   string
	Schema openapi.Node
}

// writeDocs makes a page that needs no script, no font and no other host.
func writeDocs(document *openapi.Document) ([]byte, error) {
	page, err := template.New("docs").Funcs(template.FuncMap{
		"prose": prose, "indent": indent, "schemaName": schemaName, "properties": openapi.Properties, "shape": shape,
		"enum":       func(schema openapi.Node) []string { return schema.Follow().At("enum").Texts() },
		"statusText": http.StatusText, "bounds": bounds,
	}).Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	var sections []section
	for _, tag := range document.Root.At("tags").Elements() {
		next := section{Name: tag.At("name").Text(), Description: tag.At("description").Text()}
		for _, operation := range document.Operations {
			if operation.Tag == next.Name {
				next.Operations = append(next.Operations, operation)
			}
		}
		sections = append(sections, next)
	}
	var schemas []namedSchema
	for name, schema := range document.Schemas().Fields() {
		if name != "Nothing" && name != "TaskFields" {
			schemas = append(schemas, namedSchema{name, schema})
		}
	}
	info := document.Root.At("info")
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{
		"Title": info.At("title").Text(), "Version": info.At("version").Text(), "About": info.At("description").Text(),
		"Security": document.Root.At("components", "securitySchemes", "apiKey", "description").Text(), "Sections": sections, "Schemas": schemas,
	})
	if err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return out.Bytes(), nil
}

var inCode = regexp.MustCompile("`([^`]+)`")

// prose turns paragraphs with `code` into HTML.
func prose(text string) template.HTML {
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if paragraph != "" {
			out.WriteString("<p>" + inCode.ReplaceAllString(html.EscapeString(paragraph), "<code>$1</code>") + "</p>")
		}
	}
	return template.HTML(out.String()) //nolint:gosec // escaped above, and written by us
}

// indent writes an example as JSON, its fields in the order of the description; what has no fields stands on one line.
func indent(node openapi.Node) (string, error) {
	var out strings.Builder
	err := writeJSON(&out, node, "\n")
	return out.String(), err
}

func writeJSON(out *strings.Builder, node openapi.Node, newline string) error {
	switch value := node.Value().(type) {
	case map[string]any:
		between := newline + "  "
		out.WriteString("{")
		for name, field := range node.Fields() {
			fmt.Fprintf(out, "%s%q: ", between, name)
			if err := writeJSON(out, field, newline+"  "); err != nil {
				return err
			}
			between = "," + newline + "  "
		}
		if len(value) > 0 {
			out.WriteString(newline)
		}
		out.WriteString("}")
	case []any:
		out.WriteString("[")
		for i, element := range node.Elements() {
			if i > 0 {
				out.WriteString(", ")
			}
			if err := writeJSON(out, element, newline); err != nil {
				return err
			}
		}
		out.WriteString("]")
	default:
		scalar, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("write an example: %w", err)
		}
		out.Write(scalar)
	}
	return nil
}

// schemaName is the name of the schema that a node refers to, "" when it refers to none.
func schemaName(schema openapi.Node) string {
	rest, _ := openapi.Nullable(schema)
	if openapi.Type(rest) == "array" && rest.Ref() == "" {
		rest = rest.At("items")
	}
	ref := rest.Ref()
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

// shape says of which type a value is.
func shape(schema openapi.Node) string {
	rest, nullable := openapi.Nullable(schema)
	text := openapi.Type(rest)
	if text == "array" {
		text = "list of " + openapi.Type(rest.Follow().At("items"))
	}
	if format := rest.Follow().At("format").Text(); format != "" {
		text = format
	}
	if nullable {
		text += " or null"
	}
	return text
}

// bounds says what else a value must keep to.
func bounds(schema openapi.Node) string {
	rest, _ := openapi.Nullable(schema)
	target := rest.Follow()
	var said []string
	for _, keyword := range []string{
		"const", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties", "default",
	} {
		if value := target.At(keyword); value.Exists() {
			said = append(said, keyword+" "+value.Text())
		}
	}
	for _, within := range []string{"items", "propertyNames", "additionalProperties"} {
		if inner := target.At(within); inner.Exists() && inner.Ref() == "" && bounds(inner) != "" {
			said = append(said, within+" "+bounds(inner))
		}
	}
	return strings.Join(said, ", ")
}
