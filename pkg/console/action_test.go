package console_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"billonce/pkg/billing"
)

// deed is one action, the state that allows it, and what it asks the API for.
type deed struct {
	path, call string
	state      object
	form       url.Values
	body       object
	next       string
}

func deeds() map[string]deed {
	task, merchant := "/tasks/"+taskID, "/merchants/"+merchantID
	why := url.Values{"reason": {"  asked for\r\nby the shop "}}
	reason := object{"reason": "asked for\nby the shop"}
	return map[string]deed{
		"cancel": {task + "/cancel", "POST /v1" + task + "/cancel", sampleTask(), why, reason, task},
		"reschedule": {
			task + "/reschedule", "POST /v1" + task + "/reschedule", sampleTask(),
			url.Values{"reason": {"later"}, "run_at": {"2035-02-01T10:30"}},
			object{"reason": "later", "run_at": "2035-02-01T10:30:00Z"},
			task,
		},
		"retry": {task + "/retry", "POST /v1" + task + "/retry", failedTask(), why, reason, "/tasks/" + nextTaskID},
		"resolve": {
			task + "/resolve", "POST /v1" + task + "/resolve", doubtfulTask(),
			url.Values{"outcome": {"failed"}, "note": {"the bank says so"}},
			object{"outcome": "failed", "note": "the bank says so"},
			task,
		},
		"pause": {merchant + "/pause", "POST /v1" + merchant + "/pause", sampleMerchant(), why, reason, merchant},
		"resume": {
			merchant + "/resume", "POST /v1" + merchant + "/resume", sampleMerchant(object{"status": "paused", "pause_reason": "requested", "pause_detail": "asked for"}),
			why, reason, merchant,
		},
	}
}

// readFrom is the call by which a page learns how what is acted on is.
func (d deed) readFrom() string { return "GET /v1" + d.path[:strings.LastIndexByte(d.path, '/')] }

func (d deed) filled(form url.Values) url.Values {
	whole := url.Values{"updated_at": {updatedAt}}
	maps.Copy(whole, d.form)
	maps.Copy(whole, form)
	return whole
}

// TestActions ask first, then do it once, and say that it is done.
func TestActions(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.api.set(d.readFrom(), d.state)
			v := w.signIn(adminKey)
			object := d.path[:strings.LastIndexByte(d.path, '/')]
			if links := v.get(object).links(); !strings.Contains(strings.Join(links, " ")+" ", d.path+" ") {
				t.Errorf("%s does not lead to it: %v", object, links)
			}
			asked := v.get(d.path)
			asked.says(t, "What will happen", "As it is now")
			if stamp := asked.field("updated_at"); stamp != updatedAt {
				t.Errorf("the form says that it is about %s", stamp)
			}
			if calls := w.api.asked(d.call); len(calls) != 0 {
				t.Fatal("asking has done it")
			}
			got := v.post(d.path, d.filled(nil))
			if target := got.Header.Get("Location"); got.StatusCode != http.StatusSeeOther || target != d.next+"?done="+name {
				t.Errorf("%d, to %s: %s", got.StatusCode, target, got.body)
			}
			calls := w.api.asked(d.call)
			if len(calls) != 1 {
				t.Fatalf("%d calls", len(calls))
			}
			if diff := cmp.Diff(d.body, calls[0].Body); diff != "" {
				t.Error(diff)
			}
			if notes := v.get(object + "?done=" + name).all(func(n *html.Node) bool { return attr(n, "role") == "status" }); len(notes) != 1 {
				t.Error("nothing says that it is done")
			}
		})
	}
}

