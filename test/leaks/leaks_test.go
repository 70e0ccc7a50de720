package leaks_test

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// TestNothingLeaks sends canaries along every path through the real programs, which log at the level of debug, and searches
// everything for them.
func TestNothingLeaks(t *testing.T) {
	w := newWorld(t)
	for _, path := range []struct {
		name string
		take func()
	}{
		{"start", w.start},
		{"misconfigure", w.misconfigure},
		{"connect", w.connect},
		{"make keys", w.apiKeys},
		{"follow", w.follow},
		{"succeed", w.succeed},
		{"refuse", w.refuse},
		{"decide", w.decide},
		{"look at the console", w.console},
		{"look with a key for one merchant", w.within},
		{"ask", w.ask},
		{"unfollow", w.unfollow},
		{"panic", w.panicInside},
		{"operate", w.operate},
		{"watch", w.watch},
		{"cut off", w.cutOff},
		{"look at activity", w.lookAtActivity},
		{"stop", w.stop},
		{"archive", w.archive},
	} {
		began := time.Now()
		path.take()
		t.Logf("%s: %s", path.name, time.Since(began).Round(time.Millisecond))
	}
	w.mirror.want("platform key", "access token", "second access token", "live access token", "restricted token", "refused token")
	w.c.wantTaken()
	if t.Failed() {
		return // what has not been everywhere proves nothing
	}
	sources := w.sources()
	w.search(sources)
	w.checkTheSearch(sources)
}

// search reports every canary that is where it must not be, and every allowance that nothing makes use of.
func (w *world) search(sources []source) {
	w.t.Helper()
	look := newPatterns(w.c.all)
	used := map[string]bool{}
	for _, one := range sources {
		found, size := map[string]int{}, 0
		for _, p := range one.pieces {
			size += len(p.text)
			for _, hit := range look.in(p) {
				if place := allowedPlace(w.c.all[hit.canary].group, hit.place); place != "" {
					used[place] = true
					continue
				}
				found[hit.String()]++
			}
		}
		w.t.Logf("searched %s: %d texts, %d KiB", one.name, len(one.pieces), size>>10)
		for _, where := range slices.Sorted(maps.Keys(found)) {
			w.t.Errorf("%s has, %d times: %s", one.name, found[where], where)
		}
	}
	for group, places := range allowed {
		for _, place := range places {
			if !used[place] {
				w.t.Errorf("%s is allowed in %q and was not found there: either the search is blind, or the allowance is of no use", group, place)
			}
		}
	}
}

// checkTheSearch plants each canary, in each form, in a copy of each source, and wants it found: a search that finds nothing
// must be one that could.
func (w *world) checkTheSearch(sources []source) {
	w.t.Helper()
	look := newPatterns(w.c.all)
	for _, one := range sources {
		if len(one.pieces) == 0 {
			w.t.Errorf("%s is empty", one.name)
			continue
		}
		middle := one.pieces[len(one.pieces)/2]
		middle.text = middle.text[:min(len(middle.text), 400)] // of a page, the beginning will do
		for _, name := range slices.Sorted(maps.Keys(w.c.all)) {
			known := w.c.all[name]
			for form, text := range forms(known.needles[0]) {
				planted := piece{middle.place, middle.text[:len(middle.text)/2] + text + middle.text[len(middle.text)/2:]}
				isIt := func(h hit) bool { return h.canary == name }
				if !slices.ContainsFunc(look.in(planted), isIt) {
					w.t.Errorf("%s, %s, is not found in %s", name, form, one.name)
				}
			}
			if known.group == "" && allowedPlace(known.group, middle.place) != "" {
				w.t.Errorf("%s is allowed in %s", name, middle.place)
			}
		}
	}
	for group, places := range allowed {
		for _, place := range places {
			if allowedPlace(group, place+" $.x") == "" || allowedPlace(group, place+"s") == place || allowedPlace("", place) != "" {
				w.t.Errorf("%s: the allowance of %q is not exactly that", group, place)
			}
		}
	}
}
