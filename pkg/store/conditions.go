package store

import (
	"fmt"
	"strings"
)

// conditions collects the WHERE clause of a list and its arguments. Only constant text is given to add.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(term string, value any) {
	c.args = append(c.args, value)
	c.terms = append(c.terms, fmt.Sprintf(term, len(c.args)))
}

// arg adds an argument that stands outside the WHERE clause and returns its placeholder.
func (c *conditions) arg(value any) string {
	c.args = append(c.args, value)
	return fmt.Sprintf("$%d", len(c.args))
}

// all is the conjunction of the terms.
func (c *conditions) all() string {
	if len(c.terms) == 0 {
		return "true"
	}
	return "(" + strings.Join(c.terms, " AND ") + ")"
}

func (c *conditions) sql() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}
