package browser_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rows are the ids of the tasks that the page lists, in its order.
func (b *tab) rows() []string {
	b.t.Helper()
	links := read[[]string](b, `[...document.querySelectorAll('main tr a[href^="/tasks/"]')].map(a => a.getAttribute('href'))`)
	var ids []string
	for _, link := range links {
		if task := strings.TrimPrefix(link, "/tasks/"); len(task) == 36 && !slices.Contains(ids, task) {
			ids = append(ids, task)
		}
	}
	return ids
}

// counts are the numbers on the tabs, by status; "" is that of all.
func (b *tab) counts() map[string]string {
	b.t.Helper()
	return read[map[string]string](b, `Object.fromEntries([...document.querySelectorAll('main nav a[href^="/tasks"] b')].map(e =>
		[new URL(e.closest('a').href).searchParams.get('status') ?? '', e.textContent]))`)
}

func filtersAreTheAddress(s *scene) {
	pending, other := s.pending(), s.pending()
	failed := s.failed()
	target, _ := s.task(pending)["target"].(string)
	b := s.tab(adminKey)

	// By the form.
	b.open("/tasks")
	b.fill("merchant_id", s.merchant)
	b.fill("target", target)
	b.click(`main form[method="get"] button, main form:not([method]) button`)
	b.until("the address holds the filters", `new URLSearchParams(location.search).get('target') === `+quote(target)+` && document.readyState === 'complete'`)
	if diff := cmp.Diff([]string{pending}, b.rows()); diff != "" {
		s.t.Errorf("with the form: %s", diff)
	}
	// By the address, which shows the same again, with the form as it was.
	address := b.where()
	b.open(address)
	if diff := cmp.Diff([]string{pending}, b.rows()); diff != "" {
		s.t.Errorf("with the address: %s", diff)
	}
	if got := read[string](b, `document.querySelector('main [name=target]').value`); got != target {
		s.t.Errorf("the form has %q for the target", got)
	}
	// By the tabs, which keep the other filters.
	b.open("/tasks?merchant_id=" + s.merchant)
	if got := b.rows(); len(got) != 3 {
		s.t.Errorf("all tasks of the merchant are %v", got)
	}
	want := map[string]string{"": "3", "pending": "2", "running": "0", "succeeded": "0", "failed": "1", "in_doubt": "0", "canceled": "0"}
	if diff := cmp.Diff(want, b.counts()); diff != "" {
		s.t.Errorf("the tabs count otherwise: %s", diff)
	}
	b.click(`main a[href*="status=failed"]`)
	b.until("the address holds both", `location.search.includes('status=failed') && location.search.includes(`+quote(s.merchant)+`) && document.readyState === 'complete'`)
	if diff := cmp.Diff([]string{failed}, b.rows()); diff != "" {
		s.t.Errorf("with the tab: %s", diff)
	}
	b.back()
	b.until("back", `!location.search.includes('status=') && document.readyState === 'complete'`)
	if got := b.rows(); len(got) != 3 || !slices.Contains(got, other) {
		s.t.Errorf("back again there are %v", got)
	}
	// By time, as the form's fields say it.
	from := later().Add(-time.Hour).Format(time.RFC3339)
	b.open("/tasks?merchant_id=" + s.merchant + "&from=" + strings.ReplaceAll(from, "+", "%2B"))
	if got := b.rows(); len(got) != 2 || slices.Contains(got, failed) {
		s.t.Errorf("of the day after tomorrow there are %v", got)
	}
}

func paging(s *scene) {
	const many = 120
	tasks := make([]object, many)
	for i := range tasks {
		tasks[i] = object{"merchant_id": s.merchant, "kind": "invoice.pay", "target": fmt.Sprintf("in_page_%03d", i), "run_at": later().Add(time.Duration(i) * time.Second)}
	}
	s.c.Must(201, "POST", "/v1/tasks/batch", object{"tasks": tasks})
	b := s.tab(adminKey)
	b.open("/tasks?merchant_id=" + s.merchant)
	seen := map[string]bool{}
	for pages := 1; ; pages++ {
		rows := b.rows()
		for _, task := range rows {
			if seen[task] {
				s.t.Errorf("%s comes twice", task)
			}
			seen[task] = true
		}
		if !b.has(`main a[rel="next"]`) {
			break
		}
		if pages > many {
			s.t.Fatal("there is no end")
		}
		address := b.where()
		b.click(`main a[rel="next"]`)
		b.until("the next page", `location.pathname + location.search !== `+quote(address)+` && document.readyState === 'complete'`)
		if !strings.Contains(b.where(), s.merchant) {
			s.t.Errorf("the next page has lost the filter: %s", b.where())
		}
	}
	if len(seen) != many {
		s.t.Errorf("%d tasks were listed, want %d", len(seen), many)
	}
	last := b.where()
	b.back()
	b.until("the page before", `location.search !== `+quote(strings.TrimPrefix(last, "/tasks"))+` && document.querySelector('main tr a[href^="/tasks/"]')`)
}

func search(s *scene) {
	succeeded, pending := s.succeeded(), s.pending()
	task := s.task(succeeded)
	result, _ := task["result"].(object)
	b := s.tab(adminKey)
	for name, q := range map[string]any{
		"its id": succeeded, "its key": "task_" + succeeded, "the object acted on": task["target"], "Stripe's object": result["id"], "Stripe's request": result["request_id"],
	} {
		text, ok := q.(string)
		if !ok || text == "" {
			s.t.Fatalf("the task has no %s: %v", name, task)
		}
		b.open("/")
		b.fillSearch(text)
		// A whole id may lead to the task itself.
		b.until("the task is found by "+name, `document.readyState === 'complete' && (location.pathname === '/tasks/`+succeeded+`' || location.pathname === '/tasks' && document.querySelector('main a[href="/tasks/`+succeeded+`"]'))`)
		b.lacks(`href="/tasks/` + pending + `"`)
	}
	for name, q := range map[string]string{"the merchant": s.merchant, "the account": s.account} {
		b.open("/")
		b.fillSearch(q)
		b.until("the merchant's tasks are found by "+name, `document.readyState === 'complete' && document.querySelector('main a[href="/tasks/`+succeeded+`"]') && document.querySelector('main a[href="/tasks/`+pending+`"]')`)
	}
	b.open("/tasks?q=in_that_nobody_has")
	if got := b.rows(); len(got) != 0 {
		s.t.Errorf("by a target that nobody has are found %v", got)
	}
}

// fillSearch searches by the field that every page has.
func (b *tab) fillSearch(text string) {
	b.t.Helper()
	const field = `form[role="search"] [name="q"], form[action="/tasks"] [name="q"]`
	b.click(field)
	b.press(text + "\r")
}
