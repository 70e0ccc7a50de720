package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"billonce/pkg/billing"
	"billonce/pkg/store/storetest"
)

// foundBy are the ids on the pages of a search, and how many pages that took.
func foundBy(t *testing.T, db *storetest.DB, filter billing.TaskFilter, limit int) (ids []billing.TaskID, pages int) {
	t.Helper()
	for after := billing.TaskID(""); ; {
		page, err := db.Store.FindTasks(context.Background(), filter, limit, after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Tasks) > limit {
			t.Fatalf("a page of %d tasks, %d were asked for", len(page.Tasks), limit)
		}
		pages++
		for _, task := range page.Tasks {
			ids = append(ids, task.ID)
		}
		if page.Next == "" {
			return ids, pages
		}
		if page.Next == after || pages > 1000 {
			t.Fatal("the search goes round in circles")
		}
		after = page.Next
	}
}

func wantFound(t *testing.T, db *storetest.DB, what string, filter billing.TaskFilter, want ...billing.TaskID) {
	t.Helper()
	ids, _ := foundBy(t, db, filter, 50)
	slices.Sort(ids)
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("%s: found %v, want %v", what, ids, want)
	}
	counts, err := db.Store.CountTasks(context.Background(), filter)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	total := 0
	for _, count := range counts {
		total += count.N
		if count.Capped {
			t.Errorf("%s: %s is capped", what, count.Status)
		}
	}
	if total != len(want) {
		t.Errorf("%s: counted %d, want %d", what, total, len(want))
	}
}

// TestATaskIsFoundByWhateverWasToldOfIt, and by nothing that is merely like it; not by what another merchant's has.
func TestATaskIsFoundByWhateverWasToldOfIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	mine, other, worker := db.Merchant(t), db.Merchant(t), register(t, db, time.Hour)
	task := newTask(t, mine.ID)
	task.Kind, task.Target, task.Intent = billing.InvoicePay, "in_told", "renewal 100% of_2027"
	task.Params = json.RawMessage(`{"customer":"cus_told","nested":{"customer":"cus_deep"},"expand":["pm_listed"]}`)
	task.Metadata = map[string]string{"order": "4711 ünïcode", "uuid": "6f9619ff-8b86-4011-b42d-00c04fc964ff"}
	task.Key, task.Fingerprint = "order 4711, first try", []byte{1}
	schedule(t, db, task)
	first := claim(t, db, worker, 10)[0]
	settle(t, db, settlement(first, billing.Pending, billing.OutcomeUnknown, billing.ReasonServerError)) // req_2, in task_attempts
	db.SQL.MustExec(`UPDATE scheduled_tasks SET run_at = now()`)
	second := settlement(claim(t, db, worker, 10)[0], billing.Succeeded, billing.OutcomeSucceeded, billing.ReasonDone)
	second.Answer.Result = &billing.Result{Object: "invoice", ID: "in_made", Status: "paid", RequestID: "req_last"}
	settle(t, db, second)
	hidden := newTask(t, other.ID)
	hidden.Params, hidden.Metadata = task.Params, task.Metadata
	hidden.Key, hidden.Fingerprint = "order 4712, first try", []byte{1}
	schedule(t, db, hidden)

	own := billing.TaskFilter{MerchantID: mine.ID}
	for _, told := range []string{
		string(task.ID), "task_" + string(task.ID), strings.ToUpper(string(task.ID)), string(mine.ID), mine.StripeConnectID,
		"in_told", "in_made", "req_2", "req_last", "cus_told", "pm_listed", "renewal 100% of_2027", "4711 ünïcode", "6f9619ff-8b86-4011-b42d-00c04fc964ff",
		task.Key,
	} {
		filter := own
		filter.Query = told
		wantFound(t, db, told, filter, task.ID)
		filter.Statuses = []billing.Status{billing.Pending}
		wantFound(t, db, told+" pending", filter)
		filter.Statuses = []billing.Status{billing.Pending, billing.Succeeded}
		wantFound(t, db, told+" pending or succeeded", filter, task.ID)
	}
	for _, told := range []string{
		"in_tol", "in%", "in_t_ld", "%", "_", "renewal 100%%", "renewal", "RENEWAL 100% OF_2027", "cus_deep", "order", "4711", `{"order": "4711 ünïcode"}`, "'", `\`, `"`, "$.*",
		string(other.ID), other.StripeConnectID, string(hidden.ID), hidden.Target, hidden.Key, "order 4711", "task_" + string(hidden.ID), storetest.NewID(t), "acct_nobody", "req_", "",
	} {
		filter := own
		filter.Query = told
		if told == "" {
			wantFound(t, db, "nothing", filter, task.ID)
			continue
		}
		wantFound(t, db, told, filter)
	}
	wantFound(t, db, "of everybody", billing.TaskFilter{Query: "cus_told"}, task.ID, hidden.ID)
	wantFound(t, db, "another merchant's id", billing.TaskFilter{Query: string(other.ID)}, hidden.ID)

	db.SQL.MustExec(`UPDATE scheduled_tasks SET finished_at = now() - interval '10 days', run_at = now() - interval '10 days' WHERE id = $1`, task.ID)
	if moved, err := db.Store.MoveFinished(ctx, billing.Succeeded, time.Time{}, time.Hour, 10); err != nil || moved.Tasks != 1 {
		t.Fatalf("%+v, %v", moved, err)
	}
	wantFound(t, db, "archived", billing.TaskFilter{Query: "task_" + string(task.ID)}, task.ID)
	wantFound(t, db, "archived, own", billing.TaskFilter{Query: string(task.ID), MerchantID: mine.ID}, task.ID)
	wantFound(t, db, "archived, of another", billing.TaskFilter{Query: string(task.ID), MerchantID: other.ID})
	wantFound(t, db, "archived, pending", billing.TaskFilter{Query: string(task.ID), Statuses: []billing.Status{billing.Pending}})
}

