package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"billonce/pkg/billing"
)

// TestEventsAcrossCrashesOfPostgreSQL crashes the server in the midst of work, in each way in which it can: the tables of the events are
// empty afterwards, whoever follows is told so and goes on, and nothing of the tasks is lost.
func TestEventsAcrossCrashesOfPostgreSQL(t *testing.T) {
	crashes := []struct {
		name  string
		crash func(*world)
	}{
		{"it is told to stop at once", (*world).restartPostgres},
		{"it is killed whole", (*world).killPostgres},
		{"one of its sessions is killed", (*world).killSession},
	}
	const each = 40 // tasks
	w := newWorld(t, newServer(t), 1)
	w.ready()
	w.stock(each*len(crashes), 0, 0)
	w.control("POST", "latency", object{"fixed": "300ms"})
	defer w.follow()()
	ctx, stop := context.WithCancel(context.Background())
	var posting sync.WaitGroup
	defer posting.Wait()
	defer stop()
	w.eventually("all followers have begun", func() bool {
		return !slices.ContainsFunc(w.followers, func(f *follower) bool { return f.total(billing.ResetBegun) == 0 })
	})
	for i, one := range crashes {
		w.eventually("changes are recorded", func() bool { return w.recording().Complete })
		posting.Go(func() { w.post(ctx, w.wares.orders[i*each:(i+1)*each]) })
		w.eventually("work is under way", func() bool {
			now := w.recording()
			return now.Events > 0 && now.Running > 0
		})
		before := w.forgotten()
		for _, n := range w.nodes { // so that nobody watches again before we have looked
			n.proxy.Refuse(true)
		}
		one.crash(w)
		w.eventually("the tables of the events are empty after "+one.name, func() bool {
			now := w.recording()
			return now.Known && now.Watches == 0 && now.Events == 0
		})
		for _, n := range w.nodes {
			n.proxy.Refuse(false)
		}
		w.eventually("each follower has been told that something is forgotten after "+one.name, func() bool {
			for name, n := range w.forgotten() {
				if n == before[name] {
					return false
				}
			}
			return true
		})
	}
	posting.Wait()
	w.settle()
	w.compare("after the crashes")
	w.pass()
	w.judge()
	w.settle()
	w.compare("in the end")
	t.Log(w.audit())
}

// recording is what there is by which followers are told, and to be told of.
type recording struct {
	Known    bool `db:"known"` // the database has answered
	Watches  int  `db:"watches"`
	Complete bool `db:"complete"`
	Events   int  `db:"events"`
	Running  int  `db:"running"`
}

func (w *world) recording() recording {
	var now recording
	if err := w.db.Get(&now, `
		SELECT true AS known, count(*) AS watches, coalesce(bool_and(complete), false) AS complete,
			(SELECT count(*) FROM task_events) AS events, (SELECT count(*) FROM scheduled_tasks WHERE status = 'running') AS running
		FROM event_watch`); err != nil {
		return recording{}
	}
	return now
}

// forgotten counts for each follower how often it was told so.
func (w *world) forgotten() map[string]int {
	counts := map[string]int{}
	for _, f := range w.followers {
		counts[f.name] = f.total(billing.ResetForgotten)
	}
	return counts
}

// killPostgres ends every process of the server with SIGKILL, as the end of the machine would, and starts it again.
func (w *world) killPostgres() {
	w.t.Helper()
	w.count("postgres restarted")
	pids := append(children(w.t, w.server.now.PID()), w.server.now.PID())
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			w.t.Fatal(err)
		}
	}
	<-w.server.now.Done()
	w.eventually("every process of the server is gone", func() bool {
		for _, pid := range pids {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
				return false
			}
		}
		return true
	})
	w.server.stop()
	w.server.start()
}

// killSession kills one service's session. PostgreSQL then ends all others, and recovers as from a crash.
func (w *world) killSession() {
	w.t.Helper()
	w.count("postgres restarted")
	var pid int
	w.eventually("a session is found", func() bool {
		return w.db.Get(&pid, `
			SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1`) == nil
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
}

// children are the processes that a process has started.
func children(t *testing.T, of int) []int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", of))
	if err != nil || len(lists) == 0 {
		t.Fatalf("process %d: %v", of, err)
	}
	var found []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, pid)
		}
	}
	return found
}
