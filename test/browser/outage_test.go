package browser_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"billonce/internal/programtest"
)

// TestTheDatabaseGoesAway cuts the api off from PostgreSQL while people look at the console.
func TestTheDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, programtest.Spawn)
	s := w.scene(t)
	task := s.pending()
	open, going := s.tab(adminKey), s.tab(adminKey)
	for _, b := range []*tab{open, going} {
		b.forgive(http.StatusServiceUnavailable)
	}
	open.open("/tasks/" + task)
	open.until("the task is pending", shows(task, "pending"))
	open.until("the page follows", following)
	open.stays()

	began, used := time.Now(), cpu(t, w.api.PID())
	w.wire.Refuse(true)
	w.wire.Reset()
	for _, path := range []string{"/", "/tasks", "/tasks/" + task, "/attention", "/merchants", "/tasks/" + task + "/cancel"} {
		going.open(path)
		going.answered(http.StatusServiceUnavailable)
		going.sees("database")
	}
	going.accessible("a page without a database")
	open.until("the open page says that it does not follow any more", `!(`+following+`)`)
	if !read[bool](open, shows(task, "pending")) {
		t.Error("the open page has lost what it had")
	}
	open.stayed()

	// Nothing spins: neither the page, which asks again and again, nor the api, which has nobody to ask.
	open.wait("the page asks again", func() bool { return open.requests("/tasks/"+task, began) >= 2 })
	took := time.Since(began)
	if asked := open.requests(w.base, began); float64(asked) > 3+2*took.Seconds() {
		t.Errorf("the open page has asked %d times in %s", asked, took)
	}
	if share := (cpu(t, w.api.PID()) - used).Seconds() / took.Seconds(); share > 0.7 {
		t.Errorf("the api uses %.0f %% of a processor without a database", 100*share)
	}

	w.wire.Heal()
	going.wait("the console recovers, and knows who is signed in", func() bool {
		going.open("/tasks/" + task)
		return strings.Contains(going.text(), task) && read[bool](going, shows(task, "pending"))
	})
	open.until("the open page follows again", following)
	cancelOwn(s, going, task)
	open.until("the open page has caught up", shows(task, "canceled"))
	open.stayed()
}

// following is the expression that a page says it is up to date by itself.
const following = `document.querySelector('[data-live="on"]') !== null`

// cpu is how long a process has used processors.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, field := range fields[11:13] { // in user mode, and in the kernel for it
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // the kernel counts in hundredths, whatever its clock
}
