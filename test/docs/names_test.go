package docs

import (
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// code is what the pages show as such within sentences, and where.
func code(t *testing.T) map[string][]string {
	t.Helper()
	spans := map[string][]string{}
	for name, one := range pages(t) {
		for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(one.prose, -1) {
			spans[name] = append(spans[name], strings.Join(strings.Fields(match[1]), " ")) // a line of prose may end within it
		}
	}
	return spans
}

// sources is the text of everything that is built, run or deployed, in one.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name != "." && (base[0] == '.' || slices.Contains([]string{"node_modules", "bin", "docs", "test", "results"}, base)) {
				return fs.SkipDir
			}
			return nil
		case strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "pkg/app/rotate"): // which make rotation runs
			return nil
		case base != "Makefile" && !slices.Contains([]string{".go", ".yml", ".yaml", ".sh", ".sql"}, path.Ext(name)):
			return nil
		}
		content, err := fs.ReadFile(tree, name)
		all.Write(append(content, '\n'))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// elsewhere are names that a page has from somebody else, or makes up.
var elsewhere = []string{
	"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", // read by OpenTelemetry's library
	"OLD_ID",            // of a key, in a command
	"permission denied", // PostgreSQL's words
}

// TestPagesNameWhatThereIs: variables of the environment, targets of make, metrics, and what the programs say.
func TestPagesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	all := sources(t)
	targets, err := fs.ReadFile(tree, "Makefile")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := fs.ReadFile(tree, "docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for page, spans := range code(t) {
		for _, span := range spans {
			for _, one := range namesIn(span) {
				names++
				there := strings.Contains(all, one.name)
				switch one.what {
				case "target":
					there = regexp.MustCompile(`(?m)^` + one.name + `:`).Match(targets)
				case "metric":
					there = there || strings.Contains(string(metrics), "| `"+one.name+"` |") // its name is put together
				}
				if !there && !slices.Contains(elsewhere, one.name) {
					t.Errorf("%s: there is no %s %q", page, one.what, one.name)
				}
			}
		}
	}
	if names < 300 {
		t.Errorf("only %d names are found", names)
	}
}

type name struct{ what, name string }

var (
	variable = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)
	target   = regexp.MustCompile(`(?:^|; |&& )make ([a-z-]+)`)
	series   = regexp.MustCompile(`\bbillonce_[a-z_]+[a-z]\b`)
	sentence = regexp.MustCompile(`^"?([A-Z]?[a-z]+(?: [A-Z]?[a-z]+)+)"?$`)
	command  = regexp.MustCompile(`^(?:make|bin/billctl|billctl|docker-compose|GET|POST|PATCH|DELETE) `)
)

// namesIn finds what a piece of code names.
func namesIn(span string) (found []name) {
	for _, match := range variable.FindAllString(span, -1) {
		found = append(found, name{"variable", match})
	}
	for _, match := range target.FindAllStringSubmatch(span, -1) {
		found = append(found, name{"target", match[1]})
	}
	for _, match := range series.FindAllString(span, -1) {
		found = append(found, name{"metric", match})
	}
	if match := sentence.FindStringSubmatch(span); match != nil && !command.MatchString(span) {
		found = append(found, name{"message", match[1]})
	}
	return found
}

// TestTheRunbookQuotesTheProgramsWords: what stands in quotes there is searched for in a log at 3 a.m. A letter stands for an id.
func TestTheRunbookQuotesTheProgramsWords(t *testing.T) {
	t.Parallel()
	all := strings.ToLower(sources(t)) // a sentence may begin with them
	quotes := 0
	calls := regexp.MustCompile("`[^`]*billctl [^`]*`") // whose arguments are a person's words
	prose := calls.ReplaceAllString(pages(t)["docs/runbook.md"].prose, "")
	for _, match := range regexp.MustCompile("\"([^\"`]{12,})\"").FindAllStringSubmatch(prose, -1) {
		for _, part := range regexp.MustCompile(`…|\b[A-Z]\b`).Split(strings.Join(strings.Fields(match[1]), " "), -1) {
			if part = strings.TrimSpace(part); part != "" {
				quotes++
				if !strings.Contains(all, strings.ToLower(part)) {
					t.Errorf("no program says %q", part)
				}
			}
		}
	}
	if quotes < 8 {
		t.Errorf("only %d quotes are found", quotes)
	}
}

// TestTheRunbookLooksAtPanelsThatThereAre: each title that its alerts name is one of the dashboard's.
func TestTheRunbookLooksAtPanelsThatThereAre(t *testing.T) {
	t.Parallel()
	content, err := fs.ReadFile(tree, "deploy/grafana/billonce.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Panels []struct{ Title string } }
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, panel := range dashboard.Panels {
		titles = append(titles, panel.Title)
	}
	_, alerts, _ := strings.Cut(pages(t)["docs/runbook.md"].prose, "\n## Alerts\n")
	looks := regexp.MustCompile(`(?:^|[^*])\*([A-Z][^*]+)\*(?:[^*]|$)`).FindAllStringSubmatch(alerts, -1)
	for _, look := range looks {
		if title := strings.Join(strings.Fields(look[1]), " "); !slices.Contains(titles, title) {
			t.Errorf("the dashboard has no panel %q", title)
		}
	}
	if len(looks) < 10 {
		t.Errorf("only %d panels are named", len(looks))
	}
}
