package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"billonce/cmd/billctl/doctor"
	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/store"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// database is one that is well, but for what a test changes.
type database struct {
	ping     error
	server   store.Server
	version  int64
	wrong    []string
	noRoles  bool
	uses     []store.KeyUse
	usesErr  error
	unsealed int
	clock    store.ClockState
	workers  []store.SeenWorker
	backlog  store.Backlog
	oldest   time.Duration
	tables   []store.Table
	open     []store.LongTransaction
	hidden   int
	blind    error // of what is looked at in the schema
}

func well() *database {
	return &database{
		server: store.Server{Version: 160004, Name: "16.4", User: "billonce_read", Settings: map[string]string{
			"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on", "track_counts": "on", "jit": "on",
		}},
		version: 11, uses: []store.KeyUse{{ID: "key", Known: true, Active: true, Tokens: 2}}, clock: store.ClockState{Now: now},
		workers: []store.SeenWorker{{Host: "w1", Version: "v1", Slots: 100, Alive: true}},
		tables:  []store.Table{{Name: "scheduled_tasks", Bytes: 1 << 20, Live: 10}},
	}
}

func (d *database) Ping(context.Context) error                   { return d.ping }
func (d *database) Server(context.Context) (store.Server, error) { return d.server, nil }
func (d *database) Schema(context.Context) (int64, int64, error) { return d.version, 11, nil }
func (d *database) Grants(context.Context) ([]string, bool, error) {
	return d.wrong, !d.noRoles, d.blind
}

func (d *database) KeyUses(context.Context) ([]store.KeyUse, error) {
	return d.uses, errors.Join(d.usesErr, d.blind)
}

func (d *database) UnsealedTokens(context.Context) (int, error)     { return d.unsealed, d.blind }
func (d *database) Clock(context.Context) (store.ClockState, error) { return d.clock, d.blind }
func (d *database) Now(context.Context) (time.Time, error)          { return d.clock.Now, d.blind }

func (d *database) Workers(context.Context) ([]store.SeenWorker, error) { return d.workers, d.blind }

func (d *database) Backlog(context.Context, time.Duration) (store.Backlog, error) {
	return d.backlog, d.blind
}

func (d *database) OldestFinished(context.Context) (time.Duration, error) { return d.oldest, d.blind }

func (d *database) Tables(context.Context) ([]store.Table, error) { return d.tables, d.blind }

func (d *database) LongTransactions(context.Context, time.Duration) ([]store.LongTransaction, int, error) {
	return d.open, d.hidden, d.blind
}

func examine(t *testing.T, opts doctor.Options) []doctor.Finding {
	t.Helper()
	opts.Now = func() time.Time { return now }
	if opts.Retention == 0 {
		opts.Retention = 400 * 24 * time.Hour
	}
	var found []doctor.Finding
	doctor.Examine(t.Context(), opts, func(one doctor.Finding) { found = append(found, one) })
	return found
}

// worst are those that are not in order.
func worst(found []doctor.Finding) (bad []doctor.Finding) {
	for _, one := range found {
		if one.Level != doctor.OK {
			bad = append(bad, one)
		}
	}
	return bad
}

func TestWhatIsWellIsInOrder(t *testing.T) {
	t.Parallel()
	found := examine(t, doctor.Options{Database: well(), Keys: []string{"key"}})
	if bad := worst(found); len(bad) != 0 || len(found) < 11 {
		t.Errorf("%d findings, %+v", len(found), bad)
	}
}

