package app_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
	"billonce/pkg/app"
	"billonce/pkg/billing"
	"billonce/pkg/gateway"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
	"billonce/pkg/telemetry"
)

// served is the whole api in this process, on a real database.
type served struct {
	*httpapi.Server
	*client
	db  *storetest.DB
	log *programtest.Buffer
}

func serveAPI(t *testing.T, db *storetest.DB, fresh time.Duration) *served {
	t.Helper()
	log := &programtest.Buffer{}
	server := app.ServeWithConsole(httpapi.Deps{
		Merchants: db.Store, Tasks: db.Store, Standing: db.Store, Keys: db.Store, Audit: db.Store, Freezer: gateway.NewFreezer(false),
		Health: telemetry.NewHealth(), AdminKey: secret.New(adminKey),
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, db.Store, httpapi.Config{KeyFresh: fresh, OverviewFresh: time.Nanosecond})
	listening := httptest.NewServer(server.Handler())
	t.Cleanup(listening.Close)
	return &served{Server: server, client: newClient(t, listening.URL, adminKey), db: db, log: log}
}

// as is a client with another key.
func (s *served) as(key string) *client { return newClient(s.T, s.Base, key) }

// key makes a key and returns it with its id.
func (s *served) key(fields map[string]any) (key, id string) {
	s.T.Helper()
	if fields["name"] == nil {
		fields["name"] = "shop"
	}
	made := s.Must(201, "POST", "/v1/api_keys", fields)
	key, _ = made["key"].(string)
	return key, idOf(made)
}

func (s *served) connect(account string) string {
	s.T.Helper()
	return idOf(s.Must(201, "POST", "/v1/merchants", map[string]any{
		"name": account, "stripe_connect_id": account, "access_token": "sk_test_canary_" + account,
	}))
}

// anyone connects an account that no other merchant has.
func (s *served) anyone() string { return s.connect("acct_" + storetest.NewID(s.T)[24:]) }

func (s *served) schedule(c *client, merchant string) string {
	s.T.Helper()
	return idOf(c.Must(201, "POST", "/v1/tasks", invoiceOf(merchant)))
}

func invoiceOf(merchant string) map[string]any {
	return map[string]any{"merchant_id": merchant, "kind": "invoice.pay", "target": "in_" + merchant[24:], "run_at": "2035-01-01T00:00:00Z"}
}

// TestAKeyForOneMerchant: over the real database, what is another merchant's answers word for word as what does not exist.
func TestAKeyForOneMerchant(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	mine, other := s.connect("acct_mine"), s.connect("acct_other")
	key, _ := s.key(map[string]any{"merchant_id": mine, "scopes": []string{"tasks:read", "tasks:write", "merchants:read", "merchants:write"}})
	shop := s.as(key)
	task, hidden := s.schedule(shop, mine), s.schedule(s.client, other)

	for _, path := range []string{"/v1/merchants/%s", "/v1/tasks/%s", "/v1/tasks/%s/attempts", "/v1/tasks/%s/chain"} {
		there, own := hidden, task
		if strings.Contains(path, "merchants") {
			there, own = other, mine
		}
		got, none := shop.Do("GET", fmt.Sprintf(path, there), nil, "X-Request-Id", "same"), shop.Do("GET", fmt.Sprintf(path, storetest.NewID(t)), nil, "X-Request-Id", "same")
		if got.Status != 404 || fmt.Sprint(got.Body) != fmt.Sprint(none.Body) {
			t.Errorf("%s of another merchant is told from none: %v, %v", path, got.Body, none.Body)
		}
		shop.Must(200, "GET", fmt.Sprintf(path, own), nil)
	}
	for _, verb := range []string{"cancel", "retry"} {
		if got := shop.Do("POST", "/v1/tasks/"+hidden+"/"+verb, nil); got.Status != 404 {
			t.Errorf("%s: %d", verb, got.Status)
		}
	}
	unknown := shop.Do("POST", "/v1/tasks", invoiceOf(storetest.NewID(t)), "X-Request-Id", "same")
	if got := shop.Do("POST", "/v1/tasks", invoiceOf(other), "X-Request-Id", "same"); got.Status != 422 || fmt.Sprint(got.Body) != fmt.Sprint(unknown.Body) {
		t.Errorf("scheduling for another merchant is told from an unknown one: %v, %v", got.Body, unknown.Body)
	}
	for path, want := range map[string]string{"/v1/tasks": task, "/v1/merchants": mine} {
		data, _ := shop.Must(200, "GET", path, nil)["data"].([]any)
		if len(data) != 1 || !strings.Contains(fmt.Sprint(data[0]), want) {
			t.Errorf("%s: %v", path, data)
		}
	}
	if data, _ := shop.Must(200, "GET", "/v1/tasks?merchant_id="+other, nil)["data"].([]any); len(data) != 0 {
		t.Errorf("%v", data)
	}
	if status := s.Must(200, "GET", "/v1/tasks/"+hidden, nil)["status"]; status != "pending" {
		t.Errorf("the other merchant's task is %v", status)
	}
}

// TestKeysEndWhenTheyShould: by time, by revocation, and by rotation with both keys open in between.
func TestKeysEndWhenTheyShould(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 20*time.Millisecond)
	status := func(key string) int { return s.as(key).Do("GET", "/v1/tasks", nil).Status }
	ends := func(what, key string) {
		t.Helper()
		for began := time.Now(); status(key) != 401; {
			if time.Since(began) > patience {
				t.Fatalf("%s goes on", what)
			}
		}
	}
	read := []string{"tasks:read"}
	clock := func() (now time.Time) {
		t.Helper()
		if err := s.db.SQL.Get(&now, `SELECT clock_timestamp()`); err != nil {
			t.Fatal(err)
		}
		return now
	}
	now := clock()
	end := now.Add(4 * time.Second)
	short, _ := s.key(map[string]any{"scopes": read, "expires_at": end.UTC()})
	if got := status(short); got != 200 && clock().Before(end) {
		t.Errorf("a key that has not expired does not open: %d", got)
	}
	ends("an expired key", short)

	revoked, id := s.key(map[string]any{"scopes": read})
	s.Must(200, "POST", "/v1/api_keys/"+id+"/revoke", nil)
	ends("a revoked key", revoked)
	s.Must(200, "DELETE", "/v1/api_keys/"+id, nil) // twice is no error
	if got := s.Do("POST", "/v1/api_keys/"+id+"/rotate", nil); got.Status != 409 {
		t.Errorf("a revoked key is rotated: %v", got.Body)
	}

	old, id := s.key(map[string]any{"scopes": read, "expires_at": now.Add(100 * time.Hour).UTC()})
	end = clock().Add(5 * time.Second)
	rotated := s.Must(201, "POST", "/v1/api_keys/"+id+"/rotate", map[string]any{"old_valid_until": end.UTC()})
	next, _ := rotated["key"].(string)
	if got := status(old); got != 200 && clock().Before(end) || status(next) != 200 {
		t.Error("the two keys do not open side by side")
	}
	if got := s.Do("POST", "/v1/api_keys/"+id+"/rotate", nil); got.Status != 409 {
		t.Errorf("a key is rotated twice: %v", got.Body)
	}
	ends("a rotated key", old)
	if status(next) != 200 {
		t.Error("the new key has ended with the old one")
	}
	if end, _ := rotated["expires_at"].(string); !strings.HasPrefix(end, now.Add(100*time.Hour).UTC().Format("2006-01-02T")) {
		t.Errorf("the new key ends %v", end)
	}
	if shown := s.Must(200, "GET", "/v1/api_keys/"+id, nil); shown["replaced_by"] != rotated["id"] || shown["status"] != "expired" {
		t.Errorf("%v", shown)
	}
	for pointer, body := range map[string]map[string]any{
		"/expires_at":  {"name": "x", "scopes": read, "expires_at": "2020-01-01T00:00:00Z"},
		"/merchant_id": {"name": "x", "scopes": read, "merchant_id": storetest.NewID(t)},
	} {
		if got := s.Do("POST", "/v1/api_keys", body); got.Status != 422 || !strings.Contains(fmt.Sprint(got.Body), pointer) {
			t.Errorf("%d %v", got.Status, got.Body)
		}
	}
	far := map[string]any{"name": "x", "scopes": read, "expires_at": "9999-12-31T23:59:59Z"}
	if got := s.Do("POST", "/v1/api_keys", far); got.Status != 422 || !strings.Contains(fmt.Sprint(got.Body), "too_far") {
		t.Errorf("%d %v", got.Status, got.Body)
	}
	if got := s.Do("POST", "/v1/api_keys/"+idOf(rotated)+"/rotate", map[string]any{"old_valid_until": "2099-01-01T00:00:00Z"}); got.Status != 422 {
		t.Errorf("%d %v", got.Status, got.Body)
	}
}

