// Command apigen makes from pkg/httpapi/openapi.yaml what is made from it: the page for people at /docs, and the types and calls of
// the Go client in pkg/client. Run it at the root of the tree, by make generate. A test says when what is there is not what would be
// made. With -lint it makes nothing, and says which rules the description breaks.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"billonce/internal/openapi"
)

func main() {
	lint := flag.Bool("lint", false, "only say which rules the description breaks")
	flag.Parse()
	if err := run(".", *lint); err != nil {
		fmt.Fprintln(os.Stderr, "apigen:", err)
		os.Exit(1)
	}
}

func run(root string, lint bool) error {
	text, err := os.ReadFile(filepath.Join(root, "pkg/httpapi/openapi.yaml")) //nolint:gosec // the root is the caller's
	if err != nil {
		return fmt.Errorf("read the description: %w", err)
	}
	document, err := openapi.Parse(text)
	if err != nil {
		return err
	}
	if complaints := document.Lint(); len(complaints) > 0 {
		return fmt.Errorf("pkg/httpapi/openapi.yaml\n  %s", strings.Join(complaints, "\n  "))
	}
	if lint {
		return nil
	}
	files, err := generate(document)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o644); err != nil { //nolint:gosec // source that everybody may read
			return fmt.Errorf("write what was made: %w", err)
		}
	}
	return nil
}

// generate returns the files that are made from the description, by their paths in the tree.
func generate(document *openapi.Document) (map[string][]byte, error) {
	page, err := writeDocs(document)
	if err != nil {
		return nil, err
	}
	types, err := writeTypes(document)
	if err != nil {
		return nil, err
	}
	calls, err := writeCalls(document)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"pkg/httpapi/docs.html": page, "pkg/client/types_gen.go": types, "pkg/client/calls_gen.go": calls,
	}, nil
}
