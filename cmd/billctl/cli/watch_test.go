package cli_test

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"billonce/cmd/billctl/cli"
)

// scenes answers each request with the next scene, and the last one again and again; after that many requests it calls over.
type scenes struct {
	mu     sync.Mutex
	answer []http.HandlerFunc
	asked  int
	after  int
	over   func()
}

func (s *scenes) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	next := s.answer[min(s.asked, len(s.answer)-1)]
	s.asked++
	ends := s.asked == s.after
	s.mu.Unlock()
	next(w, r)
	if ends {
		s.over()
	}
}

func other(id, status string) string {
	return strings.NewReplacer(taskID, id, `"failed"`, `"`+status+`"`).Replace(taskJSON)
}

func TestWatchingAppendsWhatIsNewOrHasChanged(t *testing.T) {
	t.Parallel()
	ctx, cancel := contextOf(t)
	show := &scenes{over: cancel, after: 5, answer: []http.HandlerFunc{
		answerJSON(page("", other("a", "pending"))),
		answerJSON(page("", other("a", "pending"))),
		answer(http.StatusServiceUnavailable, "application/problem+json", `{"title":"Away","status":503}`),
		answerJSON(page("", other("b", "pending"), other("a", "running"))),
	}}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": show.serve})
	got := runIn(ctx, t, api.env(), func(*cli.Streams) {}, "tasks", "list", "--watch", "--every", "100ms")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != 0 || len(lines) != 3 || !strings.HasPrefix(lines[0], "a  pending") || !strings.HasPrefix(lines[1], "a  running") || !strings.HasPrefix(lines[2], "b  pending") {
		t.Errorf("%+v", got)
	}
	if strings.Count(got.err, "looking again") != 1 || strings.Contains(got.out, "\x1b") {
		t.Errorf("%+v", got)
	}
}

func TestWatchingInJSONIsOneDocumentToALine(t *testing.T) {
	t.Parallel()
	ctx, cancel := contextOf(t)
	show := &scenes{over: cancel, after: 2, answer: []http.HandlerFunc{answerJSON(page("", other("a", "pending"), other("b", "pending")))}}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": show.serve})
	got := runIn(ctx, t, api.env(), func(*cli.Streams) {}, "tasks", "list", "--watch", "--every", "100ms", "--json")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != 0 || len(lines) != 2 || !strings.HasPrefix(lines[0], `{"id":"b",`) || !strings.HasPrefix(lines[1], `{"id":"a",`) {
		t.Errorf("%+v", got)
	}
}

func TestWatchingATaskEndsWithIt(t *testing.T) {
	t.Parallel()
	show := &scenes{answer: []http.HandlerFunc{answerJSON(other("a", "pending")), answerJSON(other("a", "running")), answerJSON(other("a", "succeeded"))}}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks/a": show.serve, "GET /v1/tasks/a/attempts": answerJSON(page(""))})
	got := run(t, api.env(), "tasks", "show", "a", "-w", "--every", "100ms")
	if got.code != 0 || strings.Count(got.out, "\n") != 3 || !strings.Contains(got.out, "a  succeeded") {
		t.Errorf("%+v", got)
	}
}

func TestATerminalIsRedrawn(t *testing.T) {
	t.Parallel()
	ctx, cancel := contextOf(t)
	show := &scenes{over: cancel, after: 3, answer: []http.HandlerFunc{answerJSON(page("", other("a", "pending"))), answerJSON(page("more", other("a", "running")))}}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": show.serve})
	got := runIn(ctx, t, api.env(), func(streams *cli.Streams) {
		out := streams.Out
		streams.IsTerminal = func(asked *os.File) bool { return asked == out }
	}, "tasks", "list", "--watch", "--every", "100ms", "--limit", "1")
	frames := strings.Split(got.out, "\x1b[H")
	if got.code != 0 || len(frames) < 3 || !strings.Contains(frames[1], "a   pending") || !strings.Contains(frames[2], "a   running") ||
		!strings.Contains(frames[2], "There are more") || !strings.Contains(frames[1], "Ctrl-C ends") {
		t.Errorf("%+v", got)
	}
}

func TestWatchingWhatIsRefusedEnds(t *testing.T) {
	t.Parallel()
	show := &scenes{answer: []http.HandlerFunc{answerJSON(page("")), answer(http.StatusUnauthorized, "application/problem+json", `{"title":"No","status":401}`)}}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": show.serve})
	if got := run(t, api.env(), "tasks", "list", "--watch", "--every", "100ms"); got.code != 1 || !strings.Contains(got.err, "401") {
		t.Errorf("%+v", got)
	}
	if got := run(t, api.env(), "tasks", "list", "--watch", "--every", "1ms"); got.code != 2 {
		t.Errorf("%+v", got)
	}
}

