package console

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"billonce/pkg/client"
)

const (
	// bulkPatience is how long one form goes on counting and changing tasks. What is left then takes another form.
	bulkPatience = 8 * time.Second
	// countPatience is how long tasks are counted before a page says how far that came.
	countPatience = 3 * time.Second
	// mostMatched is where the API stops counting.
	mostMatched = 10_000
)

// bulkStep is how many tasks one call changes: it must end before the page's own time does, and retries are made one by one.
const bulkStep = 250

type bulkView struct {
	Action, Effect string
	Filter         filter
	Hidden         []pair // the filter as the form sends it
	Cursor         string // where counting and changing begin; "" with the newest task
	Count          int
	Capped         bool
	Counted        string     // as how many a form has shown that stopped counting
	SearchedTo     *time.Time // nothing was found, and time was over when this far back was looked
	Further        string     // the address that goes on from there
	AsOf           string
	Confirm        string
	Form           actionForm
	Troubles       []string
	Refused        bool // there is nothing to confirm
}

var bulkEffects = map[string]string{
	"cancel":     "Every pending task that fits, and of which nothing has been sent, is called off. This cannot be undone.",
	"reschedule": "Every pending task that fits, and of which nothing has been sent, runs at another time.",
	"retry":      "Every failed or canceled task that fits, and has not been retried, is done once more, now, or at its time if that lies ahead, as a new task under a key of its own.",
}

// readBulk reads what is to be done to which tasks, from an address or a form.
func readBulk(values url.Values) (bulkView, error) {
	view := bulkView{
		Action: values.Get("action"), Filter: readFilter(values), AsOf: strings.TrimSpace(values.Get("as_of")),
		Cursor: values.Get("cursor"), Counted: values.Get("counted"),
		Confirm: strings.ReplaceAll(strings.TrimSpace(values.Get("confirm")), ",", ""), Form: readActionForm(values),
	}
	view.Effect = bulkEffects[view.Action]
	if view.Effect == "" {
		return view, &fault{status: http.StatusNotFound, title: "There is no such action", text: "Tasks can be canceled, rescheduled and retried in bulk."}
	}
	fields := view.Filter.values()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		view.Hidden = append(view.Hidden, pair{name, fields.Get(name)})
	}
	view.Troubles = view.Filter.unreadable()
	if !view.Filter.Narrow() {
		view.Troubles = append(view.Troubles, "Choose a status, merchant, kind, target or time first. A search cannot be used.")
	}
	view.Refused = len(view.Troubles) > 0 // which tasks are meant is not clear: none are counted, let alone changed
	return view, nil
}

// previewBulk counts what would be changed, and asks for that number to be typed.
func (c *Console) previewBulk(v *visit) error {
	v.section = "tasks"
	view, err := readBulk(v.r.URL.Query())
	if err != nil {
		return err
	}
	view.AsOf = ""
	return c.countBulk(v, http.StatusOK, view)
}

// countBulk shows the form with the count as it is now.
func (c *Console) countBulk(v *visit, status int, view bulkView) error {
	if view.Refused {
		c.show(v, http.StatusUnprocessableEntity, "bulk", "Change many tasks", view)
		return nil
	}
	counted, err := c.tryBulk(v, view)
	if err != nil {
		return c.refuseBulk(v, view, err)
	}
	view.Count, view.Capped, view.AsOf = counted.Matched, counted.Capped, counted.AsOf.UTC().Format(time.RFC3339Nano)
	view.Refused = view.Count == 0
	if view.Refused && counted.NextCursor != nil {
		view.SearchedTo = counted.SearchedTo
		view.Further = view.Filter.Bulk(view.Action) + "&cursor=" + url.QueryEscape(*counted.NextCursor)
	}
	c.show(v, status, "bulk", "Change many tasks", view)
	return nil
}

// tryBulk asks what a change would come to: again and again where the time for one search is over before that is known, but no longer
// than a page may take.
func (c *Console) tryBulk(v *visit, view bulkView) (client.BulkResult, error) {
	request := requestOf(view)
	dry := true
	request.DryRun = &dry
	request.Reason = "to be counted" // what was typed is judged when it is done
	if request.Action == "reschedule" {
		soon := time.Now().UTC().Add(time.Hour)
		request.RunAt = &soon
	}
	began := time.Now()
	sum, err := c.api.ChangeTasks(v.ctx, request)
	for err == nil && sum.SearchedTo != nil && sum.NextCursor != nil && sum.Matched < mostMatched && time.Since(began) < countPatience {
		request.Cursor, request.Filter.CreatedBefore = sum.NextCursor, &sum.AsOf
		before := sum.Matched
		sum, err = c.api.ChangeTasks(v.ctx, request)
		sum.Matched += before
	}
	return sum, err
}