// TestEachFaultIsFoundAndNothingElse.
func TestEachFaultIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	key := func(use store.KeyUse) func(*database) { return func(d *database) { d.uses = append(d.uses, use) } }
	setting := func(name string) func(*database) { return func(d *database) { d.server.Settings[name] = "off" } }
	for name, tc := range map[string]struct {
		change func(*database)
		check  string
		level  doctor.Level
		what   string
	}{
		"Away":            {func(d *database) { d.ping = errors.New("connect: refused") }, "database", doctor.Fail, "does not answer"},
		"Old":             {func(d *database) { d.server.Version = 130011 }, "database", doctor.Fail, "older than 14"},
		"Standby":         {func(d *database) { d.server.InRecovery = true }, "database", doctor.Fail, "standby"},
		"Fsync":           {setting("fsync"), "settings", doctor.Fail, "fsync is off"},
		"SyncCommit":      {setting("synchronous_commit"), "settings", doctor.Fail, "synchronous_commit is off"},
		"PageWrites":      {setting("full_page_writes"), "settings", doctor.Fail, "tear"},
		"Autovacuum":      {setting("autovacuum"), "settings", doctor.Fail, "autovacuum is off"},
		"OldSchema":       {func(d *database) { d.version = 10 }, "schema", doctor.Fail, "version 10"},
		"NewSchema":       {func(d *database) { d.version = 12 }, "schema", doctor.Warn, "newer"},
		"NoRoles":         {func(d *database) { d.noRoles = true }, "roles", doctor.Warn, "no roles"},
		"Grants":          {func(d *database) { d.wrong = []string{"a may b", "c may d"} }, "roles", doctor.Fail, "a may b; c may d"},
		"OtherKey":        {func(d *database) { d.uses[0].ID = "other" }, "keys", doctor.Fail, "given are key"},
		"RetiredKey":      {key(store.KeyUse{ID: "key", Retired: true, Tokens: 3}), "keys", doctor.Fail, "retired"},
		"Rotating":        {key(store.KeyUse{ID: "key", Tokens: 3}), "keys", doctor.Warn, "has not ended"},
		"Unnamed":         {key(store.KeyUse{Tokens: 3, Unbound: 3}), "keys", doctor.Warn, "name no key"},
		"Unbound":         {func(d *database) { d.uses[0].Unbound = 2 }, "keys", doctor.Warn, "bound to no place"},
		"ManySealings":    {func(d *database) { d.uses[0].Sealings = billing.SealingsMany }, "keys", doctor.Warn, "has sealed"},
		"Unsealed":        {func(d *database) { d.unsealed = 1 }, "keys", doctor.Fail, "by hand"},
		"KeysDenied":      {func(d *database) { d.usesErr = billing.ErrDenied }, "keys", doctor.Warn, "may not see"},
		"ClockAhead":      {func(d *database) { d.clock.Now = now.Add(time.Minute) }, "clock", doctor.Fail, "1m0s ahead of"},
		"ClockBehind":     {func(d *database) { d.clock.Now = now.Add(-5 * time.Second) }, "clock", doctor.Warn, "5s behind"},
		"ClockStepped":    {func(d *database) { d.clock.Steps, d.clock.LastStep, d.clock.StepsBack = 2, &now, 90 }, "clock", doctor.Warn, "stepped back 2 times"},
		"NoWorker":        {func(d *database) { d.workers = nil }, "workers", doctor.Fail, "no worker"},
		"TwoVersions":     {func(d *database) { d.workers = append(d.workers, store.SeenWorker{Version: "v2", Alive: true}) }, "workers", doctor.Warn, "v1 (1), v2 (1)"},
		"SilentWorker":    {func(d *database) { d.workers = append(d.workers, store.SeenWorker{Host: "w9", Silent: 60}) }, "workers", doctor.Warn, "w9 (for 1m0s)"},
		"Overdue":         {func(d *database) { d.backlog = store.Backlog{Overdue: 3, OldestDue: 600} }, "tasks", doctor.Fail, "3 tasks have been due"},
		"Orphans":         {func(d *database) { d.backlog = store.Backlog{Orphaned: 3} }, "tasks", doctor.Warn, "lost their lease"},
		"DoubtsLeft":      {func(d *database) { d.backlog = store.Backlog{InDoubt: 2, Left: 2} }, "tasks", doctor.Warn, "wait for a person"},
		"DoubtsLookedAt":  {func(d *database) { d.backlog = store.Backlog{InDoubt: 10000, Capped: true} }, "tasks", doctor.Warn, "10000 or more"},
		"Archive":         {func(d *database) { d.oldest = 500 * 24 * time.Hour }, "archive", doctor.Warn, "500 days"},
		"DeadRows":        {func(d *database) { d.tables[0].Dead, d.tables[0].Vacuumed = 1_000_000, -1 }, "tables", doctor.Warn, "vacuumed never"},
		"Bloat":           {func(d *database) { d.tables[0].Bytes, d.tables[0].Need = 4<<30, 100<<20 }, "tables", doctor.Warn, "takes 4096 MiB"},
		"LongTransaction": {func(d *database) { d.open = []store.LongTransaction{{PID: 7, User: "u", Age: 600}} }, "transactions", doctor.Warn, "process 7 of u"},
		"TooLong":         {func(d *database) { d.open = []store.LongTransaction{{User: "u", Age: 9000}} }, "transactions", doctor.Fail, "prepared transaction of u"},
		"Hidden":          {func(d *database) { d.hidden = 3 }, "transactions", doctor.Warn, "3 sessions"},
		"Freeze":          {func(d *database) { d.server.XIDAge = 1_600_000_000 }, "transactions", doctor.Fail, "1600 million"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := well()
			tc.change(db)
			keys := []string{"key"}
			if len(db.uses) > 1 && db.uses[1].ID == "key" { // another one is active
				db.uses[0].ID, keys = "new", []string{"new", "key"}
			}
			bad := worst(examine(t, doctor.Options{Database: db, Keys: keys}))
			if len(bad) != 1 || bad[0].Check != tc.check || bad[0].Level != tc.level || !strings.Contains(bad[0].What, tc.what) || bad[0].Do == "" {
				t.Errorf("%+v", bad)
			}
		})
	}
}

