package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tree is the root of the checkout.
var tree = os.DirFS("../..")

// page is a Markdown file.
type page struct {
	path  string
	prose string   // without blocks of code
	marks []string // the anchors that its headings make
}

// pages reads every Markdown file of the tree but what is installed or built.
func pages(t *testing.T) map[string]page {
	t.Helper()
	found := map[string]page{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if base := path.Base(name); name != "." && (base[0] == '.' || slices.Contains([]string{"node_modules", "bin", "tmp"}, base)) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".md":
			return nil
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		found[name] = newPage(name, string(content))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("%d pages are found", len(found))
	}
	return found
}

var (
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	comment = regexp.MustCompile(`(?s)<!--.*?-->`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *$`)
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	notWord = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

func newPage(name, content string) page {
	one := page{path: name, prose: comment.ReplaceAllString(fenced.ReplaceAllString(content, ""), "")}
	for _, match := range heading.FindAllStringSubmatch(one.prose, -1) {
		mark := anchor(match[1])
		for n := 1; slices.Contains(one.marks, mark); n++ { // the second of its name
			mark = fmt.Sprintf("%s-%d", anchor(match[1]), n)
		}
		one.marks = append(one.marks, mark)
	}
	return one
}

// anchor is what GitHub and its kin make of a heading.
func anchor(text string) string {
	text = linked.ReplaceAllString(text, "$1")
	return strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
}
