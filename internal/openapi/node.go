// Package openapi reads the description of the API, pkg/httpapi/openapi.yaml, for what is made from it (the Go client, the page
// for people) and for what is checked against it.
//
// It promises to follow every reference within the document, to keep the order in which things stand there, and to refuse a
// document with a reference that leads nowhere. It knows as much of OpenAPI 3.1 as the description uses, and no more.
package openapi

import (
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Node is a place in the document. The zero node is one that does not exist.
type Node struct {
	Pointer string // RFC 6901, from the document's root
	root    *yaml.Node
	at      *yaml.Node
}

func parse(text []byte) (Node, error) {
	document := yaml.Node{}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return Node{}, fmt.Errorf("read the description: %w", err)
	}
	if document.Kind != yaml.DocumentNode || document.Content[0].Kind != yaml.MappingNode {
		return Node{}, fmt.Errorf("read the description: it is no mapping")
	}
	root := document.Content[0]
	return Node{root: root, at: root}, nil
}

// Exists reports whether there is something at the place.
func (n Node) Exists() bool { return n.at != nil }

func (n Node) step(name string, to *yaml.Node) Node {
	for to.Kind == yaml.AliasNode {
		to = to.Alias
	}
	return Node{Pointer: n.Pointer + "/" + escape.Replace(name), root: n.root, at: to}
}

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// Fields yields the members of a mapping in their order.
func (n Node) Fields() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		if n.at == nil || n.at.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.at.Content); i += 2 {
			name := n.at.Content[i].Value
			if !yield(name, n.step(name, n.at.Content[i+1])) {
				return
			}
		}
	}
}

// Elements yields the elements of a sequence.
func (n Node) Elements() iter.Seq2[int, Node] {
	return func(yield func(int, Node) bool) {
		if n.at == nil || n.at.Kind != yaml.SequenceNode {
			return
		}
		for i, element := range n.at.Content {
			if !yield(i, n.step(fmt.Sprint(i), element)) {
				return
			}
		}
	}
}

// At returns the member with the given name, or the zero node.
func (n Node) At(names ...string) Node {
	for _, name := range names {
		found := Node{}
		for field, value := range n.Fields() {
			if field == name {
				found = value
			}
		}
		n = found
	}
	return n
}

// Ref is the pointer of what the node refers to, "" when it is no reference.
func (n Node) Ref() string { return strings.TrimPrefix(n.At("$ref").Text(), "#") }

// maxSteps is how many references may lead to one another.
const maxSteps = 16

// Follow returns what the node refers to, and the node itself when it is no reference; the zero node when references go in a circle.
func (n Node) Follow() Node {
	for step := 0; n.Ref() != ""; step++ {
		if step == maxSteps {
			return Node{}
		}
		target := Node{root: n.root, at: n.root}
		for _, part := range strings.Split(strings.TrimPrefix(n.Ref(), "/"), "/") {
			target = target.At(unescape.Replace(part))
		}
		n = target
	}
	return n
}

// Text is the node's scalar, "" when it has none.
func (n Node) Text() string {
	if n.at == nil || n.at.Kind != yaml.ScalarNode {
		return ""
	}
	return n.at.Value
}

// Texts are the scalars of a sequence; a scalar stands for a sequence of one.
func (n Node) Texts() []string {
	if n.at != nil && n.at.Kind == yaml.ScalarNode {
		return []string{n.at.Value}
	}
	var texts []string
	for _, element := range n.Elements() {
		texts = append(texts, element.Text())
	}
	return texts
}

// True reports whether the node is the scalar true.
func (n Node) True() bool { return n.Text() == "true" }

// Value is the node as encoding/json would read it.
func (n Node) Value() any {
	if n.at == nil {
		return nil
	}
	if n.at.Kind == yaml.MappingNode {
		object := map[string]any{}
		for name, value := range n.Fields() {
			object[name] = value.Value()
		}
		return object
	}
	if n.at.Kind == yaml.SequenceNode {
		list := []any{}
		for _, element := range n.Elements() {
			list = append(list, element.Value())
		}
		return list
	}
	var scalar any
	if err := n.at.Decode(&scalar); err != nil {
		return n.at.Value
	}
	if whole, ok := scalar.(int); ok {
		return float64(whole)
	}
	return scalar
}

// check returns an error for the first reference below n that leads nowhere.
func (n Node) check() error {
	if ref := n.Ref(); ref != "" && !n.Follow().Exists() {
		return fmt.Errorf("%s refers to %s, which is not there", n.Pointer, ref)
	}
	for _, value := range n.Fields() {
		if err := value.check(); err != nil {
			return err
		}
	}
	for _, element := range n.Elements() {
		if err := element.check(); err != nil {
			return err
		}
	}
	return nil
}
