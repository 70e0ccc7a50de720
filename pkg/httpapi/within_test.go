package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

const strangerID = "0192f5a0-7b1c-7def-8a2b-ffffffffffff"

// TestAKeyForOneMerchantSeesNothingOfOthers is made from the router: whatever route names an object of another merchant answers as
// if there were none, and no port that writes is called.
func TestAKeyForOneMerchantSeesNothingOfOthers(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.WrongKeys = 1000 })
	all := []billing.Scope{billing.ScopeTasksRead, billing.ScopeTasksWrite, billing.ScopeMerchantsRead, billing.ScopeMerchantsWrite}
	stranger := a.keyFor(func(key *billing.APIKey) { key.MerchantID = strangerID }, all...)
	bodies := map[string]string{
		"PATCH /v1/merchants/{id}": `{"name":"x"}`, "POST /v1/tasks/{id}/reschedule": `{"run_at":"2030-01-01T00:00:00Z"}`,
		"POST /v1/tasks/{id}/resolve": `{"outcome":"failed","note":"x"}`,
	}
	tried := 0
	for _, route := range a.Routes() {
		if route.Open || route.Scope == billing.ScopeAdmin || !strings.Contains(route.Path, "{id}") {
			continue
		}
		tried++
		name := route.Method + " " + route.Path
		got := a.with(t, stranger, route.Method, pathOf(route), bodies[name])
		p := wantProblem(t, got, 404)
		kind, _, _ := strings.Cut(strings.TrimPrefix(route.Path, "/v1/"), "s/")
		if p.Detail != "no such "+kind {
			t.Errorf("%s tells %q", name, p.Detail)
		}
		if own := a.with(t, a.keyFor(func(key *billing.APIKey) { key.MerchantID = merchantID }, all...), route.Method, pathOf(route), bodies[name]); own.Code == 404 || own.Code == 403 {
			t.Errorf("%s of its own: %d", name, own.Code)
		}
	}
	if tried < 10 {
		t.Errorf("only %d routes were tried", tried)
	}
}

func TestAKeyForOneMerchantWritesNothingForOthers(t *testing.T) {
	t.Parallel()
	a := newAPI()
	key := a.keyFor(func(key *billing.APIKey) { key.MerchantID = strangerID }, billing.ScopeTasksWrite, billing.ScopeMerchantsWrite)
	one := a.with(t, key, "POST", "/v1/tasks", payTask(""))
	if p := wantProblem(t, one, 422); p.pointers() != "/merchant_id unknown_merchant" || p.Errors[0].Detail != "no connected merchant has this id" {
		t.Errorf("%+v", p)
	}
	own := strings.ReplaceAll(payTask(""), merchantID, strangerID)
	if p := wantProblem(t, a.with(t, key, "POST", "/v1/tasks/batch", `{"tasks":[`+own+`,`+payTask("")+`]}`), 422); p.pointers() != "/tasks/1/merchant_id unknown_merchant" {
		t.Errorf("%+v", p)
	}
	wantProblem(t, a.with(t, key, "POST", "/v1/merchants", `{"name":"x","stripe_connect_id":"acct_2"}`), 403)
	for _, path := range []string{"/v1/merchants/" + merchantID, "/v1/merchants/" + merchantID + "/pause"} {
		wantProblem(t, a.with(t, key, map[bool]string{true: "POST", false: "DELETE"}[strings.HasSuffix(path, "pause")], path, ""), 404)
	}
	if a.writes() != 0 {
		t.Errorf("%d writes", a.writes())
	}
	wantStatus(t, a.with(t, key, "POST", "/v1/tasks", own), 201)
	wantStatus(t, a.with(t, key, "POST", "/v1/tasks/batch", `{"tasks":[`+own+`]}`), 201)
	for _, task := range a.tasks.created {
		if task.CreatedBy == "" || !strings.HasPrefix(task.CreatedBy, taskID+" 192.0.2.1 ") {
			t.Errorf("created by %q", task.CreatedBy)
		}
	}
}

func TestListsOfAKeyForOneMerchantAreItsOwn(t *testing.T) {
	t.Parallel()
	a := newAPI()
	var tasks []billing.TaskFilter
	var merchants []billing.MerchantFilter
	a.tasks.ListFunc = func(filter billing.TaskFilter, _ int, _ billing.TaskID) ([]billing.Task, error) {
		tasks = append(tasks, filter)
		return nil, nil
	}
	a.merchants.ListFunc = func(filter billing.MerchantFilter, _ int, _ billing.MerchantID) ([]billing.Merchant, error) {
		merchants = append(merchants, filter)
		return nil, nil
	}
	key := a.keyFor(func(key *billing.APIKey) { key.MerchantID = strangerID }, billing.ScopeTasksRead, billing.ScopeMerchantsRead)
	for _, path := range []string{"/v1/tasks", "/v1/tasks?merchant_id=" + strangerID, "/v1/tasks?merchant_id=" + merchantID, "/v1/merchants", "/v1/merchants?stripe_connect_id=acct_1"} {
		wantStatus(t, a.with(t, key, "GET", path, ""), 200)
	}
	if len(tasks) != 2 || len(merchants) != 2 {
		t.Fatalf("%v, %v", tasks, merchants)
	}
	for i := range 2 {
		if tasks[i].MerchantID != strangerID || merchants[i].ID != strangerID {
			t.Error(fmt.Sprint(tasks[i], merchants[i]))
		}
	}
}
