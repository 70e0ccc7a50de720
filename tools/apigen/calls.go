package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"billonce/internal/openapi"
)

// writeCalls makes a method of each operation that answers with JSON.
func writeCalls(document *openapi.Document) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(generated + "package client\n\nimport (\n\t\"context\"\n\t\"net/url\"\n\t\"strconv\"\n\t\"time\"\n\n\t\"billonce/pkg/billing\"\n)\n")
	for _, operation := range document.Operations {
		answer := success(operation)
		if answer.MediaType != "application/json" {
			continue
		}
		if err := writeCall(&out, operation, answer); err != nil {
			return nil, fmt.Errorf("%s: %w", operation.ID, err)
		}
	}
	return source(out.Bytes())
}

func success(operation openapi.Operation) openapi.Answer {
	for _, answer := range operation.Answers {
		if answer.Status < 300 {
			return answer
		}
	}
	return openapi.Answer{}
}

func writeCall(out *bytes.Buffer, operation openapi.Operation, answer openapi.Answer) error {
	method := strings.ToUpper(operation.ID[:1]) + operation.ID[1:]
	result, err := goType(answer.Schema)
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%s sends %s %s. %s.", method, operation.Method, operation.Path, operation.Summary)
	if operation.Scope != "" {
		said += " The key needs the scope " + operation.Scope + "."
	}
	properties := openapi.Properties(answer.Schema)
	if len(properties) == 0 || !properties[0].Required {
		return errors.New("no field is known by which its answer could be told")
	}
	arguments, call := "ctx context.Context", fmt.Sprintf("Method: %q, Path: %s", operation.Method, pathOf(operation.Path))
	var query []openapi.Parameter
	for _, parameter := range operation.Parameters {
		switch parameter.In {
		case "path":
			arguments += ", " + parameter.Name + " string"
		case "query":
			query = append(query, parameter)
		case "header":
			if parameter.Name != "Idempotency-Key" {
				return fmt.Errorf("no call is known to send the header %s", parameter.Name)
			}
			arguments += ", idempotencyKey string"
			call += ", IdempotencyKey: idempotencyKey"
			said += " An empty idempotencyKey is none: then a request of which the answer is lost must not be sent again."
		}
	}
	if len(query) > 0 {
		if err := writeQuery(out, method, query); err != nil {
			return err
		}
		arguments += ", query " + method + "Query"
		call += ", Query: query.values()"
	}
	if body := operation.Body.Schema; body.Exists() && len(openapi.Properties(body)) > 0 {
		kind, err := goType(body)
		if err != nil {
			return err
		}
		arguments += ", body " + kind
		call += ", Body: body"
	}
	if operation.Description != "" {
		said += "\n\n" + operation.Description
	}
	said, more, _ := strings.Cut(said, "\n\n")
	out.WriteString("\n" + comment(said))
	if more != "" {
		out.WriteString("//\n" + comment(more))
	}
	fmt.Fprintf(out, "func (c *Client) %s(%s) (%s, error) {\n\tvar answer %s\n\terr := c.into(ctx, Call{%s}, &answer, %q)\n\treturn answer, err\n}\n",
		method, arguments, result, result, call, properties[0].Name)
	return nil
}

// pathOf is the Go expression for a path: its parameters are escaped.
func pathOf(template string) string {
	var parts []string
	for rest := template; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			parts = append(parts, fmt.Sprintf("%q", before))
		}
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		parts = append(parts, "url.PathEscape("+name+")")
		rest = tail
	}
	return strings.Join(parts, " + ")
}

// writeQuery makes the struct of an operation's query. A zero field is left out.
func writeQuery(out *bytes.Buffer, method string, query []openapi.Parameter) error {
	var set bytes.Buffer
	fmt.Fprintf(out, "\n%stype %sQuery struct {\n", comment(method+"Query narrows "+method+"; what is zero is left out."), method)
	for _, parameter := range query {
		kind, err := goType(parameter.Schema)
		if err != nil {
			return err
		}
		name := goName(parameter.Name)
		fmt.Fprintf(out, "\t%s %s // %s\n", name, kind, parameter.Description)
		given, text := "q."+name+` != ""`, "string(q."+name+")"
		switch kind {
		case "int":
			given, text = "q."+name+" != 0", "strconv.Itoa(q."+name+")"
		case "time.Time":
			given, text = "!q."+name+".IsZero()", "q."+name+".UTC().Format(time.RFC3339Nano)"
		case "bool":
			given, text = "q."+name, "strconv.FormatBool(q."+name+")"
		case "string":
			text = "q." + name
		}
		fmt.Fprintf(&set, "\tif %s {\n\t\tvalues.Set(%q, %s)\n\t}\n", given, parameter.Name, text)
	}
	fmt.Fprintf(out, "}\n\nfunc (q %sQuery) values() url.Values {\n\tvalues := url.Values{}\n%s\treturn values\n}\n", method, set.String())
	return nil
}
