package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// subject is what an action is done to, as it is now.
type subject struct {
	task     client.Task
	merchant client.Merchant
}

// action is one thing that a person may do to a task or a merchant.
type action struct {
	object string          // "task" or "merchant"
	verb   string          // of the path
	name   string          // of the button
	effect string          // what will happen
	scopes []billing.Scope // to see what it is about, and to do it
	grave  bool            // it cannot be taken back
	// refusal says why it cannot be done now, "" when it can.
	refusal func(subject) string
	// do asks the API for it, and returns the path of what came of it.
	do func(ctx context.Context, api *client.Client, id string, form actionForm) (string, error)
}

// actionForm is what the person filled in.
type actionForm struct {
	Reason, RunAt, Outcome, Note string
}

// actions are all of them.
func actions() []action {
	tasks := []billing.Scope{billing.ScopeTasksRead, billing.ScopeTasksWrite}
	merchants := []billing.Scope{billing.ScopeMerchantsRead, billing.ScopeMerchantsWrite}
	return []action{
		{
			object: "task", verb: "cancel", name: "Cancel", scopes: tasks, grave: true, refusal: onlyUnsent, do: cancelTask,
			effect: "The task is not carried out. Nothing of it has been sent to Stripe, and nothing will be. This cannot be undone; the operation can be retried as a new task.",
		},
		{
			object: "task", verb: "reschedule", name: "Reschedule", scopes: tasks, refusal: onlyUnsent, do: rescheduleTask,
			effect: "The task runs at another time. Nothing of it has been sent to Stripe so far.",
		},
		{
			object: "task", verb: "retry", name: "Retry", scopes: tasks, grave: true, refusal: onlyEnded, do: retryTask,
			effect: "A new task does the same once more, now, or at its time if that lies ahead, under a key of its own: to Stripe it is another operation. The present one had no effect.",
		},
		{
			object: "task", verb: "resolve", name: "Resolve", scopes: tasks, grave: true, refusal: onlyInDoubt, do: resolveTask,
			effect: "You decide what became of the task, for good. Look at Stripe first: if it took effect and you say that it did not, whoever retries it bills twice.",
		},
		{
			object: "merchant", verb: "pause", name: "Pause", scopes: merchants, refusal: onlyActive, do: pauseMerchant,
			effect: "Tasks of the merchant stay where they are until it is resumed. What is being sent now is finished.",
		},
		{
			object: "merchant", verb: "resume", name: "Resume", scopes: merchants, refusal: onlyPaused, do: resumeMerchant,
			effect: "Tasks of the merchant run again, those that are due at once.",
		},
	}
}

func onlyUnsent(of subject) string {
	if of.task.Status != billing.Pending {
		return "The task is " + words(of.task.Status) + "; it would have to be pending."
	}
	if of.task.FirstSentAt != nil {
		return "Something of the task may have reached Stripe already."
	}
	return ""
}

func onlyEnded(of subject) string {
	if of.task.Status != billing.Failed && of.task.Status != billing.Canceled {
		return "The task is " + words(of.task.Status) + "; it would have to be failed or canceled."
	}
	if of.task.RetriedBy != nil {
		return "Another task repeats it already."
	}
	return ""
}

func onlyInDoubt(of subject) string {
	if of.task.Status != billing.InDoubt {
		return "The task is " + words(of.task.Status) + "; only a task in doubt needs to be resolved."
	}
	return ""
}

func onlyActive(of subject) string {
	if of.merchant.Status != billing.MerchantActive {
		return "The merchant is " + words(of.merchant.Status) + "; it would have to be active."
	}
	return ""
}

func onlyPaused(of subject) string {
	if of.merchant.Status != billing.MerchantPaused {
		return "The merchant is " + words(of.merchant.Status) + "; it would have to be paused."
	}
	return ""
}

func cancelTask(ctx context.Context, api *client.Client, id string, form actionForm) (string, error) {
	_, err := api.CancelTask(ctx, id, client.Reasoned{Reason: &form.Reason})
	return "/tasks/" + url.PathEscape(id), err
}

func rescheduleTask(ctx context.Context, api *client.Client, id string, form actionForm) (string, error) {
	runAt := momentOf(form.RunAt) // missing has seen to it
	_, err := api.RescheduleTask(ctx, id, client.Reschedule{RunAt: *runAt, Reason: &form.Reason})
	return "/tasks/" + url.PathEscape(id), err
}

func retryTask(ctx context.Context, api *client.Client, id string, form actionForm) (string, error) {
	made, err := api.RetryTask(ctx, id, client.Reasoned{Reason: &form.Reason})
	return "/tasks/" + url.PathEscape(made.ID), err
}

func resolveTask(ctx context.Context, api *client.Client, id string, form actionForm) (string, error) {
	_, err := api.ResolveTask(ctx, id, client.Resolve{Outcome: form.Outcome, Note: form.Note})
	return "/tasks/" + url.PathEscape(id), err
}

func pauseMerchant(ctx context.Context, api *client.Client, id string, form actionForm) (string, error) {
	_, err := api.PauseMerchant(ctx, id, client.Reasoned{Reason: &form.Reason})
	return "/merchants/" + url.PathEscape(id), err
}

func resumeMerchant(ctx context.Context, api *client.Client, id string, form actionForm) (string, error) {
	_, err := api.ResumeMerchant(ctx, id, client.Reasoned{Reason: &form.Reason})
	return "/merchants/" + url.PathEscape(id), err
}

