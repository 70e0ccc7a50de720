package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var paramName = regexp.MustCompile(`^[A-Za-z0-9_]+(\[[A-Za-z0-9_.:-]+\])*$`)

// readParams makes a document out of lines like Stripe's own forms: amount:=500, metadata[order]=7, items[0][price]=price_1. What
// follows "=" is a string, what follows ":=" is JSON. into may hold members already; a line that contradicts them is a fault.
func readParams(into map[string]any, lines []string) error {
	for _, line := range lines {
		name, text, found := strings.Cut(line, "=")
		if !found {
			return fmt.Errorf("--param %s must look like name=text or name:=JSON", nameOnly(line))
		}
		var value any = text
		if trimmed, isJSON := strings.CutSuffix(name, ":"); isJSON {
			name = trimmed
			decoder := json.NewDecoder(strings.NewReader(text))
			decoder.UseNumber()
			if err := decoder.Decode(&value); err != nil || decoder.More() {
				return fmt.Errorf("--param %s: what follows := is not JSON", nameOnly(name))
			}
		}
		if !paramName.MatchString(name) {
			return fmt.Errorf("--param %s is no name like metadata[order] or items[0][price]", nameOnly(name))
		}
		path := strings.Split(strings.ReplaceAll(name, "]", ""), "[")
		if err := set(into, path, value); err != nil {
			return fmt.Errorf("--param %s: %w", name, err)
		}
	}
	return nil
}

// nameOnly shows what stands before a value, which may be a customer's.
func nameOnly(line string) string {
	name, _, _ := strings.Cut(line, "=")
	return plain(strings.TrimSuffix(name, ":"))
}

// set puts a value at its path below an object.
func set(object map[string]any, path []string, value any) error {
	name := path[0]
	if len(path) == 1 {
		if _, twice := object[name]; twice {
			return fmt.Errorf("%s is given twice", name)
		}
		object[name] = value
		return nil
	}
	if _, err := strconv.Atoi(path[1]); err == nil {
		list, ok := object[name].([]any)
		if !ok && object[name] != nil {
			return fmt.Errorf("%s is a list and something else", name)
		}
		grown, err := setItem(list, path[1:], value)
		object[name] = grown
		return err
	}
	inner, ok := object[name].(map[string]any)
	if !ok {
		if object[name] != nil {
			return fmt.Errorf("%s is an object and something else", name)
		}
		inner = map[string]any{}
		object[name] = inner
	}
	return set(inner, path[1:], value)
}

// setItem puts a value at its path below a list, whose items come in their order.
func setItem(list []any, path []string, value any) ([]any, error) {
	index, err := strconv.Atoi(path[0])
	if err != nil || index < 0 || index > len(list) {
		return list, fmt.Errorf("the items of a list are [0], [1] and so on, in this order; %d come before [%s]", len(list), path[0])
	}
	if len(path) == 1 {
		if index < len(list) {
			return list, fmt.Errorf("[%d] is given twice", index)
		}
		return append(list, value), nil
	}
	if index == len(list) {
		list = append(list, map[string]any{})
	}
	inner, ok := list[index].(map[string]any)
	if !ok {
		return list, fmt.Errorf("[%d] is an object and something else", index)
	}
	return list, set(inner, path[1:], value)
}
