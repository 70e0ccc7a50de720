package console

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
	"billonce/pkg/secret"
)

type taskView struct {
	Task     client.Task
	Merchant *client.Merchant // nil where the key may not read merchants
	Account  account
	Params   []param
	Metadata []param
	Attempts []client.Attempt
	Older    string // the address of more attempts
	Chain    []client.Task
	Audit    []client.AuditEntry
	SeesLog  bool
	Actions  []pair // what may be done now: name and address
	Now      time.Time
}

// Intent is the caller's word for what is to happen once.
func (t taskView) Intent() string { return secret.Scrub(text(t.Task.Intent)) }

// Note is what a person wrote when deciding.
func (t taskView) Note() string {
	if t.Task.Resolution == nil {
		return ""
	}
	return secret.Scrub(t.Task.Resolution.Note)
}

// showTask shows one task: what it is, what became of it attempt by attempt, and what may be done about it.
func (c *Console) showTask(v *visit) error {
	v.section = "tasks"
	id := v.r.PathValue("id")
	task, err := c.api.GetTask(v.ctx, id)
	if err != nil {
		return err
	}
	view := taskView{
		Task: task, Params: paramsOf(task.Params), Metadata: metadataOf(task.Metadata),
		SeesLog: v.may(billing.ScopeAdmin) && v.seesAll(), Actions: actionsFor(v, task), Now: time.Now(),
	}
	query := client.ListAttemptsQuery{Limit: mostAttempts, Cursor: v.r.URL.Query().Get("cursor")}
	var attempts client.AttemptPage
	var chain client.TaskPage
	calls := []func() error{
		func() (err error) { attempts, err = c.api.ListAttempts(v.ctx, id, query); return err },
		func() (err error) { chain, err = c.api.ListChain(v.ctx, id); return err },
	}
	if v.may(billing.ScopeMerchantsRead) {
		calls = append(calls, func() error {
			merchant, err := c.api.GetMerchant(v.ctx, task.MerchantID)
			view.Merchant = &merchant
			return err
		})
	}
	if view.SeesLog {
		calls = append(calls, func() (err error) { view.Audit, err = c.changesOf(v, task.ID); return err })
	}
	if err := together(calls...); err != nil {
		return err
	}
	if view.Merchant != nil {
		view.Account = account{view.Merchant.StripeConnectID, view.Merchant.Livemode}
	}
	view.Attempts, view.Chain = attempts.Data, chain.Data
	if attempts.NextCursor != nil {
		view.Older = address("/tasks/"+url.PathEscape(id), url.Values{"cursor": {*attempts.NextCursor}})
	}
	live := !task.Status.Terminal() && query.Cursor == ""
	c.showLive(v, http.StatusOK, "task", string(task.Kind)+" "+last(task.ID), view, live)
	return nil
}

const mostAttempts = 200

// changesOf is what the audit log has of one object, the newest first.
func (c *Console) changesOf(v *visit, id string) ([]client.AuditEntry, error) {
	var page client.AuditPage
	err := c.api.Get(v.ctx, "/v1/audit", url.Values{"object": {id}, "limit": {strconv.Itoa(rowsPerPage)}}, &page)
	return page.Data, err
}

// actionsFor are what may be done to a task as it is now.
func actionsFor(v *visit, task client.Task) []pair {
	if !v.may(billing.ScopeTasksWrite) {
		return nil
	}
	var found []pair
	for _, one := range actions() {
		if one.object == "task" && one.refusal(subject{task: task}) == "" {
			found = append(found, pair{one.name, "/tasks/" + url.PathEscape(task.ID) + "/" + one.verb})
		}
	}
	return found
}
