package docs

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var block = regexp.MustCompile("(?m)^ *```([a-z]*)$")

// sessions are the pages whose bash blocks pkg/app runs, in TestTheSessions.
var sessions = []string{"README.md", "docs/guide.md", "docs/operations.md", "docs/runbook.md"}

// TestCommandsAreRun: what a page shows as bash is run by a test, and what cannot be run here is marked sh: its calls of billctl and
// docker-compose are held against the program and the compose file all the same.
func TestCommandsAreRun(t *testing.T) {
	t.Parallel()
	run := map[string]bool{}
	for name := range pages(t) {
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		for i, match := range block.FindAllStringSubmatch(string(content), -1) {
			switch language := match[1]; {
			case i%2 == 1: // the end of a block
			case language == "bash":
				run[name] = true
				if !slices.Contains(sessions, name) {
					t.Errorf("%s has a block of bash that no test runs: add the page to pkg/app/docs_test.go, or mark the block sh", name)
				}
			case !slices.Contains([]string{"", "sh", "ts", "go", "sql", "json", "yaml", "mermaid"}, language):
				t.Errorf("%s has a block of %s, which no test knows", name, language)
			}
		}
	}
	for _, name := range sessions {
		if !run[name] {
			t.Errorf("%s has no block that is run", name)
		}
	}
}

var (
	composeCall    = regexp.MustCompile(`docker-compose ([^\n` + "`" + `]*)`)
	composeService = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*):$`)
)

// TestComposeCallsNameServices: the services, files and scales in every call of docker-compose that a page shows.
func TestComposeCallsNameServices(t *testing.T) {
	t.Parallel()
	file, err := fs.ReadFile(tree, "docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, match := range composeService.FindAllStringSubmatch(string(file), -1) {
		services = append(services, match[1])
	}
	for _, want := range []string{"api", "worker", "billctl", "keys", "rotate"} {
		if !slices.Contains(services, want) {
			t.Fatalf("the compose file has no %s, or is not understood: %v", want, services)
		}
	}
	for name := range pages(t) {
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range composeCall.FindAllStringSubmatch(string(content), -1) {
			words := strings.Fields(match[1])
			for i, word := range words {
				switch {
				case word == "-f":
					if _, err := fs.Stat(tree, words[i+1]); err != nil {
						t.Errorf("%s: %s: %v", name, match[0], err)
					}
				case word == "--scale":
					service, _, _ := strings.Cut(words[i+1], "=")
					if !slices.Contains(services, service) {
						t.Errorf("%s: %s: there is no service %s", name, match[0], service)
					}
				case word == "--rm":
					if !slices.Contains(services, words[i+1]) {
						t.Errorf("%s: %s: there is no service %s", name, match[0], words[i+1])
					}
				}
			}
		}
	}
}
