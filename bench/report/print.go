package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// base is the contender to which the table relates the others.
const base = "billonce"

type table struct {
	title string
	head  []string
	rows  [][]string
}

// tables are the results scenario by scenario, then the bars.
func (r *Report) tables() []table {
	verdicts := r.Verdicts()
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []table
	for _, scenario := range r.scenarios() {
		title := scenario
		if name := r.titles[scenario]; name != "" {
			title += ": " + name
		}
		one := table{title: title, head: []string{"metric", "contender", "median", "min–max", "unit", "billonce is", "note"}}
		for _, metric := range r.metrics(scenario) {
			for _, result := range r.results {
				if result.Scenario == scenario && result.Metric == metric {
					one.rows = append(one.rows, r.row(result))
				}
			}
		}
		list = append(list, one)
	}
	if len(verdicts) > 0 {
		bars := table{title: "The bar", head: []string{"bar", "asked", "measured", "state", "of", "against"}}
		for _, v := range verdicts {
			measured := format(v.Value)
			if v.State == Unknown {
				measured = v.Why
			}
			bars.rows = append(bars.rows, []string{
				v.Name, string(v.Direction) + " " + format(v.Limit), measured, string(v.State), v.Of, v.Against,
			})
		}
		list = append(list, bars)
	}
	return list
}

func (r *Report) row(result Result) []string {
	if len(result.Values) == 0 {
		return []string{result.Metric, result.Contender, "missing", "", "", "", result.Missing}
	}
	relation := ""
	own, found := r.find(Key{result.Scenario, base, result.Metric})
	if found && result.Contender != base && len(own.Values) > 0 && result.Median() != 0 {
		relation = "× " + format(own.Median()/result.Median())
	}
	spread := format(result.Min()) + "–" + format(result.Max())
	if len(result.Values) == 1 {
		spread = "one run"
	}
	return []string{result.Metric, result.Contender, format(result.Median()), spread, result.Unit, relation, result.Note}
}

// scenarios are the scenarios with results, in the order of their names.
func (r *Report) scenarios() []string {
	var names []string
	for _, result := range r.results {
		names = append(names, result.Scenario)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// metrics are a scenario's metrics, in the order in which they came.
func (r *Report) metrics(scenario string) []string {
	var names []string
	for _, result := range r.results {
		if result.Scenario == scenario && !slices.Contains(names, result.Metric) {
			names = append(names, result.Metric)
		}
	}
	return names
}

// Text writes the report for a terminal.
func (r *Report) Text(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range r.headers() {
		_, _ = fmt.Fprintf(out, "%s\t%s\n", line.Name, line.Value)
	}
	for _, one := range r.tables() {
		_, _ = fmt.Fprintf(out, "\n%s\n%s\n", one.title, strings.Repeat("─", utf8.RuneCountInString(one.title)))
		for _, row := range append([][]string{one.head}, one.rows...) {
			_, _ = fmt.Fprintln(out, strings.TrimRight(strings.Join(row, "\t"), "\t"))
		}
		if err := out.Flush(); err != nil { // each table has its own widths
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Markdown writes the report for docs.
func (r *Report) Markdown(w io.Writer) error {
	var out strings.Builder
	out.WriteString("| | |\n|---|---|\n")
	for _, line := range r.headers() {
		markdownRow(&out, []string{line.Name, line.Value})
	}
	for _, one := range r.tables() {
		fmt.Fprintf(&out, "\n### %s\n\n", one.title)
		markdownRow(&out, one.head)
		out.WriteString(strings.Repeat("|---", len(one.head)) + "|\n")
		for _, row := range one.rows {
			markdownRow(&out, row)
		}
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func markdownRow(out *strings.Builder, cells []string) {
	for _, cell := range cells {
		out.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	out.WriteString("|\n")
}

func (r *Report) headers() []Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.header)
}

// document is the JSON of a report.
type document struct {
	Header  []Info    `json:"header"`
	Results []Result  `json:"results"`
	Bars    []Verdict `json:"bars"`
	Plots   []Plot    `json:"plots"`
}

// Write puts NAME.json, NAME.md and an SVG for each plot into a folder.
func (r *Report) Write(folder, name string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // to be read by everybody
		return fmt.Errorf("write the results: %w", err)
	}
	doc := document{Header: r.headers(), Bars: r.Verdicts()}
	r.mu.Lock()
	doc.Results, doc.Plots = slices.Clone(r.results), slices.Clone(r.plots)
	r.mu.Unlock()
	encoded, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	var markdown strings.Builder
	if err := r.Markdown(&markdown); err != nil {
		return err
	}
	files := map[string][]byte{name + ".json": append(encoded, '\n'), name + ".md": []byte(markdown.String())}
	for _, plot := range doc.Plots {
		files[plot.Name+".svg"] = []byte(plot.SVG())
	}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}
