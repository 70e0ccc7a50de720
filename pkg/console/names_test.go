package console_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestNamesAreKeptForAMoment, for those who may know them alone.
func TestNamesAreKeptForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := w.signIn(adminKey)
		asks := "GET /v1/merchants/" + merchantID
		v.get("/tasks").says(t, "Alma's Bakery")
		before := len(w.api.asked(asks))
		w.api.set(asks, sampleMerchant(object{"name": "Another Bakery"}))
		v.get("/tasks").says(t, "Alma's Bakery")
		if again := len(w.api.asked(asks)) - before; before != 1 || again != 0 {
			t.Errorf("a name was asked for %d times, and %d times more", before, again)
		}
		w.api.key(nil, "tasks:read")
		if got := w.signIn(apiKey).get("/tasks"); !strings.Contains(got.body, merchantID) || strings.Contains(got.body, "Bakery") {
			t.Error("whoever may not read merchants is shown a name, or no id")
		}
		later := time.NewTimer(10 * time.Second)
		<-later.C
		v.get("/tasks").says(t, "Another Bakery")
	})
}
