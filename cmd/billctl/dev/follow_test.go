package dev_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// visitor is somebody who has signed in to a console with a browser that runs no scripts.
type visitor struct {
	t      *testing.T
	base   string // with a slash at its end, as it is printed
	cookie string
}

// visit signs in with a key.
func visit(t *testing.T, console, key string) *visitor {
	t.Helper()
	v := &visitor{t: t, base: console}
	_, answer := v.send(http.MethodPost, "sign-in", url.Values{"key": {key}})
	cookies := answer.Cookies()
	if answer.StatusCode != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("signing in at %s is answered %d", console, answer.StatusCode)
	}
	v.cookie = cookies[0].Name + "=" + cookies[0].Value
	return v
}

func (v *visitor) send(method, path string, form url.Values) (body string, answer *http.Response) {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if v.cookie != "" {
		request.Header.Set("Cookie", v.cookie)
	}
	web := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err = web.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(content), answer
}

var (
	taskLink = regexp.MustCompile(`href="/(tasks/[0-9a-f-]{36})"`)
	status   = regexp.MustCompile(`data-status="([a-z_]+)"`)
)

// follow goes from the list of tasks to the page of each, and looks until as many as are meant to have come to their end, which the page
// tells of; the others wait.
func (v *visitor) follow(ends, waits int) {
	v.t.Helper()
	list, _ := v.send(http.MethodGet, "tasks", nil)
	tasks := map[string]bool{}
	for _, link := range taskLink.FindAllStringSubmatch(list, -1) {
		tasks[link[1]] = true
	}
	deadline := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		seen := map[string]int{}
		for task := range tasks {
			page, _ := v.send(http.MethodGet, task, nil)
			if shown := status.FindStringSubmatch(page); shown != nil && (shown[1] == "pending" || strings.Contains(page, `class="timeline"`)) {
				seen[shown[1]]++
			}
		}
		if seen["succeeded"]+seen["failed"] == ends && seen["pending"] == waits && seen["failed"] > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			v.t.Fatalf("the console shows %v, want %d that have ended, and %d that wait", seen, ends, waits)
		}
	}
}
