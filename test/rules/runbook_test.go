package rules_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheRunbookHasEachAlert, and no other; and each entry says what to see, what to do and whom to wake.
func TestTheRunbookHasEachAlert(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	byName := alertsOf(t)
	entries := regexp.MustCompile(`(?m)^### (Billonce\w*)\n`).Split(string(content), -1)
	names := regexp.MustCompile(`(?m)^### (Billonce\w*)\n`).FindAllStringSubmatch(string(content), -1)
	written := map[string]bool{}
	for i, match := range names {
		name, entry := match[1], entries[i+1]
		entry, _, _ = strings.Cut(entry, "\n## ")
		if _, ok := byName[name]; !ok {
			t.Errorf("the runbook has an entry for %s, which is no alert", name)
		}
		if written[name] {
			t.Errorf("the runbook has two entries for %s", name)
		}
		written[name] = true
		for _, part := range []string{"- **See:**", "- **Do:**", "- **Wake somebody"} {
			if strings.Count(entry, part) != 1 {
				t.Errorf("the entry for %s has %d times %q", name, strings.Count(entry, part), part)
			}
		}
	}
	for name := range byName {
		if !written[name] {
			t.Errorf("the runbook has no entry for %s", name)
		}
	}
}
