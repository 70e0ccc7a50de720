package app_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// changing is how a test calls one route that changes something: it makes what is needed and returns path, body, and the object
// whose entry is wanted ("" where the answer's own id is).
type changing func(*served) (path string, body any, object string)

// changes has a call for each route that changes something, by method and path.
func changes() map[string]changing {
	task := func(status string) func(*served) string {
		return func(s *served) string {
			id := s.schedule(s.client, s.anyone())
			switch status {
			case "canceled":
				s.db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'canceled', finished_at = now() WHERE id = $1`, id)
			case "in_doubt":
				s.db.SQL.MustExec(`UPDATE scheduled_tasks SET status = 'in_doubt', first_sent_at = now(), sent_auth = 'token',
					sent_account = 'acct_1', attempt = 1 WHERE id = $1`, id)
			}
			return id
		}
	}
	merchant := func(verb string, body any) changing {
		return func(s *served) (string, any, string) {
			id := s.anyone()
			return "/v1/merchants/" + id + verb, body, id
		}
	}
	change := func(status, verb string, body any) changing {
		return func(s *served) (string, any, string) {
			id := task(status)(s)
			return "/v1/tasks/" + id + verb, body, id
		}
	}
	key := func(verb string) changing {
		return func(s *served) (string, any, string) {
			_, id := s.key(map[string]any{"scopes": []string{"tasks:read"}})
			return "/v1/api_keys/" + id + verb, nil, id
		}
	}
	return map[string]changing{
		"POST /v1/merchants": func(s *served) (string, any, string) {
			return "/v1/merchants", map[string]any{"name": "x", "stripe_connect_id": "acct_x", "access_token": "sk_test_canary"}, ""
		},
		"PATCH /v1/merchants/{id}":       merchant("", map[string]any{"name": "y", "refresh_token": "rt_canary"}),
		"DELETE /v1/merchants/{id}":      merchant("", nil),
		"POST /v1/merchants/{id}/pause":  merchant("/pause", nil),
		"POST /v1/merchants/{id}/resume": merchant("/resume", nil),
		"POST /v1/tasks": func(s *served) (string, any, string) {
			return "/v1/tasks", invoiceOf(s.anyone()), ""
		},
		"POST /v1/tasks/batch": func(s *served) (string, any, string) {
			return "/v1/tasks/batch", map[string]any{"tasks": []any{invoiceOf(s.anyone()), invoiceOf(s.anyone())}}, ""
		},
		"POST /v1/tasks/bulk": func(s *served) (string, any, string) {
			id := task("pending")(s)
			of := s.Must(200, "GET", "/v1/tasks/"+id, nil)
			return "/v1/tasks/bulk", map[string]any{
				"action": "cancel", "reason": "bulk reason", "filter": map[string]any{"merchant_id": of["merchant_id"]},
			}, id
		},
		"POST /v1/tasks/{id}/cancel":     change("pending", "/cancel", nil),
		"POST /v1/tasks/{id}/reschedule": change("pending", "/reschedule", map[string]any{"run_at": "2034-01-01T00:00:00Z"}),
		"POST /v1/tasks/{id}/retry":      change("canceled", "/retry", nil),
		"POST /v1/tasks/{id}/resolve":    change("in_doubt", "/resolve", map[string]any{"outcome": "failed", "note": "canary"}),
		"POST /v1/api_keys": func(*served) (string, any, string) {
			return "/v1/api_keys", map[string]any{"name": "made", "scopes": []string{"tasks:read"}}, ""
		},
		"DELETE /v1/api_keys/{id}":      key(""),
		"POST /v1/api_keys/{id}/revoke": key("/revoke"),
		"POST /v1/api_keys/{id}/rotate": key("/rotate"),
	}
}

// TestEachChangeIsInTheAuditLog is made from the router: a new route that changes something fails until it has a call here, and
// until that call leaves an entry that says who, what, from where and under which request.
func TestEachChangeIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	key, keyID := s.key(map[string]any{"name": "the auditor", "scopes": []string{"admin"}})
	calls := changes()
	for _, route := range s.Routes() {
		if !route.Changes() {
			continue
		}
		name := route.Method + " " + route.Path
		call, ok := calls[name]
		if !ok {
			t.Errorf("%s changes something and is not tested here", name)
			continue
		}
		delete(calls, name)
		for who, as := range map[string]*client{keyID: s.as(key), billing.ActorAdmin: s.client} {
			path, body, object := call(s)
			if fields, ok := body.(map[string]any); ok && route.Path == "/v1/merchants" {
				fields["stripe_connect_id"] = "acct_" + who[len(who)-8:]
			}
			request := "audit-" + who + strings.ReplaceAll(strings.ReplaceAll(strings.Trim(path, "/"), "/", "."), "v1", route.Method)
			if len(request) > 64 {
				request = request[len(request)-64:]
			}
			got := as.Do(route.Method, path, body, "X-Request-Id", request)
			if got.Status >= 300 {
				t.Errorf("%s: %d %v", name, got.Status, got.Body)
				continue
			}
			objects := []string{object}
			if object == "" {
				objects = idsOf(got.Body)
			}
			for _, object := range objects {
				wantEntry(t, s, name, object, who, request)
			}
		}
	}
	for name := range calls {
		t.Errorf("%s is no route", name)
	}
	if whole := fmt.Sprint(s.Must(200, "GET", "/v1/audit?limit=200", nil)); strings.Contains(whole, "canary") || strings.Contains(whole, key[12:]) {
		t.Errorf("what is confidential is in the log: %s", whole)
	}
}

// idsOf are the ids of what an answer made.
func idsOf(body map[string]any) (ids []string) {
	if data, ok := body["data"].([]any); ok {
		for _, one := range data {
			if object, ok := one.(map[string]any); ok {
				ids = append(ids, idOf(object))
			}
		}
		return ids
	}
	return []string{idOf(body)}
}

func wantEntry(t *testing.T, s *served, name, object, who, request string) {
	t.Helper()
	query := url.Values{"object": {object}, "actor": {who}}
	data, _ := s.Must(200, "GET", "/v1/audit?"+query.Encode(), nil)["data"].([]any)
	for _, one := range data {
		entry, _ := one.(map[string]any)
		if entry["request_id"] != request {
			continue
		}
		of, _ := entry["object"].(map[string]any)
		actor, _ := entry["actor"].(map[string]any)
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(entry["at"]))
		kind, _, _ := strings.Cut(fmt.Sprint(entry["action"]), ".")
		if of["id"] != object || of["type"] != kind || actor["id"] != who || entry["address"] != "127.0.0.1" || err != nil || time.Since(at) > time.Minute {
			t.Errorf("%s: %v", name, entry)
		}
		if who != billing.ActorAdmin && actor["name"] != "the auditor" {
			t.Errorf("%s: whose key it was is not said: %v", name, entry)
		}
		return
	}
	t.Errorf("%s by %s left no entry for %s under %s: %v", name, who, object, request, data)
}

// TestTheAuditLogIsReadInPagesAndByFilters, archived tasks included.
func TestTheAuditLogIsReadInPagesAndByFilters(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	merchant := s.connect("acct_pages")
	for range 3 {
		s.Must(200, "POST", "/v1/merchants/"+merchant+"/pause", nil)
		s.Must(200, "POST", "/v1/merchants/"+merchant+"/resume", nil)
	}
	var actions []string
	cursor := ""
	for pages := 0; pages < 10; pages++ {
		page := s.Must(200, "GET", "/v1/audit?limit=2&object="+merchant+cursor, nil)
		for _, one := range page["data"].([]any) { //nolint:errcheck // a test
			entry, _ := one.(map[string]any)
			actions = append(actions, fmt.Sprint(entry["action"]))
		}
		next, ok := page["next_cursor"].(string)
		if !ok {
			break
		}
		cursor = "&cursor=" + next
	}
	want := "merchant.resume,merchant.pause,merchant.resume,merchant.pause,merchant.resume,merchant.pause,merchant.create"
	if strings.Join(actions, ",") != want {
		t.Errorf("read %v", actions)
	}
	count := func(query string) int {
		t.Helper()
		data, _ := s.Must(200, "GET", "/v1/audit?"+query, nil)["data"].([]any)
		return len(data)
	}
	later := url.QueryEscape(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for query, want := range map[string]int{
		"action=merchant.pause": 3, "actor=" + billing.ActorAdmin: 7, "actor=nobody": 0, "from=" + later: 0, "to=" + later: 7,
		"action=merchant.pause&to=" + later + "&actor=ADMIN_API_KEY&object=" + merchant: 3,
	} {
		if n := count(query); n != want {
			t.Errorf("%s: %d entries, want %d", query, n, want)
		}
	}

	var tasks []string
	for i := range 5 {
		body := invoiceOf(merchant)
		body["target"] = fmt.Sprintf("in_%d", i)
		tasks = append(tasks, idOf(s.Must(201, "POST", "/v1/tasks", body)))
	}
	s.Must(200, "POST", "/v1/tasks/"+tasks[0]+"/cancel", nil)
	s.db.SQL.MustExec(`UPDATE scheduled_tasks SET finished_at = now() - interval '10 days', run_at = now() - interval '10 days' WHERE id = $1`, tasks[0])
	if moved, err := s.db.Store.MoveFinished(context.Background(), billing.Canceled, time.Time{}, time.Hour, 100); err != nil || moved.Tasks == 0 {
		t.Fatalf("%v moved, %v", moved, err)
	}
	if n := count("object=" + tasks[0]); n != 2 { // who canceled it, and who scheduled it
		t.Errorf("%d entries of an archived task", n)
	}
	if n := count("action=task.create"); n != 5 {
		t.Errorf("%d creations", n)
	}
	first := s.Must(200, "GET", "/v1/audit?action=task.create&limit=3", nil)
	rest := s.Must(200, "GET", "/v1/audit?action=task.create&limit=3&cursor="+fmt.Sprint(first["next_cursor"]), nil)
	if one, two := len(first["data"].([]any)), len(rest["data"].([]any)); one != 3 || two != 2 || rest["next_cursor"] != nil { //nolint:errcheck // a test
		t.Errorf("pages of %d and %d, %v", one, two, rest["next_cursor"])
	}
}

// TestTheAuditLogIsOnlyAddedTo, whoever asks: not even the owner of the table changes what it says.
func TestTheAuditLogIsOnlyAddedTo(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	s.connect("acct_kept")
	for _, statement := range []string{
		`UPDATE audit_log SET actor = 'somebody else'`, `DELETE FROM audit_log`, `TRUNCATE audit_log`, `DELETE FROM audit_log WHERE false`,
	} {
		if _, err := s.db.SQL.Exec(statement); err == nil || !strings.Contains(err.Error(), "only ever added to") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if _, err := s.db.SQL.Exec(`SET session_replication_role = replica; DELETE FROM audit_log`); err == nil || !strings.Contains(err.Error(), "only ever added to") {
		t.Errorf("as a replica: %v", err)
	}
	if data, _ := s.Must(200, "GET", "/v1/audit", nil)["data"].([]any); len(data) != 1 {
		t.Errorf("%v", data)
	}
}

// TestAChangeThatCannotBeRecordedIsNotMade: the entry and the change are one transaction.
func TestAChangeThatCannotBeRecordedIsNotMade(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	type call struct {
		path string
		body any
	}
	calls := map[string]call{}
	for name, change := range changes() {
		path, body, _ := change(s)
		calls[name] = call{path, body}
	}
	for _, own := range []string{"POST /v1/tasks", "POST /v1/tasks/batch"} { // the task's row is its own record
		if _, ok := calls[own]; !ok {
			t.Errorf("%s is not called", own)
		}
		delete(calls, own)
	}
	s.db.SQL.MustExec(`ALTER TABLE audit_log ADD CONSTRAINT full_disk CHECK (false) NOT VALID`)
	everything := func() (rows []string) {
		t.Helper()
		if err := s.db.SQL.Select(&rows, `
			SELECT m::text FROM merchants AS m UNION ALL SELECT t::text FROM scheduled_tasks AS t UNION ALL SELECT k::text FROM task_keys AS k
			UNION ALL SELECT r::text FROM task_resolutions AS r UNION ALL SELECT a::text FROM api_keys AS a
			UNION ALL SELECT l::text FROM audit_log AS l ORDER BY 1`); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for name, one := range calls {
		before := everything()
		method, _, _ := strings.Cut(name, " ")
		if got := s.Do(method, one.path, one.body); got.Status != 500 {
			t.Errorf("%s: %d %v", name, got.Status, got.Body)
		}
		if diff := cmp.Diff(before, everything()); diff != "" {
			t.Errorf("%s was made: %s", name, diff)
		}
	}
}

// TestAForgedCursorOfTheAuditLogIsRefused: what no page has given, the database is not asked.
func TestAForgedCursorOfTheAuditLogIsRefused(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	s.connect("acct_one")
	s.connect("acct_two")
	given, _ := s.Must(200, "GET", "/v1/audit?limit=1", nil)["next_cursor"].(string)
	raw, err := base64.RawURLEncoding.DecodeString(given)
	if err != nil || len(raw) < 54 {
		t.Fatalf("%q: %v", given, err)
	}
	list, id := raw[:len(raw)-53], string(raw[len(raw)-37:]) // between them 16 digits, the microseconds
	for micros, want := range map[string]int{
		"9223372036854775807": 422, "-9223372036854775808": 422, "253402300800000000": 422, "-62135596800000001": 422,
		"253402300799999999": 200, "-62135596800000000": 200, string(raw[len(list) : len(raw)-37]): 200,
	} {
		forged := base64.RawURLEncoding.EncodeToString([]byte(string(list) + micros + id))
		if got := s.Do("GET", "/v1/audit?limit=1&cursor="+forged, nil); got.Status != want {
			t.Errorf("%s: %d %v", micros, got.Status, got.Body)
		}
	}
}
