package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sources are the package's files, without tests, by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = string(text)
	}
	if len(found) < 10 {
		t.Fatalf("only %d files found", len(found))
	}
	return found
}
