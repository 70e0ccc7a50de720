package dev

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
	"billonce/pkg/store/storetest"
)

func task(id string, status billing.Status) client.Task {
	done := client.Task{ID: id, Kind: billing.InvoicePay, Status: status, IdempotencyKey: "task_" + id}
	if status == billing.Succeeded {
		done.Result = &billing.Result{ID: "in_1"}
	}
	return done
}

func effects(keys ...string) []Effect {
	list := make([]Effect, len(keys))
	for i, key := range keys {
		list[i] = Effect{Seq: int64(i + 1), Op: "invoice.pay", Object: "in_1", IdempotencyKey: key}
	}
	return list
}

func TestAudit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tasks   []client.Task
		effects []Effect
		want    []string
	}{
		"the books agree": {
			[]client.Task{task("a", billing.Succeeded), task("b", billing.Failed), task("c", billing.Canceled)}, effects("task_a"), nil,
		},
		"a charge made twice": {
			[]client.Task{task("a", billing.Succeeded)},
			effects("task_a", "task_a"),
			[]string{"task a (invoice.pay) succeeded and has 2 effects, not 1"},
		},
		"a success without an effect": {
			[]client.Task{task("a", billing.Succeeded)}, nil, []string{"task a (invoice.pay) succeeded and has 0 effects, not 1"},
		},
		"the effect of another operation": {
			[]client.Task{task("a", billing.Succeeded)},
			[]Effect{{Op: "invoice.void", Object: "in_2", IdempotencyKey: "task_a"}},
			[]string{
				"task a (invoice.pay) had the effect of invoice.void",
				"task a (invoice.pay) reports another object than in_2, which it changed",
			},
		},
		"a failure with an effect": {
			[]client.Task{task("a", billing.Failed)}, effects("task_a"), []string{"task a (invoice.pay) failed and has 1 effects, not 0"},
		},
		"a task in doubt": {
			[]client.Task{task("a", billing.InDoubt)}, nil, []string{"task a (invoice.pay) is still in_doubt"},
		},
		"an effect without a key": {
			[]client.Task{task("a", billing.Succeeded)}, effects("task_a", ""), []string{`1 effects under the key "" belong to no task`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, audit(tc.tasks, tc.effects)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJudgeWantsTheExpectedEnd(t *testing.T) {
	t.Parallel()
	samples := []sample{{want: billing.Succeeded}}
	if err := judge(samples, []client.Task{task("a", billing.Succeeded)}, effects("task_a")); err != nil {
		t.Error(err)
	}
	if err := judge(samples, []client.Task{task("a", billing.Failed)}, nil); err == nil {
		t.Error("a failure was taken for a success")
	}
}

func TestDemoHasEveryEnd(t *testing.T) {
	t.Parallel()
	ends := map[billing.Status]int{}
	for _, one := range demoSamples("x") {
		ends[one.want]++
		if !one.kind.Known() || one.kind.Creates() == (one.target != "") {
			t.Errorf("%s with the target %q cannot be scheduled", one.kind, one.target)
		}
	}
	if got := slices.Sorted(maps.Keys(ends)); !slices.Equal(got, []billing.Status{billing.Failed, billing.Succeeded}) {
		t.Errorf("the demo's tasks end as %v", got)
	}
}

func TestEnvironReplacesBothForms(t *testing.T) {
	t.Setenv("ENCRYPTION_KEY", "from outside")
	t.Setenv("ADMIN_API_KEY_FILE", "from outside")
	t.Setenv("STRIPE_CLIENT_ID", "from outside")
	t.Setenv("LOG_LEVEL", "debug")
	got := environ(map[string]string{"ENCRYPTION_KEY_FILE": "/key", "ADMIN_API_KEY": "k", "STRIPE_CLIENT_ID": ""})
	var relevant []string
	for _, entry := range got {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE", "ADMIN_API_KEY", "ADMIN_API_KEY_FILE", "STRIPE_CLIENT_ID", "LOG_LEVEL"}, name) {
			relevant = append(relevant, entry)
		}
	}
	slices.Sort(relevant)
	if diff := cmp.Diff([]string{"ADMIN_API_KEY=k", "ENCRYPTION_KEY_FILE=/key", "LOG_LEVEL=debug"}, relevant); diff != "" {
		t.Error(diff)
	}
}

func TestCheckoutAround(t *testing.T) {
	t.Parallel()
	repo := t.TempDir()
	deep := filepath.Join(repo, "cmd", "other")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(folder, module string) {
		if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte("// a comment\nmodule "+module+"\n\ngo 1.26.0\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found, ok := checkoutAround(deep); ok {
		t.Errorf("found %s where there is none", found)
	}
	write(repo, "billonce")
	write(deep, "billonce/other") // a module of its own within the checkout
	if found, ok := checkoutAround(deep); !ok || found != repo {
		t.Errorf("found %q, %v", found, ok)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:9": "127.0.0.1:9", "[::]:9": "127.0.0.1:9", "localhost:9": "localhost:9", "10.1.2.3:9": "10.1.2.3:9",
	} {
		if got := reachable(address); got != want {
			t.Errorf("reachable(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestFeedLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.Local)
	f := &feed{names: map[string]string{"m": "Alma's Bakery"}}
	done := client.Task{
		MerchantID: "m", Kind: billing.InvoicePay, Status: billing.Succeeded, FinishedAt: &at,
		Result: &billing.Result{ID: "in_1", Status: "paid"},
	}
	if got, want := f.line(done), "  12:00:00  succeeded  invoice.pay                   Alma's Bakery       in_1 paid"; got != want {
		t.Errorf("line\n%q, want\n%q", got, want)
	}
	declined := client.Task{
		MerchantID: "other", Kind: billing.InvoicePay, Status: billing.Failed, UpdatedAt: at,
		LastError: &billing.StripeError{Type: "card_error", Code: "card_declined"},
	}
	if got, want := f.line(declined), "  12:00:00  failed     invoice.pay                   other               card_error card_declined"; got != want {
		t.Errorf("line\n%q, want\n%q", got, want)
	}
}

func TestSealedTokens(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	tokens := []string{accessToken(merchant.StripeConnectID), refreshToken(merchant.StripeConnectID)}
	found, err := sealedTokens(t.Context(), secret.New(db.URL), tokens)
	if err != nil || len(found) != 2 {
		t.Fatalf("%d tokens, %v", len(found), err)
	}
	for name, stored := range map[string]string{"in clear": "x" + tokens[0], "not an envelope": "deadbeef"} {
		if _, err := db.SQL.ExecContext(t.Context(), `UPDATE merchants SET access_token = $1`, stored); err != nil {
			t.Fatal(err)
		}
		_, err := sealedTokens(t.Context(), secret.New(db.URL), tokens)
		if err == nil || strings.Contains(err.Error(), stored) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFreshDatabaseOnAGivenServer(t *testing.T) {
	t.Parallel()
	server := secret.New(storetest.ServerURL(t))
	db, err := freshDatabase(t.Context(), server, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if applied, err := db.migrate(t.Context()); err != nil || applied == 0 {
		t.Errorf("%d migrations, %v", applied, err)
	}
	if err := db.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := execute(t.Context(), db.url, `SELECT 1`); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("the database is still there: %v", err)
	}
	if _, err := freshDatabase(t.Context(), secret.New("host=x password=canary"), t.Output()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a DSN: %v", err)
	}
}
