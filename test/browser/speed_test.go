package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"billonce/internal/programtest"
)

const (
	manyTasks     = 100_000
	manyMerchants = 200
	slowest       = 200 * time.Millisecond // of a page, at the server
	tries         = 7                      // of each page at the least
	mostTries     = 40                     // of one that is too slow: what else the machine does must not decide
)

// TestEveryPageIsQuick asks for each page of the console with 100,000 tasks in the table. The bar is an absolute time, so the programs
// are those that are shipped, without the race detector, nothing else runs beside them, and the best of several tries counts.
func TestEveryPageIsQuick(t *testing.T) { //nolint:paralleltest // it has the machine for itself
	w := newWorld(t, programtest.SpawnPlain)
	w.worker(t)
	s := w.scene(t)
	s.fillTable()
	for _, status := range []string{"pending", "running"} { // the worker has its part of it to do
		s.settled(status)
	}
	v := signInPlainly(t, w.base)
	var slow []string
	t.Logf("%-72s %9s %9s %9s", "page", "best", "median", "bytes")
	for _, path := range s.quickPlaces(v) {
		var took []time.Duration
		var size int
		for len(took) < tries || len(took) < mostTries && slices.Min(took) >= slowest {
			began := time.Now()
			status, body := v.get(path)
			took = append(took, time.Since(began))
			if status != http.StatusOK {
				t.Fatalf("%s is answered %d", path, status)
			}
			size = len(body)
		}
		slices.Sort(took)
		t.Logf("%-72.72s %9s %9s %9d", path, took[0].Round(100*time.Microsecond), took[len(took)/2].Round(100*time.Microsecond), size)
		if took[0] >= slowest {
			slow = append(slow, fmt.Sprintf("%s takes %s", path, took[0]))
		}
	}
	for _, one := range slow {
		t.Errorf("%s, with the bar at %s", one, slowest)
	}
}

