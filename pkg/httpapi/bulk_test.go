package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
)

type bulkAnswer struct {
	Matched, Changed, Refused int
	Capped, More              bool
	AsOf                      time.Time  `json:"as_of"`
	NextCursor                *string    `json:"next_cursor"`
	SearchedTo                *time.Time `json:"searched_to"`
}

// TestABulkRequestIsReadWhole: every fault at its place, and nothing is looked for.
func TestABulkRequestIsReadWhole(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.MatchFunc = func(billing.TaskFilter, int, billing.TaskID) (billing.Matching, error) {
		t.Error("looked for tasks")
		return billing.Matching{}, nil
	}
	for body, want := range map[string]string{
		`{}`: "/action required, /reason required, /filter required",
		`{"action":"cancel","reason":"r","filter":{}}`:                                                   "/filter required",
		`{"action":"cancel","reason":"r","filter":{"created_before":"2030-01-01T00:00:00Z"}}`:            "/filter required",
		`{"action":"cancel","reason":"r","filter":{"status":null,"target":null}}`:                        "/filter required",
		`{"action":"delete","reason":" ","filter":[]}`:                                                   "/action unknown_value, /reason required, /filter wrong_type",
		`{"action":1,"reason":"","filter":{"kind":1}}`:                                                   "/action wrong_type, /reason bad_length, /filter/kind wrong_type",
		`{"action":"reschedule","reason":"r","filter":{"status":"pending"}}`:                             "/run_at required",
		`{"action":"cancel","reason":"r","filter":{"status":"pending"},"run_at":"2030-01-01T00:00:00Z"}`: "/run_at unknown_field",
		`{"action":"retry","reason":"r","filter":{"status":"pending,odd"},"limit":0}`:                    "/limit out_of_range, /filter/status unknown_value",
		`{"action":"retry","reason":"r","filter":{"status":"failed"},"limit":1001,"dry_run":"yes"}`:      "/dry_run wrong_type, /limit out_of_range",
		`{"action":"retry","reason":"r","filter":{"status":"failed"},"cursor":"x"}`:                      "/cursor bad_format",
		`{"action":"retry","reason":"r","filter":{"status":"failed"},"cursor":7}`:                        "/cursor wrong_type",
		`{"action":"retry","reason":"r","filter":{"merchant_id":"x","target":"a b","from":"soon","odd":1}}`: "/filter/merchant_id bad_format, " +
			"/filter/target bad_format, /filter/from bad_format, /filter/odd unknown_field",
		`{"action":"cancel","reason":"` + strings.Repeat("r", 501) + `","filter":{"status":"pending"},"also":1}`: "/reason bad_length, /also unknown_field",
	} {
		if p := wantProblem(t, a.call(t, "POST", "/v1/tasks/bulk", body), 422); p.pointers() != want {
			t.Errorf("%s: %s, want %s", body, p.pointers(), want)
		}
	}
	if a.writes() != 0 {
		t.Errorf("%d writes", a.writes())
	}
}

// TestABulkChangeIsCounted: what changed, what was refused, and whether to go on.
func TestABulkChangeIsCounted(t *testing.T) {
	t.Parallel()
	ids := func(n int) (list []billing.TaskID) {
		for i := range n {
			list = append(list, billing.TaskID(fmt.Sprintf("0192f5a0-7b1c-7def-8a2b-%012d", i)))
		}
		return list
	}
	for name, tc := range map[string]struct {
		matching int
		options  string
		accepts  func(billing.TaskID) bool
		want     bulkAnswer
	}{
		"None":           {0, ``, nil, bulkAnswer{}},
		"All":            {7, ``, nil, bulkAnswer{Matched: 7, Changed: 7}},
		"DryRun":         {7, `,"dry_run":true`, nil, bulkAnswer{Matched: 7, More: true}},
		"DryRunOfMany":   {10_001, `,"dry_run":true`, nil, bulkAnswer{Matched: 10_000, Capped: true, More: true}},
		"Limit":          {7, `,"limit":3`, nil, bulkAnswer{Matched: 7, Changed: 3, More: true}},
		"DefaultLimit":   {10_001, ``, nil, bulkAnswer{Matched: 10_000, Capped: true, Changed: 1000, More: true}},
		"RefusedAreLeft": {7, `,"limit":3`, func(id billing.TaskID) bool { return id[35] > '2' }, bulkAnswer{Matched: 7, Changed: 3, Refused: 3, More: true}},
		"AllRefused":     {10_001, `,"limit":3`, func(billing.TaskID) bool { return false }, bulkAnswer{Matched: 10_000, Capped: true, Refused: 10_000, More: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI()
			a.tasks.MatchFunc = func(filter billing.TaskFilter, limit int, _ billing.TaskID) (billing.Matching, error) {
				if limit != 10_000 || !slices.Equal(filter.Statuses, []billing.Status{billing.Pending}) {
					t.Errorf("%d of %+v", limit, filter)
				}
				matching := billing.Matching{IDs: ids(tc.matching), AsOf: noon}
				if tc.matching > limit {
					matching.IDs, matching.Next = matching.IDs[:limit], matching.IDs[limit-1]
				}
				return matching, nil
			}
			a.tasks.ChangeFunc = func(ctx context.Context, ids []billing.TaskID) (changed int, err error) {
				if actor, ok := billing.ActorOf(ctx); !ok || actor.Reason != "because" {
					t.Errorf("asked by %+v", actor)
				}
				for _, id := range ids {
					if tc.accepts == nil || tc.accepts(id) {
						changed++
					}
				}
				return changed, nil
			}
			tc.want.AsOf = noon
			got := a.call(t, "POST", "/v1/tasks/bulk", `{"action":"cancel","filter":{"status":"pending"},"reason":" because "`+tc.options+`}`)
			wantStatus(t, got, 200)
			answer := decode[bulkAnswer](t, got)
			if goesOn := answer.NextCursor != nil; goesOn != answer.More && name != "DryRun" {
				t.Errorf("more is %t, the next call goes on at %v", answer.More, answer.NextCursor)
			}
			answer.NextCursor = nil
			if diff := cmp.Diff(tc.want, answer); diff != "" {
				t.Error(diff)
			}
			if strings.HasPrefix(name, "DryRun") && a.writes() != 0 {
				t.Errorf("%d writes", a.writes())
			}
		})
	}
}

