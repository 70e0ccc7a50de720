package leaks_test

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"billonce/internal/openapitest"
)

// tale is what a stream of events has told.
type tale struct {
	stop  context.CancelFunc
	ended chan struct{}
	mu    sync.Mutex
	lines []piece
}

// listen follows the stream of events as a caller, from here on until [tale.end].
func (w *world) listen(as *caller) *tale {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w.t.Cleanup(stop)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, as.base+"/v1/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+as.key)
	answer, err := (&http.Client{Transport: openapitest.Transport{}}).Do(request)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("the stream does not begin: %v, %v", answer, err)
	}
	told := &tale{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(told.ended)
		defer func() { _ = answer.Body.Close() }()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			told.add(piece{"event", lines.Text()})
		}
	}()
	w.eventually("the stream has begun", func() bool { return told.has("event: reset") })
	return told
}

func (told *tale) add(lines ...piece) {
	told.mu.Lock()
	defer told.mu.Unlock()
	told.lines = append(told.lines, lines...)
}

// has reports whether a line that has been told has the text.
func (told *tale) has(text string) bool {
	told.mu.Lock()
	defer told.mu.Unlock()
	return slices.ContainsFunc(told.lines, func(line piece) bool { return strings.Contains(line.text, text) })
}

// end stops listening; from then on the lines are the caller's.
func (told *tale) end() {
	told.stop()
	<-told.ended
}

// follow listens to the stream of events from here on, until [world.unfollow].
func (w *world) follow() { w.tale = w.listen(w.api) }

// unfollow ends that once the stream has told of tasks in every way.
func (w *world) unfollow() {
	w.t.Helper()
	for _, status := range []string{"pending", "running", "succeeded", "failed", "in_doubt"} {
		w.eventually("the stream tells of a task that is "+status, func() bool { return w.tale.has(`"status":"` + status + `"`) })
	}
	w.tale.end()
}
