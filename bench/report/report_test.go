package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"billonce/bench/report"
)

func TestMedianAndSpread(t *testing.T) {
	t.Parallel()
	cases := []struct {
		values           []float64
		median, min, max float64
	}{
		{nil, 0, 0, 0},
		{[]float64{7}, 7, 7, 7},
		{[]float64{9, 1, 5}, 5, 1, 9},
		{[]float64{4, 1, 3, 2}, 2.5, 1, 4},
	}
	for _, c := range cases {
		r := report.Result{Values: c.values}
		if r.Median() != c.median || r.Min() != c.min || r.Max() != c.max {
			t.Errorf("%v: %v, %v–%v; want %v, %v–%v", c.values, r.Median(), r.Min(), r.Max(), c.median, c.min, c.max)
		}
	}
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	t.Parallel()
	values := make([]float64, 100)
	for i := range values {
		values[i] = float64(100 - i)
	}
	for q, want := range map[float64]float64{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := report.Quantile(values, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := report.Quantile(nil, 0.5); got != 0 {
		t.Errorf("the quantile of nothing is %v", got)
	}
}

func key(contender string) report.Key {
	return report.Key{Scenario: "a", Contender: contender, Metric: "rate"}
}

func TestBars(t *testing.T) {
	t.Parallel()
	r := report.New()
	r.Add("a", "billonce", "rate", "tasks/s", 30, 10, 20)
	r.Add("a", "river", "rate", "tasks/s", 10)
	r.Add("a", "zero", "rate", "tasks/s", 0)
	r.Missing("a", "pgboss", "rate", "npm is not installed")
	r.AddBar(
		report.Bar{Name: "equal is enough", Of: key("billonce"), Against: key("river"), Direction: report.AtLeast, Limit: 2},
		report.Bar{Name: "more is asked", Of: key("billonce"), Against: key("river"), Direction: report.AtLeast, Limit: 2.01},
		report.Bar{Name: "absolute", Of: key("billonce"), Direction: report.AtMost, Limit: 20},
		report.Bar{Name: "too much", Of: key("billonce"), Direction: report.AtMost, Limit: 19},
		report.Bar{Name: "missing", Of: key("billonce"), Against: key("pgboss"), Direction: report.AtLeast, Limit: 0},
		report.Bar{Name: "never heard of", Of: key("nobody"), Direction: report.AtMost, Limit: 1},
		report.Bar{Name: "by nothing", Of: key("billonce"), Against: key("zero"), Direction: report.AtLeast, Limit: 0},
	)
	want := []report.State{report.Met, report.Missed, report.Met, report.Missed, report.Unknown, report.Unknown, report.Unknown}
	for i, verdict := range r.Verdicts() {
		if verdict.State != want[i] {
			t.Errorf("%s: %s, want %s", verdict.Name, verdict.State, want[i])
		}
		if (verdict.State == report.Unknown) != (verdict.Why != "") {
			t.Errorf("%s: the reason is %q", verdict.Name, verdict.Why)
		}
	}
	if why := r.Verdicts()[4].Why; !strings.Contains(why, "npm is not installed") {
		t.Errorf("the reason of a missing contender is lost: %q", why)
	}
}

func TestTablesNameWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := report.New()
	r.Head("PostgreSQL", "15.0")
	r.Add("a", "billonce", "rate", "tasks/s", 12345, 12000, 13000)
	r.Add("a", "river", "rate", "tasks/s", 4115)
	r.Missing("a", "pgboss", "rate", "npm is not installed")
	r.Missing("a", "river", "rate", "came too late to say so")
	for name, write := range map[string]func(io.Writer) error{"text": r.Text, "Markdown": r.Markdown} {
		var out strings.Builder
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"12 345", "12 000–13 000", "× 3.00", "npm is not installed", "one run", "15.0"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the %s does not say %q:\n%s", name, want, out.String())
			}
		}
		if strings.Contains(out.String(), "too late") {
			t.Errorf("the %s calls a contender missing that has a value", name)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	r := report.New()
	r.Add("b", "billonce", "rate", "tasks/s", 1)
	r.AddPlot(report.Plot{Name: "backlog", Title: "a < b & c", Series: []report.Series{
		{Name: "billonce", X: []float64{0, 100_000, 2_000_000}, Y: []float64{40_000, 39_000, 38_000}}, {Name: "nobody"},
	}})
	r.AddPlot(report.Plot{Name: "empty"})
	dir := filepath.Join(t.TempDir(), "results")
	if err := r.Write(dir, "full"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "full.json"))
	if err != nil || !json.Valid(content) {
		t.Errorf("full.json is no JSON (%v): %s", err, content)
	}
	for _, name := range []string{"backlog.svg", "empty.svg"} {
		file, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := wellFormed(file); err != nil {
			t.Errorf("%s is not well-formed: %v", name, err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func wellFormed(r io.Reader) error {
	decoder := xml.NewDecoder(r)
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestSVGKeepsPointsInsideAndNoNumberIsNaN(t *testing.T) {
	t.Parallel()
	svg := report.Plot{Series: []report.Series{{Name: "x", X: []float64{0, 3}, Y: []float64{0, 0}}}}.SVG()
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("a number is none:\n%s", svg)
	}
}
