package stripesim

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormsNestAsStripesDo(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		encoded string
		want    any
	}{
		"plain":              {"a=1&b=x+y%26z", map[string]any{"a": "1", "b": "x y&z"}},
		"object":             {"a[b]=1&a[c][d]=2", map[string]any{"a": map[string]any{"b": "1", "c": map[string]any{"d": "2"}}}},
		"list by brackets":   {"a[]=1&a[]=2", map[string]any{"a": []any{"1", "2"}}},
		"list by index":      {"a[1]=y&a[0]=x&a[10]=z", map[string]any{"a": []any{"x", "y", "z"}}},
		"objects by index":   {"a[0][b]=1&a[0][c]=2&a[1][b]=3", map[string]any{"a": []any{map[string]any{"b": "1", "c": "2"}, map[string]any{"b": "3"}}}},
		"objects by bracket": {"a[][b]=1&a[][c]=2&a[][b]=3", map[string]any{"a": []any{map[string]any{"b": "1", "c": "2"}, map[string]any{"b": "3"}}}},
		"deep":               {"a[b][0][c]=1", map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": "1"}}}}},
		"encoded brackets":   {"a%5Bb%5D=1", map[string]any{"a": map[string]any{"b": "1"}}},
		"last one wins":      {"a=1&a=2", map[string]any{"a": "2"}},
		"empty value":        {"a=&b", map[string]any{"a": "", "b": ""}},
		"stray separators":   {"&&a=1&", map[string]any{"a": "1"}},
		"nothing":            {"", map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pairs, err := parsePairs(one.encoded)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := buildForm(pairs)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(one.want, parsed.tree()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMalformedFormsAreRefused(t *testing.T) {
	t.Parallel()
	for _, encoded := range []string{
		"a=1&a[b]=2", "a[b]=2&a=1", "a[b=1", "a]b=1", "[a]=1", "a[b]c=1", "a[b[c]]=1", "=1", "a=%zz", "%zz=1",
		"a" + strings.Repeat("[b]", maxDepth) + "=1", strings.Repeat("a=1&", maxPairs+1),
	} {
		pairs, err := parsePairs(encoded)
		if err == nil {
			_, err = buildForm(pairs)
		}
		if err == nil {
			t.Errorf("%.40q is accepted", encoded)
		}
	}
}

// Whatever the bytes, the parser neither panics nor invents: each value of the tree was sent, and what the tree says is
// read the same when it is encoded again.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=1&b[c]=2", "a[b][0][c]=1&a[b][1][c]=2", "a[][b]=1&a[][b]=2", "a[]=1&a[0]=3", "a[b=1", "%5B=%5D", "a[][][]=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		pairs, err := parsePairs(encoded)
		if err != nil {
			return
		}
		parsed, err := buildForm(pairs)
		if err != nil {
			return
		}
		sent := make(map[string]bool)
		for _, p := range pairs {
			sent[p.value] = true
		}
		again := make([]pair, 0, len(pairs))
		var walk func(name string, node *form)
		walk = func(name string, node *form) {
			if node.leaf {
				if !sent[node.text] {
					t.Fatalf("%q was never sent", node.text)
				}
				again = append(again, pair{name, node.text})
				return
			}
			for _, key := range node.keys {
				walk(name+"["+key+"]", node.kids[key])
			}
		}
		for _, key := range parsed.keys {
			walk(key, parsed.kids[key])
		}
		query := make([]string, 0, len(again))
		for _, p := range again {
			query = append(query, url.QueryEscape(p.name)+"="+url.QueryEscape(p.value))
		}
		reread, err := parsePairs(strings.Join(query, "&"))
		if err != nil {
			t.Fatal(err)
		}
		second, err := buildForm(reread)
		if err != nil {
			t.Fatal(err)
		}
		first, errFirst := json.Marshal(parsed.tree())
		last, errLast := json.Marshal(second.tree())
		if errFirst != nil || errLast != nil || string(first) != string(last) {
			t.Fatalf("%s is read again as %s", first, last)
		}
	})
}
