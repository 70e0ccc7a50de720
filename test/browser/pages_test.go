package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"billonce/internal/programtest"
)

// place is a page of the console.
type place struct{ name, path string }

// places makes something of everything and returns every page that shows it.
func (s *scene) places() []place {
	s.t.Helper()
	pending, succeeded, failed, doubt := s.pending(), s.succeeded(), s.failed(), s.inDoubt()
	paused := s.world.scene(s.t)
	paused.c.Must(200, "POST", "/v1/merchants/"+paused.merchant+"/pause", nil)
	s.key(object{"scopes": []string{"tasks:read"}})
	return []place{
		{"overview", "/"},
		{"tasks", "/tasks"},
		{"tasks-filtered", "/tasks?status=failed&merchant_id=" + s.merchant},
		{"tasks-none", "/tasks?target=in_that_nobody_has"},
		{"task-pending", "/tasks/" + pending},
		{"task-succeeded", "/tasks/" + succeeded},
		{"task-failed", "/tasks/" + failed},
		{"task-in-doubt", "/tasks/" + doubt},
		{"cancel", "/tasks/" + pending + "/cancel"},
		{"reschedule", "/tasks/" + pending + "/reschedule"},
		{"retry", "/tasks/" + failed + "/retry"},
		{"resolve", "/tasks/" + doubt + "/resolve"},
		{"bulk", "/tasks/bulk?action=cancel&status=pending&merchant_id=" + s.merchant},
		{"attention", "/attention"},
		{"merchants", "/merchants"},
		{"merchant", "/merchants/" + s.merchant},
		{"merchant-paused", "/merchants/" + paused.merchant},
		{"pause", "/merchants/" + s.merchant + "/pause"},
		{"resume", "/merchants/" + paused.merchant + "/resume"},
		{"workers", "/workers"},
		{"api-keys", "/api-keys"},
		{"encryption", "/encryption"},
		{"audit", "/audit"},
	}
}

// TestEveryPageIsForEverybody has axe-core look at every page in light and in dark for what shuts people out, keeps a picture of each, and
// holds each to a narrow window.
func TestEveryPageIsForEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, programtest.Spawn)
	w.worker(t)
	s := w.scene(t)
	places := s.places()
	// Two windows share the pages, as there are two processors at the least.
	for half := range 2 {
		t.Run(fmt.Sprint(half), func(t *testing.T) {
			t.Parallel()
			b := newTab(t, w.base)
			b.forgive(http.StatusNotFound)
			if half == 0 {
				b.look(place{"sign-in", "/sign-in"})
			}
			b.signIn(adminKey)
			for i, one := range places {
				if i%2 == half {
					b.look(one)
				}
			}
			if half == 1 {
				b.look(place{"not-there", "/nothing"})
			}
		})
	}
}

// look looks at one page in every way.
func (b *tab) look(one place) {
	b.t.Helper()
	b.open(one.path)
	b.until("the page is there", `document.querySelector('main h1')`)
	if titles := read[string](b, `document.title + '|' + document.documentElement.lang`); strings.HasPrefix(titles, "|") || strings.HasSuffix(titles, "|") {
		b.t.Errorf("%s lacks a title or a language: %q", one.path, titles)
	}
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.accessible(one.path + ", " + scheme)
		b.keep(one.name+"-"+scheme, true)
	}
	b.scheme("light")
	b.size(narrow, high)
	if over := read[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		b.t.Errorf("%s is %d pixels wider than a window of %d", one.path, over, narrow)
	}
	b.keep(one.name+"-narrow", true)
	b.size(wide, high)
}

// accessible fails the test for what axe-core finds that is serious or worse.
func (b *tab) accessible(what string) {
	b.t.Helper()
	for _, one := range b.barriers() {
		b.t.Errorf("%s: %s", what, one)
	}
}

// barriers are what axe-core finds in the page that is serious or worse.
func (b *tab) barriers() []string {
	b.t.Helper()
	return read[[]string](b, axe(b.t)+`;axe.run(document, {preload: false, resultTypes: ['violations']}).then(result =>
		result.violations.filter(v => v.impact === 'serious' || v.impact === 'critical').map(v =>
			v.impact + ': ' + v.id + ' (' + v.help + ') in ' + v.nodes.length + ' places, such as ' + v.nodes.slice(0, 3).map(n =>
				n.target.join(' ') + ': ' + (n.any[0]?.message ?? n.html)).join('; ')))`)
}

// axe is the source of axe-core, which npm has installed.
func axe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("axe-core is missing: run `make test-browser`, which installs it, or `npm ci` in test/browser: %v", err)
	}
	return string(source)
}

// TestTheDescriptionIsForEverybody is about /docs, which needs no key and no console.
func TestTheDescriptionIsForEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, programtest.Spawn)
	b := newTab(t, w.base)
	b.open("/docs")
	b.answered(http.StatusOK)
	b.keep("docs", false)
	b.size(narrow, high)
	if over := read[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
		b.t.Errorf("/docs is %d pixels wider than a window of %d", over, narrow)
	}
	b.size(wide, high)
	// One template makes a hundred sections alike: axe-core would take half a minute for all of them.
	read[bool](b, `document.querySelectorAll('main section:nth-of-type(n+15):nth-last-of-type(n+15)').forEach(e => e.remove()), true`)
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		b.accessible("/docs, " + scheme)
	}
}

// serve serves a page that is not the console's, at 127.0.0.1.
func serve(t *testing.T, page string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(page))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// openElsewhere goes to a page of somebody else.
func (b *tab) openElsewhere(address string) {
	b.t.Helper()
	b.within("open "+address, chromedp.Navigate(address))
}
