package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// tab is a window of the browser, used as a person uses it.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string // "http://host:port" of the console
	seen *watcher
}

// newTab opens a window that nobody has signed in with. What it complains of fails the test.
func newTab(t *testing.T, base string) *tab {
	t.Helper()
	ctx := openWindow(t)
	b := &tab{t: t, ctx: ctx, base: base, seen: watch(ctx, t)}
	t.Cleanup(func() {
		if t.Failed() {
			b.keep("failed-"+strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()), true)
		}
		b.judge()
	})
	b.before(reportViolations)
	b.size(wide, high)
	return b
}

// wait waits until something is so.
func (b *tab) wait(what string, is func() bool) {
	b.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("after %s, still not: %s\nthe page at %s says:\n%s", patience, what, b.where(), b.text())
		}
	}
}

// until waits until an expression is true in the page, whichever page that is by then.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	b.wait(what, func() bool {
		is, err := evaluate[bool](b, "Boolean("+expression+")")
		return err == nil && is // an error says that the page is being replaced
	})
}

// where is the path and query of the page; "" between two pages.
func (b *tab) where() string {
	path, _ := evaluate[string](b, `location.pathname + location.search`)
	return path
}

// at waits until the page with this path is loaded.
func (b *tab) at(path string) {
	b.t.Helper()
	b.until("the page is "+path, `location.pathname === `+quote(path)+` && document.readyState === 'complete'`)
}

// text is what the page says to who reads it; "" between two pages.
func (b *tab) text() string {
	text, _ := evaluate[string](b, `(document.querySelector('main') || document.body).innerText`)
	return text
}

// sees waits until the page says all of it.
func (b *tab) sees(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.wait(fmt.Sprintf("the page says %q", text), func() bool { return strings.Contains(b.text(), text) })
	}
}

// lacks fails the test if the whole document, whether shown or not, has one of the texts.
func (b *tab) lacks(texts ...string) {
	b.t.Helper()
	html := read[string](b, `document.documentElement.outerHTML`)
	for _, text := range texts {
		if strings.Contains(html, text) {
			b.t.Errorf("%s has %q", b.where(), text)
		}
	}
}

// has reports whether there is an element.
func (b *tab) has(selector string) bool {
	b.t.Helper()
	return read[bool](b, `document.querySelector(`+quote(selector)+`) !== null`)
}

// click clicks the middle of the first visible element that the selector names, where nothing may cover it.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.clickOn(selector, `[...document.querySelectorAll(`+quote(selector)+`)].find(e => e.checkVisibility())`)
}

func (b *tab) clickOn(what, expression string) {
	b.t.Helper()
	var at []float64
	b.wait("there is "+what+" to click", func() bool {
		var err error
		at, err = evaluate[[]float64](b, `(() => {
			if (document.readyState === 'loading') return [];
			const e = `+expression+`;
			if (!e) return [];
			e.scrollIntoView({block: 'center', behavior: 'instant'});
			const box = e.getClientRects()[0];
			if (!box) return [];
			const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
			const top = document.elementFromPoint(x, y);
			return top && (e.contains(top) || top.contains(e)) ? [x, y] : [];
		})()`)
		return err == nil && len(at) == 2
	})
	b.clickAt(at[0], at[1])
}

// fill types a value into the field of a name, in place of what is in it.
func (b *tab) fill(name, value string) {
	b.t.Helper()
	field := `main [name=` + quote(name) + `]:not([type=hidden])`
	b.until("there is a field "+name, `document.querySelector(`+quote(field)+`)`)
	kind := read[string](b, `document.querySelector(`+quote(field)+`).type`)
	switch {
	case kind == "radio" || kind == "checkbox":
		b.click(field + `[value=` + quote(value) + `]`)
	case strings.HasPrefix(kind, "select") || strings.HasPrefix(kind, "date"):
		// What opens is the browser's own and no part of the page.
		read[bool](b, `(() => {
			const e = document.querySelector(`+quote(field)+`);
			e.value = `+quote(value)+`;
			e.dispatchEvent(new Event('input', {bubbles: true}));
			e.dispatchEvent(new Event('change', {bubbles: true}));
			return true;
		})()`)
	default:
		read[bool](b, `(() => { const e = document.querySelector(`+quote(field)+`); e.focus(); e.select(); return true; })()`)
		b.press(value)
	}
	if got := read[string](b, `document.querySelector(`+quote(field)+`+(`+quote(kind)+` === 'radio' ? ':checked' : '')).value`); got != value && kind != "checkbox" {
		b.t.Fatalf("the field %s holds %q, want %q", name, got, value)
	}
}

// theForm is the form of a page that has one thing to be sent.
const theForm = `main form[method="post"]`

// send presses the button of the page's form.
func (b *tab) send() {
	b.t.Helper()
	b.click(theForm + ` button:not([type=button])`)
}

// signIn signs in with a key and waits until the person is where a sign-in leads.
func (b *tab) signIn(key string) {
	b.t.Helper()
	b.open("/sign-in")
	b.fill("key", key)
	b.send()
	b.until("signed in", `location.pathname !== '/sign-in' && document.readyState === 'complete'`)
}

// stays marks the page, so that reload can tell whether it was replaced since.
func (b *tab) stays() {
	b.t.Helper()
	read[bool](b, `window.isTheSame = true`)
}

// stayed fails the test if the page was loaded anew.
func (b *tab) stayed() {
	b.t.Helper()
	if !read[bool](b, `window.isTheSame === true`) {
		b.t.Error("the page was loaded anew")
	}
}

// quote writes a text as JavaScript and CSS do.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always has a form in JSON
	}
	return string(quoted)
}
