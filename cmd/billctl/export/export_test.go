package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/cmd/billctl/export"
	"billonce/cmd/billctl/progress"
	"billonce/internal/openapitest"
	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
	"billonce/pkg/secret"
	"billonce/pkg/store"
	"billonce/pkg/store/storetest"
)

const retention = 400 * 24 * time.Hour

// fill makes n tasks of a status, made and ended so long ago.
func fill(t *testing.T, db *storetest.DB, merchant billing.MerchantID, n int, status billing.Status, ago time.Duration) {
	t.Helper()
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, status, run_at, created_at, finished_at, first_sent_at, sent_auth, sent_account)
		SELECT gen_random_uuid(), $1, 'invoice.pay', $2::text, at, at, CASE WHEN $2 <> 'pending' THEN at + interval '1 day' END,
			CASE WHEN $2 <> 'pending' THEN at END, CASE WHEN $2 <> 'pending' THEN 'token' END, CASE WHEN $2 <> 'pending' THEN 'a' END
		FROM generate_series(1, $4::int) AS n, LATERAL (SELECT now() - make_interval(secs => $3) AS at) AS old`,
		merchant, status, ago.Seconds(), n)
}

// move archives up to limit tasks.
func move(t *testing.T, db *storetest.DB, limit int) int {
	t.Helper()
	total := 0
	for _, status := range []billing.Status{billing.Succeeded, billing.Failed, billing.Canceled} {
		moved, err := db.Store.MoveFinished(context.Background(), status, time.Time{}, retention, limit)
		if err != nil {
			t.Error(err)
		}
		total += moved.Tasks
	}
	return total
}

// ids returns the ids of exported lines.
func ids(t *testing.T, lines string) (found []string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var task struct {
			ID       string            `json:"id"`
			Attempts []json.RawMessage `json:"attempts"`
		}
		if err := json.Unmarshal([]byte(line), &task); err != nil || task.ID == "" || task.Attempts == nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q: %v", line, err)
		}
		found = append(found, task.ID)
	}
	return found
}

func all(t *testing.T, db *storetest.DB) (found []string) {
	t.Helper()
	if err := db.SQL.Select(&found, `SELECT id FROM (SELECT id FROM scheduled_tasks UNION ALL SELECT id FROM archived_tasks) AS every ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	return found
}

// watched is a database whose every page is preceded by something.
type watched struct {
	*store.DB
	before func(page int)
	pages  int
}

func (w *watched) HistoryPage(ctx context.Context, filter store.HistoryFilter, of store.HistoryRange, limit int) (store.HistoryPage, error) {
	w.before(w.pages)
	w.pages++
	return w.DB.HistoryPage(ctx, filter, of, limit)
}

// TestEachTaskIsExportedOnce: in the order of ids, also when tasks move into the archive between any two pages and beside them.
func TestEachTaskIsExportedOnce(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t).ID
	fill(t, db, merchant, 1500, billing.Succeeded, 2*retention)
	fill(t, db, merchant, 300, billing.Failed, retention-48*time.Hour)
	fill(t, db, merchant, 200, billing.Pending, 2*retention)
	if moved := move(t, db, 100); moved != 100 {
		t.Fatalf("%d moved", moved)
	}
	want := all(t, db)
	moving := make(chan struct{})
	source := &watched{DB: db.DB, before: func(page int) {
		switch page {
		case 0: // tasks that come later are not waited for
			fill(t, db, merchant, 100, billing.Pending, 0)
		case 1:
			go func() {
				defer close(moving)
				for move(t, db, 7) > 0 {
				}
			}()
		default:
			move(t, db, 50)
		}
	}}
	var out bytes.Buffer
	state, err := export.Run(context.Background(), source, store.HistoryFilter{}, "", &out, progress.Quiet{})
	if err != nil {
		t.Fatal(err)
	}
	<-moving
	got := ids(t, out.String())
	if !slices.IsSorted(got) || len(got) != state.Written {
		t.Errorf("%d lines in order: %v; %+v", len(got), slices.IsSorted(got), state)
	}
	wanted := map[string]bool{}
	for _, id := range want {
		wanted[id] = true
	}
	seen := map[string]int{}
	for _, id := range got {
		seen[id]++
	}
	for _, id := range want {
		if seen[id] != 1 {
			t.Errorf("task %s was exported %d times", id, seen[id])
		}
	}
	if moved := len(want) - count(t, db, `SELECT count(*) FROM scheduled_tasks`) + 100; moved != 1500 {
		t.Errorf("%d tasks are archived by now", moved)
	}
}

