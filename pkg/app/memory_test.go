package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"billonce/internal/programtest"
	"billonce/pkg/store/storetest"
)

const residentLimit = 80 << 20 // bytes

// TestMemory runs both services, built as they are shipped, through a minute's worth of work at 10,000 tasks a minute (at
// once rather than spread, which asks for more), and holds the most that each ever had resident against 80 MiB.
func TestMemory(t *testing.T) {
	const tasks = 10_000
	dir := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "billonce/cmd/api", "billonce/cmd/worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	s := newStack(t)
	api := programtest.SpawnAt(t, filepath.Join(dir, "api"), storetest.EnvironOf(t, "api", s.env))
	c := newClient(t, "http://"+api.Attr("api listening", "address"), adminKey)
	worker := programtest.SpawnAt(t, filepath.Join(dir, "worker"), storetest.EnvironOf(t, "worker", s.env))
	worker.Line(`"msg":"worker registered"`)
	merchant := c.merchant()
	batch := make([]map[string]any, tasks)
	for i := range batch {
		batch[i] = map[string]any{
			"merchant_id": merchant, "kind": "invoice_item.create", "idempotency_key": fmt.Sprintf("memory-%d", i),
			"params": map[string]any{"customer": "cus_ok", "amount": 100, "currency": "usd", "description": "an item of the memory test"},
		}
	}
	began := time.Now()
	c.Must(201, "POST", "/v1/tasks/batch", map[string]any{"tasks": batch})
	db := sqlx.MustConnect("postgres", s.url)
	defer func() { _ = db.Close() }()
	within(t, 2*time.Minute, "every task is done", func() bool {
		var open int
		err := db.Get(&open, `SELECT count(*) FROM scheduled_tasks WHERE status <> 'succeeded'`)
		return err == nil && open == 0
	})
	t.Logf("%d tasks took %s", tasks, time.Since(began).Round(time.Millisecond))
	for _, p := range []*programtest.Process{api, worker} {
		peak := peakResident(t, p)
		t.Logf("%s had at most %d MiB resident", p.Name, peak>>20)
		if peak > residentLimit {
			t.Errorf("%s had %d MiB resident, the limit is %d MiB", p.Name, peak>>20, residentLimit>>20)
		}
	}
}

// peakResident reads the most memory that a process ever had resident, in bytes.
func peakResident(t *testing.T, p *programtest.Process) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