// TestWhatAnIndexFindsComesFirst, once, however the search goes on.
func TestWhatAnIndexFindsComesFirst(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Hour)
	at := func(metadata string) billing.NewTask {
		task := newTask(t, merchant.ID)
		task.Target, task.Metadata = "in_same", map[string]string{"also": metadata}
		return task
	}
	doubted := inDoubtAt(t, db, worker, at("in_same"))
	var want []billing.TaskID
	for range 5 {
		want = append(want, schedule(t, db, at("x"))[0].Task.ID)
	}
	slices.Reverse(want)
	want = append([]billing.TaskID{doubted}, want...)
	for limit := 1; limit <= 7; limit++ {
		ids, pages := foundBy(t, db, billing.TaskFilter{Query: "in_same"}, limit)
		if limit > 1 && pages > len(want)/limit+2 {
			t.Errorf("%d pages of %d", pages, limit)
		}
		if limit > len(want) { // the one that an index found is not found again on the same page
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("pages of %d: %s", limit, diff)
			}
			continue
		}
		if ids[0] != doubted {
			t.Errorf("pages of %d begin with %s", limit, ids[0])
		}
		for _, id := range want {
			if !slices.Contains(ids, id) {
				t.Errorf("pages of %d lack %s", limit, id)
			}
		}
	}
}

// TestATaskThatIsClaimedMeanwhileIsFound: what an index would find of it now was not there when the search began.
func TestATaskThatIsClaimedMeanwhileIsFound(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Hour)
	var ids []billing.TaskID
	for range 3 { // the oldest is the one that is due
		task := newTask(t, merchant.ID)
		if task.Target = "in_same"; len(ids) > 0 {
			task.RunAt = time.Now().Add(time.Hour)
		}
		ids = append(ids, schedule(t, db, task)[0].Task.ID)
	}
	filter := billing.TaskFilter{Query: "in_same", MerchantID: merchant.ID}
	first, err := db.Store.FindTasks(ctx, filter, 1, "")
	if err != nil || len(first.Tasks) != 1 || first.Tasks[0].ID != ids[2] {
		t.Fatalf("%+v, %v", first, err)
	}
	if claimed := claim(t, db, worker, 10); len(claimed) != 1 || claimed[0].ID != ids[0] {
		t.Fatalf("claimed %+v", claimed)
	}
	rest, err := db.Store.FindTasks(ctx, filter, 10, first.Next)
	if err != nil || len(rest.Tasks) != 2 || rest.Tasks[1].ID != ids[0] {
		t.Errorf("%+v, %v", rest, err)
	}
}

