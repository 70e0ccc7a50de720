package console_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/console"
)

// TestTheTasksPage asks the API for what its address says, and says what the API found wrong with it.
func TestTheTasksPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	query := url.Values{"status": {"failed"}, "merchant_id": {merchantID}, "kind": {"invoice.pay"}, "target": {"in_1"}, "q": {"req_1"}, "from": {"2035-01-01T00:00"}, "to": {"2036-01-01T00:00:00Z"}, "cursor": {"c"}}
	got := v.get("/tasks?" + query.Encode())
	got.says(t, "pending 12", "succeeded 10,000+", "All 10,016+", "Alma's Bakery")
	wanted := w.api.asked("GET /v1/tasks")[0].URL.Query()
	for name := range query {
		want := query.Get(name)
		if name == "from" {
			want = "2035-01-01T00:00:00Z"
		}
		if wanted.Get(name) != want {
			t.Errorf("%s is asked for as %q", name, wanted.Get(name))
		}
		if counted := w.api.asked("GET /v1/tasks/counts")[0].URL.Query().Get(name); name != "status" && name != "cursor" && counted != want || name == "status" && counted != "" {
			t.Errorf("%s is counted as %q", name, counted)
		}
	}
	if got.field("from") != "2035-01-01T00:00:00" || got.field("target") != "in_1" || got.field("status") != "failed" {
		t.Error("the form has lost what was asked for")
	}
	w.api.set("GET /v1/tasks", problem{Status: 422, Code: billing.CodeInvalid, Errors: []object{{"pointer": "", "query": "kind", "code": "x", "detail": "is no kind"}}})
	if got = v.get("/tasks?kind=nonsense"); got.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("%d", got.StatusCode)
	}
	got.says(t, "kind is no kind")
	searched := page()
	searched["next_cursor"], searched["searched_to"] = "further", updatedAt
	w.api.set("GET /v1/tasks", searched)
	v.get("/tasks?q=x").says(t, "Looked back to", "Go on from there")
}

// TestTheTaskPage tells what happened, with the way to Stripe's dashboard, and shows nothing that could be confidential.
func TestTheTaskPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	state := failedTask()
	state["params"] = object{
		"amount": 2000, "currency": "eur", "customer": "cus_1", "description": "canary words", "payment_method_data": object{"card": object{"number": "4242424242424242", "cvc": "123"}},
		"client_secret": "pi_1_secret_canary", "metadata": object{"order": "4711", "card": "4242 4242 4242 4242", "note": "sk_live_canary00000000"},
	}
	state["metadata"] = object{"order": "order-4711", "api_token": "canary", "about": "4242424242424242"}
	state["intent"] = "renewal sk_live_canary00000000"
	w.api.set("GET /v1/tasks/"+taskID, state)
	w.api.set("GET /v1/tasks/"+taskID+"/chain", page(state, sampleTask(object{"id": nextTaskID})))
	got := w.signIn(adminKey).get("/tasks/" + taskID)
	got.says(t, "failed", "insufficient_funds", "task_"+taskID, "250 ms", "2.5 s", "another request paid it", "order-4711", "2000", "eur", "4711", "asked for by the shop",
		"this one", "renewal [redacted]", "Attempt 1: Stripe declined the payment; nothing was done", "refused , declined",
		"Look at Stripe: No trace of it was found; it is still in doubt", "known to have had no effect", "Was due", "took 250 ms")
	for _, never := range []string{"canary", "4242", "123<"} {
		if strings.Contains(got.body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	links := strings.Join(got.links(), " ") + " "
	for _, want := range []string{"logs/req_declined1 ", "invoices/in_1abc ", "events/evt_1 ", "logs/req_other1 "} {
		if !strings.Contains(links, "https://dashboard.stripe.com/acct_1Alma/test/"+want) {
			t.Errorf("there is no link to %s in %s", want, links)
		}
	}
	w.api.set("GET /v1/merchants/"+merchantID, sampleMerchant(object{"livemode": true}))
	if links := strings.Join(w.signIn(adminKey).get("/tasks/"+taskID).links(), " "); strings.Contains(links, "/test/") || !strings.Contains(links, "acct_1Alma/logs/") {
		t.Errorf("in live mode: %s", links)
	}
	// Who may read neither merchants nor the log is asked for neither.
	w.api.key(nil, "tasks:read")
	before := len(w.api.asked("GET /v1/audit")) + len(w.api.asked("GET /v1/merchants/"+merchantID))
	w.signIn(apiKey).get("/tasks/"+taskID).says(t, merchantID)
	if after := len(w.api.asked("GET /v1/audit")) + len(w.api.asked("GET /v1/merchants/"+merchantID)); after != before {
		t.Error("more was asked for than the key allows")
	}
}

func TestTheOtherPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	overview := v.get("/")
	overview.says(t, "Tasks due now 1,234 the oldest for 7 min", "Tasks in doubt 3", "Workers alive 2 1 silent", "7 of 64 at once", "Encryption key ok 3f9c0a61d2b74e58",
		"Money is late: 2 tasks that could run are overdue", "A person has to look at 3 tasks in doubt , 2 tasks overdue , 1 merchant paused , 1 worker silent .", "succeeded 720", "ADMIN_API_KEY: admin")
	if bars := overview.tags("rect"); len(bars) < 72 {
		t.Errorf("the chart has %d bars", len(bars))
	}
	v.get("/encryption").says(t, "6 of 10", "4 are left", "seals")
	v.get("/workers").says(t, "worker-1", "alive", "32")
	v.get("/api-keys").says(t, "bo_live_0123…", "the night shift", "all merchants", "never")
	v.get("/audit").says(t, "task.cancel", "the night shift", "192.0.2.7", `{"reason":"asked for by the shop"}`)
	v.get("/merchants/"+merchantID).says(t, "acct_1Alma", "test", "its own access token", "pending 12")
	w.api.set("GET /v1/merchants", page(sampleMerchant(object{"status": "paused", "pause_reason": "needs_reauth", "pause_detail": "connect it anew"})))
	v.get("/attention").says(t, "In doubt", "Overdue", "Alma's Bakery", "its credentials do not work", "connect it anew")
	if asked := w.api.asked("GET /v1/merchants"); len(asked) != 1 || asked[0].URL.Query().Get("status") != "paused" {
		t.Errorf("for paused merchants it asked %v", asked)
	}
	if status := w.api.asked("GET /v1/tasks"); len(status) != 2 {
		t.Errorf("%d lists were asked for", len(status))
	}
	foot := v.get("/").tags("footer")
	if !strings.Contains(words(foot[0]), "v1.2.3") || strings.Contains((&visitor{w: w}).get("/sign-in").body, "v1.2.3") {
		t.Error("the version is not shown to those who are signed in alone")
	}
}