// TestNoKeyIsAnywhere: not in the database, not in the logs, and in no answer but the one that made it.
func TestNoKeyIsAnywhere(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), 0)
	merchant := s.connect("acct_canary")
	key, id := s.key(map[string]any{"scopes": []string{"admin"}})
	shop := s.as(key)
	rotated := shop.Must(201, "POST", "/v1/api_keys/"+id+"/rotate", nil)
	next, _ := rotated["key"].(string)
	typo := key[:len(key)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(key, "0")]
	s.schedule(shop, merchant)
	var answers []any
	for _, path := range []string{"/v1/api_keys", "/v1/api_keys/" + id, "/v1/audit", "/v1/merchants", "/v1/tasks"} {
		answers = append(answers, shop.Must(200, "GET", path, nil))
	}
	answers = append(answers, s.as(typo).Do("GET", "/v1/tasks", nil).Body, shop.Do("GET", "/v1/tasks/"+key, nil).Body,
		shop.Do("POST", "/v1/api_keys", map[string]any{"name": key, "scopes": []string{key}}).Body)
	whole := dump(t, s.db)
	for name, one := range map[string]string{"key": key, "the rotated key": next, "a mistyped key": typo, "the admin key": adminKey, "a token": "sk_test_canary_acct_canary"} {
		secretPart := one[len(one)/3:]
		for where, text := range map[string]string{"the database": whole, "the log": s.log.String()} {
			if strings.Contains(text, secretPart) {
				t.Errorf("%s is in %s", name, where)
			}
		}
		if shown := fmt.Sprint(answers...); strings.Contains(shown, secretPart) {
			t.Errorf("%s is in an answer", name)
		}
	}
	if !strings.Contains(whole, id) || !strings.Contains(s.log.String(), id) {
		t.Error("the search finds nothing at all")
	}
}