func requestOf(view bulkView) client.BulkRequest {
	request := client.BulkRequest{Action: view.Action, Filter: view.Filter.bulk(momentOf(view.AsOf)), Reason: view.Form.Reason}
	if view.Cursor != "" {
		request.Cursor = &view.Cursor
	}
	if view.Action == "reschedule" {
		request.RunAt = momentOf(view.Form.RunAt)
	}
	return request
}

// doBulk changes the tasks that were counted, if the count still holds and was typed.
func (c *Console) doBulk(v *visit) error {
	began := time.Now()
	v.section = "tasks"
	form, err := formOf(v.r)
	if err != nil {
		return err
	}
	view, err := readBulk(form)
	if err != nil {
		return err
	}
	if momentOf(view.AsOf) == nil {
		view.Troubles = append(view.Troubles, "The form does not say when its tasks were counted. They are counted anew now.")
	}
	if view.Form.Reason == "" || len([]rune(view.Form.Reason)) > maxReason {
		view.Troubles = append(view.Troubles, "Give a reason, of 500 characters at most.")
	}
	if view.Action == "reschedule" && momentOf(view.Form.RunAt) == nil {
		view.Troubles = append(view.Troubles, "Give a time like 2026-01-31T09:00:00, in UTC.")
	}
	if len(view.Troubles) > 0 {
		return c.countBulk(v, http.StatusUnprocessableEntity, view)
	}
	counted, err := c.tryBulk(v, view)
	if err != nil {
		return c.refuseBulk(v, view, err)
	}
	// Where counting takes longer than a page may, it never comes twice to the same number.
	agreed := view.Confirm == strconv.Itoa(counted.Matched) || counted.Capped && view.Confirm == view.Counted
	if !agreed {
		view.Troubles = []string{fmt.Sprintf("Nothing was changed: you typed another number than the %s tasks that fit now.", capped(counted.Matched, counted.Capped))}
		return c.countBulk(v, http.StatusConflict, view)
	}
	return c.changeAll(v, view, counted, began)
}

// changeAll makes call after call until as many are changed as were confirmed, or it has taken too long. Where counting stopped, all
// that fit were confirmed. Each call goes on where the one before has ended.
func (c *Console) changeAll(v *visit, view bulkView, counted client.BulkResult, began time.Time) error {
	request := requestOf(view)
	changed, refused, more := 0, 0, true
	for first := true; more && (first || time.Since(began) < bulkPatience); first = false {
		limit := bulkStep
		if !counted.Capped {
			limit = min(limit, counted.Matched-changed)
		}
		if limit <= 0 { // what fits besides has come since
			break
		}
		request.Limit = &limit
		result, err := c.api.ChangeTasks(v.ctx, request)
		if err != nil && changed == 0 {
			status, troubles, err := inPlace(err)
			if err != nil {
				return err
			}
			view.Troubles = append([]string{"Nothing was changed."}, troubles...)
			return c.countBulk(v, status, view)
		}
		if err != nil { // what is done stays done, and the notice says that more is left
			c.log.WarnContext(v.ctx, "a bulk change stopped on the way", slog.Int("changed", changed), slog.Any("error", err))
			break
		}
		changed, refused, more = changed+result.Changed, refused+result.Refused, result.More
		if request.Cursor = result.NextCursor; request.Cursor == nil && result.Changed == 0 {
			break
		}
	}
	query := view.Filter.values()
	query.Set("done", "bulk")
	query.Set("changed", strconv.Itoa(changed))
	query.Set("refused", strconv.Itoa(refused))
	if more {
		query.Set("more", "1")
	}
	redirect(v, address("/tasks", query))
	return nil
}

// refuseBulk shows in place what the API said.
func (c *Console) refuseBulk(v *visit, view bulkView, err error) error {
	status, troubles, err := inPlace(err)
	if err != nil {
		return err
	}
	view.Troubles, view.Refused = append([]string{"Nothing was changed."}, troubles...), true
	c.show(v, status, "bulk", "Change many tasks", view)
	return nil
}