func count(t *testing.T, db *storetest.DB, query string) (n int) {
	t.Helper()
	if err := db.SQL.Get(&n, query); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAnExportGoesOnWhereItWasInterrupted: the two parts are the whole.
func TestAnExportGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant := db.Merchant(t).ID
	fill(t, db, merchant, 400, billing.Succeeded, 2*retention)
	fill(t, db, merchant, 700, billing.Pending, 0)
	move(t, db, 400)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var first, second bytes.Buffer
	state, err := export.Run(ctx, &watched{DB: db.DB, before: func(page int) {
		if page == 2 {
			cancel()
		}
	}}, store.HistoryFilter{}, "", &first, progress.Quiet{})
	if err == nil || state.Written != 500 || string(state.Last) != ids(t, first.String())[499] {
		t.Fatalf("%+v, %v", state, err)
	}
	if _, err := export.Run(context.Background(), db.DB, store.HistoryFilter{}, state.Last, &second, progress.Quiet{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all(t, db), append(ids(t, first.String()), ids(t, second.String())...)); diff != "" {
		t.Error(diff)
	}
	var third bytes.Buffer
	last := ids(t, second.String())
	if _, err := export.Run(context.Background(), db.DB, store.HistoryFilter{}, billing.TaskID(last[len(last)-1]), &third, progress.Quiet{}); err != nil || third.Len() != 0 {
		t.Errorf("after the end: %d bytes, %v", third.Len(), err)
	}
}

// refusing is a disk that is full after some bytes.
type refusing struct{ left int }

func (r *refusing) Write(text []byte) (int, error) {
	if r.left -= len(text); r.left < 0 {
		return 0, errors.New("no space left")
	}
	return len(text), nil
}

func TestAFullDiskEndsTheExport(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	fill(t, db, db.Merchant(t).ID, 600, billing.Pending, 0)
	state, err := export.Run(context.Background(), db.DB, store.HistoryFilter{}, "", &refusing{250_000}, progress.Quiet{})
	if err == nil || state.Written != 250 || state.Last == "" {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	one, other := db.Merchant(t).ID, db.Merchant(t).ID
	const day = 24 * time.Hour
	fill(t, db, one, 1, billing.Succeeded, 2*retention)
	fill(t, db, one, 2, billing.Succeeded, 10*day)
	fill(t, db, other, 4, billing.Failed, 10*day)
	fill(t, db, other, 8, billing.Pending, 10*day)
	move(t, db, 100)
	now := time.Now()
	for name, tc := range map[string]struct {
		filter store.HistoryFilter
		want   int
	}{
		"Everything":       {store.HistoryFilter{}, 15},
		"Status":           {store.HistoryFilter{Status: billing.Succeeded}, 3},
		"Merchant":         {store.HistoryFilter{MerchantID: other}, 12},
		"Both":             {store.HistoryFilter{MerchantID: other, Status: billing.Pending}, 8},
		"CreatedFrom":      {store.HistoryFilter{From: now.Add(-11 * day)}, 14},
		"CreatedTo":        {store.HistoryFilter{To: now.Add(-11 * day)}, 1},
		"CreatedBetween":   {store.HistoryFilter{From: now.Add(-9 * day), To: now}, 0},
		"FinishedFrom":     {store.HistoryFilter{From: now.Add(-10 * day), ByEnd: true}, 6},
		"FinishedTo":       {store.HistoryFilter{To: now.Add(-retention), ByEnd: true}, 1},
		"FinishedAtAnyEnd": {store.HistoryFilter{From: now.Add(-3 * retention), ByEnd: true}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			state, err := export.Run(context.Background(), db.DB, tc.filter, "", &out, progress.Quiet{})
			if got := len(ids(t, out.String())); err != nil || got != tc.want || state.Seen != 15 {
				t.Errorf("%d tasks, %+v, %v, want %d", got, state, err, tc.want)
			}
		})
	}
	t.Run("OfNothing", func(t *testing.T) {
		var out bytes.Buffer
		if state, err := export.Run(context.Background(), storetest.Open(t).DB, store.HistoryFilter{}, "", &out, progress.Quiet{}); err != nil || out.Len() > 0 || state.Seen != 0 {
			t.Errorf("%+v, %v", state, err)
		}
	})
}

// unfrozen and ready are what the API needs and this test does not.
type unfrozen struct{}

func (unfrozen) Freeze(billing.TaskID, billing.Kind, string, json.RawMessage) (billing.Request, error) {
	return billing.Request{}, nil
}

type ready struct{}

func (ready) Ready(context.Context) error { return nil }

// TestALineIsWhatTheAPIShows: the task and its attempts, before it is archived and afterwards, and no token.
func TestALineIsWhatTheAPIShows(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	const key = "admin-key-of-the-test"
	api := httptest.NewServer(httpapi.New(httpapi.Deps{
		Merchants: db.Store, Tasks: db.Store, Standing: db.Store, Keys: db.Store, Audit: db.Store, Freezer: unfrozen{}, Health: ready{}, AdminKey: secret.New(key),
	}, httpapi.Config{}).Handler())
	defer api.Close()
	get := func(path string) (value any) {
		t.Helper()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, api.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		response, err := (&http.Client{Transport: openapitest.Transport{}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(text, &value) != nil {
			t.Fatalf("%s: %d %s, %v", path, response.StatusCode, text, err)
		}
		return value
	}
	history(t, db, merchant.ID)
	for _, when := range []string{"living", "archived"} {
		var out bytes.Buffer
		if _, err := export.Run(ctx, db.DB, store.HistoryFilter{}, "", &out, progress.Quiet{}); err != nil {
			t.Fatal(err)
		}
		if len(ids(t, out.String())) != 5 || strings.Contains(out.String(), "sk_test_") || strings.Contains(out.String(), "rt_") {
			t.Errorf("%s: %s", when, out.String())
		}
		for line := range strings.Lines(out.String()) {
			var task map[string]any
			if err := json.Unmarshal([]byte(line), &task); err != nil {
				t.Fatal(err)
			}
			path := "/v1/tasks/" + ids(t, line)[0]
			attempts := map[string]any{"data": task["attempts"], "next_cursor": nil}
			delete(task, "attempts")
			if diff := cmp.Diff(get(path), any(task)); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
			if diff := cmp.Diff(get(path+"/attempts"), any(attempts)); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = run_at - interval '500 days', finished_at = finished_at - interval '500 days'
			WHERE finished_at IS NOT NULL`)
		for move(t, db, 100) > 0 {
		}
	}
	if n := count(t, db, `SELECT count(*) FROM archived_tasks`); n != 4 {
		t.Errorf("%d tasks are archived", n)
	}
}

// history makes a task of each ending: done, refused and done again, called off, in doubt and resolved.
func history(t *testing.T, db *storetest.DB, merchant billing.MerchantID) {
	t.Helper()
	ctx := context.Background()
	worker := billing.WorkerID(storetest.NewID(t))
	if err := db.Store.RegisterWorker(ctx, billing.Worker{ID: worker, Hostname: "h", Version: "v", Concurrency: 1, Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	next := func() billing.NewTask {
		return billing.NewTask{
			ID: billing.TaskID(storetest.NewID(t)), MerchantID: merchant, Kind: billing.InvoicePay, Target: "in_" + storetest.NewID(t), MaxAttempts: 5,
			Params: json.RawMessage(`{"z": 1.10, "a": {"c": "<é>", "b": 12345678901234567890}}`), Metadata: map[string]string{"n": "m & m"},
			Request: billing.Request{Method: "POST", Path: "/v1/invoices/in_1/pay", APIVersion: "2023-10-16"}, Intent: storetest.NewID(t),
			OnDecline: &billing.Dunning{RetryAfter: []time.Duration{90 * time.Minute}},
		}
	}
	end := func(status billing.Status, answer billing.Answer) billing.TaskID {
		t.Helper()
		claimed, err := db.Store.Claim(ctx, worker, 10)
		if err != nil || len(claimed.Claims) != 1 {
			t.Fatalf("%d claims, %v", len(claimed.Claims), err)
		}
		c := claimed.Claims[0]
		if _, err := db.Store.Settle(ctx, []billing.Settlement{{
			ID: c.ID, Worker: worker, Attempt: c.Attempt, ClaimedAt: c.ClaimedAt, Status: status, Answer: answer,
		}}); err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	create := func() billing.TaskID {
		t.Helper()
		created, err := db.Store.CreateTasks(ctx, []billing.NewTask{next()})
		if err != nil {
			t.Fatal(err)
		}
		return created[0].Task.ID
	}
	create()
	refused := end(billing.Failed, billing.Answer{
		Outcome: billing.OutcomeRefused, Reason: billing.ReasonInvalid, Error: &billing.StripeError{HTTPStatus: 400, RequestID: "req_1", Message: "no"},
	})
	if _, err := db.Store.RetryTask(ctx, refused, next()); err != nil {
		t.Fatal(err)
	}
	end(billing.Succeeded, billing.Answer{
		Outcome: billing.OutcomeSucceeded, Reason: billing.ReasonDone, Result: &billing.Result{Object: "invoice", ID: "in_1", Status: "paid", RequestID: "req_2"},
	})
	create()
	doubt := end(billing.InDoubt, billing.Answer{Outcome: billing.OutcomeUnknown, Reason: billing.ReasonNoAnswer})
	if _, err := db.Store.ResolveTask(ctx, doubt, billing.Resolution{Outcome: billing.Succeeded, Note: "seen", RequestID: "r"}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Store.CancelTask(ctx, create()); err != nil {
		t.Fatal(err)
	}
	create()
}