// TestWhatCannotBeLookedAtIsNotInOrder.
func TestWhatCannotBeLookedAtIsNotInOrder(t *testing.T) {
	t.Parallel()
	db := well()
	db.blind = errors.New("permission denied")
	for _, one := range examine(t, doctor.Options{Database: db}) {
		known := one.Check == "database" || one.Check == "settings" || one.Check == "schema"
		if (one.Level == doctor.OK) != known || !known && !strings.Contains(one.What, "could not be looked at") {
			t.Errorf("%+v", one)
		}
	}
}

func TestStripeIsReachedWithoutAKey(t *testing.T) {
	t.Parallel()
	date, status := now, http.StatusNotFound
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a key is sent")
		}
		w.Header().Set("Date", date.Format(http.TimeFormat))
		w.WriteHeader(status)
	}))
	defer server.Close()
	stripe := &doctor.Stripe{URL: server.URL, Through: server.Client().Transport}
	if bad := worst(examine(t, doctor.Options{Stripe: stripe, Database: well()})); len(bad) != 0 {
		t.Errorf("%+v", bad)
	}
	date = now.Add(10 * time.Second)
	if bad := worst(examine(t, doctor.Options{Stripe: stripe, Database: well()})); len(bad) != 1 || bad[0].Check != "clock" || !strings.Contains(bad[0].What, "behind Stripe's") {
		t.Errorf("%+v", bad)
	}
	if bad := worst(examine(t, doctor.Options{Stripe: stripe})); len(bad) != 1 || bad[0].Check != "clock" || !strings.Contains(bad[0].What, "this machine's clock") {
		t.Errorf("%+v", bad)
	}
	date, status = now, http.StatusBadGateway
	if bad := worst(examine(t, doctor.Options{Stripe: stripe})); len(bad) != 1 || bad[0].Level != doctor.Warn {
		t.Errorf("%+v", bad)
	}
	for _, address := range []string{server.URL, "http://127.0.0.1:1", "nonsense", "http://user:secretcanary@127.0.0.1:1"} { // the first with a certificate of nobody's
		bad := worst(examine(t, doctor.Options{Stripe: &doctor.Stripe{URL: address}}))
		if len(bad) != 1 || bad[0].Level != doctor.Fail || strings.Contains(bad[0].What, "canary") {
			t.Errorf("%s: %+v", address, bad)
		}
	}
}

// api answers by path.
type api map[string]string

func (a api) Do(_ context.Context, call client.Call) (json.RawMessage, error) {
	text, found := a[call.Path]
	var status int
	if _, err := fmt.Sscanf(text, "%d", &status); err == nil && status > 99 || !found {
		if !found {
			status = http.StatusNotFound
		}
		return nil, &client.Problem{Title: http.StatusText(status), Status: status}
	}
	if text == "away" {
		return nil, errors.New("connect: refused")
	}
	return json.RawMessage(text), nil
}

