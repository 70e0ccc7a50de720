package rules_test

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
)

const rulesFile = "../../deploy/prometheus/rules.yml"

// rulesOf reads the rules with Prometheus's own parser and returns them in their order.
func rulesOf(t *testing.T) (list []rulefmt.Rule) {
	t.Helper()
	read, faults := rulefmt.ParseFile(rulesFile, false, model.UTF8Validation, language, slog.New(slog.DiscardHandler))
	for _, fault := range faults {
		t.Error(fault)
	}
	if len(faults) > 0 {
		t.FailNow()
	}
	for _, group := range read.Groups {
		list = append(list, group.Rules...)
	}
	return list
}

// alertsOf returns the rules that call somebody, by name.
func alertsOf(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	byName := map[string]rulefmt.Rule{}
	for _, rule := range rulesOf(t) {
		if rule.Alert == "" {
			continue
		}
		if _, twice := byName[rule.Alert]; twice {
			t.Errorf("%s is there twice", rule.Alert)
		}
		byName[rule.Alert] = rule
	}
	return byName
}

// firing is an alert at a moment at which it calls.
type firing struct {
	at     time.Duration
	labels map[string]string
	value  float64
}

// firings evaluates what is recorded and one alert as Prometheus does, in the order of the file, step by step, and returns each moment
// at which the alert fires: when its expression has held for as long as the rule says.
func (p *past) firings(rules []rulefmt.Rule, name string, until time.Duration) (list []firing) {
	p.t.Helper()
	since := map[string]time.Duration{}
	for at := time.Duration(0); at <= until; at += step {
		for _, rule := range rules {
			switch rule.Alert {
			case "":
				for _, sample := range p.query(rule.Expr, at) {
					p.add(labels.NewBuilder(sample.Metric).Set(model.MetricNameLabel, rule.Record).Labels(), at, sample.F)
				}
			case name:
				held := map[string]time.Duration{}
				for _, sample := range p.query(rule.Expr, at) {
					called := labels.NewBuilder(sample.Metric).Del(model.MetricNameLabel).Labels()
					began, already := since[called.String()]
					if !already {
						began = at
					}
					held[called.String()] = began
					if at-began >= time.Duration(rule.For) {
						list = append(list, firing{at, called.Map(), sample.F})
					}
				}
				since = held
			}
		}
	}
	return list
}

// TestEachAlertFiresWhenItShould, and not when it should not: there is a past of each sort for each alert.
func TestEachAlertFiresWhenItShould(t *testing.T) {
	t.Parallel()
	rules, byName := rulesOf(t), alertsOf(t)
	shown := map[string]map[bool]bool{}
	for _, one := range cases {
		rule, ok := byName[one.alert]
		if !ok {
			t.Errorf("there is no alert %s", one.alert)
			continue
		}
		if shown[one.alert] == nil {
			shown[one.alert] = map[bool]bool{}
		}
		shown[one.alert][one.silent] = true
		t.Run(one.alert+"/"+one.name, func(t *testing.T) {
			t.Parallel()
			found := newPast(t, one.series...).firings(rules, one.alert, one.at)
			if !one.silent {
				if len(found) == 0 || found[len(found)-1].at != one.at {
					t.Fatalf("it does not fire at %v, but so: %v", one.at, found)
				}
				checkWords(t, rule, found[len(found)-1])
				return
			}
			for _, call := range found {
				if call.at >= one.since {
					t.Fatalf("it fires at %v: %v %v", call.at, call.labels, call.value)
				}
			}
		})
	}
	for name := range byName {
		if !shown[name][false] || !shown[name][true] {
			t.Errorf("%s needs a past in which it fires and one in which it is silent", name)
		}
	}
}

var mentioned = regexp.MustCompile(`\$labels\.([a-zA-Z_]+)`)

// checkWords expands what an alert says, with the labels and the value that it has when it fires.
func checkWords(t *testing.T, rule rulefmt.Rule, call firing) {
	t.Helper()
	data := template.AlertTemplateData(call.labels, nil, "", promql.Sample{F: call.value})
	for name, text := range rule.Annotations {
		for _, label := range mentioned.FindAllStringSubmatch(text, -1) {
			if call.labels[label[1]] == "" {
				t.Errorf("%s of %s names the label %s, which the alert does not have: %v", name, rule.Alert, label[1], call.labels)
			}
		}
		said, err := template.NewTemplateExpander(t.Context(),
			"{{$labels := .Labels}}{{$value := .Value}}"+text, rule.Alert, data, model.Time(call.at.Milliseconds()), nil, nil, nil).Expand()
		if err != nil || said == "" || strings.Contains(said, "<no value>") || strings.Contains(said, "{{") {
			t.Errorf("%s of %s says %q, %v", name, rule.Alert, said, err)
		}
	}
}

// TestEachAlertSaysWhatItIs: how urgent, what, and where to read on.
func TestEachAlertSaysWhatItIs(t *testing.T) {
	t.Parallel()
	byName := alertsOf(t)
	if len(byName) < 20 {
		t.Fatalf("%d alerts are found", len(byName))
	}
	for name, rule := range byName {
		if !strings.HasPrefix(name, "Billonce") {
			t.Errorf("%s does not say whose it is", name)
		}
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: the severity is %q", name, severity)
		}
		for _, want := range []string{"summary", "description", "runbook_url"} {
			if rule.Annotations[want] == "" {
				t.Errorf("%s has no %s", name, want)
			}
		}
		if len(rule.Annotations) != 3 {
			t.Errorf("%s has %d annotations", name, len(rule.Annotations))
		}
		if got, want := rule.Annotations["runbook_url"], "docs/runbook.md#"+strings.ToLower(name); got != want {
			t.Errorf("%s leads to %s, not to %s", name, got, want)
		}
	}
}
