package cli

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"billonce/pkg/client"
)

// listFlags are the flags of every list.
type listFlags struct {
	apiFlags
	watchFlags
	limit int
	all   bool
}

func (f *listFlags) add(command *cobra.Command) {
	f.apiFlags.add(command)
	f.watchFlags.add(command)
	command.Flags().IntVar(&f.limit, "limit", 50, "how many to show")
	command.Flags().BoolVar(&f.all, "all", false, "show all of them")
}

// columns are how a list is shown.
type columns struct {
	heading []string
	row     func(item json.RawMessage) ([]string, error)
	narrow  []narrowing // what gives way, in this order, where a table would be wider than [tableWidth]
	whole   *columns    // of a line that is appended; nil: the same
	moving  []string    // members of an item that move without anything happening, by their paths
	stamp   func(item json.RawMessage) string
}

// line is an item as it is appended.
func (c columns) line(item json.RawMessage) (line, error) {
	if c.whole != nil {
		c = *c.whole
	}
	cells, err := c.row(item)
	if err != nil {
		return line{}, err
	}
	made := line{document: item, cells: cells}
	if c.moving != nil {
		made.essence = without(item, c.moving...)
	}
	if c.stamp != nil {
		made.stamp = c.stamp(item)
	}
	return made, nil
}

// column reads items as T and shows them through row.
func column[T any](heading []string, row func(T) []string) columns {
	return columns{heading: heading, row: func(item json.RawMessage) ([]string, error) {
		value, err := decode[T](item)
		if err != nil {
			return nil, err
		}
		return row(value), nil
	}}
}

// list makes command show the list under path that query narrows.
func (p *program) list(command *cobra.Command, path string, query func() (url.Values, error), show columns) *cobra.Command {
	return p.listBy(command, path, query, func() columns { return show })
}

// listBy is list with columns that depend on flags.
func (p *program) listBy(command *cobra.Command, path string, query func() (url.Values, error), show func() columns) *cobra.Command {
	var flags listFlags
	flags.add(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if flags.all && command.Flags().Changed("limit") {
			return usageError{errors.New("--limit and --all exclude each other")}
		}
		if flags.limit < 1 {
			return usageError{errors.New("--limit must be at least 1")}
		}
		limit := flags.limit
		if flags.all {
			limit = 0
		}
		narrowed, err := query()
		if err != nil {
			return err
		}
		flags.news = path == tasksPath
		return p.look(command.Context(), flags.apiFlags, flags.watchFlags, func(look *look) (snapshot, error) {
			found, err := look.api.List(look.ctx, path, narrowed, limit)
			if err != nil {
				return snapshot{}, err
			}
			return p.listed(found, show())
		})
	}
	return command
}

// listing is a list as the API serves it, here perhaps of several pages.
type listing = client.List

// listed is the picture of a list.
func (p *program) listed(found listing, show columns) (snapshot, error) {
	rows := [][]string{show.heading}
	var lines []line
	for _, item := range found.Data {
		row, err := show.row(item)
		if err != nil {
			return snapshot{}, err
		}
		one, err := show.line(item)
		if err != nil {
			return snapshot{}, err
		}
		one.key = keyOf(item, row)
		rows, lines = append(rows, row), append(lines, one)
	}
	slices.Reverse(lines) // the newest comes first in a list, and last in what is appended to
	return snapshot{document: found, lines: lines, draw: func() {
		p.table(fit(clone(rows), show.narrow))
		switch {
		case found.NextCursor != nil && found.SearchedTo != nil:
			p.notef("Searched back to %s; --all searches on.\n", p.when(*found.SearchedTo))
		case found.NextCursor != nil:
			p.notef("There are more: --limit shows more of them, --all shows all.\n")
		}
	}}, nil
}

// keyOf tells the items of a list apart.
func keyOf(item json.RawMessage, row []string) string {
	var named struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(item, &named) == nil && named.ID != "" {
		return named.ID
	}
	return strings.Join(row[:1], "")
}

// clone copies rows: a table changes those that it prints.
func clone(rows [][]string) [][]string {
	copied := make([][]string, len(rows))
	for i, row := range rows {
		copied[i] = slices.Clone(row)
	}
	return copied
}

// given narrows a list by the flags that have a value.
func given(filters map[string]*string) func() (url.Values, error) {
	return func() (url.Values, error) {
		query := url.Values{}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		return query, nil
	}
}
