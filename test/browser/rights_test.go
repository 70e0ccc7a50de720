package browser_test

import (
	"net/http"
	"strings"
)

// actions are the paths at which things are changed, by what there is.
func (s *scene) actions(pending, failed, doubt string) []string {
	return []string{
		"/tasks/" + pending + "/cancel", "/tasks/" + pending + "/reschedule", "/tasks/" + failed + "/retry", "/tasks/" + doubt + "/resolve",
		"/merchants/" + s.merchant + "/pause", "/tasks/bulk?action=cancel&status=pending&merchant_id=" + s.merchant,
	}
}

func readOnly(s *scene) {
	pending, failed, doubt := s.pending(), s.failed(), s.inDoubt()
	key, _ := s.key(object{"scopes": []string{"tasks:read", "merchants:read"}})
	b := s.tab(key)
	b.forgive(http.StatusForbidden)
	for _, path := range []string{
		"/", "/tasks?status=pending", "/tasks?merchant_id=" + s.merchant, "/tasks/" + pending, "/tasks/" + failed, "/tasks/" + doubt, "/attention",
		"/merchants", "/merchants/" + s.merchant, "/workers",
	} {
		b.open(path)
		b.answered(http.StatusOK)
		if b.has(`form[method="post"]:not([action="/sign-out"])`) {
			s.t.Errorf("%s has a form", path)
		}
		for _, link := range read[[]string](b, `[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))`) {
			for _, action := range []string{"/cancel", "/reschedule", "/retry", "/resolve", "/pause", "/resume", "/tasks/bulk"} {
				if strings.HasSuffix(strings.Split(link, "?")[0], action) {
					s.t.Errorf("%s leads to %s", path, link)
				}
			}
		}
	}
	for _, path := range append(s.actions(pending, failed, doubt), "/api-keys", "/encryption", "/audit") {
		b.open(path)
		b.answered(http.StatusForbidden)
		b.until("the page says why", `document.querySelector('main')`)
	}
	// Whoever makes up the form gets no further. The page is the console's own, so the browser sends what it has.
	for _, path := range s.actions(pending, failed, doubt) {
		b.open("/")
		status := read[int](b, `fetch(`+quote(path)+`, {method: 'POST', headers: {'Content-Type': 'application/x-www-form-urlencoded'},
			body: 'reason=none&note=none&outcome=failed&run_at=2035-01-01T00:00&confirm=1&action=cancel&status=pending&merchant_id=`+s.merchant+`'}).then(a => a.status)`)
		if status != http.StatusForbidden {
			s.t.Errorf("POST %s is answered %d", path, status)
		}
	}
	s.status(pending, "pending", 0)
	s.status(doubt, "in_doubt", 1)
}

func oneMerchant(s *scene) {
	own, foreign := s.pending(), s.world.scene(s.t)
	other := foreign.pending()
	key, _ := s.key(object{"scopes": []string{"tasks:read", "tasks:write", "merchants:read"}, "merchant_id": s.merchant})
	b := s.tab(key)
	b.forgive(http.StatusForbidden, http.StatusNotFound)
	secrets := []string{other, foreign.merchant, foreign.name, foreign.account}
	for _, path := range []string{"/", "/tasks", "/tasks?q=" + foreign.account, "/tasks?merchant_id=" + foreign.merchant, "/attention", "/merchants", "/workers", "/api-keys", "/encryption", "/audit"} {
		b.open(path)
		b.until("the page is there", `document.querySelector('main')`)
		for _, secret := range secrets {
			if strings.Contains(path, secret) {
				continue // it repeats what it was asked for
			}
			b.lacks(secret)
		}
	}
	for _, path := range []string{"/workers", "/api-keys", "/encryption", "/audit"} {
		b.open(path)
		b.answered(http.StatusForbidden)
	}
	for _, path := range []string{"/tasks/" + other, "/tasks/" + other + "/cancel", "/merchants/" + foreign.merchant} {
		b.open(path)
		b.answered(http.StatusNotFound)
	}
	b.open("/tasks")
	if got := b.rows(); len(got) != 1 || got[0] != own {
		s.t.Errorf("the list has %v, want %s alone", got, own)
	}
	cancelOwn(s, b, own)
	foreign.status(other, "pending", 0)
}

func cancelOwn(s *scene, b *tab, task string) {
	b.act("/tasks/"+task, "cancel")
	b.fill("reason", reason)
	b.send()
	b.at("/tasks/" + task)
	b.until("the task is canceled", shows(task, "canceled"))
	s.status(task, "canceled", 0)
}

func notThere(s *scene) {
	b := s.tab(adminKey)
	b.forgive(http.StatusNotFound)
	for _, path := range []string{"/nothing", "/tasks/" + s.merchant, "/tasks/none", "/merchants/none", "/tasks/" + s.merchant + "/cancel"} {
		b.open(path)
		b.answered(http.StatusNotFound)
		b.until("the page has the way back", `document.querySelector('nav a[href="/tasks"]') && document.querySelector('main h1')`)
	}
}

// noMarkup shows what callers have put into a task: as it stands.
func noMarkup(s *scene) {
	const nasty = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	s.c.Must(200, "PATCH", "/v1/merchants/"+s.merchant, object{"name": nasty})
	task := id(s.c.Must(201, "POST", "/v1/tasks", object{
		"merchant_id": s.merchant, "kind": "invoice_item.create", "run_at": later(), "metadata": object{"about": nasty},
		"params": object{"customer": "cus_ok", "amount": 100, "currency": "usd", "description": nasty},
	}))
	b := s.tab(adminKey)
	for _, path := range []string{"/tasks/" + task, "/tasks?merchant_id=" + s.merchant, "/merchants/" + s.merchant, "/tasks/" + task + "/cancel"} {
		b.open(path)
		b.sees("<img")
		if b.has(`main img[src="x"]`) || read[string](b, `document.title`) == "owned" {
			s.t.Errorf("%s takes a text for markup", path)
		}
	}
}
