package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"billonce/pkg/billing"
	"billonce/pkg/client"
)

// fault is a page that says why there is no other.
type fault struct {
	status int
	title  string
	text   string
}

// Error implements error.
func (f *fault) Error() string { return f.title }

// codeOf is the code of an error of the API or of one of our own, "" for nil.
func codeOf(err error) billing.Code {
	var problem *client.Problem
	if errors.As(err, &problem) {
		if problem.Code == "" {
			return billing.CodeInternal
		}
		return problem.Code
	}
	return billing.CodeOf(err)
}

// inPlace says how a page goes on after a call of the API: an error about what was asked for is told on the page itself, any other is
// returned.
func inPlace(err error) (status int, troubles []string, _ error) {
	switch code := codeOf(err); {
	case err == nil:
		return http.StatusOK, nil, nil
	case code == billing.CodeInvalid, code == billing.CodeMalformed:
		return http.StatusUnprocessableEntity, detailsOf(err), nil
	}
	return 0, nil, err
}

type faultView struct {
	Text      string
	Details   []string
	RequestID string
	Retry     bool // it may go better in a while
}

// statusGone is for whoever does not wait for an answer, as nginx has it: it is no fault, and is not to be counted as one.
const statusGone = 499

// showFault answers with the page for an error.
func (c *Console) showFault(v *visit, err error) {
	if errors.Is(v.r.Context().Err(), context.Canceled) { // as by who goes on while a part of the page before is still asked for
		c.log.DebugContext(v.r.Context(), "a visitor has gone", slog.String("page", v.section), slog.Any("error", err))
		v.w.WriteHeader(statusGone)
		return
	}
	var own *fault
	if errors.As(err, &own) {
		c.show(v, own.status, "fault", own.title, faultView{Text: own.text})
		return
	}
	if waits := (*waitError)(nil); errors.As(err, &waits) {
		c.haveWait(v, waits.wait)
		return
	}
	view := faultView{RequestID: v.w.Header().Get("X-Request-Id")}
	switch code := codeOf(err); {
	case code == billing.CodeUnauthenticated: // the key has ended meanwhile
		c.sendToSignIn(v)
	case code == billing.CodeNotFound:
		view.Text = "It does not exist, or belongs to a merchant that your key is not for."
		c.show(v, http.StatusNotFound, "fault", "Not found", view)
	case code == billing.CodeForbidden:
		view.Text = "Sign in with a key that does."
		c.show(v, http.StatusForbidden, "fault", "Your key does not allow this", view)
	case code == billing.CodeInvalid, code == billing.CodeMalformed, code == billing.CodeTooLarge:
		view.Text, view.Details = "The API could not take it:", detailsOf(err)
		c.show(v, http.StatusBadRequest, "fault", "Something in the address or form is wrong", view)
	case code == billing.CodeUnavailable, code == billing.CodeRateLimited, errors.Is(err, context.DeadlineExceeded):
		c.log.WarnContext(v.r.Context(), "a page is not available", slog.String("page", v.section), slog.Any("error", err))
		view.Text, view.Retry = "billonce cannot reach its database, or it answers too slowly. Tasks wait where they are; none is lost, and none is sent twice.", true
		v.w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		c.show(v, http.StatusServiceUnavailable, "fault", "Not available now", view)
	default:
		c.log.ErrorContext(v.r.Context(), "a page failed", slog.String("page", v.section), slog.Any("error", err))
		view.Text = "It is a fault of ours. The log has its cause."
		c.show(v, http.StatusInternalServerError, "fault", "Something went wrong", view)
	}
}

const retryAfter = 5 // seconds

// detailsOf are the sentences that the API says about what it was given.
func detailsOf(err error) []string {
	var problem *client.Problem
	if !errors.As(err, &problem) {
		return nil
	}
	if len(problem.Errors) == 0 {
		return []string{problem.Detail}
	}
	var details []string
	for _, one := range problem.Errors {
		where := one.Query
		if where == "" {
			where = one.Pointer
		}
		if where != "" {
			where += " "
		}
		details = append(details, where+one.Detail)
	}
	return details
}

// formOf reads what was sent by a form; the error is a page for one that is too long or broken.
func formOf(r *http.Request) (url.Values, error) {
	err := r.ParseForm()
	if err == nil {
		return r.PostForm, nil
	}
	status := http.StatusBadRequest
	if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
		status = http.StatusRequestEntityTooLarge
	}
	return nil, &fault{status: status, title: "The form could not be read", text: "Nothing was changed. Go back and send it again."}
}

// notices are what a page says once, after something was done. What the address says is looked up here, and never shown.
var notices = map[string]string{
	"cancel":     "The task is canceled.",
	"reschedule": "The task is rescheduled.",
	"retry":      "The operation is scheduled once more, as the new task that you see here.",
	"resolve":    "The task is resolved.",
	"pause":      "The merchant is paused: its tasks are held where they are.",
	"resume":     "The merchant is resumed: its tasks run.",
}

var onceOnly = []string{"done", "changed", "refused", "more", "welcome", "lost"}

func noticeOf(query url.Values) string {
	if query.Get("done") != "bulk" {
		return notices[query.Get("done")]
	}
	changed, err := strconv.Atoi(query.Get("changed"))
	if err != nil || changed < 0 {
		return ""
	}
	text := number(changed) + " tasks were changed."
	if refused, err := strconv.Atoi(query.Get("refused")); err == nil && refused > 0 {
		text += " " + number(refused) + " had gone on meanwhile and were left as they are."
	}
	if query.Get("more") == "1" {
		text += " More are left: do it again for the rest."
	}
	return text
}
