package httpapi_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/httpapi"
)

// TestABulkChangeComesToItsEnd: whoever repeats the call while there is more changes each task once that allows it, passes by those that
// do not, and is not told of an end before it. A search that ends early without having found anything is no end.
func TestABulkChangeComesToItsEnd(t *testing.T) {
	t.Parallel()
	const (
		total    = 1_000 // tasks that are looked at, the newest first
		fits     = 7     // every so many
		allows   = 3     // of those that fit, every so many do not allow it
		searched = 40    // that one search looks at before its time is over
	)
	id := func(i int) billing.TaskID { return billing.TaskID(fmt.Sprintf("0192f5a0-7b1c-7def-8a2b-%012d", i)) }
	for _, limit := range []int{1, 5, 1000} {
		a := newAPI()
		a.tasks.MatchFunc = func(filter billing.TaskFilter, _ int, after billing.TaskID) (billing.Matching, error) {
			found := billing.Matching{AsOf: noon}
			looked := 0
			for i := total - 1; i >= 0; i-- {
				if after != "" && id(i) >= after {
					if !filter.CreatedBefore.Equal(noon) {
						t.Errorf("goes on with tasks before %s", filter.CreatedBefore)
					}
					continue
				}
				if looked == searched {
					found.Next, found.SearchedTo = id(i+1), noon.Add(-time.Duration(total-i)*time.Second)
					return found, nil
				}
				if looked++; i%fits == 0 && i%100 < 50 { // long parts have none
					found.IDs = append(found.IDs, id(i))
				}
			}
			return found, nil
		}
		times := map[billing.TaskID]int{}
		a.tasks.ChangeFunc = func(_ context.Context, ids []billing.TaskID) (changed int, err error) {
			for i, one := range ids {
				if times[one]++; i%allows != 0 {
					changed++
				}
			}
			return changed, nil
		}
		cursor, before, calls, empty, sum := "null", "", 0, 0, 0
		for more := true; more; calls++ {
			got := decode[bulkAnswer](t, a.call(t, "POST", "/v1/tasks/bulk", fmt.Sprintf(
				`{"action":"cancel","filter":{"status":"pending"%s},"reason":"r","limit":%d,"cursor":%s}`, before, limit, cursor)))
			if more = got.More; more != (got.NextCursor != nil) || got.SearchedTo != nil && !more {
				t.Fatalf("%+v", got)
			}
			if sum += got.Changed + got.Refused; more && got.Matched == 0 {
				empty++
			}
			if more {
				cursor, before = fmt.Sprintf("%q", *got.NextCursor), fmt.Sprintf(`,"created_before":%q`, got.AsOf.Format(time.RFC3339Nano))
			}
			if calls > total {
				t.Fatal("there is no end")
			}
		}
		want := 0
		for i := range total {
			if i%fits != 0 || i%100 >= 50 {
				continue
			}
			if want++; times[id(i)] != 1 {
				t.Errorf("%s had its turn %d times", id(i), times[id(i)])
			}
		}
		if sum != want || len(times) != want || empty == 0 {
			t.Errorf("%d of %d had their turn in %d calls, %d of which found nothing", sum, want, calls, empty)
		}
	}
}

// TestACursorOfABulkChangeIsForItAlone: with another action or filter it would leave tasks out.
func TestACursorOfABulkChangeIsForItAlone(t *testing.T) {
	t.Parallel()
	a := newAPI()
	a.tasks.MatchFunc = func(billing.TaskFilter, int, billing.TaskID) (billing.Matching, error) {
		return billing.Matching{AsOf: noon, Next: taskID, SearchedTo: noon}, nil
	}
	ask := func(action, filter, cursor string) int {
		t.Helper()
		return a.call(t, "POST", "/v1/tasks/bulk", fmt.Sprintf(`{"action":%q,"reason":"r","filter":%s,"cursor":%q}`, action, filter, cursor)).Code
	}
	first := decode[bulkAnswer](t, a.call(t, "POST", "/v1/tasks/bulk", `{"action":"cancel","reason":"r","filter":{"kind":"invoice.pay"},"dry_run":true}`))
	if first.NextCursor == nil || !first.More || !first.Capped || first.SearchedTo == nil || !first.SearchedTo.Equal(noon) {
		t.Fatalf("%+v", first)
	}
	for call, want := range map[[2]string]int{
		{"cancel", `{"kind":"invoice.pay"}`}:                                         200,
		{"cancel", `{"kind":"invoice.pay","created_before":"2026-03-01T12:00:00Z"}`}: 200,
		{"retry", `{"kind":"invoice.pay"}`}:                                          422,
		{"cancel", `{"kind":"invoice.void"}`}:                                        422,
		{"cancel", `{"kind":"invoice.pay","status":"pending"}`}:                      422,
		{"cancel", `{"kind":"invoice.pay","to":"2026-03-01T12:00:00Z"}`}:             422,
	} {
		if got := ask(call[0], call[1], *first.NextCursor); got != want {
			t.Errorf("%s of %s: %d, want %d", call[0], call[1], got, want)
		}
	}
	list := a.call(t, "GET", "/v1/tasks?cursor="+*first.NextCursor, "")
	wantProblem(t, list, 422)
}

