package browser_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"billonce/internal/programtest"
)

// What console.js promises of its requests, in milliseconds.
const (
	settleTime = 400
	restTime   = 2000
	pollTime   = 5000
)

// stage is a page with console.js on it, and a clock, a stream of events and an htmx of our own.
const stage = `<!doctype html><html lang="en"><title>x</title><link rel="icon" href="data:,"><body data-events="/events">
<main><div id="live" hx-get="/x"><p><span id="fresh">fresh</span> <span id="held" hidden>held</span> <button id="pause" hidden>Pause</button></p>
<p><a id="inside" href="#x">inside</a></p></div><p><a id="outside" href="#y">outside</a></p></main>
<script>
let now = 0, ids = 0, timers = [], going = 0, took = 50, status = 200;
const asked = [], done = [], told = [];
let most = 0;
performance.now = () => now;
window.setTimeout = (run, ms) => { timers.push({id: ++ids, at: now + Math.max(0, ms || 0), run}); return ids; };
window.clearTimeout = id => { timers = timers.filter(one => one.id !== id); };
window.EventSource = class {
	constructor() { this.heard = {}; window.source = this; }
	addEventListener(name, run) { this.heard[name] = run; }
	close() { window.source = null; }
};
window.htmx = {trigger(part) {
	const detail = {xhr: {status}};
	if (!part.dispatchEvent(new CustomEvent('htmx:beforeRequest', {bubbles: true, cancelable: true, detail}))) return;
	asked.push(now);
	most = Math.max(most, ++going);
	setTimeout(() => {
		going--;
		done.push(now);
		part.dispatchEvent(new CustomEvent('htmx:beforeSwap', {bubbles: true, detail}));
		part.dispatchEvent(new CustomEvent('htmx:afterRequest', {bubbles: true, detail}));
	}, took);
}};
function pass(ms) { // time, with all that comes due meanwhile
	for (const end = now + ms;;) {
		const next = timers.reduce((a, b) => b.at < a.at || b.at === a.at && b.id < a.id ? b : a, {at: Infinity});
		if (next.at > end) { now = end; return; }
		now = next.at;
		clearTimeout(next.id);
		next.run();
	}
}
function change() { told.push(now); window.source?.heard.task({}); }
function stream(ms, gap) { for (const end = now + ms; now < end; pass(typeof gap === 'function' ? gap() : gap)) change(); }
function report() { return JSON.stringify({asked, done, told, most}); }
</script><script>%s</script></body></html>`

// played is what happened on the stage.
type played struct {
	Asked, Done, Told []float64
	Most              int // requests at once
}

// TestRefreshes plays streams of changes to console.js by a clock of the test's own.
func TestRefreshes(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../pkg/console/assets/console.js")
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, fmt.Sprintf(stage, script))
	b := newTab(t, address)
	play := func(t *testing.T, scene string) played {
		t.Helper()
		b.open("/")
		var seen played
		if err := json.Unmarshal([]byte(read[string](b, `(() => { `+scene+`; return report(); })()`)), &seen); err != nil {
			t.Fatal(err)
		}
		if seen.Most > 1 {
			t.Errorf("%d requests were under way at once", seen.Most)
		}
		return seen
	}
	for name, test := range map[string]struct {
		scene string
		asked []float64
	}{
		"TheFirstFollowsAChangeSoon":                {`pass(100); change(); pass(2000)`, []float64{500}},
		"WhatComesWithItIsSeenByTheSame":            {`pass(100); stream(300, 10); pass(2000)`, []float64{500}},
		"AChangeThatComesDuringItIsSeenByTheNext":   {`pass(100); change(); pass(420); change(); pass(3000)`, []float64{500, 2550}},
		"AfterARestTheFirstIsSoonAgain":             {`change(); pass(4000); change(); pass(1000)`, []float64{400, 4400}},
		"WithoutChangesItIsAskedNowAndThen":         {`pass(15000)`, []float64{3000, 8050, 13100}},
		"APauseIsOneAndItsEndBringsOne":             {`pass(100); pause.click(); stream(20000, 250); pause.click(); pass(1000)`, []float64{20500}},
		"TheKeyboardInThePartHoldsIt":               {`pass(100); inside.focus(); stream(20000, 250); outside.focus(); pass(1000)`, []float64{20100}},
		"WhatCameWhileTheKeyboardWasThereIsNotLost": {`change(); pass(420); inside.focus(); pass(5000); outside.focus(); pass(3000)`, []float64{400, 5420}},
		"NoAnswerIsNoReasonToAskAtOnce":             {`status = 0; change(); pass(11000)`, []float64{400, 5450, 10500}},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // they share the tab
			if diff := cmp.Diff(test.asked, play(t, test.scene).Asked, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, scene := range map[string]string{
		"ASteadyStream":      `pass(100); stream(60000, 100)`,
		"AStreamOfTheHub":    `pass(100); stream(60000, 250)`, // which hands on what is new four times a second
		"SlowAnswers":        `took = 7000; pass(100); stream(60000, 100)`,
		"ChangesNowAndThen":  `let seed = 7; stream(120000, () => (seed = seed * 48271 % 2147483647) % 3000)`,
		"ChangesThatAreRare": `let seed = 11; stream(600000, () => (seed = seed * 48271 % 2147483647) % 30000)`,
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // they share the tab
			bounded(t, play(t, scene+`; pass(`+fmt.Sprint(restTime+settleTime+7000)+`)`))
		})
	}
}

