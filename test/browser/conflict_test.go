package browser_test

import (
	"net/http"
	"strings"
	"time"
)

// refused waits until the page says, in place of doing it, that things have changed.
func (b *tab) refused() {
	b.t.Helper()
	b.answered(http.StatusConflict)
	b.until("the page says what is wrong", `document.querySelector('main [role=alert]')`)
}

func cancelConflict(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.forgive(http.StatusConflict)
	b.act("/tasks/"+task, "cancel")
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/reschedule", object{"run_at": later().Add(time.Hour)})
	b.fill("reason", reason)
	b.send()
	b.refused()
	b.accessible("an action that was refused")
	s.status(task, "pending", 0)
	if got := read[string](b, `document.querySelector('main [name=reason]')?.value ?? 'no form'`); got != reason {
		s.t.Errorf("what was typed is lost: %q", got)
	}
	// Who has seen how it is now may go on.
	b.send()
	b.at("/tasks/" + task)
	b.until("the task is canceled", shows(task, "canceled"))
	s.status(task, "canceled", 0)
}

func cancelTooLate(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.forgive(http.StatusConflict)
	b.act("/tasks/"+task, "cancel")
	b.fill("reason", reason)
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/reschedule", object{"run_at": time.Now().UTC()})
	s.c.Await(task, "succeeded")
	b.send()
	b.refused()
	b.sees("succeeded")
	s.status(task, "succeeded", 1)
}

func rescheduleConflict(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.forgive(http.StatusConflict)
	b.act("/tasks/"+task, "reschedule")
	b.fill("run_at", later().Add(time.Hour).Format("2006-01-02T15:04"))
	b.fill("reason", reason)
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/cancel", nil)
	b.send()
	b.refused()
	b.sees("canceled")
	s.status(task, "canceled", 0)
}

// retryConflict has two people repeat one task: there is one repetition, and the second sees it.
func retryConflict(s *scene) {
	task := s.failed()
	b := s.tab(adminKey)
	b.forgive(http.StatusConflict)
	b.act("/tasks/"+task, "retry")
	b.fill("reason", reason)
	successor := id(s.c.Must(201, "POST", "/v1/tasks/"+task+"/retry", nil))
	s.c.Await(successor, "failed")
	b.send()
	b.until("the repetition is shown", `document.readyState === 'complete' && (location.pathname === '/tasks/`+successor+`' || document.querySelector('main a[href="/tasks/`+successor+`"]'))`)
	if chain := s.chain(task); len(chain) != 2 {
		s.t.Errorf("the chain is %v, want two tasks", chain)
	}
}

func resolveConflict(s *scene) {
	task := s.inDoubt()
	b := s.tab(adminKey)
	b.forgive(http.StatusConflict)
	b.act("/tasks/"+task, "resolve")
	b.fill("outcome", "succeeded")
	b.fill("note", reason)
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/resolve", object{"outcome": "failed", "note": "the bank says so"})
	b.send()
	b.refused()
	b.sees("failed")
	s.status(task, "failed", 1)
}

func pauseConflict(s *scene) {
	merchant := "/merchants/" + s.merchant
	b := s.tab(adminKey)
	b.forgive(http.StatusConflict)
	b.act(merchant, "pause")
	b.fill("reason", reason)
	s.c.Must(200, "PATCH", "/v1"+merchant, object{"name": "Renamed " + s.name})
	b.send()
	b.refused()
	b.sees("Renamed " + s.name)
	if got := s.c.Must(200, "GET", "/v1"+merchant, nil)["status"]; got == "paused" {
		s.t.Error("the merchant is paused")
	}
}

func resumeConflict(s *scene) {
	merchant := "/merchants/" + s.merchant
	s.c.Must(200, "POST", "/v1"+merchant+"/pause", nil)
	b := s.tab(adminKey)
	b.forgive(http.StatusConflict)
	b.act(merchant, "resume")
	b.fill("reason", reason)
	s.c.Must(200, "PATCH", "/v1"+merchant, object{"name": "Renamed " + s.name})
	b.send()
	b.refused()
	b.sees("Renamed " + s.name)
	if got := s.c.Must(200, "GET", "/v1"+merchant, nil)["status"]; got != "paused" {
		s.t.Errorf("the merchant is %v, want paused", got)
	}
}

// anotherSite is a page elsewhere that has the browser of somebody who is signed in act for it.
func anotherSite(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.forgive(http.StatusForbidden, http.StatusMethodNotAllowed)
	updated, _ := s.task(task)["updated_at"].(string)
	elsewhere := serve(s.t, `<!doctype html><title>x</title><link rel="icon" href="data:,"><body onload="document.forms[0].submit()"><form method="post" action="`+s.base+`/tasks/`+task+`/cancel">
		<input name="reason" value="none"><input name="updated_at" value="`+updated+`"></form>`)
	// To the browser another port of this host is the same site, so that it sends its cookies along, and another host is not.
	for _, from := range []string{elsewhere, strings.Replace(elsewhere, "127.0.0.1", "localhost", 1)} {
		b.openElsewhere(from)
		b.answered(http.StatusForbidden)
		s.status(task, "pending", 0)
	}
	// Nor can it show a page of the console within its own, for people to click on what they do not see.
	b.forgiveFraming()
	b.openElsewhere(serve(s.t, `<!doctype html><title>x</title><link rel="icon" href="data:,"><iframe src="`+s.base+`/tasks/`+task+`/cancel"></iframe>`))
	b.wait("the browser refuses to show it", func() bool {
		b.seen.mu.Lock()
		defer b.seen.mu.Unlock()
		return b.seen.framed > 0
	})
}
