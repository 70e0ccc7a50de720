package console_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"billonce/pkg/billing"
)

// TestMerchantsByStatus: the list has the filter, keeps it from page to page, and what needs attention leads to the rest of the paused.
func TestMerchantsByStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signIn(adminKey)
	more := page(sampleMerchant(object{"status": "paused", "pause_reason": "requested", "pause_detail": "asked for"}))
	more["next_cursor"] = "further"
	if links := strings.Join(v.get("/attention").links(), " "); strings.Contains(links, "status=paused") {
		t.Errorf("all paused merchants are shown, and there is a link to them: %s", links)
	}
	w.api.set("GET /v1/merchants", more)
	if links := v.get("/attention").links(); !slices.Contains(links, "/merchants?status=paused") {
		t.Errorf("nothing leads to the other paused merchants: %v", links)
	}
	got := v.get("/merchants?status=paused&cursor=here")
	asked := w.api.asked("GET /v1/merchants")
	if query := asked[len(asked)-1].URL.Query(); query.Get("status") != "paused" || query.Get("cursor") != "here" || query.Get("limit") != "50" {
		t.Errorf("asked for %v", query)
	}
	if links := got.links(); !slices.Contains(links, "/merchants?cursor=further&status=paused") || !slices.Contains(links, "/merchants?status=paused") {
		t.Errorf("the pages are %v", links)
	}
	var chosen []string
	for _, option := range got.tags("option") {
		if slices.ContainsFunc(option.Attr, func(a html.Attribute) bool { return a.Key == "selected" }) {
			chosen = append(chosen, words(option))
		}
	}
	if !slices.Equal(chosen, []string{"paused"}) || len(got.tags("option")) != 4 {
		t.Errorf("chosen are %v of %d", chosen, len(got.tags("option")))
	}
	w.api.set("GET /v1/merchants", page())
	for path, want := range map[string]string{"/merchants?status=paused": "No merchant fits.", "/merchants?stripe_connect_id=acct_1": "No merchant fits.", "/merchants": "No merchant is connected so far."} {
		v.get(path).says(t, want)
	}
	w.api.set("GET /v1/merchants", problem{Status: 422, Code: billing.CodeInvalid, Errors: []object{{"query": "status", "code": "unknown_value", "detail": "is not a status of merchants"}}})
	if got := v.get("/merchants?status=odd"); got.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("an odd status: %d", got.StatusCode)
	} else {
		got.says(t, "is not a status of merchants")
	}
}