// TestABulkRetryGoesOn past what cannot be retried any more, and stops at what is nobody's fault.
func TestABulkRetryGoesOn(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.MatchFunc = func(billing.TaskFilter, int, billing.TaskID) (billing.Matching, error) {
		return billing.Matching{IDs: []billing.TaskID{strangerID, taskID, strangerID, taskID}, AsOf: noon}, nil
	}
	a.tasks.GetFunc = func(_ context.Context, id billing.TaskID) (billing.Task, error) {
		task := someTask()
		task.ID, task.Status = id, billing.Failed
		return task, nil
	}
	answers := []error{nil, &billing.Error{Code: billing.CodeIntentTaken}, &billing.Error{Code: billing.CodeConflict}, nil}
	a.tasks.RetryFunc = func(_ billing.TaskID, next billing.NewTask) (billing.CreatedTask, error) {
		err := answers[0]
		answers = answers[1:]
		return billing.CreatedTask{Task: taskOf(next), Replayed: len(answers) == 0}, err
	}
	body := `{"action":"retry","filter":{"status":"failed"},"reason":"because"}`
	got := decode[bulkAnswer](t, a.call(t, "POST", "/v1/tasks/bulk", body))
	if diff := cmp.Diff(bulkAnswer{Matched: 4, Changed: 1, Refused: 3, AsOf: noon}, got); diff != "" {
		t.Error(diff)
	}
	if a.metrics.scheduled[billing.InvoicePay] != 1 {
		t.Errorf("%v", a.metrics.scheduled)
	}
	answers = []error{errors.New("canary")}
	wantProblem(t, a.call(t, "POST", "/v1/tasks/bulk", body), 500)
}

// TestABulkChangeOfAKeyForOneMerchantIsItsOwn.
func TestABulkChangeOfAKeyForOneMerchantIsItsOwn(t *testing.T) {
	t.Parallel()
	a := newAPI()
	var asked []billing.MerchantID
	a.tasks.MatchFunc = func(filter billing.TaskFilter, _ int, _ billing.TaskID) (billing.Matching, error) {
		asked = append(asked, filter.MerchantID)
		return billing.Matching{AsOf: noon}, nil
	}
	key := a.keyFor(func(key *billing.APIKey) { key.MerchantID = strangerID }, billing.ScopeTasksWrite, billing.ScopeTasksRead)
	for _, filter := range []string{`{"status":"pending"}`, `{"merchant_id":"` + strangerID + `"}`, `{"merchant_id":"` + merchantID + `"}`} {
		got := a.with(t, key, "POST", "/v1/tasks/bulk", `{"action":"cancel","reason":"r","filter":`+filter+`}`)
		wantStatus(t, got, 200)
		if answer := decode[bulkAnswer](t, got); answer.Matched != 0 || answer.More {
			t.Errorf("%+v", answer)
		}
	}
	if !slices.Equal(asked, []billing.MerchantID{strangerID, strangerID}) || a.writes() != 0 {
		t.Errorf("asked for %v, %d writes", asked, a.writes())
	}
	counted := 0
	a.tasks.ListFunc = func(filter billing.TaskFilter, _ int, _ billing.TaskID) ([]billing.Task, error) {
		if counted++; filter.MerchantID != strangerID {
			t.Errorf("counts %+v", filter)
		}
		return nil, nil
	}
	for _, query := range []string{"", "?q=x", "?merchant_id=" + strangerID, "?merchant_id=" + merchantID} {
		got := a.with(t, key, "GET", "/v1/tasks/counts"+query, "")
		wantStatus(t, got, 200)
		if strings.Count(got.Body.String(), `"count":0`) != len(billing.Statuses()) {
			t.Errorf("%s", got.Body)
		}
	}
	if counted != 3 {
		t.Errorf("counted %d times", counted)
	}
}

