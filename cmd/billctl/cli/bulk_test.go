package cli_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// earlyEnds is an API whose searches come to the end of their time in each part of the tasks; a part has some that fit. Its cursors are
// numbers of parts.
type earlyEnds struct {
	mu    sync.Mutex
	parts []int // that fit
	stuck bool  // it always goes on at the same place
	asked []map[string]any
}

func (e *earlyEnds) answer(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var body map[string]any
	text, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(text, &body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.asked = append(e.asked, body)
	at := 0
	if cursor, ok := body["cursor"].(string); ok {
		at, _ = strconv.Atoi(cursor)
	}
	fit, changed := e.parts[at], 0
	if body["dry_run"] != true {
		limit, _ := body["limit"].(float64)
		changed = min(fit, int(limit))
		e.parts[at] -= changed
	}
	next, searchedTo, more := "null", "null", changed < fit && body["dry_run"] == true
	if at++; at < len(e.parts) {
		next, searchedTo, more = strconv.Quote(strconv.Itoa(at)), `"2025-01-31T09:00:00Z"`, true
	}
	if e.stuck {
		next, searchedTo, more = `"0"`, `"2025-01-31T09:00:00Z"`, true
	}
	answerJSON(fmt.Sprintf(`{"matched":%d,"capped":%t,"changed":%d,"refused":0,"as_of":"2026-03-01T11:59:59.5Z","more":%t,"next_cursor":%s,"searched_to":%s}`,
		fit, next != "null", changed, more, next, searchedTo))(w, r)
}

// TestABulkChangeGoesOnWhereASearchEnded: neither counting nor changing ends with the time for one search.
func TestABulkChangeGoesOnWhereASearchEnded(t *testing.T) {
	t.Parallel()
	ends := &earlyEnds{parts: []int{0, 3, 0, 0, 4, 0}}
	api := newAPI(t, map[string]http.HandlerFunc{"POST /v1/tasks/bulk": ends.answer})
	args := strings.Fields("tasks bulk cancel --merchant m --reason ended")
	if got := run(t, api.env(), append(args, "--dry-run")...); got.code != 0 || got.out != "7 tasks fit\n" {
		t.Errorf("%+v", got)
	}
	if got := run(t, api.env(), append(args, "--dry-run", "--json")...); got.code != 0 || !strings.Contains(got.out, `"matched": 7`) || !strings.Contains(got.out, `"capped": false`) {
		t.Errorf("%+v", got)
	}
	if got := typed(t, api.env(), "7\n", args...); got.code != 0 || got.out != "cancel: 7 tasks changed\n" {
		t.Errorf("%+v", got)
	}
	ends.mu.Lock()
	for i, asked := range ends.asked {
		filter, _ := asked["filter"].(map[string]any)
		if first := asked["cursor"] == nil && asked["dry_run"] == true; first != (filter["created_before"] == nil) {
			t.Errorf("the call %d is %v", i, asked)
		}
	}
	ends.mu.Unlock()
	if got := run(t, api.env(), append(args, "--yes")...); got.code != 0 || got.out != "0 tasks fit\n" {
		t.Errorf("%+v", got)
	}
	ends.mu.Lock()
	ends.parts, ends.stuck = []int{0}, true
	ends.mu.Unlock()
	if got := run(t, api.env(), append(args, "--dry-run")...); got.code == 0 || !strings.Contains(got.err, "does not get on") {
		t.Errorf("%+v", got)
	}
}

// TestMerchantsOfAStatus are asked for by it.
func TestMerchantsOfAStatus(t *testing.T) {
	t.Parallel()
	api := newAPI(t, map[string]http.HandlerFunc{"GET /v1/merchants": answerJSON(page("", merchantJSON))})
	if got := run(t, api.env(), "merchants", "list", "--status", "paused"); got.code != 0 || !strings.Contains(got.out, "paused (requested)") {
		t.Errorf("%+v", got)
	}
	if query := api.asked()[0].URL.Query(); query.Get("status") != "paused" || query.Has("stripe_connect_id") {
		t.Errorf("asked for %v", query)
	}
}
