package browser_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// watcher notes what a tab complains of, and how its pages were answered.
type watcher struct {
	mu       sync.Mutex
	faults   []string
	forgiven map[int]bool
	framing  bool  // that the console is not shown within another page is no complaint
	framed   int   // times that it was not
	statuses []int // of pages, in order
	asked    []asked
}

// asked is a request that the tab has made.
type asked struct {
	url string
	at  time.Time
}

// reportViolations runs in each page and makes an error of the console of what the policy forbids.
const reportViolations = `addEventListener('securitypolicyviolation', e =>
	console.error('content security policy: ' + e.effectiveDirective + ' forbids ' + (e.blockedURI || e.sample)))`

// watch notes all until the tab is closed: what arrives before the answer to a command is noted before that command returns.
func watch(ctx context.Context, t *testing.T) *watcher {
	t.Helper()
	w := &watcher{forgiven: map[int]bool{}}
	if err := chromedp.Listen(ctx, w.hear); err != nil {
		t.Fatalf("listen to a tab: %v", err)
	}
	return w
}

func (w *watcher) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		w.complain("exception: " + (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		w.said(e)
	case *log.EventEntryAdded:
		w.logged(e.Entry)
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			w.statuses = append(w.statuses, int(e.Response.Status))
		}
	case *network.EventRequestWillBeSent:
		w.asked = append(w.asked, asked{e.Request.URL, time.Now()})
	}
}

func (w *watcher) complain(fault string) { w.faults = append(w.faults, fault) }

// said takes what scripts write to the console.
func (w *watcher) said(e *runtime.EventConsoleAPICalled) {
	if e.Type != runtime.ConsoleAPICalledTypeError && e.Type != runtime.ConsoleAPICalledTypeAssert {
		return
	}
	var words []string
	for _, arg := range e.Args {
		words = append(words, string(arg.Value)+arg.Description)
	}
	w.complain("console: " + strings.Join(words, " "))
}

// logged takes what the browser itself writes there.
func (w *watcher) logged(entry *log.Entry) {
	if entry.Level != log.EntryLevelError {
		return
	}
	if w.framing && strings.Contains(entry.Text, "frame-ancestors") {
		w.framed++
		return
	}
	for status := range w.forgiven {
		if entry.Source == log.EntrySourceNetwork && strings.Contains(entry.Text, fmt.Sprintf("status of %d ", status)) {
			return
		}
	}
	w.complain(fmt.Sprintf("log: %s: %s (%s)", entry.Source, entry.Text, entry.URL))
}

// forgive has answers of a status be no complaint: those that a test is about.
func (b *tab) forgive(statuses ...int) {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	for _, status := range statuses {
		b.seen.forgiven[status] = true
	}
}

// forgiveFraming does the same for the browser's refusal to show the console within another page.
func (b *tab) forgiveFraming() {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	b.seen.framing = true
}

// answered waits until the page that is shown was answered with the status.
func (b *tab) answered(status int) {
	b.t.Helper()
	var last int
	b.wait(fmt.Sprintf("the page is answered with %d", status), func() bool {
		b.seen.mu.Lock()
		defer b.seen.mu.Unlock()
		if n := len(b.seen.statuses); n > 0 {
			last = b.seen.statuses[n-1]
		}
		return last == status
	})
}

// requests are those made since a time whose address contains the part.
func (b *tab) requests(part string, since time.Time) int {
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	n := 0
	for _, one := range b.seen.asked {
		if strings.Contains(one.url, part) && one.at.After(since) {
			n++
		}
	}
	return n
}

// judge fails the test for what the tab has complained of.
func (b *tab) judge() {
	b.t.Helper()
	if _, err := evaluate[bool](b, `true`); err != nil { // whatever was on its way arrives before the answer
		b.t.Errorf("the tab does not answer any more: %v", err)
	}
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	for _, fault := range b.seen.faults {
		b.t.Errorf("the browser complains: %s", fault)
	}
}