// dump is all that a database holds.
func dump(t *testing.T, db *storetest.DB) string {
	t.Helper()
	if path, err := exec.LookPath("pg_dump"); err == nil {
		out, err := exec.CommandContext(t.Context(), path, "--inserts", db.URL).Output()
		if err == nil {
			return string(out)
		}
	}
	var tables []string
	if err := db.SQL.Select(&tables, `SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'`); err != nil {
		t.Fatal(err)
	}
	var whole strings.Builder
	for _, table := range tables {
		writeTable(t, db.SQL, table, &whole)
	}
	return whole.String()
}

func writeTable(t *testing.T, db *sqlx.DB, table string, to io.Writer) {
	t.Helper()
	var rows []string
	if err := db.Select(&rows, `SELECT row_to_json(x)::text || encode(convert_to(x::text, 'UTF8'), 'escape') FROM `+table+` AS x`); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintln(to, strings.Join(rows, "\n"))
}

// TestKeysOverTheNetwork: a real api process keeps to all of it while PostgreSQL is away, and records the last use.
func TestKeysOverTheNetwork(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	address, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, address.Host)
	address.Host = proxy.addr
	process, c := s.api("DATABASE_URL", address.String())
	made := c.Must(201, "POST", "/v1/api_keys", map[string]any{"name": "shop", "scopes": []string{"tasks:read"}})
	key, _ := made["key"].(string)
	shop := newClient(t, c.Base, key)
	shop.Must(200, "GET", "/v1/tasks", nil)
	if got := shop.Do("GET", "/v1/audit", nil); got.Status != 403 {
		t.Errorf("%d", got.Status)
	}
	unseen, _ := c.Must(201, "POST", "/v1/api_keys", map[string]any{"name": "unseen", "scopes": []string{"tasks:read"}})["key"].(string)
	proxy.close()
	for _, client := range []*client{newClient(t, c.Base, unseen), shop} {
		if got := client.Do("GET", "/v1/tasks", nil); got.Status != 503 {
			t.Errorf("without a database: %d %v", got.Status, got.Body)
		}
	}
	proxy.open(t)
	eventually(t, "the keys open again", func() bool { return shop.Do("GET", "/v1/tasks", nil).Status == 200 })
	process.Signal(syscall.SIGTERM)
	if code := process.Exit(); code != 0 { // having written what was used last
		t.Errorf("exit code %d", code)
	}
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	var used bool
	if err := db.Get(&used, `SELECT last_used_at BETWEEN created_at AND now() FROM api_keys WHERE id = $1`, idOf(made)); err != nil || !used {
		t.Errorf("the last use is not recorded: %v", err)
	}
	if log := process.Output(); strings.Contains(log, key[12:]) || !strings.Contains(log, idOf(made)) {
		t.Error("the log shows the key, or not whose it was")
	}
}

