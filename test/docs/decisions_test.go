package docs

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

var (
	decided = regexp.MustCompile(`(?m)^## (\d+)\. (.*)$`)
	listed  = regexp.MustCompile(`(?m)^\| (\d+) \| \[(.*)\]\(([^)]*)\) \| ([a-z]+) \|$`)
)

// TestDecisionsKeepTheirNumbers: each number from 1 on is one decision, in the file of its theme, and a line of decisions.md. Code names
// them by their numbers.
func TestDecisionsKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	titles, themes := map[string]string{}, map[string]string{}
	files, err := fs.Glob(tree, "docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range decided.FindAllStringSubmatch(string(content), -1) {
			if titles[match[1]] != "" {
				t.Errorf("there are two decisions %s", match[1])
			}
			titles[match[1]] = match[2]
			themes[match[1]] = strings.TrimSuffix(strings.TrimPrefix(name, "docs/decisions/"), ".md")
		}
	}
	content, err := fs.ReadFile(tree, "docs/decisions.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := listed.FindAllStringSubmatch(string(content), -1)
	if len(lines) != len(titles) || len(lines) < 60 {
		t.Errorf("%d decisions are listed, %d are there", len(lines), len(titles))
	}
	for i, line := range lines {
		number := fmt.Sprint(i + 1)
		want := fmt.Sprintf("decisions/%s.md#%s", themes[number], anchor(number+". "+titles[number]))
		if line[1] != number || line[2] != titles[number] || line[3] != want || line[4] != themes[number] {
			t.Errorf("line %d of the list is %q; want decision %s, %s, %s", i+1, line[0], number, titles[number], want)
		}
	}
}
