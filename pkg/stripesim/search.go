package stripesim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// searchPage is Stripe's answer to a search.
type searchPage struct {
	Object     string            `json:"object"`
	Data       []json.RawMessage `json:"data"`
	HasMore    bool              `json:"has_more"`
	NextPage   string            `json:"next_page,omitempty"`
	TotalCount int               `json:"total_count"`
	URL        string            `json:"url"`
}

// searching makes the search of one kind of object, where Stripe has one. What is newer than [Config.SearchLag] is not
// found, as at Stripe, where search is not for reading what one has just written.
func searching[T record](plural, object string, of func(*account) *table[T]) []reading {
	if !slices.Contains([]string{"charges", "customers", "invoices", "payment_intents", "prices", "subscriptions"}, plural) {
		return nil
	}
	search := func(c *call) (any, *refusal) {
		terms, refused := parseQuery(c.text("query"))
		if refused != nil {
			return nil, refused
		}
		start, refused := c.searchStart()
		if refused != nil {
			return nil, refused
		}
		limit := int(min(max(c.number("limit", defaultLimit), 1), maxLimit))
		found := &searchPage{Object: "search_result", Data: []json.RawMessage{}, URL: "/v1/" + plural + "/search"}
		newest := c.now - int64(c.sim.switches.SearchLag.Seconds())
		for _, one := range slices.Backward(of(c.acct).rows) {
			if one.base().Created > newest {
				continue
			}
			body := render(one)
			if !matchesAll(body, terms) {
				continue
			}
			if found.TotalCount >= start && len(found.Data) < limit {
				found.Data = append(found.Data, body)
			}
			found.TotalCount++
		}
		if end := start + len(found.Data); end < found.TotalCount {
			found.HasMore, found.NextPage = true, strconv.Itoa(end)
		}
		return found, nil
	}
	return []reading{{plural + "/search", object + ".search", "query:s limit:i page:s", search}}
}

func (c *call) searchStart() (int, *refusal) {
	sent := c.text("page")
	if sent == "" {
		return 0, nil
	}
	start, err := strconv.Atoi(sent)
	if err != nil || start < 0 {
		return 0, invalid("", "page", "Invalid page: %s", sent)
	}
	return start, nil
}

// term is one condition of a query: all of a query's must hold.
type term struct {
	path    []string
	compare string
	value   string
	negated bool
}

var queryTerm = regexp.MustCompile(`^(-?)([a-z_.]+)(?:\[["']([^"']+)["']\])?(:|>=|<=|>|<)(?:"([^"]*)"|'([^']*)'|(\d+))$`)

// parseQuery reads conditions joined by AND, as in status:'open' AND metadata['task']:'7'.
func parseQuery(query string) ([]term, *refusal) {
	if strings.TrimSpace(query) == "" {
		return nil, invalid("parameter_missing", "query", "Missing required param: query.")
	}
	var terms []term
	for part := range strings.SplitSeq(strings.ReplaceAll(query, " and ", " AND "), " AND ") {
		m := queryTerm.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			return nil, invalid("", "query", "We were unable to parse your search query.")
		}
		one := term{path: strings.Split(m[2], "."), negated: m[1] == "-", compare: m[4], value: m[5] + m[6] + m[7]}
		if m[3] != "" {
			one.path = append(one.path, m[3])
		}
		terms = append(terms, one)
	}
	return terms, nil
}

func matchesAll(body []byte, terms []term) bool {
	var tree any
	if json.Unmarshal(body, &tree) != nil {
		return false
	}
	for _, one := range terms {
		if one.holds(tree) == one.negated {
			return false
		}
	}
	return true
}

func (t term) holds(tree any) bool {
	for _, name := range t.path {
		object, ok := tree.(map[string]any)
		if !ok {
			return false
		}
		tree = object[name]
	}
	if t.compare == ":" {
		if number, ok := tree.(float64); ok {
			return strconv.FormatFloat(number, 'f', -1, 64) == t.value
		}
		return tree != nil && strings.EqualFold(fmt.Sprint(tree), t.value)
	}
	number, ok := tree.(float64)
	bound, err := strconv.ParseFloat(t.value, 64)
	if !ok || err != nil {
		return false
	}
	switch t.compare {
	case ">":
		return number > bound
	case ">=":
		return number >= bound
	case "<":
		return number < bound
	}
	return number <= bound
}
