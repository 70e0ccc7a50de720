// Package report keeps what a benchmark measured, judges it against the bars, and prints it.
//
// It promises that a number is never shown without its spread (the least and the most of the repeats), that a contender
// which could not run is named with the reason, and that a bar whose numbers are missing is unknown, never met.
//
// It measures nothing and knows no scenario.
package report

import (
	"fmt"
	"slices"
	"sync"
)

// Result is one metric of one contender in one scenario, once for each repeat.
type Result struct {
	Scenario  string    `json:"scenario"`
	Contender string    `json:"contender"`
	Metric    string    `json:"metric"`
	Unit      string    `json:"unit"`
	Values    []float64 `json:"values"`
	Note      string    `json:"note,omitempty"`
	// Missing says why there are no values.
	Missing string `json:"missing,omitempty"`
}

// Key names a result.
type Key struct {
	Scenario  string `json:"scenario"`
	Contender string `json:"contender"`
	Metric    string `json:"metric"`
}

// String is how bars name a result.
func (k Key) String() string { return k.Scenario + "/" + k.Contender + "/" + k.Metric }

// Key returns the result's name.
func (r Result) Key() Key { return Key{r.Scenario, r.Contender, r.Metric} }

// Median is the middle value, or the mean of the two in the middle; 0 without values.
func (r Result) Median() float64 { return median(r.Values) }

// Min is the least value, 0 without any.
func (r Result) Min() float64 {
	if len(r.Values) == 0 {
		return 0
	}
	return slices.Min(r.Values)
}

// Max is the greatest value, 0 without any.
func (r Result) Max() float64 {
	if len(r.Values) == 0 {
		return 0
	}
	return slices.Max(r.Values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Quantile returns the value below which the share q of the values lies (nearest rank); 0 without values. It sorts values.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	rank := int(q*float64(len(values))+0.999999) - 1
	return values[min(max(rank, 0), len(values)-1)]
}

// Info is a line of the header.
type Info struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Series is one line of a plot.
type Series struct {
	Name string    `json:"name"`
	X    []float64 `json:"x"`
	Y    []float64 `json:"y"`
}

// Plot is a picture.
type Plot struct {
	Name   string   `json:"name"` // of its file
	Title  string   `json:"title"`
	XLabel string   `json:"x_label"`
	YLabel string   `json:"y_label"`
	Series []Series `json:"series"`
}

// Report collects results. It may be used by several goroutines.
type Report struct {
	mu      sync.Mutex
	header  []Info
	titles  map[string]string
	results []Result
	bars    []Bar
	plots   []Plot
}

// New returns an empty report.
func New() *Report { return &Report{titles: map[string]string{}} }

// Head adds a line to the header: a version, a setting, a condition of the run.
func (r *Report) Head(name, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.header = append(r.header, Info{name, fmt.Sprintf(format, args...)})
}

// Title names a scenario in the tables.
func (r *Report) Title(scenario, title string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.titles[scenario] = title
}

// Add adds values to the result with their key, which it makes if there is none. A value makes an earlier Missing void.
func (r *Report) Add(scenario, contender, metric, unit string, values ...float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.at(Key{scenario, contender, metric})
	one.Unit = unit
	one.Values = append(one.Values, values...)
	if len(one.Values) > 0 {
		one.Missing = ""
	}
}

// Note says something about a result.
func (r *Report) Note(scenario, contender, metric, note string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at(Key{scenario, contender, metric}).Note = note
}

// Missing records that a contender could not be measured, unless it has been.
func (r *Report) Missing(scenario, contender, metric, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.at(Key{scenario, contender, metric}); len(one.Values) == 0 {
		one.Missing = reason
	}
}

// AddBar adds a bar.
func (r *Report) AddBar(bars ...Bar) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bars = append(r.bars, bars...)
}

// AddPlot adds a plot, in place of an earlier one of the name.
func (r *Report) AddPlot(plot Plot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plots = slices.DeleteFunc(r.plots, func(p Plot) bool { return p.Name == plot.Name })
	r.plots = append(r.plots, plot)
}

// Find returns a result.
func (r *Report) Find(key Key) (Result, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(key)
}

func (r *Report) find(key Key) (Result, bool) {
	for _, one := range r.results {
		if one.Key() == key {
			return one, true
		}
	}
	return Result{}, false
}

// at returns the result with the key for changes under the lock.
func (r *Report) at(key Key) *Result {
	for i := range r.results {
		if r.results[i].Key() == key {
			return &r.results[i]
		}
	}
	r.results = append(r.results, Result{Scenario: key.Scenario, Contender: key.Contender, Metric: key.Metric})
	return &r.results[len(r.results)-1]
}