// TestActionsThatCannotBe are refused in place, with what is so now and with what was typed, and nothing is done.
func TestActionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, d := range deeds() {
		changed := maps.Clone(d.state)
		changed["updated_at"] = "2026-03-01T12:00:00.123457Z"
		ended := sampleTask(object{"status": "succeeded", "first_sent_at": updatedAt, "finished_at": updatedAt})
		if strings.HasPrefix(d.path, "/merchants") {
			ended = sampleMerchant(object{"status": "disconnected"})
		}
		empty := url.Values{"reason": {" "}, "note": {" "}}
		for what, try := range map[string]struct {
			state  object
			form   url.Values
			answer any
			status int
			says   string
		}{
			"changed":    {changed, d.form, nil, 409, "has changed since you opened"},
			"impossible": {ended, d.form, nil, 409, "not possible"},
			"no stamp":   {d.state, url.Values{"updated_at": {""}}, nil, 409, "has changed since"},
			"no reason":  {d.state, empty, nil, 422, ""},
			"conflict":   {d.state, d.form, problem{Status: 409, Code: billing.CodeConflict, Detail: "a worker was quicker"}, 409, "a worker was quicker"},
			"invalid": {
				d.state, d.form, problem{Status: 422, Code: billing.CodeInvalid, Errors: []object{{"pointer": "/reason", "code": "x", "detail": "is odd"}}}, 422, "/reason is odd",
			},
			"forbidden": {d.state, d.form, problem{Status: 403, Code: billing.CodeForbidden}, 403, "key"},
			"gone":      {d.state, d.form, problem{Status: 404, Code: billing.CodeNotFound}, 404, "does not exist"},
			"away":      {d.state, d.form, problem{Status: 503, Code: billing.CodeUnavailable}, 503, "database"},
			"broken":    {d.state, d.form, problem{Status: 500, Code: billing.CodeInternal, Detail: "canary"}, 500, "fault of ours"},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.api.set(d.readFrom(), try.state)
				if try.answer != nil {
					w.api.set(d.call, try.answer)
				}
				v := w.signIn(adminKey)
				got := v.post(d.path, d.filled(try.form))
				if got.StatusCode != try.status || strings.Contains(got.body, "canary") {
					t.Errorf("%d: %s", got.StatusCode, got.body)
				}
				got.says(t, try.says)
				if done := len(w.api.asked(d.call)); (done != 0) != (try.answer != nil) {
					t.Errorf("the API was asked %d times to do it", done)
				}
				if what == "changed" || what == "conflict" || what == "invalid" {
					if alerts := got.all(func(n *html.Node) bool { return attr(n, "role") == "alert" }); len(alerts) != 1 {
						t.Errorf("%d alerts", len(alerts))
					}
					field, want := "reason", d.body["reason"]
					if name == "resolve" {
						field, want = "note", d.body["note"]
					}
					if kept := got.field(field); kept != strings.ReplaceAll(fmt.Sprint(want), "\n", " ") {
						t.Errorf("of what was typed is left %q", kept)
					}
					if stamp := got.field("updated_at"); stamp != try.state["updated_at"] {
						t.Errorf("the form is about %s", stamp)
					}
				}
			})
		}
	}
}

// TestRescheduleNeedsATime that can be read.
func TestRescheduleNeedsATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	d := deeds()["reschedule"]
	for _, at := range []string{"", "tomorrow", "2035-13-01T00:00", "2035-01-01 10:00"} {
		if got := v.post(d.path, d.filled(url.Values{"run_at": {at}})); got.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d", at, got.StatusCode)
		}
	}
	for at, want := range map[string]string{
		"2035-02-01T10:30": "2035-02-01T10:30:00Z", "2035-02-01T10:30:15": "2035-02-01T10:30:15Z", "2035-02-01T10:30:15+02:00": "2035-02-01T10:30:15+02:00", "2035-02-01": "2035-02-01T00:00:00Z",
	} {
		if got := v.post(d.path, d.filled(url.Values{"run_at": {at}})); got.StatusCode != http.StatusSeeOther {
			t.Errorf("%q: %d", at, got.StatusCode)
		}
		calls := w.api.asked(d.call)
		if sent := calls[len(calls)-1].Body["run_at"]; sent != want {
			t.Errorf("%q is sent as %v", at, sent)
		}
	}
}