func TestTheAPIIsLookedAt(t *testing.T) {
	t.Parallel()
	const (
		overview = `{"attention":{"in_doubt":0,"overdue":0,"paused_merchants":0}}`
		workers  = `{"data":[{"host":"w","version":"v1","slots":4,"alive":true}]}`
		keys     = `{"rotation":{"total":3,"left":0}}`
		me       = `{"name":"ops","scopes":["admin"]}`
	)
	for name, tc := range map[string]struct {
		change map[string]string
		level  doctor.Level
		what   string
	}{
		"Well":        {nil, doctor.OK, ""},
		"Away":        {map[string]string{"/readyz": "away"}, doctor.Fail, "does not answer"},
		"NotReady":    {map[string]string{"/readyz": "503"}, doctor.Fail, "not ready"},
		"NotOurs":     {map[string]string{"/readyz": "404"}, doctor.Fail, "something else"},
		"WrongKey":    {map[string]string{"/v1/me": "401"}, doctor.Fail, "does not take the key"},
		"KeyEnds":     {map[string]string{"/v1/me": `{"name":"ops","scopes":["admin"],"expires_at":"2026-03-05T00:00:00Z"}`}, doctor.Warn, "ends 2026-03-05"},
		"Overdue":     {map[string]string{"/v1/overview": `{"attention":{"overdue":2}}`}, doctor.Fail, "2 tasks have been due"},
		"InDoubt":     {map[string]string{"/v1/overview": `{"attention":{"in_doubt":2}}`}, doctor.Warn, "2 tasks are in doubt"},
		"Paused":      {map[string]string{"/v1/overview": `{"attention":{"paused_merchants":10000,"capped":true}}`}, doctor.Warn, "10000 or more merchants"},
		"Rotating":    {map[string]string{"/v1/overview": `{"attention":{},"encryption":{"state":"rotating"}}`}, doctor.Warn, "being rotated"},
		"NoWorker":    {map[string]string{"/v1/workers": `{"data":[]}`}, doctor.Fail, "no worker"},
		"NotAllowed":  {map[string]string{"/v1/encryption": "403"}, doctor.Warn, "does not allow it"},
		"Older":       {map[string]string{"/v1/encryption": "404"}, doctor.Warn, "older than this billctl"},
		"Broken":      {map[string]string{"/v1/encryption": "500"}, doctor.Fail, "could not be asked for"},
		"RetiredKeys": {map[string]string{"/v1/encryption": `{"keys":[{"id":"a","tokens":2,"retired_at":"2026-02-01T00:00:00Z"}],"rotation":{"total":3,"left":2}}`}, doctor.Fail, "retired"},
		"Left":        {map[string]string{"/v1/encryption": `{"rotation":{"total":3,"left":2}}`}, doctor.Warn, "of 3 tokens, 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := api{
				"/readyz": `{"status":"ok"}`, "/openapi.yaml": "info:\n  version: 1.2.3\n", "/v1/me": me, "/v1/overview": overview, "/v1/workers": workers,
				"/v1/encryption": keys,
			}
			for path, text := range tc.change {
				fake[path] = text
			}
			found := examine(t, doctor.Options{API: fake})
			bad := worst(found)
			if tc.level == doctor.OK {
				if len(bad) != 0 || !strings.Contains(found[0].What, "1.2.3") {
					t.Errorf("%+v", found)
				}
				return
			}
			if len(bad) != 1 || bad[0].Level != tc.level || !strings.Contains(bad[0].What, tc.what) {
				t.Errorf("%+v", bad)
			}
		})
	}
}

func TestWhatIsNotWantedIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, one := range examine(t, doctor.Options{Database: well(), Skip: doctor.Checks()}) {
		if one.Check != "database" {
			t.Errorf("%+v", one)
		}
	}
}

// TestEveryPageThatIsNamedIsThere: a heading for each anchor, as GitHub makes them.
func TestEveryPageThatIsNamedIsThere(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`"docs/([a-z]+\.md)#([a-z0-9_-]+)"`).FindAllStringSubmatch(string(text), -1) {
			named[match[1]+"#"+match[2]] = true
		}
	}
	if len(named) < 10 {
		t.Fatalf("only %v", named)
	}
	there := map[string]bool{}
	for _, page := range []string{"runbook.md", "billctl.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(text), -1) {
			anchor := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
			there[page+"#"+strings.ReplaceAll(anchor, " ", "-")] = true
		}
	}
	for anchor := range named {
		if !there[anchor] {
			t.Errorf("there is no heading for %s", anchor)
		}
	}
}
