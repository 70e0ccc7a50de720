package rules_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// step is the time between two samples, and between two evaluations.
const step = 30 * time.Second

// past is the series of a made-up past, which begins at the epoch.
type past struct {
	t      *testing.T
	series map[string]*promql.Series
	engine *promql.Engine
}

// newPast takes series as promtool writes them: `metric{label="value"} 0+1x20 _x3 stale`.
func newPast(t *testing.T, lines ...string) *past {
	t.Helper()
	p := &past{t: t, series: map[string]*promql.Series{}, engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})}
	t.Cleanup(func() { _ = p.engine.Close() })
	for _, line := range lines {
		name, values, err := language.ParseSeriesDesc(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for i, value := range values {
			if !value.Omitted {
				p.add(name, time.Duration(i)*step, value.Value)
			}
		}
	}
	return p
}

// add appends one sample.
func (p *past) add(name labels.Labels, at time.Duration, value float64) {
	key := name.String()
	if p.series[key] == nil {
		p.series[key] = &promql.Series{Metric: name}
	}
	p.series[key].Floats = append(p.series[key].Floats, promql.FPoint{T: at.Milliseconds(), F: value})
}

// query evaluates an expression at a moment of the past.
func (p *past) query(text string, at time.Duration) promql.Vector {
	p.t.Helper()
	query, err := p.engine.NewInstantQuery(p.t.Context(), p, nil, text, time.UnixMilli(at.Milliseconds()))
	if err != nil {
		p.t.Fatalf("%s: %v", text, err)
	}
	defer query.Close()
	result := query.Exec(p.t.Context())
	if result.Err != nil {
		p.t.Fatalf("%s at %v: %v", text, at, result.Err)
	}
	switch value := result.Value.(type) {
	case promql.Vector:
		return append(promql.Vector(nil), value...)
	case promql.Scalar:
		return promql.Vector{{T: value.T, F: value.V}}
	}
	p.t.Fatalf("%s is a %s", text, result.Value.Type())
	return nil
}

// Querier implements [storage.Queryable].
func (p *past) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		found := &found{}
		for _, one := range p.series {
			if fits(one.Metric, matchers) {
				found.series = append(found.series, promql.NewStorageSeries(*one))
			}
		}
		return found
	}}, nil
}

func fits(name labels.Labels, matchers []*labels.Matcher) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(name.Get(matcher.Name)) {
			return false
		}
	}
	return true
}

// found is a [storage.SeriesSet].
type found struct {
	series []storage.Series
	at     storage.Series
}

func (f *found) Next() bool {
	if len(f.series) == 0 {
		return false
	}
	f.at, f.series = f.series[0], f.series[1:]
	return true
}

func (f *found) At() storage.Series                { return f.at }
func (f *found) Err() error                        { return nil }
func (f *found) Warnings() annotations.Annotations { return nil }

// language is PromQL without experiments, as a Prometheus that is not told otherwise speaks it.
var language = parser.NewParser(parser.Options{})

// TestThePastIsEvaluated: what all other tests here rest on.
func TestThePastIsEvaluated(t *testing.T) {
	t.Parallel()
	p := newPast(t, `a_total{x="1"} 0+30x20`, `a_total{x="2"} 0+60x20`, `gone 1x4 stale`)
	for text, want := range map[string]float64{
		`sum(rate(a_total[5m]))`: 3, `count(a_total)`: 2, `time()`: 600, `count(gone offset 9m)`: 1, `a_total{x="2"}`: 1200,
	} {
		if got := p.query(text, 10*time.Minute); len(got) != 1 || got[0].F != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	if got := p.query(`gone`, 10*time.Minute); len(got) != 0 {
		t.Errorf("what is gone is %v", got)
	}
}
