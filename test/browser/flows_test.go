package browser_test

import (
	"net/http"
	"time"
)

const reason = "asked for by the shop, ticket 4711"

// act opens the page of an action from the page of its object.
func (b *tab) act(object, action string) {
	b.t.Helper()
	b.open(object)
	b.click(`main a[href="` + object + `/` + action + `"], main form[action="` + object + `/` + action + `"][method="get"] button`)
	b.at(object + "/" + action)
}

func cancel(s *scene, b *tab) {
	task := s.pending()
	b.act("/tasks/"+task, "cancel")
	b.fill("reason", reason)
	s.status(task, "pending", 0) // the first step changes nothing
	b.send()
	b.at("/tasks/" + task)
	b.until("the task is canceled", shows(task, "canceled"))
	b.sees(reason)
	s.status(task, "canceled", 0)
	s.audited(task, "task.cancel", reason)
}

func reschedule(s *scene, b *tab) {
	task := s.pending()
	at := later().Add(72 * time.Hour)
	b.act("/tasks/"+task, "reschedule")
	b.fill("run_at", at.Format("2006-01-02T15:04"))
	b.fill("reason", reason)
	b.send()
	b.at("/tasks/" + task)
	got, _ := s.task(task)["run_at"].(string)
	if moved, err := time.Parse(time.RFC3339, got); err != nil || !moved.Equal(at) {
		s.t.Errorf("the task is for %s, want %s: times are in UTC", got, at)
	}
	s.audited(task, "task.reschedule", reason)
}

func retry(s *scene, b *tab) {
	task := s.failed()
	b.act("/tasks/"+task, "retry")
	b.fill("reason", reason)
	b.send()
	b.until("another task is shown", `/^\/tasks\/[0-9a-f-]{36}$/.test(location.pathname) && document.readyState === 'complete'`)
	chain := s.chain(task)
	if len(chain) != 2 {
		s.t.Fatalf("the chain is %v, want two tasks", chain)
	}
	successor := chain[1]
	b.at("/tasks/" + successor)
	s.audited(task, "task.retry", reason)
}

func resolveSucceeded(s *scene, b *tab) { resolve(s, b, "succeeded") }

func resolveFailed(s *scene, b *tab) { resolve(s, b, "failed") }

func resolve(s *scene, b *tab, outcome string) {
	task := s.inDoubt()
	b.open("/attention")
	b.click(`main a[href="/tasks/` + task + `"]`)
	b.at("/tasks/" + task)
	b.act("/tasks/"+task, "resolve")
	b.fill("outcome", outcome)
	b.fill("note", reason)
	b.send()
	b.at("/tasks/" + task)
	b.until("the task is resolved", shows(task, outcome))
	b.sees(reason)
	s.status(task, outcome, 1) // Stripe's own record is not ours to change
	s.audited(task, "task.resolve", "")
}

func pauseAndResume(s *scene, b *tab) {
	merchant := "/merchants/" + s.merchant
	b.act(merchant, "pause")
	b.fill("reason", reason)
	b.send()
	b.at(merchant)
	b.sees(reason)
	if got := s.c.Must(200, "GET", "/v1"+merchant, nil)["status"]; got != "paused" {
		s.t.Errorf("the merchant is %v, want paused", got)
	}
	s.audited(s.merchant, "merchant.pause", reason)
	b.open("/attention")
	b.until("the merchant is among what needs attention", `document.querySelector('main a[href="`+merchant+`"]')`)
	b.act(merchant, "resume")
	b.fill("reason", reason)
	b.send()
	b.at(merchant)
	if got := s.c.Must(200, "GET", "/v1"+merchant, nil)["status"]; got == "paused" {
		s.t.Error("the merchant is still paused")
	}
	s.audited(s.merchant, "merchant.resume", reason)
}

// faultyForm sends what cannot be done: the page says why, in place, and keeps what was typed.
func faultyForm(s *scene, b *tab) {
	b.forgive(http.StatusUnprocessableEntity)
	task := s.inDoubt()
	b.act("/tasks/"+task, "resolve")
	b.fill("outcome", "failed")
	b.fill("note", "   ") // which a browser takes for something
	b.send()
	b.answered(http.StatusUnprocessableEntity)
	b.until("the page says what is wrong", `document.querySelector('main [role=alert]')`)
	if !read[bool](b, `document.querySelector('main [name=outcome][value=failed]').checked`) {
		s.t.Error("what was chosen is lost")
	}
	s.status(task, "in_doubt", 1)
	b.fill("note", reason)
	b.send()
	b.at("/tasks/" + task)
	s.status(task, "failed", 1)
}
