package stripesim

import (
	"bytes"
	"encoding/json"
	"strings"
)

const maxExpansion = 4 // levels, as at Stripe

// expand puts whole objects in place of the ids that the parameter expand names.
func (c *call) expand(body []byte) ([]byte, *refusal) {
	paths := c.params.get("expand").elements()
	if len(paths) == 0 {
		return body, nil
	}
	tree, err := parseJSON(body)
	if err != nil {
		return body, nil // what cannot be read back has nothing to expand
	}
	for _, path := range paths {
		parts := strings.Split(path.value(), ".")
		if len(parts) > maxExpansion {
			return nil, invalid("", "expand", "You cannot expand more than %d levels of a property. Property: %s", maxExpansion, path.value())
		}
		if !c.expandAt(tree, parts) {
			return nil, invalid("", "expand", "This property cannot be expanded (%s).", path.value())
		}
	}
	return render(tree), nil
}

func parseJSON(body []byte) (tree any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	err = decoder.Decode(&tree)
	return tree, err
}

// expandAt follows the path through objects and lists. A property that is empty just now expands to nothing.
func (c *call) expandAt(tree any, path []string) bool {
	switch node := tree.(type) {
	case []any:
		for _, one := range node {
			if !c.expandAt(one, path) {
				return false
			}
		}
		return true
	case map[string]any:
		if len(path) == 0 {
			return true
		}
		child := node[path[0]]
		if id, ok := child.(string); ok {
			found, ok := c.acct.find(id)
			if !ok {
				return false
			}
			expanded, err := parseJSON(render(found))
			if err != nil {
				return false
			}
			node[path[0]], child = expanded, expanded
		}
		if child == nil {
			return true
		}
		return c.expandAt(child, path[1:])
	}
	return false
}
