package stripesim

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a form. Stripe has its own; these keep a hostile body from costing more than its length.
const (
	maxPairs = 5_000
	maxDepth = 12
)

// form is one node of a form with nested names, as Stripe reads them: a[b]=c makes an object, a[]=x and a[0]=x a list.
// A nil *form is an absent parameter, so that lookups chain.
type form struct {
	text string // of a leaf
	leaf bool
	keys []string // names of the children, in the order of their first appearance
	kids map[string]*form
}

// pair is one decoded name and value, in the order sent.
type pair struct{ name, value string }

var (
	errFormEncoding = errors.New("a form with a broken %-escape")
	errFormSize     = errors.New("a form with too many parameters")
)

// parsePairs splits application/x-www-form-urlencoded text.
func parsePairs(encoded string) ([]pair, error) {
	if encoded == "" {
		return nil, nil
	}
	pairs := make([]pair, 0, strings.Count(encoded, "&")+1)
	for part := range strings.SplitSeq(encoded, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, errFormEncoding
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, errFormEncoding
		}
		if len(pairs) == maxPairs {
			return nil, errFormSize
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, nil
}

// buildForm nests pairs. It fails where a name is malformed, or used both for a value and for an object.
func buildForm(pairs []pair) (*form, error) {
	root := &form{}
	for _, p := range pairs {
		path, err := splitName(p.name)
		if err != nil {
			return nil, err
		}
		if err := root.insert(path, p.value); err != nil {
			return nil, fmt.Errorf("parameter %q: %w", p.name, err)
		}
	}
	return root, nil
}

// splitName turns a[b][] into a, b and "".
func splitName(name string) ([]string, error) {
	head, rest, _ := strings.Cut(name, "[")
	if head == "" || strings.Contains(head, "]") {
		return nil, fmt.Errorf("parameter %q: malformed name", name)
	}
	path := []string{head}
	if len(head) == len(name) {
		return path, nil
	}
	for rest = "[" + rest; rest != ""; {
		if rest[0] != '[' {
			return nil, fmt.Errorf("parameter %q: malformed name", name)
		}
		inner, after, closed := strings.Cut(rest[1:], "]")
		if !closed || strings.Contains(inner, "[") || len(path) == maxDepth {
			return nil, fmt.Errorf("parameter %q: malformed name", name)
		}
		path, rest = append(path, inner), after
	}
	return path, nil
}

var errFormShape = errors.New("both a value and an object")

func (f *form) insert(path []string, value string) error {
	node := f
	for i, name := range path {
		if node.leaf {
			return errFormShape
		}
		if name == "" {
			name = node.nextIndex(path[i+1:])
		}
		child := node.kids[name]
		if child == nil {
			child = &form{}
			if node.kids == nil {
				node.kids = make(map[string]*form)
			}
			node.kids[name] = child
			node.keys = append(node.keys, name)
		}
		node = child
	}
	if len(node.kids) > 0 {
		return errFormShape
	}
	node.leaf, node.text = true, value // the last of several wins
	return nil
}

// nextIndex is the element that an empty pair of brackets means: the last one, as long as it lacks what follows, else a
// new one.
func (f *form) nextIndex(rest []string) string {
	if n := len(f.keys); n > 0 && len(rest) > 0 {
		last := f.keys[n-1]
		if node := f.kids[last]; !node.leaf && !node.holds(rest) {
			return last
		}
	}
	next := len(f.keys)
	for f.kids[strconv.Itoa(next)] != nil {
		next++
	}
	return strconv.Itoa(next)
}

// holds reports whether the path already leads to something that one more value would overwrite.
func (f *form) holds(path []string) bool {
	for _, name := range path {
		if name == "" { // another element always fits
			return false
		}
		if f = f.get(name); f == nil {
			return false
		}
	}
	return true
}

// get follows the path; nil where it ends.
func (f *form) get(path ...string) *form {
	for _, name := range path {
		if f == nil {
			return nil
		}
		f = f.kids[name]
	}
	return f
}

// value is the leaf's text, "" for everything else.
func (f *form) value() string {
	if f == nil || !f.leaf {
		return ""
	}
	return f.text
}

// has reports whether the parameter was sent, be it empty.
func (f *form) has(path ...string) bool { return f.get(path...) != nil }

// number is the leaf as an integer; ok is false if it is absent or none.
func (f *form) number() (n int64, ok bool) {
	n, err := strconv.ParseInt(f.value(), 10, 64)
	return n, err == nil
}

// yes reports whether the leaf says true.
func (f *form) yes() bool { return f.value() == "true" }

// elements lists the children by their index; what has no index comes last, in the order sent.
func (f *form) elements() []*form {
	if f == nil {
		return nil
	}
	keys := slices.Clone(f.keys)
	slices.SortStableFunc(keys, func(a, b string) int {
		left, errLeft := strconv.Atoi(a)
		right, errRight := strconv.Atoi(b)
		switch {
		case errLeft == nil && errRight == nil:
			return left - right
		case errLeft == nil:
			return -1
		case errRight == nil:
			return 1
		}
		return 0
	})
	nodes := make([]*form, len(keys))
	for i, key := range keys {
		nodes[i] = f.kids[key]
	}
	return nodes
}

// tree is the node as what JSON makes of it: strings, lists and objects of strings.
func (f *form) tree() any {
	if f.leaf {
		return f.text
	}
	if f.isList() {
		list := make([]any, 0, len(f.keys))
		for _, node := range f.elements() {
			list = append(list, node.tree())
		}
		return list
	}
	object := make(map[string]any, len(f.keys))
	for name, node := range f.kids {
		object[name] = node.tree()
	}
	return object
}

func (f *form) isList() bool {
	for _, key := range f.keys {
		if _, err := strconv.Atoi(key); err != nil {
			return false
		}
	}
	return len(f.keys) > 0
}
