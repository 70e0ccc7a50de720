package rules_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"

	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	programtest.Remove()
	os.Exit(code)
}

// fleet is what a Prometheus finds: the real programs, two of each, beside a database and a simulator.
type fleet struct {
	t       *testing.T
	c, sim  *programtest.Client
	targets []target
	at      time.Duration // of the last scrape
	objects int
}

type target struct {
	job     string
	process *programtest.Process
}

const (
	adminKey = "bo_admin_0123456789abcdef"
	account  = "acct_watched"
)

type object = map[string]any

func newFleet(t *testing.T) *fleet {
	t.Helper()
	db := storetest.Open(t)
	sim := programtest.SpawnPlain(t, "stripesim", map[string]string{"STRIPESIM_ADDR": "127.0.0.1:0"})
	f := &fleet{t: t, sim: &programtest.Client{T: t, Base: "http://" + sim.Attr("listening", "addr"), Simulator: true}}
	env := map[string]string{
		"DATABASE_URL": db.URL, "ADMIN_API_KEY": adminKey, "API_ADDR": "127.0.0.1:0", "OPS_ADDR": "127.0.0.1:0",
		"STRIPE_API_URL": f.sim.Base, "STRIPE_SECRET_KEY": "sk_test_platform", "MERCHANT_RATE": "0", "MERCHANT_CONCURRENCY": "0",
		"WORKER_POLL_INTERVAL": "100ms", "RETRY_BASE": "50ms", "RETRY_MAX": "500ms",
		"ENCRYPTION_KEY": "7f4a1c9be2d3560817a5c4f2e9b0d36a8c5e1f7094b2d8a6c3e5f01927b4d86e",
	}
	for _, name := range []string{"api", "worker", "api", "worker"} {
		process := programtest.SpawnPlain(t, name, storetest.EnvironOf(t, name, env))
		f.targets = append(f.targets, target{"billonce-" + name, process})
	}
	f.c = &programtest.Client{T: t, Base: "http://" + f.targets[0].process.Attr("api listening", "address"), Key: adminKey}
	f.targets[1].process.Line(`"msg":"worker registered"`)
	return f
}

// work has everything that the dashboard counts happen once more: a task that succeeds, one that is declined, one that is tried again, one
// in doubt, and requests that are refused.
func (f *fleet) work(merchant string) {
	f.t.Helper()
	for _, one := range []struct{ customer, fault, status string }{
		{"cus_ok", "", "succeeded"}, {"cus_declined", "", "failed"}, {"cus_ok", "edge_before", "succeeded"}, {"cus_ok", "error_kept", "in_doubt"},
	} {
		f.objects++
		name := fmt.Sprintf("in_watched_%03d", f.objects)
		f.sim.Must(200, "POST", "/_sim/fixtures", object{"account": account, "livemode": false, "objects": []any{
			object{"object": "invoice", "id": name, "status": "open", "customer": one.customer, "amount": 2000},
		}})
		if one.fault != "" {
			f.sim.Must(200, "POST", "/_sim/faults", object{"faults": []any{object{"kind": one.fault, "op": "invoice.pay"}}})
		}
		task := f.c.Must(201, "POST", "/v1/tasks", object{"merchant_id": merchant, "kind": "invoice.pay", "target": name})
		id, _ := task["id"].(string)
		f.c.Await(id, one.status)
	}
	stranger := &programtest.Client{T: f.t, Base: f.c.Base, Key: "bo_live_unknown"}
	stranger.Must(401, "GET", "/v1/tasks", nil)
}

// scrape reads every target with Prometheus's own parser, as the next of the past's moments.
func (f *fleet) scrape(p *past) {
	f.t.Helper()
	f.at += step
	for _, from := range f.targets {
		instance := from.process.Attr("ops listening", "addr")
		p.add(labels.FromStrings(model.MetricNameLabel, "up", "job", from.job, "instance", instance), f.at, 1)
		content, kind := f.read("http://" + instance + "/metrics")
		seen := map[string]bool{}
		for name, value := range parsed(f.t, content, kind) {
			named := labels.NewBuilder(name).Set("job", from.job).Set("instance", instance).Labels()
			if seen[named.String()] {
				f.t.Errorf("%v is there twice", named)
			}
			seen[named.String()] = true
			p.add(named, f.at, value)
		}
		if len(seen) < 50 {
			f.t.Errorf("%s shows %d series", from.job, len(seen))
		}
	}
}

func (f *fleet) read(address string) (content []byte, kind string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	// As Prometheus asks.
	request.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1")
	response, err := (&http.Client{Timeout: programtest.Patience}).Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if content, err = io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d, %v", address, response.StatusCode, err)
	}
	return content, response.Header.Get("Content-Type")
}

// parsed yields the series of an answer and their values.
func parsed(t *testing.T, content []byte, kind string) func(func(labels.Labels, float64) bool) {
	t.Helper()
	reader, err := textparse.New(content, kind, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(labels.Labels, float64) bool) {
		for {
			entry, err := reader.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if entry != textparse.EntrySeries {
				continue
			}
			var name labels.Labels
			reader.Labels(&name)
			if _, _, value := reader.Series(); !yield(name, value) {
				return
			}
		}
	}
}

// tells says whether a query's answer tells something: there is a number in it.
func tells(answer promql.Vector) bool {
	return slices.ContainsFunc(answer, func(s promql.Sample) bool { return !math.IsNaN(s.F) })
}

// TestTheProgramsAnswerWhatIsAsked: every panel of the dashboard has something to show of real programs that have worked, whichever job is
// chosen in it; every rule is evaluated on what they show; what is recorded is there; and no alert calls for programs that are well.
func TestTheProgramsAnswerWhatIsAsked(t *testing.T) {
	t.Parallel()
	f, p := newFleet(t), newPast(t)
	made := f.c.Must(201, "POST", "/v1/merchants", object{"name": "Watched", "stripe_connect_id": account, "access_token": "sk_test_" + account})
	merchant, _ := made["id"].(string)
	for range 3 {
		f.work(merchant)
		f.scrape(p)
	}
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			if !tells(p.query(variables.Replace(target.Expr), f.at)) {
				t.Errorf("%s: nothing is shown for %s", panel.Title, target.Expr)
			}
		}
	}
	for _, rule := range rulesOf(t) {
		found := p.query(rule.Expr, f.at)
		switch {
		case rule.Record == "":
			// Doubts and failures there were, and on purpose.
			if len(found) > 0 && !slices.Contains([]string{"BillonceTasksInDoubt", "BillonceTasksFailFast", "BillonceTasksFailSlowly"}, rule.Alert) {
				t.Errorf("%s calls: %v", rule.Alert, found)
			}
		case !tells(found):
			t.Errorf("%s records nothing", rule.Record)
		default:
			for _, sample := range found {
				p.add(labels.NewBuilder(sample.Metric).Set(model.MetricNameLabel, rule.Record).Labels(), f.at, sample.F)
			}
		}
	}
}