// TestReasonsAreRead where they may be given, and may be left out.
func TestReasonsAreRead(t *testing.T) {
	t.Parallel()
	for path, more := range map[string]string{
		"/v1/tasks/" + taskID + "/cancel": "", "/v1/tasks/" + taskID + "/reschedule": `,"run_at":"2030-01-01T00:00:00Z"`,
		"/v1/merchants/" + merchantID + "/pause": "", "/v1/merchants/" + merchantID + "/resume": "",
	} {
		a := newAPI()
		for _, reason := range []string{`"r"`, `"` + strings.Repeat("é", 500) + `"`, `null`, `"two\nlines"`} {
			if got := a.call(t, "POST", path, `{"reason":`+reason+more+`}`); got.Code != 200 {
				t.Errorf("%s: %d %s", path, got.Code, got.Body)
			}
		}
		if more == "" {
			wantStatus(t, a.call(t, "POST", path, ""), 200)
		}
		writes := a.writes()
		for reason, code := range map[string]string{`""`: "bad_length", `"  "`: "required", `1`: "wrong_type", `"` + strings.Repeat("é", 501) + `"`: "bad_length"} {
			if p := wantProblem(t, a.call(t, "POST", path, `{"reason":`+reason+more+`}`), 422); p.pointers() != "/reason "+code {
				t.Errorf("%s with %s: %s", path, reason, p.pointers())
			}
		}
		if a.writes() != writes {
			t.Error("what was refused was done")
		}
	}
}

// TestFiltersOfTasksAreRead and the ones that are wrong are refused.
func TestFiltersOfTasksAreRead(t *testing.T) {
	t.Parallel()
	a := newAPI()
	var got billing.TaskFilter
	a.tasks.ListFunc = func(filter billing.TaskFilter, _ int, _ billing.TaskID) ([]billing.Task, error) {
		got = filter
		return nil, nil
	}
	query := "?merchant_id=" + merchantID + "&kind=invoice.pay&target=in_1&from=2026-03-01T12:00:00.123456Z&to=2026-03-02T13:00:00.123456%2B01:00" +
		"&attention=true&retry_of=" + strings.ToUpper(taskID) + "&q=+%E2%82%AC%25_+"
	want := billing.TaskFilter{
		MerchantID: merchantID, Kind: billing.InvoicePay, Target: "in_1", From: noon, To: noon.Add(24 * time.Hour), Attention: true, RetryOf: taskID, Query: "€%_",
	}
	wantStatus(t, a.call(t, "GET", "/v1/tasks/counts"+query, ""), 200)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	want.Statuses = []billing.Status{billing.InDoubt, billing.Failed}
	wantStatus(t, a.call(t, "GET", "/v1/tasks"+query+"&status=in_doubt,failed", ""), 200)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for query, code := range map[string]string{
		"status=pending,": "unknown_value", "status=,": "unknown_value", "status=pending,failed,pending,failed,pending,failed,pending": "unknown_value",
		"from=yesterday": "bad_format", "to=2026": "bad_format", "attention=1": "unknown_value", "retry_of=x": "bad_format",
		"q=%00": "bad_format", "q=%ff": "bad_format", "q=a%0Ab": "bad_format", "q=" + strings.Repeat("x", 501): "bad_format",
	} {
		name, _, _ := strings.Cut(query, "=")
		if p := wantProblem(t, a.call(t, "GET", "/v1/tasks?"+query, ""), 422); p.pointers() != "?"+name+" "+code {
			t.Errorf("%s: %s", query, p.pointers())
		}
	}
}

// TestAPageThatEndsEarlySaysHowFarItCame.
func TestAPageThatEndsEarlySaysHowFarItCame(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.PageFunc = func(_ billing.TaskFilter, after billing.TaskID) (billing.TaskPage, error) {
		if after == "" {
			return billing.TaskPage{Next: taskID, SearchedTo: noon}, nil
		}
		if after != taskID {
			t.Errorf("goes on after %s", after)
		}
		return billing.TaskPage{Tasks: []billing.Task{someTask()}}, nil
	}
	type page struct {
		Data       []struct{ ID billing.TaskID }
		NextCursor *string    `json:"next_cursor"`
		SearchedTo *time.Time `json:"searched_to"`
	}
	first := decode[page](t, a.call(t, "GET", "/v1/tasks?q=x", ""))
	if len(first.Data) != 0 || first.NextCursor == nil || first.SearchedTo == nil || !first.SearchedTo.Equal(noon) {
		t.Fatalf("%+v", first)
	}
	second := decode[page](t, a.call(t, "GET", "/v1/tasks?q=x&cursor="+*first.NextCursor, ""))
	if len(second.Data) != 1 || second.NextCursor != nil || second.SearchedTo != nil {
		t.Errorf("%+v", second)
	}
	wantProblem(t, a.call(t, "GET", "/v1/tasks?q=y&cursor="+*first.NextCursor, ""), 422)
}