// TestBulk counts first, wants the number typed, and goes on until all is done.
func TestBulk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	const bulk = "POST /v1/tasks/bulk"
	filters := url.Values{"status": {"pending"}, "kind": {"invoice.pay"}, "merchant_id": {merchantID}, "target": {"in_1"}, "from": {"2035-01-01T00:00:00Z"}, "to": {"2036-01-01T00:00:00Z"}}
	list := v.get("/tasks?" + filters.Encode())
	for _, action := range []string{"cancel", "reschedule", "retry"} {
		if action == "retry" { // a pending task offers none
			filters.Set("status", "failed")
			list = v.get("/tasks?" + filters.Encode())
		}
		query := maps.Clone(filters)
		query.Set("action", action)
		if !strings.Contains(strings.Join(list.links(), " "), "/tasks/bulk?"+query.Encode()) {
			t.Errorf("the list does not lead to %s: %v", action, list.links())
		}
		shown := v.get("/tasks/bulk?" + query.Encode())
		shown.says(t, "Type 4", "What will happen", merchantID)
		calls := w.api.asked(bulk)
		if sent := calls[len(calls)-1].Body; sent["dry_run"] != true || sent["action"] != action {
			t.Errorf("the preview has sent %v", sent)
		}
		form := url.Values{"reason": {"why"}, "confirm": {"4"}, "as_of": {shown.field("as_of")}, "action": {shown.field("action")}, "run_at": {"2035-05-05T05:05"}}
		for name := range filters {
			form.Set(name, shown.field(name))
		}
		w.api.set(bulk, object{"matched": 4, "capped": false, "changed": 4, "refused": 1, "as_of": updatedAt, "more": false})
		got := v.post("/tasks/bulk", form)
		target, err := url.Parse(got.Header.Get("Location"))
		if err != nil || got.StatusCode != http.StatusSeeOther || target.Path != "/tasks" || target.Query().Get("changed") != "4" || target.Query().Get("kind") != "invoice.pay" {
			t.Errorf("%d, to %s: %s", got.StatusCode, target, got.body)
		}
		v.get(target.String()).says(t, "4 tasks were changed. 1 had gone on meanwhile")
		calls = w.api.asked(bulk)
		want := object{"action": action, "reason": "why", "limit": 4.0, "filter": object{
			"status": filters.Get("status"), "kind": "invoice.pay", "merchant_id": merchantID, "target": "in_1", "from": "2035-01-01T00:00:00Z", "to": "2036-01-01T00:00:00Z",
			"created_before": updatedAt,
		}}
		if action == "reschedule" {
			want["run_at"] = "2035-05-05T05:05:00Z"
		}
		if diff := cmp.Diff(want, calls[len(calls)-1].Body); diff != "" {
			t.Error(diff)
		}
	}
}

// TestBulkIsRefused where the number is another, or something is missing, or all tasks would be meant.
func TestBulkIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	whole := url.Values{"action": {"cancel"}, "status": {"pending"}, "reason": {"why"}, "confirm": {"4"}, "as_of": {updatedAt}}
	for name, change := range map[string]url.Values{
		"another number": {"confirm": {"5"}}, "no number": {"confirm": {""}}, "no reason": {"reason": {" "}}, "no count": {"as_of": {""}},
		"all tasks": {"status": {""}}, "a search": {"q": {"x"}}, "an odd time": {"from": {"yesterday"}}, "no action": {"action": {"pay"}},
		"no new time": {"action": {"reschedule"}},
	} {
		form := maps.Clone(whole)
		maps.Copy(form, change)
		if got := v.post("/tasks/bulk", form); got.StatusCode < 400 || got.StatusCode > 422 {
			t.Errorf("%s: %d", name, got.StatusCode)
		} else if kept := got.field("reason"); name == "another number" && kept != "why" {
			t.Errorf("of what was typed is left %q", kept)
		}
	}
	for _, one := range w.api.asked("POST /v1/tasks/bulk") {
		if one.Body["dry_run"] != true {
			t.Errorf("something was changed: %v", one.Body)
		}
	}
	for _, path := range []string{"/tasks/bulk?action=cancel", "/tasks/bulk?action=cancel&q=x", "/tasks/bulk?action=cancel&from=x"} {
		if got := v.get(path); got.StatusCode != http.StatusUnprocessableEntity || got.field("confirm") != "(none)" {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if links := strings.Join(v.get("/tasks").links(), " "); strings.Contains(links, "/tasks/bulk") {
		t.Error("the list of all tasks leads to changing all of them")
	}
	for _, status := range []int{422, 403, 503, 500} {
		w.api.set("POST /v1/tasks/bulk", problem{Status: status, Code: map[int]billing.Code{
			422: billing.CodeInvalid, 403: billing.CodeForbidden, 503: billing.CodeUnavailable, 500: billing.CodeInternal,
		}[status], Detail: "no"})
		for _, got := range []answer{v.get("/tasks/bulk?action=cancel&status=pending"), v.post("/tasks/bulk", whole)} {
			if got.StatusCode != status {
				t.Errorf("%d: %d", status, got.StatusCode)
			}
		}
	}
}
