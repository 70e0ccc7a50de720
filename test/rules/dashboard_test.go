package rules_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// dashboard is as much of Grafana's model as matters here.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Datasource             struct{ Type, UID string }
		}
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct {
		Expr, RefID, LegendFormat string
		Datasource                struct{ Type, UID string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	content, err := os.ReadFile("../../deploy/grafana/billonce.json")
	if err != nil {
		t.Fatal(err)
	}
	var read dashboard
	if err := json.Unmarshal(content, &read); err != nil {
		t.Fatal(err)
	}
	if read.UID == "" || read.Title == "" || read.SchemaVersion == 0 || len(read.Panels) < 20 {
		t.Fatalf("the dashboard is %q, %q, schema %d, with %d panels", read.UID, read.Title, read.SchemaVersion, len(read.Panels))
	}
	return read
}

// variables are what Grafana puts in place of its own before it asks Prometheus.
var variables = strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "6h", "$job", ".*")

// TestTheDashboardAsksForWhatThereIs: each query is PromQL, over metrics and labels that exist.
func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	all := known(t)
	for _, one := range readDashboard(t).Panels {
		for _, target := range one.Targets {
			if strings.Contains(target.Expr, "merchant") {
				t.Errorf("%s asks for merchants: %s", one.Title, target.Expr)
			}
			asked := variables.Replace(target.Expr)
			if strings.Contains(asked, "$") {
				t.Errorf("%s names a variable that the test does not know: %s", one.Title, target.Expr)
				continue
			}
			all.check(t, one.Title, asked)
			for _, used := range regexp.MustCompile(`\{\{([a-z_]+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, used[1]) && used[1] != "instance" && used[1] != "job" {
					t.Errorf("%s: the legend names %s, which the query does not keep", one.Title, used[1])
				}
			}
			if n := strings.Count(target.Expr, "billonce_") + strings.Count(target.Expr, "go_") + strings.Count(target.Expr, "process_"); strings.Count(target.Expr, `job=~"$job"`) != n {
				t.Errorf("%s does not keep to the job that was chosen: %s", one.Title, target.Expr)
			}
		}
	}
}

// TestEachPanelSaysWhatItShows: a title, a description, a unit, a place of its own, and the data source that was chosen.
func TestEachPanelSaysWhatItShows(t *testing.T) {
	t.Parallel()
	read := readDashboard(t)
	taken, titles, ids := map[string]string{}, map[string]bool{}, map[int]bool{}
	for _, one := range read.Panels {
		if titles[one.Title] || one.Title == "" || ids[one.ID] {
			t.Errorf("panel %d %q is not the only one of its name and number", one.ID, one.Title)
		}
		titles[one.Title], ids[one.ID] = true, true
		for x := one.GridPos.X; x < one.GridPos.X+one.GridPos.W; x++ {
			for y := one.GridPos.Y; y < one.GridPos.Y+one.GridPos.H; y++ {
				place := fmt.Sprint(x, y)
				if taken[place] != "" || x > 23 {
					t.Fatalf("%q lies over %q, or beyond the edge", one.Title, taken[place])
				}
				taken[place] = one.Title
			}
		}
		if one.Type == "row" {
			continue
		}
		if one.Description == "" || one.FieldConfig.Defaults.Unit == "" || len(one.Targets) == 0 {
			t.Errorf("%q has no description, unit or query", one.Title)
		}
		for _, target := range one.Targets {
			if target.Datasource.UID != "${datasource}" || one.Datasource.UID != "${datasource}" || target.RefID == "" {
				t.Errorf("%q asks another data source than the one that was chosen", one.Title)
			}
		}
	}
	var names []string
	for _, variable := range read.Templating.List {
		names = append(names, variable.Name+" "+variable.Type)
	}
	if got := strings.Join(names, ", "); got != "datasource datasource, job query" {
		t.Errorf("the variables are %s", got)
	}
}
