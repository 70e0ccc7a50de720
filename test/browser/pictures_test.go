package browser_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"billonce/internal/programtest"
)

// heaviest is how many bytes a picture in docs may have.
const heaviest = 150_000

// TestPicturesForTheDocs takes the pictures that the documents show, of an installation in which something happens. They are kept with
// the others, and in BROWSER_DOCS if that is set, as `make screenshots` does.
func TestPicturesForTheDocs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, programtest.SpawnPlain, "WORKER_CONCURRENCY", "40")
	w.worker(t)
	w.worker(t)
	s := w.empty(t)
	told := s.liveliness()
	b := newTab(t, w.base)
	b.size(1200, 820)
	b.signIn(adminKey)

	b.open("/")
	b.until("the overview is there", `document.querySelector('main svg')`)
	b.scheme("light")
	b.document("console-overview", false)

	b.size(1040, 772)
	b.scheme("dark")
	b.open("/tasks/" + told)
	b.sees(told)
	b.document("console-task", false)

	b.size(narrow, 844)
	b.scheme("light")
	b.open("/")
	b.until("the overview is there", `document.querySelector('main svg')`)
	b.document("console-narrow", false)
}

// document keeps a picture for the documents.
func (b *tab) document(name string, whole bool) {
	b.t.Helper()
	b.keep(name, whole)
	picture, err := os.ReadFile(filepath.Join(artefacts(), name+".png"))
	if err != nil {
		b.t.Fatal(err)
	}
	if len(picture) > heaviest {
		b.t.Errorf("%s has %d bytes, at most %d", name, len(picture), heaviest)
	}
	if dir := os.Getenv("BROWSER_DOCS"); dir != "" {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil { // for everybody to read
			b.t.Fatal(err)
		}
	}
}

// shops are the merchants of the pictures.
var shops = []struct{ name, account string }{
	{"Alma's Bakery", "acct_1AlmasBakery"},
	{"Borough Books", "acct_1BoroughBooks"},
	{"Corner Cycles", "acct_1CornerCycles"},
	{"Dune Yoga", "acct_1DuneYoga"},
	{"Elm Street Dental", "acct_1ElmStreetDental"},
}

// liveliness has five shops bill their customers, with all that can go wrong, and returns a task with a story.
func (s *scene) liveliness() string {
	s.t.Helper()
	chance := rand.New(rand.NewPCG(4711, 7)) // the same pictures each time, as far as time allows
	s.fillHours(7)
	var tasks []object
	for i, shop := range shops {
		s.account, s.name = shop.account, shop.name
		s.connect()
		for n := range 14 {
			task := object{"merchant_id": s.merchant, "kind": "subscription.create", "params": object{"customer": "cus_ok", "items": []object{{"price": "price_basic"}}}}
			switch chance.IntN(5) {
			case 0, 1:
				task = object{"merchant_id": s.merchant, "kind": "invoice.pay", "target": s.invoice()}
			case 2:
				task = object{"merchant_id": s.merchant, "kind": "payment_intent.create", "params": object{"customer": "cus_ok", "amount": 100 * (5 + chance.IntN(90)), "currency": "eur"}}
			}
			if n > 8 {
				task["run_at"] = time.Now().Add(time.Duration(1+chance.IntN(40)) * time.Hour).UTC().Truncate(time.Hour)
			}
			task["metadata"] = object{"order": fmt.Sprintf("order-%d", 4100+14*i+n)}
			tasks = append(tasks, task)
		}
	}
	s.c.Must(201, "POST", "/v1/tasks/batch", object{"tasks": tasks})
	for _, status := range []string{"pending", "running"} { // until all that is due now is done
		s.settled(status)
	}
	s.inDoubt()
	told := s.declined()
	s.c.Must(200, "POST", "/v1/merchants/"+s.merchant+"/pause", object{"reason": "the shop moves to another account"})
	return told
}

// fillHours writes what the workers' attempts came to in the last hours: it goes up and down with the day, and Stripe was slow once.
func (s *scene) fillHours(hours int) {
	s.t.Helper()
	s.db.SQL.MustExec(`
		INSERT INTO outcome_minutes (minute, worker_id, succeeded, failed, in_doubt, retried)
		SELECT date_trunc('minute', now()) - n * interval '1 minute', gen_random_uuid(), (22 + 15 * sin(n / 47.0) + n * 7919 % 9)::int,
			CASE WHEN n % 7 = 0 THEN 1 + n % 3 ELSE 0 END, CASE WHEN n % 61 = 0 THEN 1 ELSE 0 END,
			CASE WHEN n BETWEEN 140 AND 158 THEN 8 + n % 5 WHEN n % 11 = 0 THEN 1 ELSE 0 END
		FROM generate_series(1, $1::int) AS n`, 60*hours)
}

// declined has a payment first meet a broken connection and then a declined card, with another try scheduled.
func (s *scene) declined() string {
	s.t.Helper()
	s.fault(object{"kind": "lock_timeout"})
	s.fault(object{"kind": "decline", "code": "insufficient_funds"})
	task := id(s.c.Must(201, "POST", "/v1/tasks", object{
		"merchant_id": s.merchant, "kind": "invoice.pay", "target": s.invoice(), "intent": "renewal:sub_4711:2026-12",
		"on_decline": object{"retry_after": []string{"24h", "72h"}}, "metadata": object{"order": "order-4711"},
	}))
	s.c.Await(task, "failed")
	return task
}

// settled waits until no due task of the table has the status.
func (s *scene) settled(status string) {
	s.t.Helper()
	deadline := time.After(programtest.Patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for left := 1; left > 0; {
		if err := s.db.SQL.Get(&left, `SELECT count(*) FROM scheduled_tasks WHERE status = $1 AND run_at <= now() AND held_at IS NULL`, status); err != nil {
			s.t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("%d tasks are still %s", left, status)
		}
	}
}
