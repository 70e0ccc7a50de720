package console_test

import (
	"net/http"
	"strings"
	"testing"

	"billonce/pkg/billing"
)

// TestPartsShareTheirCounts is about what many people cost who look at the same list.
func TestPartsShareTheirCounts(t *testing.T) {
	t.Parallel()
	const list, counts = "/tasks?status=pending", "GET /v1/tasks/counts"
	w := newWorld(t)
	one, other := w.signIn(adminKey), w.signIn(adminKey)
	w.api.key(merchantID, "tasks:read")
	own := w.signIn(apiKey)
	asked := func(n int, when string) {
		t.Helper()
		if got := len(w.api.asked(counts)); got != n {
			t.Errorf("%s tasks were counted %d times, want %d", when, got, n)
		}
	}
	one.get(list)
	asked(1, "for a page")
	other.get(list, "HX-Request", "true")
	one.get("/tasks", "HX-Request", "true") // the counts are those of all statuses
	asked(1, "for parts of the same list")
	other.get(list)
	asked(2, "for another page")
	own.get(list, "HX-Request", "true")
	asked(3, "for whoever sees one merchant's")
	one.get("/tasks?status=pending&kind=invoice.pay", "HX-Request", "true")
	asked(4, "for another filter")
	// What failed is kept for nobody.
	w.api.set(counts, problem{Status: http.StatusServiceUnavailable, Code: billing.CodeUnavailable})
	if got := one.get(list); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a page without counts is answered %d", got.StatusCode)
	}
	w.api.set(counts, object{"data": []object{{"status": "pending", "count": 4711, "capped": false}}})
	if got := one.get(list, "HX-Request", "true"); !strings.Contains(got.body, "4,711") {
		t.Error("a part does not have the count that is there again")
	}
}
