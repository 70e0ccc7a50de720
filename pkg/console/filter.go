package console

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// formTime is how a browser's field for a moment writes one; here it is always UTC.
const formTime = "2006-01-02T15:04:05"

// filter says which tasks are meant. Its fields are named in addresses as the API names them.
type filter struct {
	Status, MerchantID, Kind, Target, Q, From, To, Attention string
}

func readFilter(values url.Values) filter {
	get := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	return filter{
		Status: get("status"), MerchantID: get("merchant_id"), Kind: get("kind"), Target: get("target"), Q: get("q"),
		From: asMoment(get("from")), To: asMoment(get("to")), Attention: get("attention"),
	}
}

// asMoment writes what a form or an address says as the API reads it. What it cannot read the API is to judge.
func asMoment(given string) string {
	for _, form := range []string{formTime, "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(form, given); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return given
}

// inForm writes a moment as a browser's field takes it.
func inForm(moment string) string {
	t, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return ""
	}
	return t.UTC().Format(formTime)
}

// FromField and ToField are for the form.
func (f filter) FromField() string { return inForm(f.From) }

// ToField is as FromField.
func (f filter) ToField() string { return inForm(f.To) }

// values are the filter as a query.
func (f filter) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{
		"status": f.Status, "merchant_id": f.MerchantID, "kind": f.Kind, "target": f.Target, "q": f.Q, "from": f.From, "to": f.To,
		"attention": f.Attention,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

// Is reports whether exactly this status is wanted.
func (f filter) Is(status string) bool { return f.Status == status }

// Empty reports whether all tasks are meant.
func (f filter) Empty() bool { return f == filter{} }

// Narrow reports whether something may be done to all tasks that fit: the API asks for a filter, and takes no
// search, and not what needs attention.
func (f filter) Narrow() bool { return f.Q == "" && f.Attention == "" && !f.Empty() }

// With is the address of the list with another status.
func (f filter) With(status string) string {
	f.Status = status
	return address("/tasks", f.values())
}

// Bulk is the address of the preview of what an action would do.
func (f filter) Bulk(action string) string {
	values := f.values()
	values.Set("action", action)
	return address("/tasks/bulk", values)
}

// List is the address of the list.
func (f filter) List() string { return address("/tasks", f.values()) }

// Lines say in words which tasks are meant.
func (f filter) Lines() []pair {
	var lines []pair
	for _, one := range []pair{
		{"Status", words(f.Status)},
		{"Merchant", f.MerchantID},
		{"Kind", f.Kind},
		{"Target", f.Target},
		{"Due from", f.From},
		{"Due before", f.To},
	} {
		if one.Value != "" {
			lines = append(lines, one)
		}
	}
	return lines
}

type pair struct{ Name, Value string }

// bulk is the filter as the API takes it in a body.
func (f filter) bulk(asOf *time.Time) client.BulkFilter {
	made := client.BulkFilter{CreatedBefore: asOf, From: momentOf(f.From), To: momentOf(f.To)}
	for _, one := range []struct {
		to    **string
		value string
	}{{&made.Status, f.Status}, {&made.MerchantID, f.MerchantID}, {&made.Target, f.Target}} {
		if one.value != "" {
			*one.to = &one.value
		}
	}
	if f.Kind != "" {
		kind := billing.Kind(f.Kind)
		made.Kind = &kind
	}
	return made
}

// momentOf reads a time, nil where there is none.
func momentOf(text string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil
	}
	return &t
}

// unreadable names the moments that cannot be read.
func (f filter) unreadable() []string {
	var found []string
	for name, value := range map[string]string{"from": f.From, "to": f.To} {
		if value != "" && momentOf(value) == nil {
			found = append(found, name+" is not a time like 2026-01-31T09:00:00Z")
		}
	}
	slices.Sort(found)
	return found
}

func address(path string, values url.Values) string {
	if len(values) == 0 {
		return path
	}
	return path + "?" + values.Encode()
}