// fillTable puts 100,000 tasks of 200 merchants into the table, as a month leaves them: most have succeeded, some wait, some failed, a few
// are in doubt. Ids are in the order of creation, as the api makes them.
func (s *scene) fillTable() {
	s.t.Helper()
	s.db.SQL.MustExec(`
		INSERT INTO merchants (id, name, stripe_connect_id, paused_at, pause_reason)
		SELECT gen_random_uuid(), 'Shop ' || n, 'acct_quick' || n, CASE WHEN n % 40 = 0 THEN now() END, CASE WHEN n % 40 = 0 THEN 'operator' END
		FROM generate_series(1, $1::int) AS n`, manyMerchants)
	s.db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, target, status, run_at, scheduled_for, created_at, updated_at, attempt, first_sent_at,
			sent_auth, sent_account, finished_at, look_at, result, last_error, request_method, request_path, request_body, params, metadata)
		SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
			m.id, CASE WHEN n % 3 = 0 THEN 'subscription.create' ELSE 'invoice.pay' END, CASE WHEN n % 3 = 0 THEN '' ELSE 'in_quick' || n END, status,
			CASE WHEN status = 'pending' AND n % 50 <> 0 THEN now() + n * interval '10 seconds' ELSE at + interval '1 minute' END, at + interval '1 minute', at,
			at + interval '2 minutes', CASE WHEN sent THEN 1 ELSE 0 END, CASE WHEN sent THEN at + interval '1 minute' END,
			CASE WHEN sent THEN 'token' END, CASE WHEN sent THEN 'acct_quick' || n % $2 END,
			CASE WHEN status IN ('succeeded', 'failed', 'canceled') THEN at + interval '2 minutes' END,
			CASE WHEN status = 'in_doubt' THEN now() + interval '1 day' END,
			CASE WHEN status = 'succeeded' THEN jsonb_build_object('object', 'invoice', 'id', 'in_quick' || n, 'status', 'paid', 'request_id', 'req_quick' || n, 'replayed', false) END,
			CASE WHEN status = 'failed' THEN jsonb_build_object('http_status', 402, 'type', 'card_error', 'code', 'card_declined', 'decline_code', 'insufficient_funds',
				'param', '', 'message', 'the card was declined', 'request_id', 'req_quick' || n) END,
			'POST', '/v1/invoices/in_quick' || n || '/pay', '', jsonb_build_object('customer', 'cus_quick' || n % 5000, 'description', repeat('x', 120)),
			jsonb_build_object('order', 'order-' || n)
		FROM generate_series(1, $1::int) AS n,
			LATERAL (SELECT now() - interval '30 days' + n * interval '25 seconds' AS at,
				CASE WHEN n % 400 = 0 THEN 'in_doubt' WHEN n % 20 = 1 THEN 'failed' WHEN n % 50 = 2 THEN 'canceled' WHEN n % 5 = 0 THEN 'pending' ELSE 'succeeded' END AS status) AS made,
			LATERAL (SELECT status IN ('succeeded', 'failed', 'in_doubt') AS sent) AS was,
			LATERAL (SELECT id FROM merchants WHERE stripe_connect_id = 'acct_quick' || (n % $2) + 1 LIMIT 1) AS m`, manyTasks, manyMerchants)
	s.db.SQL.MustExec(`
		INSERT INTO audit_log (id, at, actor, action, object, merchant_id, address, request_id)
		SELECT gen_random_uuid(), now() - n * interval '1 minute', 'ADMIN_API_KEY', 'task.cancel', id, merchant_id, '10.0.0.1', 'req-' || n
		FROM (SELECT row_number() OVER () AS n, id, merchant_id FROM scheduled_tasks WHERE status = 'canceled' LIMIT 20000) AS t`)
	s.fillHours(48)
	s.db.SQL.MustExec(`VACUUM ANALYZE`)
}

// quickPlaces are the pages whose time is taken: every page, every tab, and searches that find at once, late and never.
func (s *scene) quickPlaces(v *visitor) []string {
	s.t.Helper()
	paths := []string{"/", "/tasks", "/attention", "/merchants", "/workers", "/api-keys", "/encryption", "/audit"}
	var merchant string
	if err := s.db.SQL.Get(&merchant, `SELECT id FROM merchants WHERE stripe_connect_id = 'acct_quick7'`); err != nil {
		s.t.Fatal(err)
	}
	paths = append(paths, "/merchants/"+merchant, "/merchants/"+merchant+"/pause", "/tasks?merchant_id="+merchant, "/tasks?merchant_id="+merchant+"&status=failed",
		"/tasks?kind=subscription.create", "/tasks?target=in_quick1", "/tasks?from="+url.QueryEscape(time.Now().UTC().Format(time.RFC3339)),
		"/tasks?attention=true", "/tasks?attention=true&status=pending", "/tasks?q="+merchant, "/tasks?q=cus_quick7", "/tasks?q=order-4711",
		"/tasks?q=in_quick99998", "/tasks?q=in_quick2", "/tasks?q=req_quick4", "/tasks?q=cus_that_nobody_has", "/tasks?q=acct_quick7",
		"/tasks/bulk?action=cancel&status=pending&merchant_id="+merchant, "/tasks/bulk?action=cancel&status=pending&kind=invoice.pay",
		"/tasks/bulk?action=reschedule&status=pending", "/tasks/bulk?action=retry&status=failed", "/merchants?stripe_connect_id=acct_quick7",
		"/audit?actor=ADMIN_API_KEY", "/audit?action=task.cancel", "/audit?action=task.create", "/audit?object="+merchant)
	for status, action := range map[string]string{"pending": "/cancel", "failed": "/retry", "in_doubt": "/resolve", "succeeded": "", "canceled": "/retry"} {
		var task string
		if err := s.db.SQL.Get(&task, `SELECT id FROM scheduled_tasks WHERE status = $1 AND target LIKE 'in_quick%' ORDER BY id LIMIT 1`, status); err != nil {
			s.t.Fatal(err)
		}
		paths = append(paths, "/tasks?status="+status, "/tasks/"+task)
		if action != "" {
			paths = append(paths, "/tasks/"+task+action)
		}
	}
	slices.Sort(paths[8:])
	// And where a person gets who goes on and on.
	next := "/tasks?status=succeeded"
	for range 20 {
		_, page := v.get(next)
		link := regexp.MustCompile(`<a[^>]*href="([^"]*)"[^>]*rel="next"|<a[^>]*rel="next"[^>]*href="([^"]*)"`).FindStringSubmatch(page)
		if link == nil {
			s.t.Fatalf("%s has no next page", next)
		}
		next = strings.ReplaceAll(link[1]+link[2], "&amp;", "&")
		if strings.HasPrefix(next, "?") {
			next = "/tasks" + next
		}
	}
	return append(paths, next)
}

// visitor asks for pages without a browser, so that only the server's time is taken.
type visitor struct {
	t      *testing.T
	base   string
	cookie string
	web    *http.Client
}

func signInPlainly(t *testing.T, base string) *visitor {
	t.Helper()
	v := &visitor{t: t, base: base, web: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	response, err := v.web.PostForm(base+"/sign-in", url.Values{"key": {adminKey}})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if len(response.Cookies()) == 0 {
		t.Fatalf("signing in is answered %s without a cookie", response.Status)
	}
	for _, cookie := range response.Cookies() { // Go's jar would not send it without TLS, as browsers do to their own machine
		v.cookie += cookie.Name + "=" + cookie.Value + "; "
	}
	return v
}

func (v *visitor) get(path string) (status int, body string) {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.base+path, http.NoBody)
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Cookie", strings.TrimSuffix(v.cookie, "; "))
	request.Header.Set("Accept", "text/html")
	response, err := v.web.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
