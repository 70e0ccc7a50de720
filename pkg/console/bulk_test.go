package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const bulkCall = "POST /v1/tasks/bulk"

// bulkResult is an answer to a bulk change; next is where the next call goes on, "" for nowhere.
func bulkResult(matched, changed int, next string, early bool) object {
	result := object{
		"matched": matched, "capped": next != "", "changed": changed, "refused": 0, "as_of": updatedAt, "more": next != "", "next_cursor": nil, "searched_to": nil,
	}
	if next != "" {
		result["next_cursor"] = next
	}
	if early {
		result["searched_to"] = "2025-01-31T09:00:00Z"
	}
	return result
}

// TestBulkGoesOnWhereASearchEnded: a search that came to the end of its time is no end, neither of counting nor of changing.
func TestBulkGoesOnWhereASearchEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	w.api.set(bulkCall, func(made call) any {
		switch cursor := fmt.Sprint(made.Body["cursor"]); {
		case cursor == "<nil>":
			return bulkResult(0, 0, "further", true)
		case cursor != "further":
			t.Errorf("goes on from %s", cursor)
		case made.Body["dry_run"] == true:
			return bulkResult(3, 0, "", false)
		}
		return bulkResult(3, 3, "", false)
	})
	shown := v.get("/tasks/bulk?action=cancel&kind=invoice.pay")
	shown.says(t, "Type 3")
	got := v.post("/tasks/bulk", url.Values{
		"action": {"cancel"}, "kind": {"invoice.pay"}, "reason": {"why"}, "confirm": {"3"}, "as_of": {shown.field("as_of")},
	})
	target, err := url.Parse(got.Header.Get("Location"))
	if err != nil || got.StatusCode != http.StatusSeeOther || target.Query().Get("changed") != "3" || target.Query().Has("more") {
		t.Errorf("%d, to %s: %s", got.StatusCode, target, got.body)
	}
	var steps []string
	for _, made := range w.api.asked(bulkCall) {
		steps = append(steps, fmt.Sprint(made.Body["dry_run"], " ", made.Body["cursor"]))
	}
	if want := []string{"true <nil>", "true further", "true <nil>", "true further", "<nil> <nil>", "<nil> further"}; !slices.Equal(steps, want) {
		t.Errorf("it asked %q", steps)
	}
}

// TestBulkSaysHowFarItLooked where that takes longer than a page has, and goes on from there when it is told to.
func TestBulkSaysHowFarItLooked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := w.signIn(adminKey)
		found, changed := 0, 0
		w.api.set(bulkCall, func(made call) any {
			time.Sleep(2 * time.Second) //nolint:forbidigo // in the bubble it takes no time
			next := fmt.Sprint(made.Body["cursor"], "+")
			if made.Body["dry_run"] != true {
				changed++
				return bulkResult(1, 1, next, true)
			}
			return bulkResult(found, 0, next, true)
		})
		shown := v.get("/tasks/bulk?action=cancel&kind=invoice.pay")
		shown.says(t, "There is nothing to confirm", "Looked back to 2025-01-31")
		links := shown.links()
		at := slices.IndexFunc(links, func(link string) bool { return strings.Contains(link, "cursor=") })
		if shown.StatusCode != http.StatusOK || at < 0 {
			t.Fatalf("%d, links %v", shown.StatusCode, links)
		}
		found = 1
		shown = v.get(links[at])
		calls := w.api.asked(bulkCall)
		if begun := fmt.Sprint(calls[len(calls)-2].Body["cursor"]); begun != "<nil>++" {
			t.Errorf("it goes on from %s", begun)
		}
		shown.says(t, "Type 2", "Counting stopped at 2")
		form := url.Values{"action": {"cancel"}, "kind": {"invoice.pay"}, "reason": {"why"}, "as_of": {shown.field("as_of")}, "cursor": {shown.field("cursor")}, "counted": {shown.field("counted")}}
		found = 2 // it is counted by time, and comes to another number
		form.Set("confirm", "3")
		if got := v.post("/tasks/bulk", form); got.StatusCode != http.StatusConflict || changed != 0 {
			t.Errorf("another number: %d, %d calls changed something", got.StatusCode, changed)
		}
		form.Set("confirm", "2")
		began := time.Now()
		got := v.post("/tasks/bulk", form)
		target, err := url.Parse(got.Header.Get("Location"))
		if err != nil || got.StatusCode != http.StatusSeeOther || target.Query().Get("changed") != fmt.Sprint(changed) || changed == 0 || target.Query().Get("more") != "1" {
			t.Errorf("%d, to %s, %d changed: %s", got.StatusCode, target, changed, got.body)
		}
		if took := time.Since(began); took > 14*time.Second {
			t.Errorf("it took %s: a page has 15 s", took)
		}
		calls = w.api.asked(bulkCall)
		if first := calls[len(calls)-changed].Body; first["cursor"] != "<nil>++" || first["limit"] != 250.0 {
			t.Errorf("the change began with %v", first)
		}
	})
}
