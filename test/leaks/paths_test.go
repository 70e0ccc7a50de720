package leaks_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"billonce/internal/kindtest"
	"billonce/pkg/billing"
	"billonce/pkg/vault"
)

// connect connects merchants who are served in every way, and one whose token does not open.
func (w *world) connect() {
	w.t.Helper()
	for _, m := range []struct {
		name, token string
		live        bool
	}{
		{"main", "access token", false},
		{"live", "live access token", true},
		{"restricted", "restricted token", false},
		{"refused", "refused token", false},
		{"platform", "", false},
		{"forbidden", "", false},
		{"unreadable", "sealed elsewhere", false},
	} {
		body := object{"name": "Shop", "stripe_connect_id": "acct_leak_" + m.name, "livemode": m.live}
		if m.token != "" {
			body["access_token"], body["refresh_token"] = w.c.text(m.token), w.c.text("refresh token")
			if m.name != "refused" {
				w.simulator.Must(200, "POST", "/_sim/accounts", object{"token": w.c.text(m.token), "account": body["stripe_connect_id"], "livemode": m.live})
			}
		}
		w.merchants[m.name] = idOf(w.api.want(201, "POST", "/v1/merchants", body))
	}
	w.api.want(200, "PATCH", "/v1/merchants/"+w.merchants["main"], object{"name": w.c.text("merchant's name")})

	other, err := vault.GenerateKey()
	if err != nil {
		w.t.Fatal(err)
	}
	sealer, err := vault.New(other)
	if err != nil {
		w.t.Fatal(err)
	}
	sealed, err := sealer.Encrypt(w.c.text("sealed elsewhere"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.db.SQL.MustExec(`UPDATE merchants SET access_token = $2 WHERE id = $1`, w.merchants["unreadable"], sealed)
}

// task schedules one and notes its id under what it is for.
func (w *world) task(what, merchant string, kind billing.Kind, fields object, headers ...string) {
	w.t.Helper()
	body := object{"merchant_id": w.merchants[merchant], "kind": kind, "max_attempts": 2}
	maps.Copy(body, fields)
	w.tasks[what] = idOf(w.api.want(201, "POST", "/v1/tasks", body, headers...))
}

// settled waits for tasks and returns their statuses.
func (w *world) settled(tasks ...string) map[string]string {
	w.t.Helper()
	status := map[string]string{}
	for _, what := range tasks {
		w.eventually(what+" is settled", func() bool {
			task := w.api.want(200, "GET", "/v1/tasks/"+w.tasks[what], nil)
			status[what], _ = task["status"].(string)
			return status[what] == "succeeded" || status[what] == "failed" || status[what] == "in_doubt"
		})
		w.api.want(200, "GET", "/v1/tasks/"+w.tasks[what]+"/attempts", nil)
	}
	return status
}

// laden is what a careless caller puts into a task.
func (w *world) laden() object {
	return object{
		"params": object{
			"customer": "cus_ok", "amount": 100, "currency": "usd", "description": w.c.of(inParams),
			"metadata": object{"person": w.c.text(inParams + ": person")},
		},
		"metadata": object{"about": w.c.of(inMetadata)}, "intent": w.c.text("intent"),
	}
}

// succeed carries out each kind, and some in other ways.
func (w *world) succeed() {
	w.t.Helper()
	fixtures := kindtest.Fixtures()
	for _, behavior := range behaviors {
		fixtures = append(fixtures, object{"object": "invoice", "id": target(behavior), "status": "open", "customer": "cus_ok", "amount": 2000})
	}
	for _, account := range []string{"main", "platform"} {
		w.simulator.Must(200, "POST", "/_sim/fixtures", object{"account": "acct_leak_" + account, "objects": fixtures})
	}
	tasks := []string{"laden", "live", "restricted", "platform"}
	w.task("laden", "main", billing.InvoiceItemCreate, w.laden(), "Idempotency-Key", w.c.text("idempotency key")+"1")
	w.task("live", "live", billing.InvoiceItemCreate, w.laden())
	w.task("restricted", "restricted", billing.InvoiceItemCreate, w.laden())
	w.task("platform", "platform", billing.InvoiceItemCreate, w.laden())
	w.api.want(201, "POST", "/v1/tasks", w.ladenOfMain(), "Idempotency-Key", w.c.text("idempotency key")+"1") // a replay
	for kind, sample := range kindtest.Samples() {
		fields := object{}
		if sample.Target != "" {
			fields["target"] = sample.Target
		}
		if sample.Params != nil {
			fields["params"] = sample.Params
		}
		w.task(string(kind), "main", kind, fields)
		tasks = append(tasks, string(kind))
	}
	for what, status := range w.settled(tasks...) {
		if status != "succeeded" {
			w.t.Errorf("%s is %s", what, status)
		}
	}
	w.simulator.Must(200, "POST", "/_sim/accounts", object{"token": w.c.text("second access token"), "account": "acct_leak_main"})
	w.api.want(200, "PATCH", "/v1/merchants/"+w.merchants["main"], object{
		"access_token": w.c.text("second access token"), "refresh_token": w.c.text("second refresh token"),
	})
}

// ladenOfMain is the body that the laden task of the main merchant is scheduled with.
func (w *world) ladenOfMain() object {
	body := w.laden()
	body["merchant_id"], body["kind"], body["max_attempts"] = w.merchants["main"], billing.InvoiceItemCreate, 2
	return body
}

// refuse meets every refusal and every unclear answer that the mirror and the simulator know.
func (w *world) refuse() {
	w.t.Helper()
	var tasks []string
	for _, behavior := range behaviors {
		fields := object{
			"target": target(behavior), "params": object{"source": w.c.of(inParams)}, "metadata": object{"about": w.c.of(inMetadata)},
			"on_decline": object{"retry_after": []string{"1h"}},
		}
		merchant := "main"
		switch behavior {
		case "unauthorized":
			merchant = "refused"
		case "forbidden":
			merchant = "forbidden"
		default:
			tasks = append(tasks, behavior)
		}
		w.task(behavior, merchant, billing.InvoicePay, fields)
	}
	// And what the simulator says by itself, in Stripe's words.
	w.task("no such invoice", "main", billing.InvoicePay, object{"target": "in_nowhere"})
	w.task("no such customer", "main", billing.InvoiceCreate, object{
		"params": object{"customer": "cus_nowhere", "description": w.c.of(inParams)}, "intent": w.c.text("intent") + "2",
	}, "Idempotency-Key", w.c.text("idempotency key")+"2")
	w.task("really declined", "platform", billing.PaymentIntentCreate, object{"params": object{
		"amount": 900, "currency": "usd", "customer": "cus_ok", "payment_method": "pm_decline_insufficient_funds", "confirm": true,
		"description": w.c.of(inParams),
	}, "on_decline": object{"retry_after": []string{"1h"}}})
	w.task("unreadable", "unreadable", billing.InvoicePay, object{"target": "in_1"})
	w.task("unauthorized by the simulator", "refused", billing.InvoicePay, object{"target": "in_1"})
	status := w.settled(append(tasks, "no such invoice", "no such customer", "really declined")...)
	for _, what := range []string{"garbage", "html", "redirect", "half", "drop", "conflict", "error", "look"} {
		if status[what] != "in_doubt" {
			w.t.Errorf("%s is %s, want in doubt", what, status[what])
		}
	}
	if status["odd"] != "succeeded" { // its id is not kept, and proves all the same that it is an object
		w.t.Errorf("odd is %s, want succeeded", status["odd"])
	}
	for _, what := range []string{"words", "declined", "no such invoice", "no such customer", "really declined"} {
		if status[what] != "failed" {
			w.t.Errorf("%s is %s, want failed", what, status[what])
		}
	}
	for _, merchant := range []string{"refused", "forbidden", "unreadable"} {
		w.eventually(merchant+" is paused", func() bool {
			return w.api.want(200, "GET", "/v1/merchants/"+w.merchants[merchant], nil)["status"] == "paused"
		})
	}
	w.eventually("Stripe was looked at, in vain", func() bool { return w.mirror.count(looking) > 0 })
	w.eventually("looks are written", func() bool {
		var looks int
		if err := w.db.SQL.Get(&looks, `SELECT count(*) FROM task_attempts WHERE kind = 'look'`); err != nil {
			w.t.Fatal(err)
		}
		return looks >= 4
	})
	w.settled(slices.Collect(maps.Keys(status))...) // with what the looks found
}

// decide makes the changes that people make.
func (w *world) decide() {
	w.t.Helper()
	note := "the bank says: " + w.c.of(inNote)
	for what, outcome := range map[string]string{"garbage": "succeeded", "half": "failed"} {
		w.api.want(200, "POST", "/v1/tasks/"+w.tasks[what]+"/resolve", object{"outcome": outcome, "note": note})
	}
	w.api.want(200, "GET", "/v1/tasks/"+w.tasks["garbage"], nil)
	w.tasks["repeated"] = idOf(w.api.want(201, "POST", "/v1/tasks/"+w.tasks["words"]+"/retry", nil))
	w.settled("repeated")
	w.api.want(200, "GET", "/v1/tasks/"+w.tasks["repeated"]+"/chain", nil)
	w.task("later", "main", billing.InvoicePay, object{"target": "in_later", "run_at": time.Now().Add(time.Hour).UTC()})
	later := "/v1/tasks/" + w.tasks["later"]
	why := w.c.text("reason")
	w.api.want(200, "POST", later+"/reschedule", object{"run_at": time.Now().Add(2 * time.Hour).UTC(), "reason": why})
	w.api.want(200, "POST", later+"/cancel", object{"reason": why})
	w.task("much later", "main", billing.InvoicePay, object{"target": "in_much_later", "run_at": time.Now().Add(time.Hour).UTC()})
	for _, dry := range []bool{true, false} {
		w.api.want(200, "POST", "/v1/tasks/bulk", object{"action": "cancel", "filter": object{"target": "in_much_later"}, "reason": why, "dry_run": dry})
	}
	w.api.want(200, "POST", "/v1/merchants/"+w.merchants["live"]+"/pause", object{"reason": why})
	w.api.want(200, "POST", "/v1/merchants/"+w.merchants["live"]+"/resume", nil)
	w.api.want(200, "POST", "/v1/merchants/"+w.merchants["refused"]+"/resume", nil)
	w.eventually("the refused merchant is paused once more", func() bool {
		return w.api.want(200, "GET", "/v1/merchants/"+w.merchants["refused"], nil)["status"] == "paused"
	})
	w.api.want(200, "DELETE", "/v1/merchants/"+w.merchants["restricted"], nil)
	for _, list := range []string{"/v1/tasks?limit=200", "/v1/tasks?status=failed", "/v1/merchants", "/v1/tasks?merchant_id=" + w.merchants["main"]} {
		w.api.want(200, "GET", list, nil)
	}
	w.lookAround(w.api)
}

// lookAround looks at everything that is for people, and for tasks by what nobody should have told.
func (w *world) lookAround(as *caller) {
	w.t.Helper()
	for _, path := range []string{"/v1/me", "/v1/overview", "/v1/tasks/counts", "/v1/tasks?attention=true"} {
		as.want(200, "GET", path, nil)
	}
	for _, name := range []string{"access token", "platform key", "intent", "reason", "payment intent's client secret", inParams + ": person", inMetadata + ": e-mail"} {
		told := url.QueryEscape(w.c.text(name))
		as.want(200, "GET", "/v1/tasks?q="+told, nil)
		as.want(200, "GET", "/v1/tasks/counts?q="+told, nil)
	}
	if as == w.api {
		for _, path := range []string{"/v1/workers", "/v1/encryption", "/v1/audit?limit=200"} {
			as.want(200, "GET", path, nil)
		}
	}
}

// ask sends bad requests with canaries in whatever is bad about them.
func (w *world) ask() {
	w.t.Helper()
	for _, bad := range w.badRequests() {
		method, path, _ := strings.Cut(bad.line, " ")
		status, _ := w.api.send(method, path, bad.body, bad.headers...)
		if status < 400 || status > 499 {
			w.t.Errorf("%s is answered %d", bad.name, status)
		}
	}
	// A key in the wrong header is not repeated either.
	status, _ := w.api.send("GET", "/v1/tasks/"+w.tasks["laden"], "", "X-Request-Id", w.c.text("key as request id"))
	if status != 200 {
		w.t.Error(fmt.Sprint("with an odd request id: ", status))
	}
}
