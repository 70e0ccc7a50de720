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
		view.Bulk = []pair{
			{"Cancel", view.Filter.Bulk("cancel")}, {"Reschedule", view.Filter.Bulk("reschedule")}, {"Retry", view.Filter.Bulk("retry")},
		}
	}
	view.Names = c.namesOf(v, view.Page.Data)
	// What is further back does not change by itself.
	c.showLive(v, status, "tasks", "Tasks", view, cursor == "" && status == http.StatusOK)
	return nil
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

// namesOf returns the names of the merchants of tasks, as far as the key may know them. A list must not wait for many of them, so
// those that are not found at once are shown by their ids.
func (c *Console) namesOf(v *visit, tasks []client.Task) map[string]string {
	names := map[string]string{}
	if !v.may(billing.ScopeMerchantsRead) {
		return names
	}
	var wanted []string
	for _, task := range tasks {
		if _, known := names[task.MerchantID]; !known {
			names[task.MerchantID] = ""
			wanted = append(wanted, task.MerchantID)
		}
	}
	if len(wanted) > mostNames {
		wanted = wanted[:mostNames]
	}
	found := make([]string, len(wanted))
	calls := make([]func() error, len(wanted))
	for i, id := range wanted {
		calls[i] = func() error {
			merchant, err := c.api.GetMerchant(v.ctx, id)
			found[i] = merchant.Name
			return err
		}
	}
	_ = together(calls...) // a name is not worth a page
	for i, id := range wanted {
		names[id] = found[i]
	}
	return names
}

// mostNames is for how many merchants a list shows their names.
const mostNames = 8

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
