package app_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"billonce/pkg/store/storetest"
)

// idsIn are the ids of a list's entries.
func idsIn(body map[string]any) (ids []string) {
	data, _ := body["data"].([]any)
	for _, one := range data {
		entry, _ := one.(map[string]any)
		ids = append(ids, idOf(entry))
	}
	return ids
}

// counted is how many tasks an answer counts, in all statuses.
func counted(body map[string]any, list string) (n int) {
	data, _ := body[list].([]any)
	for _, one := range data {
		entry, _ := one.(map[string]any)
		count, _ := entry["count"].(float64)
		n += int(count)
	}
	return n
}

// TestAKeyForOneMerchantFindsItsOwn: nothing of another merchant's is found, counted or changed, whatever the key asks.
func TestAKeyForOneMerchantFindsItsOwn(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	mine, other := s.connect("acct_mine"), s.connect("acct_other")
	key, keyID := s.key(map[string]any{"merchant_id": mine, "scopes": []string{"tasks:read", "tasks:write"}})
	shop := s.as(key)
	put := func(merchant string) string {
		body := invoiceOf(merchant)
		body["target"], body["intent"], body["metadata"] = "in_both", "both", map[string]any{"order": "4711"}
		return idOf(s.Must(201, "POST", "/v1/tasks", body))
	}
	own, hidden := put(mine), put(other)
	s.db.SQL.MustExec(`UPDATE scheduled_tasks SET result = '{"object":"invoice","id":"in_made","status":"paid","request_id":"req_both","replayed":false}'`)
	for _, told := range []string{
		own, "task_" + own, hidden, "task_" + hidden, mine, other, "acct_mine", "acct_other", "in_both", "both", "4711", "req_both", "in_made", "nothing",
	} {
		want := []string{own}
		if slices.Contains([]string{hidden, "task_" + hidden, other, "acct_other", "nothing"}, told) {
			want = nil
		}
		found := shop.Must(200, "GET", "/v1/tasks?q="+url.QueryEscape(told), nil)
		if ids := idsIn(found); !slices.Equal(ids, want) || strings.Contains(fmt.Sprint(found), hidden) {
			t.Errorf("%s: %v", told, found)
		}
		if n := counted(shop.Must(200, "GET", "/v1/tasks/counts?q="+url.QueryEscape(told), nil), "data"); n != len(want) {
			t.Errorf("%s: %d counted", told, n)
		}
	}
	overview := shop.Must(200, "GET", "/v1/overview", nil)
	if counted(overview, "tasks") != 1 || overview["workers"] != nil || overview["encryption"] != nil {
		t.Errorf("%v", overview)
	}
	if all := s.Must(200, "GET", "/v1/overview", nil); counted(all, "tasks") != 2 {
		t.Errorf("%v", all)
	}
	if n := counted(shop.Must(200, "GET", "/v1/tasks/counts", nil), "data"); n != 1 {
		t.Errorf("%d counted", n)
	}
	for path, want := range map[string]int{"/v1/workers": 403, "/v1/encryption": 403, "/v1/me": 200} {
		if got := shop.Do("GET", path, nil); got.Status != want {
			t.Errorf("%s: %d %v", path, got.Status, got.Body)
		}
	}
	if me := shop.Must(200, "GET", "/v1/me", nil); idOf(me) != keyID || me["merchant_id"] != mine {
		t.Errorf("%v", me)
	}
	for _, filter := range []map[string]any{{"merchant_id": other}, {"target": "in_both"}} {
		bulk := shop.Must(200, "POST", "/v1/tasks/bulk", map[string]any{"action": "cancel", "filter": filter, "reason": "mine alone"})
		if want := map[bool]float64{true: 0, false: 1}[filter["merchant_id"] == other]; bulk["matched"] != want || bulk["changed"] != want {
			t.Errorf("%v: %v", filter, bulk)
		}
	}
	if status := s.Must(200, "GET", "/v1/tasks/"+hidden, nil)["status"]; status != "pending" {
		t.Errorf("the other merchant's task is %v", status)
	}
}

