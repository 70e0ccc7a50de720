package browser_test

import (
	"strings"

	"github.com/chromedp/chromedp/kb"
)

// keyboard signs in and cancels a task without a mouse, as a person does: looking at what has the focus.
func keyboard(s *scene) {
	task := s.pending()
	b := newTab(s.t, s.base)
	b.open("/sign-in")
	b.tabTo("the field of the key", `document.activeElement?.name === 'key'`)
	b.press(adminKey + kb.Enter)
	b.at("/")

	b.press(kb.Tab)
	if !read[bool](b, `document.activeElement.matches('a[href^="#"]') && document.activeElement.getBoundingClientRect().top >= 0`) {
		s.t.Error("the first stop is not a visible link past the navigation")
	}
	b.press(kb.Enter)
	b.press(kb.Tab)
	if read[bool](b, `document.activeElement.closest('nav, header') !== null`) {
		s.t.Error("the link past the navigation does not lead past it")
	}

	b.open("/tasks?merchant_id=" + s.merchant)
	b.tabTo("the task", `document.activeElement.getAttribute('href') === '/tasks/`+task+`'`)
	b.press(kb.Enter)
	b.at("/tasks/" + task)
	b.tabTo("the action", `document.activeElement.getAttribute('href') === '/tasks/`+task+`/cancel' || document.activeElement.form?.action.endsWith('/cancel')`)
	b.press(kb.Enter)
	b.at("/tasks/" + task + "/cancel")
	b.tabTo("the reason", `document.activeElement.name === 'reason'`)
	b.press(reason)
	b.tabTo("the button", `document.activeElement.matches('`+theForm+` button')`)
	b.press(kb.Enter)
	b.at("/tasks/" + task)
	b.until("the task is canceled", shows(task, "canceled"))
	s.status(task, "canceled", 0)
	s.audited(task, "task.cancel", reason)
}

// tabTo presses the tabulator until the focus is where it should be. Each stop must be seen.
func (b *tab) tabTo(what, expression string) {
	b.t.Helper()
	const most = 200
	var stops []string
	for range most {
		b.press(kb.Tab)
		stop := read[string](b, `(() => {
			const e = document.activeElement;
			if (!e || e === document.body) return 'nothing';
			const style = getComputedStyle(e);
			const seen = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
			return (seen ? '' : 'UNSEEN ') + e.tagName + ' ' + (e.name || e.innerText || '').slice(0, 30).trim();
		})()`)
		if strings.HasPrefix(stop, "UNSEEN") {
			b.t.Errorf("the focus on %q in %s cannot be seen", stop, b.where())
		}
		if read[bool](b, "Boolean("+expression+")") {
			return
		}
		stops = append(stops, stop)
	}
	b.t.Fatalf("the tabulator does not lead to %s; it stops at %q", what, stops)
}