// TestConcurrentUseOfKeys: makes, uses, rotates and revokes keys all at once; every answer is one that must be.
func TestConcurrentUseOfKeys(t *testing.T) {
	t.Parallel()
	s := serveAPI(t, storetest.Open(t), time.Millisecond)
	merchant := s.connect("acct_many")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			made, err := s.Try("POST", "/v1/api_keys", map[string]any{"name": "one of many", "scopes": []string{"tasks:read", "tasks:write"}})
			key, _ := made.Body["key"].(string)
			if err != nil || made.Status != 201 {
				t.Errorf("%v %v", made, err)
				return
			}
			mine := &programtest.Client{T: t, Base: s.Base, Key: key}
			for i := range 10 {
				body := invoiceOf(merchant)
				body["target"] = fmt.Sprintf("in_%s_%d", idOf(made.Body), i)
				if got, err := mine.Try("POST", "/v1/tasks", body); err != nil || got.Status != 201 {
					t.Errorf("%v %v", got, err)
				}
			}
			next, err := s.Try("POST", "/v1/api_keys/"+idOf(made.Body)+"/rotate", map[string]any{})
			if err != nil || next.Status != 201 {
				t.Errorf("%v %v", next, err)
			}
			if got, err := s.Try("POST", "/v1/api_keys/"+idOf(made.Body)+"/revoke", nil); err != nil || got.Status != 200 {
				t.Errorf("%v %v", got, err)
			}
			if got, err := mine.Try("GET", "/v1/tasks", nil); err != nil || got.Status != 401 {
				t.Errorf("a revoked key: %v %v", got, err)
			}
		})
	}
	group.Wait()
	entries, err := s.db.Store.ListAudit(context.Background(), billing.AuditFilter{Action: billing.ActionTaskCreate}, 200, billing.AuditMark{})
	if err != nil || len(entries) != 80 {
		t.Errorf("%d creations, %v", len(entries), err)
	}
	for _, entry := range entries {
		if entry.Actor.Name != "one of many" || entry.Actor.Address != "127.0.0.1" || entry.Actor.RequestID == "" {
			t.Fatalf("%+v", entry)
		}
	}
}
