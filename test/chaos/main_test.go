package chaos_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"billonce/cmd/billctl/dev/postgres"
	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

// What the runs take from the environment; the Makefile sets them.
const (
	seedsVariable = "CHAOS_SEEDS" // how many seeds
	seedVariable  = "CHAOS_SEED"  // the first of them; else the clock chooses
	tasksVariable = "CHAOS_TASKS" // per seed
)

const (
	defaultSeeds = 1
	defaultTasks = 150
	template     = "chaos_template"
)

func TestMain(m *testing.M) {
	code := m.Run()
	programtest.Remove()
	os.Exit(code)
}

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestChaos runs one seed after the other, each in a world of its own, on one PostgreSQL.
func TestChaos(t *testing.T) {
	seeds := number(t, seedsVariable, defaultSeeds)
	first := number(t, seedVariable, uint64(time.Now().UnixMilli()))
	tasks := int(number(t, tasksVariable, defaultTasks))
	server := newServer(t)
	total := summary{}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("Seed%d", seed), func(t *testing.T) {
			t.Logf("CHAOS_SEED=%d CHAOS_TASKS=%d repeats this run", seed, tasks)
			w := newWorld(t, server, seed)
			w.live(tasks)
			report := w.audit()
			total.add(report)
			t.Log(report)
		})
	}
	verdict := "PASS"
	if t.Failed() {
		verdict = "FAIL"
	}
	t.Logf("%s: %d seeds from %d: %s", verdict, seeds, first, total)
}

// server is a PostgreSQL that is stopped at once, without a checkpoint, and started again on the same data and port.
type server struct {
	t   *testing.T
	dir string
	now *postgres.Server
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir() + "/postgres"}
	s.start()
	t.Cleanup(s.stop)
	s.create(template, "")
	storetest.Build(t, s.url(template))
	return s
}

func (s *server) start() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	started, err := postgres.Start(ctx, postgres.Options{Folder: s.dir})
	if err != nil {
		s.t.Fatal(err)
	}
	s.now = started
}

func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = s.now.Stop(ctx) // it may have ended with an error that was wanted
}

func (s *server) url(database string) string { return s.now.URL(database).Reveal() }
