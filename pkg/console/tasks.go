package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

const rowsPerPage = 50

type tasksView struct {
	Filter   filter
	Tabs     []tab
	Kinds    []billing.Kind
	Page     client.TaskPage
	Names    map[string]string // of merchants, by id
	Troubles []string
	Older    string // the address of the next page, "" for none
	Newest   string // the address of the first page, "" on it
	MayWrite bool
	Bulk     []pair // what may be done to all that fit: name and address
	Empty    string // said where no task fits
}

type tab struct {
	Name, Address, Count string
	Current              bool
}

// listTasks shows the tasks that fit a filter, the newest first.
func (c *Console) listTasks(v *visit) error {
	v.section = "tasks"
	query := v.r.URL.Query()
	view := tasksView{Filter: readFilter(query), Kinds: billing.Kinds(), MayWrite: v.may(billing.ScopeTasksWrite)}
	cursor := query.Get("cursor")
	counts, err := c.readTasks(v, &view, cursor)
	status, troubles, err := inPlace(err)
	if err != nil {
		return err
	}
	view.Troubles = troubles
	view.Tabs = tabsOf(view.Filter, counts)
	if view.Page.NextCursor != nil {
		next := view.Filter.values()
		next.Set("cursor", *view.Page.NextCursor)
		view.Older = address("/tasks", next)
	}
	if cursor != "" {
		view.Newest = view.Filter.List()
	}
	if view.MayWrite && view.Filter.Narrow() {
		view.Bulk = bulkFor(view.Filter)
	}
	view.Empty = "No task fits."
	if view.Filter.Empty() {
		view.Empty = "No task has been scheduled so far."
	}
	view.Names = c.namesOf(v, view.Page.Data)
	// What is further back does not change by itself.
	c.showLive(v, status, "tasks", "Tasks", view, cursor == "" && status == http.StatusOK)
	return nil
}

// bulkFor are the changes that a task with the status of the filter may allow.
func bulkFor(of filter) []pair {
	cancel, reschedule, retry := pair{"Cancel", of.Bulk("cancel")}, pair{"Reschedule", of.Bulk("reschedule")}, pair{"Retry", of.Bulk("retry")}
	switch billing.Status(of.Status) {
	case billing.Pending:
		return []pair{cancel, reschedule}
	case billing.Failed, billing.Canceled:
		return []pair{retry}
	case billing.Running, billing.Succeeded, billing.InDoubt:
		return nil
	}
	return []pair{cancel, reschedule, retry}
}

// readTasks asks for a page of tasks, and for the counts of all statuses at the same time.
func (c *Console) readTasks(v *visit, view *tasksView, cursor string) ([]client.StatusCount, error) {
	wanted, counted := view.Filter.values(), view.Filter.values()
	counted.Del("status")
	wanted.Set("limit", strconv.Itoa(rowsPerPage))
	if cursor != "" {
		wanted.Set("cursor", cursor)
	}
	var counts []client.StatusCount
	err := together(
		func() error { return c.api.Get(v.ctx, "/v1/tasks", wanted, &view.Page) },
		func() (err error) { counts, err = c.countTasks(v, counted); return err },
	)
	return counts, err
}

// countTasks returns how many tasks of each status fit a query. The visitor's key must allow to read tasks.
func (c *Console) countTasks(v *visit, query url.Values) ([]client.StatusCount, error) {
	var read client.TaskCounts
	err := c.api.Get(v.ctx, "/v1/tasks/counts", query, &read)
	return read.Data, err
}

// together makes several calls at once and returns the error of the first that has one.
func together(calls ...func() error) error {
	faults := make([]error, len(calls))
	var group sync.WaitGroup
	for i, call := range calls {
		group.Go(func() { faults[i] = call() })
	}
	group.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

func tabsOf(of filter, counts []client.StatusCount) []tab {
	sum, stopped := total(counts)
	tabs := []tab{{Name: "All", Address: of.With(""), Count: capped(sum, stopped), Current: of.Status == ""}}
	for _, status := range billing.Statuses() {
		var count client.StatusCount
		if i := slices.IndexFunc(counts, func(one client.StatusCount) bool { return one.Status == status }); i >= 0 {
			count = counts[i]
		}
		tabs = append(tabs, tab{
			Name: words(status), Address: of.With(string(status)), Count: capped(count.Count, count.Capped), Current: of.Is(string(status)),
		})
	}
	if len(counts) == 0 {
		for i := range tabs {
			tabs[i].Count = ""
		}
	}
	return tabs
}

type attentionView struct {
	Doubts, Overdue []client.Task
	MoreDoubts      string
	MoreOverdue     string
	Paused          []client.Merchant
	MorePaused      string
	SeesMerchants   bool
	Names           map[string]string
}

// attention shows what a person has to look at.
func (c *Console) attention(v *visit) error {
	v.section = "attention"
	view := attentionView{SeesMerchants: v.may(billing.ScopeMerchantsRead)}
	var doubts, overdue client.TaskPage
	calls := []func() error{
		func() error {
			return c.api.Get(v.ctx, "/v1/tasks", url.Values{"status": {"in_doubt"}, "limit": {strconv.Itoa(rowsPerPage)}}, &doubts)
		},
		func() error {
			return c.api.Get(v.ctx, "/v1/tasks", url.Values{"status": {"pending"}, "attention": {"true"}, "limit": {strconv.Itoa(rowsPerPage)}}, &overdue)
		},
	}
	if view.SeesMerchants {
		calls = append(calls, func() error { return c.findPaused(v, &view) })
	}
	if err := together(calls...); err != nil {
		return err
	}
	view.Doubts, view.Overdue = doubts.Data, overdue.Data
	if doubts.NextCursor != nil {
		view.MoreDoubts = "/tasks?status=in_doubt"
	}
	if overdue.NextCursor != nil {
		view.MoreOverdue = "/tasks?attention=true&status=pending"
	}
	view.Names = c.namesOf(v, append(append([]client.Task{}, view.Doubts...), view.Overdue...))
	c.showLive(v, http.StatusOK, "attention", "Needs attention", view, true)
	return nil
}

func (c *Console) findPaused(v *visit, view *attentionView) error {
	page, err := c.api.ListMerchants(v.ctx, client.ListMerchantsQuery{Status: billing.MerchantPaused, Limit: rowsPerPage})
	if err != nil {
		return err
	}
	view.Paused = page.Data
	if page.NextCursor != nil {
		view.MorePaused = "/merchants?status=paused"
	}
	return nil
}