// missing says what the form lacks.
func (a action) missing(form actionForm) []string {
	var found []string
	need := func(ok bool, sentence string) {
		if !ok {
			found = append(found, sentence)
		}
	}
	if a.verb == "resolve" {
		need(form.Outcome == string(billing.Succeeded) || form.Outcome == string(billing.Failed), "Say what became of the task.")
		need(form.Note != "", "Say how it is known.")
		return found
	}
	need(form.Reason != "", "Give a reason.")
	need(len([]rune(form.Reason)) <= maxReason, "Give a reason of 500 characters at most.")
	if a.verb == "reschedule" {
		need(momentOf(form.RunAt) != nil, "Give a time like 2026-01-31T09:00:00, in UTC.")
	}
	return found
}

const maxReason = 500

func readActionForm(values url.Values) actionForm {
	get := func(name string) string {
		return strings.TrimSpace(strings.ReplaceAll(values.Get(name), "\r\n", "\n"))
	}
	return actionForm{Reason: get("reason"), RunAt: asMoment(get("run_at")), Outcome: get("outcome"), Note: get("note")}
}

// RunAtLabel says what the task's run_at is, as the task stands.
func (a actionView) RunAtLabel() string { return runAtLabel(*a.Task, time.Now().After(a.Task.RunAt)) }

// RunAtField is for the form.
func (f actionForm) RunAtField() string { return inForm(f.RunAt) }

type actionView struct {
	Object, Verb, Name, Effect string
	Grave                      bool
	Path, Back                 string
	Task                       *client.Task
	Merchant                   *client.Merchant
	UpdatedAt                  string // of the state that is shown
	Form                       actionForm
	Refusal                    string
	Troubles                   []string
}

// viewOf reads what the action is about and makes the view of it.
func (c *Console) viewOf(v *visit, a action) (actionView, error) {
	v.section = a.object + "s"
	id := v.r.PathValue("id")
	view := actionView{Object: a.object, Verb: a.verb, Name: a.name, Effect: a.effect, Grave: a.grave}
	var of subject
	var updated time.Time
	if a.object == "task" {
		task, err := c.api.GetTask(v.ctx, id)
		if err != nil {
			return view, err
		}
		of.task, view.Task, updated = task, &task, task.UpdatedAt
		if v.may(billing.ScopeMerchantsRead) {
			merchant, err := c.api.GetMerchant(v.ctx, task.MerchantID)
			if err != nil {
				return view, err
			}
			view.Merchant = &merchant
		}
	} else {
		merchant, err := c.api.GetMerchant(v.ctx, id)
		if err != nil {
			return view, err
		}
		of.merchant, view.Merchant, updated = merchant, &merchant, merchant.UpdatedAt
	}
	view.Back = "/" + a.object + "s/" + url.PathEscape(id)
	view.Path = view.Back + "/" + a.verb
	view.UpdatedAt = updated.UTC().Format(time.RFC3339Nano)
	view.Refusal = a.refusal(of)
	return view, nil
}

// confirm shows what an action would do, and asks for it to be meant.
func (c *Console) confirm(v *visit, a action) error {
	view, err := c.viewOf(v, a)
	if err != nil {
		return err
	}
	if view.Task != nil {
		view.Form.RunAt = view.Task.RunAt.UTC().Format(time.RFC3339)
	}
	return c.showAction(v, http.StatusOK, view)
}

// act does it, unless the page that was confirmed is out of date.
func (c *Console) act(v *visit, a action) error {
	form, err := formOf(v.r)
	if err != nil {
		return err
	}
	view, err := c.viewOf(v, a)
	if err != nil {
		return err
	}
	view.Form = readActionForm(form)
	if view.Refusal != "" {
		view.Troubles = []string{"Nothing was done, because it is not possible any more."}
		return c.showAction(v, http.StatusConflict, view)
	}
	if shown := momentOf(form.Get("updated_at")); shown == nil || shown.UTC().Format(time.RFC3339Nano) != view.UpdatedAt {
		view.Troubles = []string{"Nothing was done: the " + a.object + " has changed since you opened the form. This is how it is now; confirm once more if you still mean it."}
		return c.showAction(v, http.StatusConflict, view)
	}
	if view.Troubles = a.missing(view.Form); len(view.Troubles) > 0 {
		return c.showAction(v, http.StatusUnprocessableEntity, view)
	}
	next, err := a.do(v.ctx, c.api, v.r.PathValue("id"), view.Form)
	if code := codeOf(err); code == billing.CodeConflict || code == billing.CodeIntentTaken || code == billing.CodeLeaseLost {
		return c.showConflict(v, a, view.Form, err)
	}
	status, troubles, err := inPlace(err)
	if err != nil {
		return err
	}
	if view.Troubles = troubles; len(troubles) > 0 {
		return c.showAction(v, status, view)
	}
	redirect(v, next+"?done="+a.verb)
	return nil
}

// showConflict shows how things are after the API has refused.
func (c *Console) showConflict(v *visit, a action, form actionForm, refused error) error {
	view, err := c.viewOf(v, a)
	if err != nil {
		return err
	}
	view.Form, view.Troubles = form, append([]string{"Nothing was done."}, detailsOf(refused)...)
	return c.showAction(v, http.StatusConflict, view)
}

func (c *Console) showAction(v *visit, status int, view actionView) error {
	c.show(v, status, "action", view.Name+" this "+view.Object, view)
	return nil
}
