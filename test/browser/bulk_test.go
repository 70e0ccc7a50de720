package browser_test

import (
	"fmt"
	"net/http"
	"time"
)

// several schedules n payments of the scene's merchant for later, and one of another merchant.
func (s *scene) several(n int) (tasks []string, other string) {
	s.t.Helper()
	for range n {
		tasks = append(tasks, s.pending())
	}
	return tasks, s.world.scene(s.t).pending()
}

// bulk goes from the list of what is to be changed to the page that says how many that are.
func (b *tab) bulk(s *scene, action, status string, count int) {
	b.t.Helper()
	b.open("/tasks?merchant_id=" + s.merchant + "&status=" + status)
	b.click(`main a[href^="/tasks/bulk?"][href*="action=` + action + `"]`)
	b.at("/tasks/bulk")
	b.until("the page says how many that are", `[...document.querySelectorAll('main dd')].some(e => e.innerText.startsWith('`+fmt.Sprint(count)+`'))`)
	b.fill("reason", reason)
}

func bulkCancel(s *scene, b *tab) {
	tasks, other := s.several(4)
	b.bulk(s, "cancel", "pending", len(tasks))
	b.fill("confirm", fmt.Sprint(len(tasks)))
	for _, task := range tasks {
		s.status(task, "pending", 0)
	}
	b.send()
	b.sees(fmt.Sprintf("%d tasks were changed", len(tasks)))
	b.wait("they are canceled", func() bool { return s.task(tasks[0])["status"] == "canceled" })
	for _, task := range tasks {
		s.status(task, "canceled", 0)
		s.audited(task, "task.cancel", reason)
	}
	s.status(other, "pending", 0)
}

func bulkReschedule(s *scene, b *tab) {
	tasks, other := s.several(3)
	before, _ := s.task(other)["run_at"].(string)
	at := later().Add(24 * time.Hour)
	b.bulk(s, "reschedule", "pending", len(tasks))
	b.fill("run_at", at.Format("2006-01-02T15:04"))
	b.fill("confirm", fmt.Sprint(len(tasks)))
	b.send()
	for _, task := range tasks {
		b.wait("they are moved", func() bool {
			got, _ := s.task(task)["run_at"].(string)
			moved, err := time.Parse(time.RFC3339, got)
			return err == nil && moved.Equal(at)
		})
		s.audited(task, "task.reschedule", reason)
	}
	if after, _ := s.task(other)["run_at"].(string); after != before {
		s.t.Error("the task of another merchant was moved")
	}
}

func bulkRetry(s *scene, b *tab) {
	tasks := []string{s.failed(), s.failed()}
	b.bulk(s, "retry", "failed", len(tasks))
	b.fill("confirm", fmt.Sprint(len(tasks)))
	b.send()
	for _, task := range tasks {
		b.wait("each has one repetition", func() bool { return len(s.chain(task)) == 2 })
	}
}

// bulkAsOf has a task come after the count that somebody has agreed to: it is not theirs to cancel.
func bulkAsOf(s *scene) {
	tasks, _ := s.several(2)
	b := s.tab(adminKey)
	b.bulk(s, "cancel", "pending", len(tasks))
	b.fill("confirm", fmt.Sprint(len(tasks)))
	late := s.pending()
	b.send()
	b.wait("they are canceled", func() bool {
		return s.task(tasks[0])["status"] == "canceled" && s.task(tasks[1])["status"] == "canceled"
	})
	s.status(late, "pending", 0)
}

func bulkUnconfirmed(s *scene) {
	tasks, _ := s.several(2)
	b := s.tab(adminKey)
	b.forgive(http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusConflict)
	b.bulk(s, "cancel", "pending", len(tasks))
	b.fill("confirm", "7")
	b.send()
	b.until("the page says what is wrong", `document.querySelector('main [role=alert]')`)
	for _, task := range tasks {
		s.status(task, "pending", 0)
	}
	if got := read[string](b, `document.querySelector('main [name=reason]')?.value ?? 'no form'`); got != reason {
		s.t.Errorf("what was typed is lost: %q", got)
	}
}
