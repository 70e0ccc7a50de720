package docs

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// TestLinksLeadSomewhere: each relative link of each page to a file or folder that is there, and each anchor to a heading.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := pages(t)
	links := 0
	for name, one := range all {
		for _, match := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(one.prose, ""), -1) {
			links++
			if fault := follow(all, name, match[1]); fault != "" {
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links are found", links)
	}
}

// TestEveryPictureIsShown by a page, or it would go stale unseen.
func TestEveryPictureIsShown(t *testing.T) {
	t.Parallel()
	pictures, err := fs.Glob(tree, "docs/images/*")
	if err != nil || len(pictures) < 3 {
		t.Fatalf("%v, %v", pictures, err)
	}
	all := pages(t)
	for _, picture := range pictures {
		shown := false
		for name, one := range all {
			for _, match := range link.FindAllStringSubmatch(one.prose, -1) {
				shown = shown || path.Join(path.Dir(name), match[1]) == picture
			}
		}
		if !shown {
			t.Errorf("no page shows %s", picture)
		}
	}
}

// follow says what is wrong with a link, or nothing.
func follow(all map[string]page, from, to string) string {
	address, err := url.Parse(to)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no link", to)
	case address.Scheme == "https" || address.Scheme == "mailto":
		return "" // elsewhere
	case address.Scheme != "" || path.IsAbs(address.Path):
		return fmt.Sprintf("%s is neither in the tree nor https", to)
	}
	target := from
	if address.Path != "" {
		target = path.Join(path.Dir(from), address.Path)
	}
	if _, err := fs.Stat(tree, target); err != nil {
		return to + " is not there"
	}
	if address.Fragment != "" && !slices.Contains(all[target].marks, address.Fragment) {
		return to + ": there is no such heading"
	}
	return ""
}

// TestFollow: a checker that finds nothing proves nothing.
func TestFollow(t *testing.T) {
	t.Parallel()
	all := map[string]page{"docs/runbook.md": newPage("docs/runbook.md", "# Run\n\n## Run\n\n## A task waits (`waiting_since`)\n\n```sh\n# not a heading\n```\n")}
	for to, want := range map[string]string{
		"runbook.md":                               "",
		"../go.mod":                                "",
		"../pkg":                                   "",
		"#a-task-waits-waiting_since":              "",
		"runbook.md#run":                           "",
		"runbook.md#run-1":                         "",
		"runbook.md#run-2":                         "no such heading",
		"https://docs.stripe.com/declines":         "",
		"nowhere.md":                               "is not there",
		"runbook.md#not-a-heading":                 "no such heading",
		"../go.mod#x":                              "no such heading",
		"http://example.com":                       "neither",
		"/etc/passwd":                              "neither",
		"file:///etc/passwd":                       "neither",
		"../../outside.md":                         "is not there",
		"runbook.md#A-task-waits-waiting_since":    "no such heading",
		"runbook.md#a-task-waits-waiting_since-1%": "is no link",
	} {
		if got := follow(all, "docs/runbook.md", to); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", to, got, want)
		}
	}
}
