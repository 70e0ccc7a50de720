package app_test

import (
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"billonce/internal/programtest"
)

// family is a metric as docs/metrics.md and /metrics both show it.
type family struct {
	kind   string // counter, gauge or histogram
	labels string // sorted, by comma
}

// documented reads the table of docs/metrics.md, by program.
func documented(t *testing.T) map[string]map[string]family {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]family{"api": {}, "worker": {}}
	for _, row := range regexp.MustCompile("(?m)^\\| `(billonce_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\| ([a-z, ]+) \\| .+ \\|$").FindAllStringSubmatch(string(text), -1) {
		labels := regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[3], -1)
		var names []string
		for _, label := range labels {
			names = append(names, label[1])
		}
		slices.Sort(names)
		for _, program := range strings.Split(row[4], ", ") {
			if found[program] == nil {
				t.Fatalf("%s is of %q", row[1], program)
			}
			if _, twice := found[program][row[1]]; twice {
				t.Errorf("%s is documented twice", row[1])
			}
			found[program][row[1]] = family{row[2], strings.Join(names, ",")}
		}
	}
	return found
}

// exposed reads what a program shows at present.
func exposed(t *testing.T, program *programtest.Process) map[string]family {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+program.Attr("ops listening", "addr")+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]family{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[1] == "TYPE" && strings.HasPrefix(fields[2], "billonce_") {
			found[fields[2]] = family{kind: fields[3]}
			continue
		}
		name, rest, _ := strings.Cut(line, "{")
		labels, _, hasLabels := strings.Cut(rest, "}")
		if !hasLabels || strings.HasPrefix(line, "#") {
			continue
		}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && found[base].kind == "histogram" {
				name = base
			}
		}
		if known, ok := found[name]; ok {
			names := map[string]bool{}
			for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(labels, -1) {
				names[label[1]] = true
			}
			delete(names, "le")
			known.labels = strings.Join(slices.Sorted(maps.Keys(names)), ",")
			found[name] = known
		}
	}
	return found
}

// TestTheMetricsAreThoseOfTheDocument: each that the real programs show, after everything that is counted has happened once, stands in
// docs/metrics.md with its type and its labels, and each that stands there is shown.
func TestTheMetricsAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	api, c := s.api()
	worker := s.worker()
	merchant := c.merchant()
	s.simulator().Must(200, "POST", "/_sim/fixtures", map[string]any{"account": account, "livemode": false, "objects": []any{
		map[string]any{"object": "invoice", "id": "in_declined", "status": "open", "customer": "cus_declined", "amount": 2000},
	}})
	run := func(target, fault, status string) {
		t.Helper()
		if fault != "" {
			s.simulator().Must(200, "POST", "/_sim/faults", map[string]any{"faults": []any{map[string]any{"kind": fault, "op": "invoice.pay"}}})
		}
		c.Await(idOf(c.Must(201, "POST", "/v1/tasks", map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": target})), status)
	}
	s.seed("in_fine", "in_again", "in_doubt")
	run("in_fine", "", "succeeded")
	run("in_declined", "", "failed")
	run("in_again", "edge_before", "succeeded")
	run("in_doubt", "error_kept", "in_doubt")

	want := documented(t)
	for _, program := range []*programtest.Process{api, worker} {
		got := map[string]family{}
		eventually(t, program.Name+" shows all that is documented", func() bool {
			got = exposed(t, program)
			for name := range want[program.Name] {
				if _, ok := got[name]; !ok {
					return false
				}
			}
			return true
		})
		for name, shown := range got {
			if known, ok := want[program.Name][name]; !ok || known != shown {
				t.Errorf("%s shows %s as %+v, docs/metrics.md has %+v", program.Name, name, shown, known)
			}
		}
	}
}

// TestNoMerchantIsALabel: nothing that grows with the number of merchants, tasks or objects is a label's value.
func TestNoMerchantIsALabel(t *testing.T) {
	t.Parallel()
	for program, families := range documented(t) {
		if len(families) < 15 {
			t.Errorf("%s has %d metrics in the document", program, len(families))
		}
		for name, one := range families {
			for _, label := range []string{"merchant", "task_id", "target", "account", "request"} {
				if strings.Contains(one.labels, label) {
					t.Errorf("%s has a label %s", name, one.labels)
				}
			}
		}
	}
}
