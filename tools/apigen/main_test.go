package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"billonce/internal/openapi"
)

// TestWhatIsMadeIsUpToDate: the files in the tree are what the description makes now.
func TestWhatIsMadeIsUpToDate(t *testing.T) {
	t.Parallel()
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "pkg/httpapi/openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(document)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the description makes now: run make generate", name)
		}
	}
}
