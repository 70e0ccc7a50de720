package httpapi_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"billonce/pkg/billing"
)

// fakeTasks answers with its functions, and in memory where there is none. writes counts the calls that would write.
type fakeTasks struct {
	writes         atomic.Int64
	mu             sync.Mutex
	created        []billing.NewTask
	CreateFunc     func(context.Context, []billing.NewTask) ([]billing.CreatedTask, error)
	GetFunc        func(context.Context, billing.TaskID) (billing.Task, error)
	ListFunc       func(billing.TaskFilter, int, billing.TaskID) ([]billing.Task, error)
	AttemptsFunc   func(billing.TaskID) ([]billing.Attempt, error)
	RescheduleFunc func(billing.TaskID, time.Time) (billing.Task, error)
	RetryFunc      func(billing.TaskID, billing.NewTask) (billing.CreatedTask, error)
	ResolveFunc    func(billing.TaskID, billing.Resolution) (billing.Task, error)
	CancelFunc     func(billing.TaskID) (billing.Task, error)
	PageFunc       func(billing.TaskFilter, billing.TaskID) (billing.TaskPage, error)
	MatchFunc      func(billing.TaskFilter, int, billing.TaskID) (billing.Matching, error)
	ChangeFunc     func(context.Context, []billing.TaskID) (int, error)
}

func taskOf(next billing.NewTask) billing.Task {
	runAt := next.RunAt
	if runAt.IsZero() {
		runAt = noon
	}
	return billing.Task{
		ID: next.ID, MerchantID: next.MerchantID, Kind: next.Kind, Target: next.Target, Params: next.Params,
		Metadata: next.Metadata, Status: billing.Pending, RunAt: runAt, ScheduledFor: runAt, MaxAttempts: next.MaxAttempts,
		RetryOf: next.RetryOf, CreatedAt: noon, UpdatedAt: noon,
	}
}

func someTask() billing.Task {
	return taskOf(billing.NewTask{
		ID: taskID, MerchantID: merchantID, Kind: billing.InvoicePay, Target: "in_1",
		Params: json.RawMessage(`{"b":1,"a":[true]}`), MaxAttempts: 100,
	})
}

func (f *fakeTasks) CreateTasks(ctx context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
	f.writes.Add(1)
	if f.CreateFunc != nil {
		return f.CreateFunc(ctx, tasks)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	created := make([]billing.CreatedTask, len(tasks))
	for i, task := range tasks {
		created[i].Task = taskOf(task)
		f.created = append(f.created, task)
	}
	return created, nil
}

func (f *fakeTasks) GetTask(ctx context.Context, id billing.TaskID) (billing.Task, error) {
	if f.GetFunc != nil {
		return f.GetFunc(ctx, id)
	}
	return someTask(), nil
}

// FindTasks asks ListFunc for one task more than the page has.
func (f *fakeTasks) FindTasks(_ context.Context, filter billing.TaskFilter, limit int, after billing.TaskID) (billing.TaskPage, error) {
	if f.PageFunc != nil {
		return f.PageFunc(filter, after)
	}
	if f.ListFunc == nil {
		return billing.TaskPage{}, nil
	}
	tasks, err := f.ListFunc(filter, limit+1, after)
	page := billing.TaskPage{Tasks: tasks}
	if len(tasks) > limit {
		page.Tasks, page.Next = tasks[:limit], tasks[limit-1].ID
	}
	return page, err
}

func (f *fakeTasks) CountTasks(_ context.Context, filter billing.TaskFilter) ([]billing.StatusCount, error) {
	if f.ListFunc != nil {
		if _, err := f.ListFunc(filter, 2, ""); err != nil {
			return nil, err
		}
	}
	var counts []billing.StatusCount
	for _, status := range billing.Statuses() {
		counts = append(counts, billing.StatusCount{Status: status})
	}
	return counts, nil
}

func (f *fakeTasks) FindUnsent(_ context.Context, filter billing.TaskFilter, _ time.Time, limit int, after billing.TaskID) (billing.Matching, error) {
	return f.match(filter, limit, after)
}

func (f *fakeTasks) FindRetryable(_ context.Context, filter billing.TaskFilter, limit int, after billing.TaskID) (billing.Matching, error) {
	return f.match(filter, limit, after)
}

func (f *fakeTasks) match(filter billing.TaskFilter, limit int, after billing.TaskID) (billing.Matching, error) {
	if f.MatchFunc != nil {
		return f.MatchFunc(filter, limit, after)
	}
	return billing.Matching{IDs: []billing.TaskID{taskID}, AsOf: noon}, nil
}

func (f *fakeTasks) CancelTasks(ctx context.Context, ids []billing.TaskID) (int, error) {
	return f.change(ctx, ids)
}

func (f *fakeTasks) RescheduleTasks(ctx context.Context, ids []billing.TaskID, _ time.Time) (int, error) {
	return f.change(ctx, ids)
}

func (f *fakeTasks) change(ctx context.Context, ids []billing.TaskID) (int, error) {
	f.writes.Add(1)
	if f.ChangeFunc != nil {
		return f.ChangeFunc(ctx, ids)
	}
	return len(ids), nil
}

func (f *fakeTasks) ListAttempts(_ context.Context, id billing.TaskID) ([]billing.Attempt, error) {
	if f.AttemptsFunc != nil {
		return f.AttemptsFunc(id)
	}
	return nil, nil
}

func (f *fakeTasks) ListChain(ctx context.Context, id billing.TaskID) ([]billing.Task, error) {
	if f.GetFunc != nil {
		task, err := f.GetFunc(ctx, id)
		return []billing.Task{task}, err
	}
	return []billing.Task{someTask()}, nil
}

func (f *fakeTasks) CancelTask(_ context.Context, id billing.TaskID) (billing.Task, error) {
	f.writes.Add(1)
	if f.CancelFunc != nil {
		return f.CancelFunc(id)
	}
	return someTask(), nil
}

func (f *fakeTasks) RescheduleTask(_ context.Context, id billing.TaskID, at time.Time) (billing.Task, error) {
	f.writes.Add(1)
	if f.RescheduleFunc != nil {
		return f.RescheduleFunc(id, at)
	}
	return someTask(), nil
}

func (f *fakeTasks) RetryTask(_ context.Context, of billing.TaskID, next billing.NewTask) (billing.CreatedTask, error) {
	f.writes.Add(1)
	if f.RetryFunc != nil {
		return f.RetryFunc(of, next)
	}
	return billing.CreatedTask{Task: taskOf(next)}, nil
}

func (f *fakeTasks) ResolveTask(_ context.Context, id billing.TaskID, resolution billing.Resolution) (billing.Task, error) {
	f.writes.Add(1)
	if f.ResolveFunc != nil {
		return f.ResolveFunc(id, resolution)
	}
	return someTask(), nil
}