// TestBulkRetries repeats each task once, however often it is asked for, with an entry for each.
func TestBulkRetries(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	merchant := s.anyone()
	var canceled []string
	for i := range 7 {
		body := invoiceOf(merchant)
		body["target"] = fmt.Sprintf("in_%d", i)
		canceled = append(canceled, idOf(s.Must(201, "POST", "/v1/tasks", body)))
	}
	why := func(fields map[string]any) map[string]any {
		fields["filter"], fields["reason"] = map[string]any{"merchant_id": merchant}, "ticket 4711"
		return s.Must(200, "POST", "/v1/tasks/bulk", fields)
	}
	if got := why(map[string]any{"action": "cancel"}); got["changed"] != 7.0 || got["more"] != false {
		t.Fatalf("%v", got)
	}
	if got := why(map[string]any{"action": "retry", "dry_run": true}); got["matched"] != 7.0 || got["changed"] != 0.0 {
		t.Errorf("%v", got)
	}
	changed := 0.0
	for calls := 1; ; calls++ {
		got := why(map[string]any{"action": "retry", "limit": 3})
		n, _ := got["changed"].(float64)
		if changed += n; got["more"] == false {
			if calls != 3 {
				t.Errorf("%d calls", calls)
			}
			break
		}
	}
	if got := why(map[string]any{"action": "retry"}); changed != 7 || got["matched"] != 0.0 {
		t.Errorf("%v retried, then %v", changed, got)
	}
	for _, id := range canceled {
		next := s.Must(200, "GET", "/v1/tasks/"+id, nil)["retried_by"]
		data, _ := s.Must(200, "GET", "/v1/audit?action=task.retry&object="+id, nil)["data"].([]any)
		if next == nil || len(data) != 1 || !strings.Contains(fmt.Sprint(data), "ticket 4711") || !strings.Contains(fmt.Sprint(data), fmt.Sprint(next)) {
			t.Errorf("%s is retried by %v: %v", id, next, data)
		}
		if found := s.Must(200, "GET", "/v1/tasks?retry_of="+id, nil); !slices.Equal(idsIn(found), []string{fmt.Sprint(next)}) {
			t.Errorf("%v", found)
		}
	}
	moved := why(map[string]any{"action": "reschedule", "run_at": "2036-01-01T00:00:00Z"})
	if again := why(map[string]any{"action": "reschedule", "run_at": "2036-01-01T00:00:00Z"}); moved["changed"] != 7.0 || again["matched"] != 0.0 {
		t.Errorf("%v, then %v", moved, again)
	}
	bad := s.Do("POST", "/v1/tasks/bulk", map[string]any{
		"action": "reschedule", "run_at": "2001-01-01T00:00:00Z", "reason": "x", "filter": map[string]any{"merchant_id": merchant},
	})
	if bad.Status != 422 || !strings.Contains(fmt.Sprint(bad.Body), "/run_at") {
		t.Errorf("%d %v", bad.Status, bad.Body)
	}
}

// TestReasonsAreKept in the audit log, beside what else is there.
func TestReasonsAreKept(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	merchant := s.anyone()
	task := s.schedule(s.client, merchant)
	for _, call := range []struct {
		path, action, object string
		body                 map[string]any
	}{
		{"/v1/merchants/" + merchant + "/pause", "merchant.pause", merchant, map[string]any{}},
		{"/v1/merchants/" + merchant + "/resume", "merchant.resume", merchant, map[string]any{}},
		{"/v1/tasks/" + task + "/reschedule", "task.reschedule", task, map[string]any{"run_at": "2036-01-01T00:00:00Z"}},
		{"/v1/tasks/" + task + "/cancel", "task.cancel", task, map[string]any{}},
		{"/v1/tasks/" + task + "/retry", "task.retry", task, map[string]any{}},
	} {
		call.body["reason"] = "because of " + call.action
		if got := s.Do("POST", call.path, call.body); got.Status >= 300 {
			t.Fatalf("%s: %d %v", call.path, got.Status, got.Body)
		}
		data, _ := s.Must(200, "GET", "/v1/audit?object="+call.object+"&action="+call.action, nil)["data"].([]any)
		entry, _ := data[0].(map[string]any)
		detail, _ := entry["detail"].(map[string]any)
		if detail["reason"] != call.body["reason"] || call.action == "task.reschedule" && detail["run_at"] != "2036-01-01T00:00:00Z" || call.action == "task.retry" && detail["retried_by"] == nil {
			t.Errorf("%s: %v", call.action, detail)
		}
	}
}