// inDoubtAt puts a task in doubt.
func inDoubtAt(t *testing.T, db *storetest.DB, worker billing.WorkerID, task billing.NewTask) billing.TaskID {
	t.Helper()
	schedule(t, db, task)
	for _, one := range claim(t, db, worker, 100) {
		if one.ID == task.ID {
			settle(t, db, settlement(one, billing.InDoubt, billing.OutcomeUnknown, billing.ReasonServerError))
			return task.ID
		}
	}
	t.Fatal("the task was not claimed")
	return ""
}

// TestFilters: each by itself and together, in the list and in the counts.
func TestFilters(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant, worker := db.Merchant(t), register(t, db, time.Hour)
	ids := map[string]billing.TaskID{}
	put := func(name, set string) {
		t.Helper()
		task := newTask(t, merchant.ID)
		task.RunAt = time.Now().Add(time.Hour)
		ids[name] = schedule(t, db, task)[0].Task.ID
		if set != "" {
			db.SQL.MustExec(`UPDATE scheduled_tasks SET `+set+` WHERE id = $1`, ids[name])
		}
	}
	ids["doubted"] = inDoubtAt(t, db, worker, newTask(t, merchant.ID))
	put("later", "")
	put("due", `run_at = now() - interval '1 minute'`)
	put("overdue", `run_at = now() - interval '6 minutes'`)
	put("held", `run_at = now() - interval '6 minutes', held_at = now()`)
	put("waiting", `run_at = now() - interval '6 minutes', waiting_since = now()`)
	put("canceled", "")
	if _, err := db.Store.CancelTask(ctx, ids["canceled"]); err != nil {
		t.Fatal(err)
	}
	again, err := db.Store.RetryTask(ctx, ids["canceled"], newTask(t, merchant.ID))
	if err != nil {
		t.Fatal(err)
	}
	ids["again"] = again.Task.ID
	all := []billing.TaskID{}
	for _, id := range ids {
		all = append(all, id)
	}
	wantFound(t, db, "everything", billing.TaskFilter{}, all...)
	wantFound(t, db, "attention", billing.TaskFilter{Attention: true}, ids["doubted"], ids["overdue"])
	wantFound(t, db, "attention of nobody", billing.TaskFilter{Attention: true, MerchantID: db.Merchant(t).ID})
	wantFound(t, db, "attention, pending", billing.TaskFilter{Attention: true, Statuses: []billing.Status{billing.Pending}}, ids["overdue"])
	wantFound(t, db, "two statuses", billing.TaskFilter{Statuses: []billing.Status{billing.InDoubt, billing.Canceled}}, ids["doubted"], ids["canceled"])
	wantFound(t, db, "repetition", billing.TaskFilter{RetryOf: ids["canceled"]}, ids["again"])
	wantFound(t, db, "no repetition", billing.TaskFilter{RetryOf: ids["due"]})
	wantFound(t, db, "an id and what repeats it", billing.TaskFilter{Query: string(ids["canceled"])}, ids["canceled"], ids["again"])
	soon := time.Now().Add(-3 * time.Minute)
	wantFound(t, db, "from", billing.TaskFilter{From: soon, Statuses: []billing.Status{billing.Pending}}, ids["later"], ids["due"], ids["again"])
	wantFound(t, db, "to", billing.TaskFilter{To: soon}, ids["overdue"], ids["held"], ids["waiting"])
	wantFound(t, db, "from and to", billing.TaskFilter{From: soon, To: time.Now().Add(-time.Second)}, ids["due"])
	wantFound(t, db, "the year 0", billing.TaskFilter{From: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)})
	wantFound(t, db, "target", billing.TaskFilter{Target: get(t, db, ids["due"]).Target}, ids["due"])
	wantFound(t, db, "kind", billing.TaskFilter{Kind: billing.InvoiceVoid})
}

