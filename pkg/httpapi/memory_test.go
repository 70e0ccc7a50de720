package httpapi_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"billonce/pkg/billing"
)

// TestALargeBatchIsInMemoryOnce is not parallel: it measures the heap. A batch of 10,000 tasks of a kilobyte each is a
// body of 10 MiB; what is alive while it is scheduled must be that and little more.
func TestALargeBatchIsInMemoryOnce(t *testing.T) {
	const n = 10_000
	note := strings.Repeat("n", 850)
	var body strings.Builder
	body.Grow(16 << 20)
	body.WriteString(`{"tasks":[`)
	for i := range n {
		if i > 0 {
			body.WriteByte(',')
		}
		body.WriteString(payTask(fmt.Sprintf(`,"idempotency_key":"k%d","params":{"note":"%s"}`, i, note)))
	}
	body.WriteString(`]}`)
	a := newAPI()
	alive := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, during := alive(), uint64(0)
	a.tasks.CreateFunc = func(_ context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
		during = alive()
		runtime.KeepAlive(tasks)
		return []billing.CreatedTask{{Task: taskOf(tasks[0])}}, nil
	}
	text := body.String()
	wantStatus(t, a.call(t, "POST", "/v1/tasks/batch", text), 201)
	grown := int64(during) - int64(before)
	if limit := int64(len(text) + n*1024); grown > limit {
		t.Errorf("%d KiB alive for a body of %d KiB, want at most %d KiB", grown>>10, len(text)>>10, limit>>10)
	}
	t.Logf("%d KiB alive for a body of %d KiB", grown>>10, len(text)>>10)
}