// TestABatchNeedNotWaitForABulkChange: it has its turn between two parts of one.
func TestABatchNeedNotWaitForABulkChange(t *testing.T) {
	t.Parallel()
	for action, most := range map[string]int{"retry": 101, "cancel": 2} { // calls of the store before the batch must have had its turn
		synctest.Test(t, func(t *testing.T) {
			a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.BatchSlots = 1 })
			a.tasks.MatchFunc = func(billing.TaskFilter, int, billing.TaskID) (billing.Matching, error) {
				return billing.Matching{IDs: slices.Repeat([]billing.TaskID{strangerID}, 250), AsOf: noon}, nil
			}
			a.tasks.GetFunc = func(_ context.Context, id billing.TaskID) (billing.Task, error) {
				task := someTask()
				task.ID, task.Status = id, billing.Failed
				return task, nil
			}
			batch := make(chan int, 1)
			calls := 0
			work := func() {
				switch calls++; calls {
				case 1:
					go func() {
						batch <- a.call(t, "POST", "/v1/tasks/batch", `{"tasks":[{"merchant_id":"`+merchantID+`","kind":"invoice.pay","target":"in_1"}]}`).Code
					}()
					synctest.Wait() // it waits for the slot
					if len(batch) != 0 {
						t.Error("a batch was handled beside the change: there are two slots")
					}
				case most:
					synctest.Wait() // it has had the slot, and may be about to answer
					if len(batch) != 1 || <-batch != 201 {
						t.Errorf("%s: after %d calls the batch still waits", action, calls)
					}
				}
			}
			a.tasks.RetryFunc = func(_ billing.TaskID, next billing.NewTask) (billing.CreatedTask, error) {
				work()
				return billing.CreatedTask{Task: taskOf(next)}, nil
			}
			a.tasks.ChangeFunc = func(_ context.Context, ids []billing.TaskID) (int, error) {
				work()
				return len(ids), nil
			}
			got := decode[bulkAnswer](t, a.call(t, "POST", "/v1/tasks/bulk", `{"action":"`+action+`","filter":{"kind":"invoice.pay"},"reason":"r"}`))
			if got.Changed != 250 || got.More || calls < most {
				t.Errorf("%s: %+v in %d calls", action, got, calls)
			}
		})
	}
}

// TestABulkChangeLeavesTimeToAnswer: what it does not come to in half of a request's time is left to the next call.
func TestABulkChangeLeavesTimeToAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(func(_ *httpapi.Deps, config *httpapi.Config) { config.BatchTimeout = time.Minute })
		a.tasks.MatchFunc = func(billing.TaskFilter, int, billing.TaskID) (billing.Matching, error) {
			return billing.Matching{IDs: slices.Repeat([]billing.TaskID{strangerID}, 1000), AsOf: noon}, nil
		}
		a.tasks.ChangeFunc = func(_ context.Context, ids []billing.TaskID) (int, error) {
			time.Sleep(16 * time.Second) //nolint:forbidigo // in the bubble it takes no time
			return len(ids), nil
		}
		got := decode[bulkAnswer](t, a.call(t, "POST", "/v1/tasks/bulk", `{"action":"cancel","filter":{"kind":"invoice.pay"},"reason":"r"}`))
		if got.Changed != 200 || !got.More || got.NextCursor == nil || got.SearchedTo != nil {
			t.Errorf("%+v", got)
		}
	})
}