// TestASearchKeepsToItsBudget goes on where the last page ended, finds everything once, and says how far it has come.
func TestASearchKeepsToItsBudget(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	merchant := db.Merchant(t)
	const total, every = 30_000, 5_000
	fillTasks(t, db, merchant.ID, total)
	db.SQL.MustExec(`UPDATE scheduled_tasks SET metadata = '{"order": "needle"}' WHERE id IN (
		SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM scheduled_tasks) AS numbered WHERE n % $1 = 0)`, every)
	var ids []billing.TaskID
	last, steps := billing.TaskID(""), 0
	for ended := false; !ended; steps++ {
		before := last
		some, next, end, err := db.Store.Search(ctx, billing.TaskFilter{Query: "needle"}, 1000, last, time.Nanosecond) // one window, and the time is over
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, some...)
		if last, ended = next, end; !ended && (last == before || before != "" && last > before) {
			t.Fatalf("the search goes from %s to %s", before, last)
		}
	}
	if len(ids) != total/every || !slices.IsSortedFunc(ids, func(a, b billing.TaskID) int { return strings.Compare(string(b), string(a)) }) {
		t.Errorf("found %v", ids)
	}
	if steps < 10 {
		t.Errorf("%d steps for %d tasks: one looks at too many", steps, total)
	}
	whole, _ := foundBy(t, db, billing.TaskFilter{Query: "needle"}, 4)
	if diff := cmp.Diff(ids, whole); diff != "" {
		t.Error(diff)
	}
	rare, _ := foundBy(t, db, billing.TaskFilter{MerchantID: db.Merchant(t).ID}, 50)
	if len(rare) != 0 {
		t.Errorf("found %v of a merchant that has none", rare)
	}
}

// fillTasks makes pending tasks with ids in the order of their making.
func fillTasks(t *testing.T, db *storetest.DB, merchant billing.MerchantID, n int) {
	t.Helper()
	db.SQL.MustExec(`
		INSERT INTO scheduled_tasks (id, merchant_id, kind, target, run_at)
		SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - $2::int + n), 12, '0') || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid,
			$1, 'invoice.pay', 'in_' || n, now() + interval '1 day' + n * interval '1 second'
		FROM generate_series(1, $2::int) AS n`, merchant, n)
}

// TestCounts stop where they should, and say so.
func TestCounts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := storetest.Open(t)
	many, few := db.Merchant(t), db.Merchant(t)
	schedule(t, db, newTask(t, few.ID))
	fillTasks(t, db, many.ID, 20_500)
	pending := func(filter billing.TaskFilter) string {
		t.Helper()
		counts, err := db.Store.CountTasks(ctx, filter)
		if err != nil || len(counts) != len(billing.Statuses()) {
			t.Fatalf("%v, %v", counts, err)
		}
		for _, count := range counts[1:] {
			if count.N != 0 {
				t.Errorf("%+v", count)
			}
		}
		return fmt.Sprint(counts[0].N, counts[0].Capped)
	}
	var last time.Time
	if err := db.SQL.Get(&last, `SELECT max(run_at) FROM scheduled_tasks`); err != nil {
		t.Fatal(err)
	}
	for want, filter := range map[string]billing.TaskFilter{
		"10000 true":  {},
		"10000 true ": {MerchantID: many.ID},
		"0 true":      {MerchantID: few.ID}, // its task is due before the last 20,000
		"1 false":     {MerchantID: few.ID, To: time.Now().Add(time.Hour)},
		"9 false":     {From: last.Add(-8500 * time.Millisecond)},
		"0 false":     {Attention: true},
		"1 false ":    {Query: "in_17", To: last.Add(-4 * time.Hour)},
	} {
		if got := pending(filter); got != strings.TrimSpace(want) {
			t.Errorf("%+v: counted %s, want %s", filter, got, want)
		}
	}
}