// bounded fails the test unless requests rest between one another, and each change is seen by one that begins after it, in time.
func bounded(t *testing.T, seen played) {
	t.Helper()
	if len(seen.Asked) == 0 {
		t.Fatal("nothing is asked")
	}
	for i, at := range seen.Asked[1:] {
		if at-seen.Done[i] < restTime {
			t.Errorf("a request began at %v, after one that ended at %v", at, seen.Done[i])
		}
	}
	next, late := 0, 0
	for _, change := range seen.Told {
		for next < len(seen.Asked) && seen.Asked[next] <= change {
			next++
		}
		if next == len(seen.Asked) {
			t.Fatalf("the change at %v is not seen", change)
		}
		// It waits for the request that is under way to end, and for the rest.
		due := change + settleTime
		if next > 0 {
			due = max(due, seen.Done[next-1]+restTime)
		}
		if seen.Asked[next] > due {
			late++
		}
	}
	if late > 0 {
		t.Errorf("%d of %d changes are seen late", late, len(seen.Told))
	}
}

// timing is one request of a page by the page's clock.
type timing struct{ Begin, End float64 }

// TestASteadyStreamRefreshesThePage with the real programs: a task changes again and again, and a page follows it at its own pace.
func TestASteadyStreamRefreshesThePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, programtest.Spawn)
	s := w.scene(t)
	task := s.pending()
	b := s.tab(adminKey)
	b.open("/tasks?merchant_id=" + s.merchant)
	b.until("the task is pending", shows(task, "pending"))
	b.stays()
	read[bool](b, `performance.setResourceTimingBufferSize(10000), true`)

	end := s.churn(task)
	const enough = 6
	b.wait("the page is refreshed", func() bool { return len(b.timings(s.merchant)) >= enough })
	end()
	s.c.Must(200, "POST", "/v1/tasks/"+task+"/cancel", nil)
	b.until("the last change is seen", shows(task, "canceled"))
	b.stayed()

	all := b.timings(s.merchant)
	quick := 0
	for i, one := range all[1:] {
		pause := one.Begin - all[i].End
		if pause < restTime-5 { // clocks are made coarse for scripts
			t.Errorf("a request began %v ms after the one before had ended", pause)
		}
		if pause < pollTime-500 {
			quick++
		}
	}
	if quick == 0 {
		t.Errorf("only the clock, and no change, brought a request: %v", all)
	}
}

// churn moves a task to another time as fast as the api lets it, until end is called.
func (s *scene) churn(task string) (end func()) {
	s.t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	began := later()
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			at := began.Add(time.Duration(n%3600) * time.Second)
			if answer, err := s.c.Try("POST", "/v1/tasks/"+task+"/reschedule", object{"run_at": at}); err != nil || answer.Status != 200 {
				s.t.Errorf("reschedule: %d, %v", answer.Status, err)
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// timings are the requests that the page's scripts have made for an address with the part in it, and that have ended.
func (b *tab) timings(part string) []timing {
	b.t.Helper()
	return read[[]timing](b, `performance.getEntriesByType('resource')
		.filter(e => e.initiatorType === 'xmlhttprequest' && e.name.includes(`+quote(part)+`))
		.map(e => ({Begin: e.startTime, End: e.responseEnd}))`)
}
