package rules_test

import (
	"database/sql"
	"database/sql/driver"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// metric is what is known of one.
type metric struct {
	kind   string // counter, gauge, histogram; "" where it is not ours
	shared bool   // of the database: every process reports the same
	labels []string
}

// catalogue is everything that may be asked for.
type catalogue struct {
	metrics map[string]metric
	text    string // the pages that have the values of labels
}

const metricsFile = "../../docs/metrics.md"

// valued are the pages that name the values of labels: our own, those of the API, and the faults of tokens.
var valued = []string{metricsFile, "../../pkg/httpapi/openapi.yaml", "../../docs/runbook.md"}

var metricRow = regexp.MustCompile("(?m)^\\| `(billonce_[a-z_]+)` \\| ([a-z]+) \\| ([^|]*)\\| [^|]*\\| ([^|]*)\\|$")

// known reads docs/metrics.md, which a test of pkg/telemetry holds against what the programs serve, and adds what client_golang's
// collectors and Prometheus itself bring.
func known(t *testing.T) catalogue {
	t.Helper()
	all := catalogue{metrics: map[string]metric{"up": {kind: "gauge"}}}
	for _, name := range valued {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.text += string(content)
	}
	for _, row := range metricRow.FindAllStringSubmatch(all.text, -1) {
		all.metrics[row[1]] = metric{kind: row[2], shared: strings.Contains(row[4], "*of the database*"), labels: labelNames(row[3])}
	}
	if len(all.metrics) < 30 {
		t.Fatalf("%d metrics are found in %s", len(all.metrics), metricsFile)
	}
	descs := make(chan *prometheus.Desc, 1000)
	idle := sql.OpenDB(noServer{})
	defer func() { _ = idle.Close() }()
	for _, collector := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewDBStatsCollector(idle, "billonce"),
	} {
		collector.Describe(descs)
	}
	close(descs)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for desc := range descs {
		one := metric{}
		if strings.Contains(desc.String(), "db_name") {
			one.labels = []string{"db_name"}
		}
		all.metrics[name.FindStringSubmatch(desc.String())[1]] = one
	}
	for _, rule := range rulesOf(t) {
		if rule.Record != "" {
			all.metrics[rule.Record] = metric{labels: groupings(t, rule.Expr)}
		}
	}
	return all
}

// labelNames reads a cell as "`kind`, `status`".
func labelNames(cell string) (names []string) {
	for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cell, -1) {
		names = append(names, name[1])
	}
	return names
}

// groupings are the labels that an expression leaves to its result.
func groupings(t *testing.T, text string) (names []string) {
	t.Helper()
	inspect(t, text, func(node parser.Node) {
		if aggregate, ok := node.(*parser.AggregateExpr); ok {
			names = append(names, aggregate.Grouping...)
		}
	})
	return slices.DeleteFunc(names, func(name string) bool { return name == "le" })
}

func inspect(t *testing.T, text string, look func(parser.Node)) {
	t.Helper()
	expr, err := language.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if node != nil {
			look(node)
		}
		return nil
	})
}

// check holds an expression against what there is.
func (all catalogue) check(t *testing.T, where, text string) {
	t.Helper()
	inspect(t, text, func(node parser.Node) {
		switch node := node.(type) {
		case *parser.VectorSelector:
			all.checkSelector(t, where, node)
		case *parser.AggregateExpr:
			all.checkAggregate(t, where, node)
		case *parser.Call:
			if slices.Contains([]string{"rate", "increase", "irate"}, node.Func.Name) {
				for _, one := range selectors(node) {
					if kind := all.of(one.Name).kind; kind == "gauge" {
						t.Errorf("%s: %s of %s, which is a gauge", where, node.Func.Name, one.Name)
					}
				}
			}
		}
	})
}

func selectors(node parser.Node) (list []*parser.VectorSelector) {
	parser.Inspect(node, func(node parser.Node, _ []parser.Node) error {
		if one, ok := node.(*parser.VectorSelector); ok {
			list = append(list, one)
		}
		return nil
	})
	return list
}

// of finds a metric by the name of one of its series.
func (all catalogue) of(name string) metric {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, ok := strings.CutSuffix(name, suffix)
		if one := all.metrics[base]; ok && one.kind == "histogram" {
			if suffix == "_bucket" {
				one.labels = append(slices.Clone(one.labels), "le")
			}
			return one
		}
	}
	return all.metrics[name]
}

// everywhere are the labels that a scrape adds.
var everywhere = []string{"job", "instance"}

func (all catalogue) has(name string) bool {
	one, plain := all.metrics[name]
	if plain {
		return one.kind != "histogram"
	}
	return all.of(name).kind != ""
}

func (all catalogue) checkSelector(t *testing.T, where string, one *parser.VectorSelector) {
	t.Helper()
	if !all.has(one.Name) {
		t.Errorf("%s: there is no metric %s", where, one.Name)
		return
	}
	may := append(slices.Clone(everywhere), all.of(one.Name).labels...)
	for _, matcher := range one.LabelMatchers {
		if matcher.Name == model.MetricNameLabel {
			continue
		}
		if !slices.Contains(may, matcher.Name) {
			t.Errorf("%s: %s has no label %s", where, one.Name, matcher.Name)
		}
		if slices.Contains([]string{"job", "route", "code", "db_name"}, matcher.Name) {
			continue
		}
		for _, value := range strings.Split(matcher.Value, "|") {
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(value) + `\b`).MatchString(all.text) {
				t.Errorf("%s: %s=%q is in none of %v", where, matcher.Name, value, valued)
			}
		}
	}
}

func (all catalogue) checkAggregate(t *testing.T, where string, aggregate *parser.AggregateExpr) {
	t.Helper()
	may := slices.Clone(everywhere)
	for _, one := range selectors(aggregate.Expr) {
		may = append(may, all.of(one.Name).labels...)
	}
	for _, name := range aggregate.Grouping {
		if !slices.Contains(may, name) {
			t.Errorf("%s: nothing under it has the label %s", where, name)
		}
	}
	if one, bare := aggregate.Expr.(*parser.VectorSelector); bare && aggregate.Op == parser.SUM && all.of(one.Name).shared {
		t.Errorf("%s: the sum of %s, which every process reports alike", where, one.Name)
	}
}

// TestRulesNameWhatThereIs: metrics, labels and values of labels.
func TestRulesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	all := known(t)
	for _, rule := range rulesOf(t) {
		all.check(t, rule.Record+rule.Alert, rule.Expr)
	}
}

// TestWhatIsRecordedIsUsed, by an alert.
func TestWhatIsRecordedIsUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	var recorded []string
	for _, rule := range rulesOf(t) {
		if rule.Record != "" {
			recorded = append(recorded, rule.Record)
		}
		inspect(t, rule.Expr, func(node parser.Node) {
			if one, ok := node.(*parser.VectorSelector); ok {
				used[one.Name] = true
			}
		})
	}
	for _, name := range recorded {
		if !used[name] {
			t.Errorf("%s is recorded for nothing", name)
		}
	}
}

// noServer is a database that is never asked.
type noServer struct{ driver.Connector }