// TestOneMerchantsOverview has neither workers nor keys.
func TestOneMerchantsOverview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := sampleOverview()
	own["workers"], own["encryption"], own["outcomes"] = nil, nil, []object{}
	w.api.set("GET /v1/overview", own)
	w.api.key(merchantID, "tasks:read", "merchants:read")
	got := w.signIn(apiKey).get("/")
	got.says(t, "one merchant", "Nothing is counted")
	if strings.Contains(strings.Join(got.links(), " "), "/workers") || strings.Contains(words(got.tags("main")[0]), "Encryption") {
		t.Error("a key of one merchant is shown the installation")
	}
}

// TestNoticesAreOurs: what an address says is never shown.
func TestNoticesAreOurs(t *testing.T) {
	t.Parallel()
	v := newWorld(t).signIn(adminKey)
	for _, query := range []string{"done=canary", "done=bulk&changed=canary", "done=bulk&changed=-1", "done=bulk", "welcome=canary"} {
		if got := v.get("/tasks?" + query); strings.Contains(got.body, "canary") || strings.Contains(got.body, `class="notice"`) {
			t.Errorf("%s is shown", query)
		}
	}
	v.get("/tasks?done=bulk&changed=1500&refused=canary&more=1").says(t, "1,500 tasks were changed. More are left")
}

// TestEventsArePassedOn as they come, and not to who is not signed in.
func TestEventsArePassedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *console.Deps) { d.Events = true })
	source, send := io.Pipe()
	w.api.stream = source
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	v := w.signIn(adminKey)
	if body := v.get("/").tags("body"); attr(body[0], "data-events") != "/console/events" {
		t.Error("the page does not say where events are")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/console/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: "__Host-billonce", Value: v.cookie})
	request.Header.Set("Last-Event-ID", "41")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	lines := bufio.NewScanner(response.Body)
	for _, line := range []string{"id: 42", "event: task", `data: {"id": "x"}`} {
		if _, err := io.WriteString(send, line+"\n"); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || lines.Text() != line {
			t.Errorf("%q came as %q", line, lines.Text())
		}
	}
	_ = send.Close()
	if lines.Scan() {
		t.Errorf("after the end comes %q", lines.Text())
	}
}

// TestAStalledDatabaseHoldsNoEvents: who looks whether the visitor is still signed in ends with the stream, and does not wait for ever.
func TestAStalledDatabaseHoldsNoEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(d *console.Deps) { d.Events = true })
		source, send := io.Pipe()
		w.api.stream = source
		v := w.signIn(adminKey)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			v.get("/console/events")
		}()
		synctest.Wait()
		w.sessions.stall()
		time.Sleep(6 * time.Second) //nolint:forbidigo // in the bubble it takes no time; by now it has begun to ask
		_ = send.Close()
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the answer waits for the database")
		}
		began := time.Now()
		if got := v.get("/console/events"); got.StatusCode != http.StatusServiceUnavailable || time.Since(began) > time.Minute {
			t.Errorf("%d after %s", got.StatusCode, time.Since(began))
		}
		<-ended
	})
}
