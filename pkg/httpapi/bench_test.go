package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"billonce/pkg/billing"
)

// BenchmarkBatch is what the api itself does for a batch of 1,000, apart from the store: its time and allocations by task.
func BenchmarkBatch(b *testing.B) {
	const n = 1000
	a := newAPI()
	a.tasks.CreateFunc = func(_ context.Context, tasks []billing.NewTask) ([]billing.CreatedTask, error) {
		created := make([]billing.CreatedTask, len(tasks))
		for i, task := range tasks {
			created[i].Task = taskOf(task)
		}
		return created, nil
	}
	var body strings.Builder
	body.WriteString(`{"tasks":[`)
	for i := range n {
		if i > 0 {
			body.WriteByte(',')
		}
		body.WriteString(payTask(fmt.Sprintf(`,"idempotency_key":"k%d","run_at":"2030-01-01T00:00:00Z","params":{"amount":1234,"currency":"usd","note":"an ordinary one"}`, i)))
	}
	body.WriteString(`]}`)
	text := body.String()
	b.ReportAllocs()
	for b.Loop() {
		request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/tasks/batch", strings.NewReader(text))
		request.Header.Set("Authorization", "Bearer "+adminKey)
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		if a.Handler().ServeHTTP(answer, request); answer.Code != http.StatusCreated {
			b.Fatal(answer.Body)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/task")
}
