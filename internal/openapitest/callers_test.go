package openapitest_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unjudged are the tests that make HTTP calls past this package, and why they may.
var unjudged = map[string]string{
	"cmd/billctl/dev/follow_test.go":    "pages for people",
	"cmd/billctl/doctor/doctor_test.go": "servers that are not the api",
	"pkg/app/console_test.go":           "pages for people",
	"pkg/app/metrics_test.go":           "the operators' listener",
	"pkg/app/rotate_test.go":            "metrics, on the operators' listener",
	"pkg/console/show_test.go":          "pages for people",
	"pkg/telemetry/telemetry_test.go":   "the operators' listener",
	"test/browser/speed_test.go":        "pages for people",
	"test/leaks/console_test.go":        "pages for people",
	"test/leaks/mirror_test.go":         "it stands in for Stripe",
	"test/rules/live_test.go":           "metrics, on the operators' listener",
}

var calls = regexp.MustCompile(`http\.(Client\{|DefaultClient|Get\(|Post\(|PostForm\(|Head\()|\.Client\(\)\.`)

// TestEveryCallerIsJudged: a test that speaks HTTP does it through Transport or Proxy, but for the simulator's, the gateway's and the few
// that are named above.
func TestEveryCallerIsJudged(t *testing.T) {
	t.Parallel()
	tree := os.DirFS("../..")
	seen := 0
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			hidden := name != "." && strings.HasPrefix(path.Base(name), ".")
			others := []string{"bench", "bin", "clients", "tools", "node_modules", "pkg/stripesim", "cmd/stripesim", "pkg/gateway", "pkg/client"}
			if hidden || slices.Contains(others, name) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "internal/programtest/") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil || !calls.Match(text) {
			return err
		}
		seen++
		if _, allowed := unjudged[name]; !allowed && !strings.Contains(string(text), "openapitest.Transport") {
			t.Errorf("%s calls past openapitest", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 5 {
		t.Errorf("only %d callers were found", seen)
	}
}
