package importrules

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// skipped are directories without source of the product: hidden ones, what is built, test data, and bench, which is a
// module of its own.
var skipped = []string{"bench", "bin", "testdata", "tmp", "vendor", "node_modules"}

// source is what the rules need to know of one file.
type source struct {
	path    string
	dir     string
	test    bool
	lines   int
	imports []string
}

// Check returns a sentence for each violation in the tree. The error says that the tree cannot be read or a file cannot be
// parsed.
func Check(tree fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			base := path.Base(name)
			if name != "." && (strings.HasPrefix(base, ".") || slices.Contains(skipped, base)) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".go":
			return nil
		}
		file, err := read(tree, name)
		if err != nil {
			return err
		}
		found = append(found, violations(file)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the source tree: %w", err)
	}
	return found, nil
}

func read(tree fs.FS, name string) (source, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return source{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return source{}, fmt.Errorf("parse %s: %w", name, err)
	}
	file := source{
		path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(text, []byte("\n")),
	}
	if bytes.HasPrefix(text, []byte("// Code generated ")) {
		file.lines = 0 // nobody reads it as one
	}
	for _, spec := range parsed.Imports {
		pkg, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, fmt.Errorf("parse %s: import %s: %w", name, spec.Path.Value, err)
		}
		file.imports = append(file.imports, pkg)
	}
	return file, nil
}

func violations(file source) []string {
	var found []string
	report := func(format string, args ...any) {
		found = append(found, file.path+": "+fmt.Sprintf(format, args...))
	}
	rule, known := roomOf(file.dir)
	if !known {
		report("the directory has no rule in internal/importrules/rules.go")
	}
	if !file.test && file.lines > maxLines {
		report("%d lines, at most %d", file.lines, maxLines)
	}
	forTests := file.test || isHelper(file.dir)
	for _, pkg := range file.imports {
		if technology, allowed := atHome(file, forTests, pkg); !allowed {
			report("imports %s: %s is not used here", pkg, strings.TrimSuffix(technology, "/"))
			continue
		}
		if forTests {
			continue
		}
		switch {
		case pkg == "testing" || strings.HasPrefix(pkg, "testing/") || isHelper(pkg):
			report("imports %s: for tests only", pkg)
		case known && covers(rule.never, pkg), known && !within(rule.dir, pkg) && !covers(rule.may, pkg):
			report("imports %s: not for %s", pkg, rule.dir)
		}
	}
	return found
}

// within reports whether the package lies in the same room.
func within(dir, pkg string) bool { return strings.HasPrefix(pkg+"/", module+"/"+dir+"/") }

// atHome reports whether a file may use the technology that a package belongs to; most packages belong to none.
func atHome(file source, forTests bool, pkg string) (technology string, allowed bool) {
	for _, h := range homes {
		if !covers([]string{h.technology}, pkg) {
			continue
		}
		if slices.ContainsFunc(h.dirs, func(dir string) bool { return inDir(file.dir, dir) }) {
			return h.technology, true
		}
		here := h.testsOf == nil || slices.ContainsFunc(h.testsOf, func(dir string) bool { return inDir(file.dir, dir) })
		return h.technology, forTests && here
	}
	return "", true
}

func inDir(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }
