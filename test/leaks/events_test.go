package leaks_test

import (
	"bufio"
	"context"
	"net/http"
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

// follow listens to the stream of events from here on, until [world.unfollow].
func (w *world) follow() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w.t.Cleanup(stop)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api.base+"/v1/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.api.key)
	answer, err := (&http.Client{Transport: openapitest.Transport{}}).Do(request)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("the stream does not begin: %v, %v", answer, err)
	}
	w.tale = &tale{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(w.tale.ended)
		defer func() { _ = answer.Body.Close() }()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			w.tale.mu.Lock()
			w.tale.lines = append(w.tale.lines, piece{"event", lines.Text()})
			w.tale.mu.Unlock()
		}
	}()
}

// unfollow ends that once the stream has told of tasks in every way.
func (w *world) unfollow() {
	w.t.Helper()
	for _, status := range []string{"pending", "running", "succeeded", "failed", "in_doubt"} {
		w.eventually("the stream tells of a task that is "+status, func() bool {
			w.tale.mu.Lock()
			defer w.tale.mu.Unlock()
			for _, line := range w.tale.lines {
				if strings.Contains(line.text, `"status":"`+status+`"`) {
					return true
				}
			}
			return false
		})
	}
	w.tale.stop()
	<-w.tale.ended
}
