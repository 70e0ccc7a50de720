package browser_test

import (
	"time"
)

// shows is the expression that a page of a task, or its row in a list, shows a status.
func shows(task, status string) string {
	return `[...document.querySelectorAll('main [data-status]')].some(e => e.dataset.status === ` + quote(status) + ` &&
		(location.pathname === '/tasks/` + task + `' || e.closest('tr')?.querySelector('a[href="/tasks/` + task + `"]')))`
}

// followed watches a task from before its time to its end on a page that is loaded once.
func followed(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.open("/tasks/" + task)
	b.until("the task is pending", shows(task, "pending"))
	b.stays()
	s.fault(object{"kind": "stall", "hold": true})
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/reschedule", object{"run_at": time.Now().UTC()})
	b.until("the task is running", shows(task, "running"))
	s.s.Must(200, "POST", "/_sim/release", nil)
	b.until("the task has succeeded", shows(task, "succeeded"))
	result, _ := s.task(task)["result"].(object)
	request, _ := result["request_id"].(string)
	b.sees(request)
	if !read[bool](b, `document.querySelectorAll('header, main, footer, h1').length === 4`) {
		s.t.Error("the page is there twice")
	}
	if b.has(`main a[href$="/cancel"]`) {
		s.t.Error("the page still offers to cancel")
	}
	b.stayed()
}

// listFollows watches the list of a merchant's tasks.
func listFollows(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.open("/tasks?merchant_id=" + s.merchant)
	b.until("the task is pending", shows(task, "pending"))
	b.stays()
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/cancel", nil)
	b.until("the task is canceled", shows(task, "canceled"))
	b.stayed()
}

// pausedPage is read in peace, and brought up to date when it is to go on.
func pausedPage(s *scene) {
	task := s.pending()
	b := s.tab(adminKey)
	b.open("/tasks?merchant_id=" + s.merchant)
	b.until("the page follows", following)
	b.stays()
	const pressed = `document.querySelector('#pause').getAttribute('aria-pressed') === 'true'`
	b.click("#pause")
	b.until("the page says that it rests", pressed+` && !(`+following+`)`)
	began := time.Now()
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/cancel", nil)
	b.wait("it would have asked by itself", func() bool { return time.Since(began) > 6*time.Second })
	if n := b.requests(b.base, began); n > 0 {
		s.t.Errorf("a page that rests has asked %d times", n)
	}
	if !read[bool](b, shows(task, "pending")) {
		s.t.Error("a page that rests has changed")
	}
	b.click("#pause")
	b.until("the task is canceled", shows(task, "canceled"))
	b.until("the page follows again", following+` && !(`+pressed+`)`)
	b.stayed()
}

// story is what is told of a task that was declined, repeated by its dunning and repeated by a person.
func story(s *scene) {
	s.fault(object{"kind": "decline", "code": "insufficient_funds"})
	task := id(s.c.Must(201, "POST", "/v1/tasks", object{
		"merchant_id": s.merchant, "kind": "invoice.pay", "target": s.invoice(), "on_decline": object{"retry_after": []string{"24h"}},
		"metadata": object{"order": "order-4711"},
	}))
	s.c.Await(task, "failed")
	chain := s.chain(task)
	if len(chain) != 2 {
		s.t.Fatalf("the chain is %v", chain)
	}
	successor := chain[1]
	read := s.task(task)
	failure, _ := read["last_error"].(object)
	request, _ := failure["request_id"].(string)
	target, _ := read["target"].(string)
	b := s.tab(adminKey)
	b.open("/tasks/" + task)
	b.sees("insufficient_funds", request, "task_"+task, target, s.name, "order-4711")
	b.click(`main a[href="/tasks/` + successor + `"]`)
	b.at("/tasks/" + successor)
	b.until("the way back is there", `document.querySelector('main a[href="/tasks/`+task+`"]')`)
}
