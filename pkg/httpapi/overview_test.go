package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

func wantBody(t *testing.T, got []byte, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Error(diff)
	}
}

func TestOverviewIsShown(t *testing.T) {
	t.Parallel()
	a := newAPI()
	oldest := noon.Add(-90500 * time.Millisecond)
	a.standing.OverviewFunc = func(context.Context, billing.MerchantID) (billing.Overview, error) {
		return billing.Overview{
			Now: noon, Due: billing.Count{N: 3}, OldestDue: &oldest, Overdue: billing.Count{N: 10_000, Capped: true}, Paused: billing.Count{N: 1},
			Tasks:    []billing.StatusCount{{Status: billing.InDoubt, Count: billing.Count{N: 2}}},
			Outcomes: []billing.OutcomesAt{{At: noon, OutcomeCounts: billing.OutcomeCounts{Succeeded: 1, Failed: 2, InDoubt: 3, Retried: 4}}},
			Workers:  &billing.WorkerTotals{Alive: 1, Silent: 2, Slots: 3, Busy: 4}, Keys: &billing.KeyState{WriteKey: "k", Rotating: true},
		}, nil
	}
	wantBody(t, a.call(t, "GET", "/v1/overview", "").Body.Bytes(), `{
		"now": "2026-03-01T12:00:00.123456Z",
		"due": {"count": 3, "capped": false, "oldest_run_at": "2026-03-01T11:58:29.623456Z", "oldest_age_seconds": 90},
		"tasks": [{"status": "in_doubt", "count": 2, "capped": false}],
		"attention": {"in_doubt": 2, "overdue": 10000, "paused_merchants": 1, "capped": true},
		"outcomes": [{"at": "2026-03-01T12:00:00.123456Z", "succeeded": 1, "failed": 2, "in_doubt": 3, "retried": 4}],
		"workers": {"alive": 1, "silent": 2, "slots": 3, "busy": 4}, "encryption": {"state": "rotating", "write_key": "k"}}`)
}

func TestEncryptionIsShown(t *testing.T) {
	t.Parallel()
	a := newAPI()
	wantBody(t, a.call(t, "GET", "/v1/encryption", "").Body.Bytes(),
		`{"write_key": null, "keys": [], "tokens": 0, "unnamed": 0, "unbound": 0, "rotation": {"total": 0, "left": 0}}`)
	b := newAPI()
	b.standing.keys = []billing.EncryptionKey{
		{Tokens: 5, Unbound: 5},
		{ID: "old", Tokens: 7, Unbound: 1, Known: true, Sealings: 512, CreatedAt: noon, RetiredAt: &noon},
		{ID: "new", Active: true, Tokens: 11, Unbound: 2, Known: true, Sealings: 256, CreatedAt: noon},
		{ID: "strange", Tokens: 1},
	}
	wantBody(t, b.call(t, "GET", "/v1/encryption", "").Body.Bytes(), `{"write_key": "new", "keys": [
		{"id": "old", "tokens": 7, "unbound": 1, "sealings": 512, "retired_at": "2026-03-01T12:00:00.123456Z", "first_used_at": "2026-03-01T12:00:00.123456Z"},
		{"id": "new", "tokens": 11, "unbound": 2, "sealings": 256, "retired_at": null, "first_used_at": "2026-03-01T12:00:00.123456Z"},
		{"id": "strange", "tokens": 1, "unbound": 0, "sealings": 0, "retired_at": null, "first_used_at": null}],
		"tokens": 24, "unnamed": 5, "unbound": 8, "rotation": {"total": 24, "left": 15}}`)
}

// TestEveryKeySeesWhoseItIs, and a key for one merchant nothing of what concerns all.
func TestEveryKeySeesWhoseItIs(t *testing.T) {
	t.Parallel()
	a := newAPI()
	wantBody(t, a.call(t, "GET", "/v1/me", "").Body.Bytes(),
		`{"id": null, "name": "ADMIN_API_KEY", "scopes": ["admin"], "merchant_id": null, "expires_at": null}`)
	key := a.keyFor(func(key *billing.APIKey) { key.MerchantID, key.Name, key.ExpiresAt = merchantID, "shop", &noon }, billing.ScopeTasksRead)
	wantBody(t, a.with(t, key, "GET", "/v1/me", "").Body.Bytes(), `{"id": "`+taskID+`", "name": "shop", "scopes": ["tasks:read"],
		"merchant_id": "`+merchantID+`", "expires_at": "2026-03-01T12:00:00.123456Z"}`)
	var asked billing.MerchantID
	a.standing.OverviewFunc = func(_ context.Context, merchant billing.MerchantID) (billing.Overview, error) {
		asked = merchant
		return billing.Overview{Now: noon}, nil
	}
	got := a.with(t, key, "GET", "/v1/overview", "")
	wantStatus(t, got, 200)
	if asked != merchantID || !strings.Contains(got.Body.String(), `"outcomes":[],"workers":null,"encryption":null`) {
		t.Errorf("of %s: %s", asked, got.Body)
	}
	for _, path := range []string{"/v1/workers", "/v1/encryption"} {
		wantProblem(t, a.with(t, key, "GET", path, ""), 403)
	}
}

// TestManyWhoLookCostOneRead: the others wait for it; a failure is not asked for again by each of them, and somebody who leaves while he
// reads spoils nothing.
func TestManyWhoLookCostOneRead(t *testing.T) {
	t.Parallel()
	a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.OverviewFresh = time.Hour })
	reading, read := make(chan struct{}, 100), make(chan error)
	a.standing.OverviewFunc = func(ctx context.Context, _ billing.MerchantID) (billing.Overview, error) {
		reading <- struct{}{}
		select {
		case err := <-read:
			return billing.Overview{Now: noon}, err
		case <-ctx.Done():
			return billing.Overview{}, ctx.Err()
		}
	}
	look := func(ctx context.Context) (*sync.WaitGroup, *[]int) {
		var crew sync.WaitGroup
		var mu sync.Mutex
		codes := &[]int{}
		for range 20 {
			crew.Go(func() {
				code := a.within(ctx, t, "/v1/overview")
				mu.Lock()
				defer mu.Unlock()
				*codes = append(*codes, code)
			})
		}
		return &crew, codes
	}
	leaving, leave := context.WithCancel(t.Context())
	gone, _ := look(leaving)
	<-reading
	leave()
	gone.Wait()
	reads := a.standing.reads.Load()
	crew, codes := look(t.Context())
	<-reading
	read <- nil
	crew.Wait()
	for _, code := range *codes {
		if code != 200 {
			t.Errorf("%d", code)
		}
	}
	if n := a.standing.reads.Load() - reads; n != 1 {
		t.Errorf("%d reads for 20 people", n)
	}
	b := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.OverviewFresh = time.Hour })
	b.standing.OverviewFunc = func(context.Context, billing.MerchantID) (billing.Overview, error) {
		return billing.Overview{}, &billing.Error{Code: billing.CodeUnavailable, Err: errors.New("no database")}
	}
	for range 5 {
		wantProblem(t, b.call(t, "GET", "/v1/overview", ""), 503)
	}
	if n := b.standing.reads.Load(); n != 1 {
		t.Errorf("%d reads of what is not there", n)
	}
}
