package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"billonce/pkg/billing"
)

// TestManyWhoLookCostWhatOneDoes: the part of a page that changes is made once in two seconds at most, for all whose keys allow the same.
func TestManyWhoLookCostWhatOneDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const path, asks = "/attention", "GET /v1/tasks" // twice for one page
		w := newWorld(t)
		crowd := make([]*visitor, 20)
		for i := range crowd {
			crowd[i] = w.signIn(adminKey)
		}
		crowd[0].get(path, "HX-Request", "true")
		if asked := len(w.api.asked(asks)); asked != 2 {
			t.Fatalf("the first is answered with %d calls", asked)
		}
		began := time.Now()
		w.api.set("GET /v1/merchants", page(sampleMerchant(object{"status": "paused", "name": "Meanwhile Ltd"})))
		together(crowd, func(one *visitor) {
			if got := one.get(path, "HX-Request", "true"); !strings.Contains(got.body, "Meanwhile Ltd") || got.StatusCode != http.StatusOK {
				t.Errorf("somebody is shown what was so before: %d", got.StatusCode)
			}
		})
		if asked, waited := len(w.api.asked(asks)), time.Since(began); asked != 4 || waited != 2*time.Second {
			t.Errorf("20 people cost %d calls, and wait for %v", asked-2, waited)
		}
		// Whoever opens a page waits for nobody.
		began = time.Now()
		together(crowd, func(one *visitor) { one.get(path) })
		if asked, waited := len(w.api.asked(asks)), time.Since(began); asked != 44 || waited != 0 {
			t.Errorf("20 pages cost %d calls, and wait for %v", asked-4, waited)
		}
	})
}

// TestPartsAreSharedAmongEquals alone, and name nobody.
func TestPartsAreSharedAmongEquals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const asks = "GET /v1/tasks"
		w := newWorld(t)
		all := w.signIn(adminKey)
		w.api.key(merchantID, "tasks:read")
		own := w.signIn(apiKey)
		crowd := []*visitor{all, own}
		together(crowd, func(one *visitor) { one.get("/tasks", "HX-Request", "true") })
		if asked := len(w.api.asked(asks)); asked != 2 {
			t.Errorf("two whose keys differ are answered with %d calls", asked)
		}
		for _, path := range []string{"/", "/tasks", "/tasks/" + taskID, "/attention", "/workers"} {
			if part := all.get(path, "HX-Request", "true"); strings.Contains(part.body, "ADMIN_API_KEY") || part.StatusCode != http.StatusOK {
				t.Errorf("the part of %s names who asked for it, or is answered %d", path, part.StatusCode)
			}
		}
	})
}

// TestAPartThatFails, or whose maker goes away, leaves nobody without an answer of their own.
func TestAPartThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		crowd := []*visitor{w.signIn(adminKey), w.signIn(adminKey), w.signIn(adminKey)}
		w.api.set("GET /v1/tasks", problem{Status: http.StatusServiceUnavailable, Code: billing.CodeUnavailable})
		together(crowd, func(one *visitor) {
			if got := one.get("/tasks", "HX-Request", "true"); got.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("without the API a part is answered %d", got.StatusCode)
			}
		})
		w.api.set("GET /v1/tasks", page())
		crowd[0].get("/tasks", "HX-Request", "true")
		began := time.Now()
		leaving, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var gone answer
		group.Go(func() { gone = crowd[0].sendWhile(leaving, http.MethodGet, "/tasks", nil, "HX-Request", "true") })
		synctest.Wait() // it waits to make the part
		w.log.Reset()
		for _, one := range crowd[1:] {
			group.Go(func() {
				if got := one.get("/tasks", "HX-Request", "true"); got.StatusCode != http.StatusOK {
					t.Errorf("after the one who was to make it has gone, it is answered %d", got.StatusCode)
				}
			})
		}
		synctest.Wait()
		leave()
		group.Wait()
		if waited := time.Since(began); waited > 2*time.Second {
			t.Errorf("they wait for %v", waited)
		}
		if gone.StatusCode != 499 || w.log.Len() > 0 {
			t.Errorf("that somebody has gone is taken for a fault: %d, %s", gone.StatusCode, w.log)
		}
	})
}

// TestWhoReadsSlowlyHoldsNobodyUp: the others have the part that such a one makes before it is read.
func TestWhoReadsSlowlyHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow, quick := w.signIn(adminKey), w.signIn(adminKey)
		slow.get("/tasks", "HX-Request", "true")
		began := time.Now()
		reader := &slowReader{httptest.NewRecorder(), make(chan struct{})}
		var group sync.WaitGroup
		group.Go(func() {
			w.ServeHTTP(reader, slow.request(t.Context(), http.MethodGet, "/tasks", nil, "HX-Request", "true"))
		})
		synctest.Wait() // it waits to make the part
		got := quick.get("/tasks", "HX-Request", "true")
		if waited := time.Since(began); got.StatusCode != http.StatusOK || waited != 2*time.Second {
			t.Errorf("beside somebody who does not read, a part is answered %d after %v", got.StatusCode, waited)
		}
		close(reader.reads)
		group.Wait()
		if !strings.Contains(got.body, "invoice.pay") || reader.Body.String() != got.body {
			t.Errorf("they are shown %q and %q", reader.Body, got.body)
		}
	})
}

// slowReader takes nothing until it reads.
type slowReader struct {
	*httptest.ResponseRecorder
	reads chan struct{}
}

func (s *slowReader) Write(part []byte) (int, error) {
	<-s.reads
	return s.ResponseRecorder.Write(part)
}

// TestWhoGoesOnTheWay while making a part leaves it to one of the others, and not to each.
func TestWhoGoesOnTheWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const asks = "GET /v1/workers"
		w := newWorld(t)
		crowd := make([]*visitor, 20)
		for i := range crowd {
			crowd[i] = w.signIn(adminKey)
		}
		crowd[0].get("/workers", "HX-Request", "true")
		before := len(w.api.asked(asks))
		leaving, leave := context.WithCancel(t.Context())
		defer leave()
		w.api.set(asks, func(call) any {
			leave()
			return page()
		})
		var group sync.WaitGroup
		group.Go(func() { crowd[0].sendWhile(leaving, http.MethodGet, "/workers", nil, "HX-Request", "true") })
		synctest.Wait() // it waits to make the part
		together(crowd[1:], func(one *visitor) {
			if got := one.get("/workers", "HX-Request", "true"); got.StatusCode != http.StatusOK {
				t.Errorf("after the one who made it has gone, it is answered %d", got.StatusCode)
			}
		})
		group.Wait()
		if asked := len(w.api.asked(asks)) - before; asked != 2 {
			t.Errorf("20 people, of whom one goes, cost %d calls", asked)
		}
	})
}

func together(crowd []*visitor, do func(*visitor)) {
	var group sync.WaitGroup
	for _, one := range crowd {
		group.Go(func() { do(one) })
	}
	group.Wait()
}