// TestCtrlCEndsAWatcherWithNothing but 0, as a process.
func TestCtrlCEndsAWatcherWithCodeZero(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	show := &scenes{over: func() { close(asked) }, after: 2, answer: []http.HandlerFunc{answerJSON(page("", other("a", "pending")))}}
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/tasks": show.serve})
	command := billctl(t, []string{"BILLONCE_URL=" + api.URL, "BILLONCE_API_KEY=" + testKey}, "tasks", "list", "--watch", "--every", "100ms")
	var out strings.Builder
	command.Stdout = &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil || !strings.HasPrefix(out.String(), "a  pending") {
		t.Errorf("%v, %q", err, out.String())
	}
}

// TestEventsSayWhenToLookAgain, long before it would be time.
func TestEventsSayWhenToLookAgain(t *testing.T) {
	t.Parallel()
	looked := make(chan struct{}, 10)
	show := &scenes{answer: []http.HandlerFunc{answerJSON(other("a", "pending")), answerJSON(other("a", "succeeded"))}}
	api := newAPI(t, map[string]http.HandlerFunc{
		"GET /v1/tasks/a/attempts": answerJSON(page("")),
		"GET /v1/tasks/a": func(w http.ResponseWriter, r *http.Request) {
			show.serve(w, r)
			looked <- struct{}{}
		},
		"GET /v1/events": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-looked
			_, _ = w.Write([]byte("id: 1\nevent: task\ndata: {\"id\":\"a\"}\n\n"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	})
	if got := run(t, api.env(), "tasks", "show", "a", "--watch", "--every", "1h"); got.code != 0 || !strings.Contains(got.out, "a  succeeded") {
		t.Errorf("%+v", got)
	}
}

// TestWhatOnlyTimeMovesIsNoChange: of an overview and of workers, a line is appended when something has happened.
func TestWhatOnlyTimeMovesIsNoChange(t *testing.T) {
	t.Parallel()
	later := strings.NewReplacer("2026-03-01T12:00:00Z", "2026-03-01T12:00:02Z", `"oldest_age_seconds":600`, `"oldest_age_seconds":602`, "11:59:58Z", "12:00:01Z").Replace
	counted := strings.NewReplacer(`"status":"pending","count":12`, `"status":"pending","count":11`).Replace
	charted := strings.NewReplacer(`"succeeded":8`, `"succeeded":9`).Replace
	drained := strings.NewReplacer(`"draining":true`, `"draining":false`).Replace
	for name, test := range map[string]struct {
		path, line string
		answers    []string
		want       []string
	}{
		"Overview": {
			"GET /v1/overview", "overview",
			[]string{overviewJSON, later(overviewJSON), later(counted(overviewJSON)), overviewJSON, charted(overviewJSON)},
			[]string{"2026-03-01T12:00:00Z  due 10000 or more  pending 12", "2026-03-01T12:00:02Z  due 10000 or more  pending 11", "2026-03-01T12:00:00Z  due 10000 or more  pending 12"},
		},
		"OverviewInJSON": {
			"GET /v1/overview", "overview --json",
			[]string{overviewJSON, later(overviewJSON), later(counted(overviewJSON)), charted(overviewJSON)},
			[]string{`{"now":"2026-03-01T12:00:00Z"`, `{"now":"2026-03-01T12:00:02Z"`, `{"now":"2026-03-01T12:00:00Z"`},
		},
		"Workers": {"GET /v1/workers", "workers", []string{workersJSON, later(workersJSON), drained(workersJSON)}, []string{"w1  worker-1  v1  draining", "w1  worker-1  v1  alive"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := contextOf(t)
			show := &scenes{over: cancel, after: len(test.answers) + 2}
			for _, one := range test.answers {
				show.answer = append(show.answer, answerJSON(one))
			}
			api := newAPI(t, map[string]http.HandlerFunc{test.path: show.serve})
			got := runIn(ctx, t, api.env(), func(*cli.Streams) {}, append(strings.Fields(test.line), "--watch", "--every", "100ms")...)
			lines := strings.Split(strings.TrimSpace(got.out), "\n")
			if got.code != 0 || len(lines) != len(test.want) {
				t.Fatalf("%+v", got)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("%q, want %q", lines[i], want)
				}
			}
		})
	}
}
