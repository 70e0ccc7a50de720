package browser_test

import (
	"context"
	"fmt"
	"iter"
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
	marks    map[string]bool
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

// watch notes all until the tab is closed.
func watch(t *testing.T, ctx context.Context) *watcher {
	t.Helper()
	w := &watcher{marks: map[string]bool{}, forgiven: map[int]bool{}}
	ctx, stop := context.WithCancel(ctx)
	var pumps sync.WaitGroup
	pumps.Go(pump(chromedp.Events(ctx, runtime.ExceptionThrown), func(e *runtime.ExceptionThrownEvent) {
		w.complain("exception: " + (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	}))
	pumps.Go(pump(chromedp.Events(ctx, runtime.ConsoleAPICalled), w.said))
	pumps.Go(pump(chromedp.Events(ctx, log.EntryAdded), w.logged))
	pumps.Go(pump(chromedp.Events(ctx, network.ResponseReceived), func(e *network.ResponseReceivedEvent) {
		if e.Type == network.ResourceTypeDocument {
			w.mu.Lock()
			w.statuses = append(w.statuses, int(e.Response.Status))
			w.mu.Unlock()
		}
	}))
	pumps.Go(pump(chromedp.Events(ctx, network.RequestWillBeSent), func(e *network.RequestWillBeSentEvent) {
		w.mu.Lock()
		w.asked = append(w.asked, asked{e.Request.URL, time.Now()})
		w.mu.Unlock()
	}))
	t.Cleanup(func() {
		stop()
		pumps.Wait()
	})
	return w
}

// pump hands events on until their context ends.
func pump[E any](events iter.Seq2[E, error], take func(E)) func() {
	return func() {
		for event, err := range events {
			if err != nil {
				return
			}
			take(event)
		}
	}
}

func (w *watcher) complain(fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fault)
}

// said takes what scripts write to the console.
func (w *watcher) said(e *runtime.ConsoleAPICalledEvent) {
	var words []string
	for _, arg := range e.Args {
		words = append(words, strings.Trim(string(arg.Value), `"`)+arg.Description)
	}
	text := strings.Join(words, " ")
	if mark, ok := strings.CutPrefix(text, "mark "); ok {
		w.mu.Lock()
		w.marks[mark] = true
		w.mu.Unlock()
		return
	}
	if e.Type == runtime.APITypeError || e.Type == runtime.APITypeAssert {
		w.complain("console: " + text)
	}
}

// logged takes what the browser itself writes there.
func (w *watcher) logged(e *log.EntryAddedEvent) {
	if e.Entry.Level != log.LevelError {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.framing && strings.Contains(e.Entry.Text, "frame-ancestors") {
		w.framed++
		return
	}
	for status := range w.forgiven {
		if e.Entry.Source == log.SourceNetwork && strings.Contains(e.Entry.Text, fmt.Sprintf("status of %d ", status)) {
			return
		}
	}
	w.faults = append(w.faults, fmt.Sprintf("log: %s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
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

// judge fails the test for what the tab has complained of. A mark goes the way of all complaints, so that none is still on it.
func (b *tab) judge() {
	b.t.Helper()
	const mark = "the end"
	if _, err := evaluate[bool](b, `(console.log('mark `+mark+`'), true)`); err != nil {
		b.t.Errorf("the tab does not answer any more: %v", err)
		return
	}
	b.wait("all complaints are heard", func() bool {
		b.seen.mu.Lock()
		defer b.seen.mu.Unlock()
		return b.seen.marks[mark]
	})
	b.seen.mu.Lock()
	defer b.seen.mu.Unlock()
	for _, fault := range b.seen.faults {
		b.t.Errorf("the browser complains: %s", fault)
	}
}
